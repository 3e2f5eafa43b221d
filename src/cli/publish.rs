//! `docent publish`

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use super::context::{Context, block_on};
use super::failure::{exit_of, refused};
use super::output::Output;
use super::text::plain;
use crate::error::{Exit, Fatal};
use crate::event::Data;
use crate::http::wire::{Problem, PublishedId, PublishedLine, Submission};
use crate::http::{Client, ClientError, Target};

/// Bytes that are read from stdin at once.
const CHUNK: usize = 64 * 1024;

/// The flags of `publish`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The event's type
    #[arg(
        value_name = "TYPE",
        required_unless_present = "stdin",
        requires = "subject"
    )]
    kind: Option<String>,
    /// What the event is about, for example docs/guide.md
    #[arg(long)]
    subject: Option<String>,
    /// The event's data, a JSON object
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Event id (a UUID); publishing the same event twice has no further effect
    #[arg(long, value_name = "UUID")]
    id: Option<String>,
    /// Read events from stdin, one JSON object a line: {"type", "subject", "data", "id"}
    #[arg(long, conflicts_with_all = ["kind", "subject", "data", "id"])]
    stdin: bool,
}

/// Prints the id of each event once it is durable.
pub(super) fn run(context: &mut Context, arguments: Arguments) -> Result<Exit, Fatal> {
    let (Some(kind), Some(subject)) = (arguments.kind, arguments.subject) else {
        let client = context.client()?;
        return block_on(publish_lines(&mut context.out, &client, tokio::io::stdin()));
    };
    let data = arguments.data.as_deref().map(Data::parse).transpose();
    let data = data.map_err(|error| {
        let hint = "write for example --data '{\"reason\": \"a test\"}'";
        Fatal::new(Exit::Data, error).hint(hint)
    })?;
    let submission = Submission {
        kind,
        subject,
        data,
        id: arguments.id,
    };
    let published: PublishedId = context.send(&Target::new("/events"), &submission)?;
    context.out.line(&published.id)?;
    Ok(Exit::Clean)
}

/// What was read from stdin so far.
#[derive(Debug, Default)]
struct StdinProgress {
    feeds: AtomicU64,
    /// Bytes after the last line feed.
    rest: AtomicU64,
}

impl StdinProgress {
    fn count(&self, bytes: &[u8]) {
        let feeds = bytes.iter().filter(|b| **b == b'\n').count() as u64;
        self.feeds.fetch_add(feeds, Ordering::SeqCst);
        let after = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map(|at| (bytes.len() - at - 1) as u64);
        match after {
            Some(after) => self.rest.store(after, Ordering::SeqCst),
            None => {
                self.rest.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
        }
    }

    fn lines(&self) -> u64 {
        self.feeds.load(Ordering::SeqCst) + u64::from(self.rest.load(Ordering::SeqCst) > 0)
    }
}

/// Publishes each line of `input`; one line of output for each, in the same order.
async fn publish_lines(
    out: &mut Output,
    client: &Client,
    input: impl AsyncRead + Send + Unpin + 'static,
) -> Result<Exit, Fatal> {
    let sent = Arc::new(StdinProgress::default());
    let (failed, mut failure) = tokio::sync::oneshot::channel();
    let enough = CancellationToken::new();
    let body = body(input, sent.clone(), failed, enough.clone());
    let mut answers = client.stream(&Target::new("/events/stream"), body).await?;
    let mut verdict = LineVerdict::default();
    while let Some(line) = answers.next().await? {
        let answer: PublishedLine =
            serde_json::from_slice(&line).map_err(|e| ClientError::Unexpected(e.to_string()))?;
        // What refuses everything is told once, with the line from which on nothing is taken.
        if let Some(problem) = &answer.problem
            && verdict.broken.is_none()
        {
            let said = plain(&problem.to_string());
            out.note(&format!("line {}: {said}", verdict.answers + 1));
        }
        out.line(answer.id.as_deref().unwrap_or_default())?;
        out.flush()?;
        verdict.take(answer);
        if verdict.broken.is_some() {
            // Nothing more is taken; what is under way is still answered.
            enough.cancel();
        }
    }
    if let Ok(error) = failure.try_recv() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read stdin")]
        struct UnreadableLine(#[source] std::io::Error);
        return Err(Fatal::new(Exit::Internal, UnreadableLine(error)));
    }
    verdict.end(sent.lines())
}

/// How a stream went.
#[derive(Debug, Default)]
struct LineVerdict {
    answers: u64,
    /// A line was refused for what is in it.
    bad_data: bool,
    /// A line was refused for what the daemon is in.
    broken: Option<Problem>,
}

impl LineVerdict {
    fn take(&mut self, answer: PublishedLine) {
        self.answers += 1;
        match answer.problem {
            Some(problem) if matches!(exit_of(&problem), Exit::Data | Exit::Usage) => {
                self.bad_data = true
            }
            Some(problem) => {
                self.broken.get_or_insert(problem);
            }
            None => {}
        }
    }

