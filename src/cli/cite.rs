//! `docent cite`

use bytes::Bytes;
use clap::Args;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};

use super::context::{Context, block_on};
use super::output::Output;
use super::text::{Style, one_line, plain};
use crate::error::{Exit, Fatal};
use crate::http::wire::{Citation, CiteAnswer, CiteItem, CiteRequest, CiteVerdict, range};
use crate::http::{Client, Target};

/// Quotes that are sent at once.
const ITEMS: usize = 2500;

/// Bytes that a daemon on another machine takes at once, if its config says nothing else.
const REMOTE_BODY: u64 = 1024 * 1024;

/// Bytes of a line of stdin.
const LINE_MAX: usize = 256 * 1024;

/// The flags of `cite`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the quote is from, as COLLECTION/PATH, and the lines
    #[arg(
        value_name = "COLLECTION/PATH[:FIRST[-LAST]]",
        required_unless_present = "stdin",
        requires = "quote"
    )]
    reference: Option<String>,
    /// The text that should be there
    #[arg(
        long,
        value_name = "TEXT",
        requires = "reference",
        allow_hyphen_values = true
    )]
    quote: Option<String>,
    /// Check one quote for each line of stdin: {"ref", "quote"}
    #[arg(long, conflicts_with_all = ["reference", "quote"])]
    stdin: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// 0 if every quote stands where it was or elsewhere, else 1.
pub(super) fn run(context: &mut Context, arguments: Arguments) -> Result<Exit, Fatal> {
    let body_max = match context.other_machine() {
        Some(_) => REMOTE_BODY,
        None => context.config()?.config.control.body,
    };
    let batch = CiteBatch::new(context.client()?, body_max);
    let json = arguments.json;
    let (Some(reference), Some(quote)) = (arguments.reference, arguments.quote) else {
        let input = BufReader::new(tokio::io::stdin());
        return block_on(check_lines(&mut context.out, batch, input, json));
    };
    let item = CiteItem { reference, quote };
    block_on(async {
        let answer = batch.asked(&[item]).await?;
        let mut verdict = Verdict::default();
        for result in &answer.results {
            verdict.take(result);
            print(&mut context.out, result, json)?;
        }
        note_missing(&context.out, &answer);
        Ok(verdict.exit())
    })
}

/// What came of all quotes.
#[derive(Debug, Default)]
struct Verdict {
    /// Lines that were looked at.
    lines: usize,
    bad_lines: bool,
    fails: bool,
}

impl Verdict {
    fn take(&mut self, result: &Citation) {
        self.fails |= !result.verdict.holds();
    }

    fn exit(self) -> Exit {
        match self {
            Verdict {
                bad_lines: true, ..
            } => Exit::Data,
            Verdict { fails: true, .. } => Exit::Negative,
            Verdict { .. } => Exit::Clean,
        }
    }
}

/// Sends quotes to the daemon, as many at once as it takes.
struct CiteBatch {
    client: Client,
    /// Bytes of a request.
    room: usize,
}

impl CiteBatch {
    fn new(client: Client, body_max: u64) -> Self {
        let room = usize::try_from(body_max).unwrap_or(usize::MAX);
        CiteBatch { client, room }
    }

    /// What came of these quotes, and what was not looked at.
    async fn asked(&self, items: &[CiteItem]) -> Result<CiteAnswer, Fatal> {
        let items = items.to_vec();
        let body = serde_json::to_vec(&CiteRequest { items });
        let body = body.map_err(|e| Fatal::new(Exit::Internal, e))?;
        let target = Target::new("/cite");
        Ok(self.client.post_body(&target, Bytes::from(body)).await?)
    }
}

/// Says what the verdicts do not speak of: files that are others now than docent has read.
fn note_missing(out: &Output, answer: &CiteAnswer) {
    if let Some(missing) = &answer.missing {
        out.note(missing);
    }
}

/// A line of stdin: a quote, or why it is none.
type Line = Result<CiteItem, String>;

/// Checks the quote of each line of `input`; one line of output for each, in the same order, empty for a line that is none.
async fn check_lines(
    out: &mut Output,
    batch: CiteBatch,
    mut input: impl AsyncBufRead + Unpin,
    json: bool,
) -> Result<Exit, Fatal> {
    let mut verdict = Verdict::default();
    let mut lines: Vec<Line> = Vec::new();
    let mut bytes = 0;
    let mut line = Vec::new();
    loop {
        let more = next_line(&mut input, &mut line).await?;
        // What is sent is JSON again, of about the same length.
        let full = lines.len() >= ITEMS || bytes + line.len() > batch.room / 2;
        if !lines.is_empty() && (full || !more) {
            check(out, &batch, &mut verdict, &lines, json).await?;
            lines.clear();
            bytes = 0;
        }
        if !more {
            return Ok(verdict.exit());
        }
        bytes += line.len();
        lines.push(parsed(&line));
    }
}

fn parsed(line: &[u8]) -> Line {
    if line.len() > LINE_MAX {
        return Err(format!("it is longer than {LINE_MAX} bytes"));
    }
    serde_json::from_slice(line).map_err(|e| format!("it is not {{\"ref\", \"quote\"}}: {e}"))
}

/// The next line, of which no more is kept than tells that it is too long; false at the end.
async fn next_line(
    input: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> Result<bool, Fatal> {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read stdin")]
    struct UnreadableStdin(#[source] std::io::Error);
    let unreadable = |e| Fatal::new(Exit::Internal, UnreadableStdin(e));
    line.clear();
    let mut part = (&mut *input).take(LINE_MAX as u64 + 2);
    part.read_until(b'\n', line).await.map_err(unreadable)?;
    if line.is_empty() {
        return Ok(false);
    }
    let mut ended = line.ends_with(b"\n") || line.len() <= LINE_MAX;
    let mut rest = Vec::new();
    while !ended {
        rest.clear();
        let mut part = (&mut *input).take(LINE_MAX as u64);
        let length = part
            .read_until(b'\n', &mut rest)
            .await
            .map_err(unreadable)?;
        ended = length == 0 || rest.ends_with(b"\n");
    }
    while line.ends_with(b"\n") || line.ends_with(b"\r") {
        line.pop();
    }
    Ok(true)
}

/// Checks some lines, which follow those that `verdict` is of, and prints what came of each.
async fn check(
    out: &mut Output,
    batch: &CiteBatch,
    verdict: &mut Verdict,
    lines: &[Line],
    json: bool,
) -> Result<(), Fatal> {
    let items: Vec<CiteItem> = lines.iter().flatten().cloned().collect();
    let mut results = match items.is_empty() {
        true => Vec::new(),
        false => {
            let answer = batch.asked(&items).await?;
            note_missing(out, &answer);
            answer.results
        }
    }
    .into_iter();
    for line in lines {
        verdict.lines += 1;
        match line {
            Ok(_) => {
                let missing =
                    || Fatal::new(Exit::Internal, "docent left a quote out of its answer");
                let result = results.next().ok_or_else(missing)?;
                verdict.take(&result);
                print(out, &result, json)?;
            }
            Err(why) => {
                verdict.bad_lines = true;
                out.note(&format!("line {}: {}", verdict.lines, plain(why)));
                out.line("")?;
            }
        }
    }
    out.flush()
}

fn print(out: &mut Output, result: &Citation, json: bool) -> Result<(), Fatal> {
    if json {
        return out.json(result);
    }
    let line = render(result, out.style);
    out.line(&line)
}

/// `verdict  reference`, and where the quote is now, what is like it, or why it cannot be told.
fn render(result: &Citation, style: Style) -> String {
    let word = format!("{:7}", result.verdict.as_str());
    let word = match result.verdict {
        CiteVerdict::Ok => style.good(&word),
        CiteVerdict::Moved => style.doubtful(&word),
        _ => style.wrong(&word),
    };
    let mut line = format!("{word}  {}", style.place(&plain(&result.reference)));
    if let (CiteVerdict::Moved, Some(lines)) = (result.verdict, result.lines) {
        line.push_str(&format!("  now at {}", range(lines)));
    }
    if let Some(nearest) = &result.nearest {
        let text = one_line(nearest.text.trim_start(), 120);
        line.push_str(&format!("  nearest at {}: {text}", range(nearest.lines)));
    }
    if let Some(reason) = &result.reason {
        line.push_str(&format!("  {}", plain(reason)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::Nearest;

    fn citation(verdict: CiteVerdict) -> Citation {
        Citation {
            reference: "docs/a.md:3-4".to_owned(),
            verdict,
            lines: None,
            digest: None,
            nearest: None,
            reason: None,
        }
    }

    #[test]
    fn a_verdict_is_a_line() {
        let moved = Citation {
            lines: Some([7, 8]),
            ..citation(CiteVerdict::Moved)
        };
        let changed = Citation {
            nearest: Some(Nearest {
                lines: [3, 3],
                text: "  now\x1b other".to_owned(),
            }),
            ..citation(CiteVerdict::Changed)
        };
        let unknown = Citation {
            reason: Some("the quote is empty".to_owned()),
            ..citation(CiteVerdict::Unknown)
        };
        let lines = [citation(CiteVerdict::Ok), moved, changed, unknown];
        assert_eq!(
            lines.map(|c| render(&c, Style::new(false))),
            [
                "ok       docs/a.md:3-4",
                "moved    docs/a.md:3-4  now at 7-8",
                "changed  docs/a.md:3-4  nearest at 3: now\\x1B other",
                "unknown  docs/a.md:3-4  the quote is empty"
            ]
        );
    }

    #[test]
    fn the_exit_code_tells_what_holds() {
        use CiteVerdict::{Changed, Gone, Moved, Ok, Unknown};
        for (verdicts, exit) in [
            (&[Ok, Moved][..], Exit::Clean),
            (&[], Exit::Clean),
            (&[Ok, Changed], Exit::Negative),
            (&[Gone], Exit::Negative),
            (&[Unknown], Exit::Negative),
        ] {
            let mut all = Verdict::default();
            verdicts.iter().for_each(|v| all.take(&citation(*v)));
            assert_eq!(all.exit(), exit);
        }
    }

    #[tokio::test]
    async fn lines_are_read_whole_or_told_to_be_too_long() {
        let long = "x".repeat(LINE_MAX + 1);
        let text = format!("{{\"ref\":\"d/a\",\"quote\":\"q\"}}\r\n{long}\n{long}{long}\n\nend");
        let mut input = text.as_bytes();
        let mut line = Vec::new();
        let mut seen = Vec::new();
        while next_line(&mut input, &mut line).await.unwrap() {
            seen.push(parsed(&line).map(|item| item.quote));
        }
        assert_eq!(seen.len(), 5);
        assert_eq!(seen[0], Ok("q".to_owned()));
        let why = |n: usize| seen[n].clone().unwrap_err();
        assert!(why(1).contains("longer") && why(2).contains("longer"));
        assert!(why(3).contains("it is not") && why(4).contains("it is not"));
    }
}