    /// The end of a stream of `lines`.
    fn end(self, lines: u64) -> Result<Exit, Fatal> {
        if let Some(problem) = self.broken {
            return Err(refused(exit_of(&problem), problem));
        }
        if self.answers < lines {
            let text = format!(
                "docent ended the stream after {} of {lines} lines",
                self.answers
            );
            return Err(Fatal::new(Exit::Unavailable, text)
                .hint("publish the rest again; its lines may have ids of their own"));
        }
        Ok(if self.bad_data {
            Exit::Data
        } else {
            Exit::Clean
        })
    }
}

/// `input` as a body, until its end or until there is `enough`. What it cannot read ends the body and is told through `failed`.
fn body(
    input: impl AsyncRead + Send + Unpin + 'static,
    sent: Arc<StdinProgress>,
    failed: tokio::sync::oneshot::Sender<std::io::Error>,
    enough: CancellationToken,
) -> impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static {
    let chunks = stream::unfold(
        (input, sent, Some(failed)),
        |(mut input, sent, mut failed)| async move {
            let mut buffer = vec![0; CHUNK];
            match input.read(&mut buffer).await {
                Ok(0) => None,
                Ok(length) => {
                    buffer.truncate(length);
                    sent.count(&buffer);
                    Some((Ok(Frame::data(Bytes::from(buffer))), (input, sent, failed)))
                }
                Err(error) => {
                    if let Some(failed) = failed.take() {
                        // Nobody listens any more: then the stream has ended for another reason, which is told.
                        failed.send(error).ok();
                    }
                    None
                }
            }
        },
    )
    .take_until(enough.cancelled_owned());
    StreamBody::new(chunks.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::ProblemKind;

    fn line(problem: Option<ProblemKind>) -> PublishedLine {
        PublishedLine {
            id: problem.is_none().then(|| "id".to_owned()),
            problem: problem.map(|kind| Problem::new(kind, "no")),
        }
    }

    fn exit(lines: &[Option<ProblemKind>], sent: u64) -> Exit {
        let mut verdict = LineVerdict::default();
        lines
            .iter()
            .for_each(|problem| verdict.take(line(*problem)));
        verdict.end(sent).unwrap_or_else(|fatal| fatal.exit())
    }

    #[test]
    fn the_exit_code_tells_bad_lines_from_a_broken_stream() {
        let bad = Some(ProblemKind::Refused);
        let away = Some(ProblemKind::StoreUnavailable);
        assert_eq!(exit(&[None, None], 2), Exit::Clean);
        assert_eq!(exit(&[], 0), Exit::Clean);
        assert_eq!(exit(&[None, bad, None], 3), Exit::Data);
        assert_eq!(exit(&[None, bad], 3), Exit::Unavailable);
        assert_eq!(exit(&[bad, away], 2), Exit::Unavailable);
    }

    #[test]
    fn lines_are_counted_however_they_come() {
        let sent = StdinProgress::default();
        assert_eq!(sent.lines(), 0);
        for part in ["a\nb", "c", "\n", "d\n\ne"] {
            sent.count(part.as_bytes());
        }
        assert_eq!(sent.lines(), 5);
        sent.count(b"\n");
        assert_eq!(sent.lines(), 5);
    }
}
