//! `docent search`

mod excerpt;

use clap::Args;

use super::context::Context;
use super::status::freshness;
use super::text::{Style, counted, plain};
use crate::config::parse_duration;
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{Explain, Hit, OtherPlace, SearchAnswer, range};

/// Other places of a hit that are named; of the rest only the count.
const ALSO_MAX: usize = 3;

/// Chunks that are named when nothing seems to be about the query.
const NEAREST_MAX: usize = 3;

/// The flags of `search`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to search for, in one or several arguments. A query that is one quoted phrase finds only that phrase: docent
    /// search '"C++"'; among other words a quoted phrase ranks what contains it higher. Put a word that begins with a
    /// dash after `--`: docent search -- -x
    #[arg(required = true, value_name = "QUERY", allow_negative_numbers = true)]
    query: Vec<String>,
    /// List all hits, even those that score far below the best one
    #[arg(long)]
    all: bool,
    /// Maximum number of hits [default: 10, at most 100]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only in this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Only in files whose path from the collection's root matches, for example 'docs/**'; with `!` before it, not in
    /// these. May be given several times
    #[arg(long, value_name = "GLOB")]
    path: Vec<String>,
    /// Only in files of this kind: markdown, text, code, json, yaml or toml
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only in files of this programming language: rust, python, typescript, …
    #[arg(long, value_name = "LANG")]
    language: Option<String>,
    /// Only in files changed since a time (2026-01-31) or within an age (7d)
    #[arg(long, value_name = "TIME|AGE")]
    since: Option<String>,
    /// Take the words as they are: correct no typing errors, and require every quoted part
    #[arg(long)]
    exact: bool,
    /// Show how each score is computed
    #[arg(long)]
    explain: bool,
    /// First wait until everything on disk is searchable, but not longer than this
    #[arg(long, value_name = "DURATION")]
    wait: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// 0 with hits, 1 without.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let query = arguments.query.join(" ");
    let target = Target::new("/search")
        .with("q", Some(&query))
        .with("limit", arguments.limit.map(|n| n.to_string()).as_deref())
        .with("collection", arguments.collection.as_deref())
        .with("kind", arguments.kind.as_deref())
        .with("language", arguments.language.as_deref())
        .with("since", arguments.since.as_deref())
        .with("exact", arguments.exact.then_some("true"))
        .with("explain", arguments.explain.then_some("true"))
        .with("wait", arguments.wait.as_deref());
    let target = arguments
        .path
        .iter()
        .fold(target, |target, path| target.with("path", Some(path)));
    // Where that is no duration, the daemon says so.
    let waits = arguments
        .wait
        .as_deref()
        .and_then(|text| parse_duration(text).ok());
    let answer: SearchAnswer = context.get_within(&target, waits.unwrap_or_default())?;
    let text = |style| render(&query, arguments.all, &answer, style);
    context.out.answer(arguments.json, &answer, text)?;
    if !answer.hits.is_empty() {
        return Ok(Exit::Clean);
    }
    let filters = arguments.filters();
    if !filters.is_empty() {
        context.out.note(&format!("searched only with {filters}"));
    }
    Ok(Exit::Negative)
}

impl Arguments {
    /// What leaves files out, as it was given.
    fn filters(&self) -> String {
        let named = [
            ("--collection", &self.collection),
            ("--kind", &self.kind),
            ("--language", &self.language),
            ("--since", &self.since),
        ];
        let named = named
            .into_iter()
            .filter_map(|(flag, value)| Some((flag, value.as_deref()?)));
        let paths = self.path.iter().map(|glob| ("--path", glob.as_str()));
        let given = paths.chain(named);
        let given: Vec<String> = given
            .map(|(flag, value)| format!("{flag} {}", plain(value)))
            .collect();
        given.join(" ")
    }
}

/// The hits that are worth listing, or `all` of them, and what was found in a sentence. If that is that nothing seems to
/// be about the query, it comes first.
fn render(query: &str, all: bool, answer: &SearchAnswer, style: Style) -> String {
    let listed = match (all, answer.about) {
        (true, _) => answer.hits.len(),
        (false, true) => answer.listed.min(answer.hits.len()),
        (false, false) => 0,
    };
    let mut hits = String::new();
    for hit in &answer.hits[..listed] {
        hits.push_str(&render_hit(hit, style));
        hits.push('\n');
    }
    let mut summary = format!(
        "{}; {}\n",
        summary(query, answer, listed),
        freshness(&answer.freshness, style)
    );
    if answer.cut {
        summary.push_str(&style.doubtful("the query is too long: part of it was ignored"));
        summary.push('\n');
    }
    if let Some(waited) = &answer.waited {
        let late = match &answer.missing {
            Some(missing) => {
                let missing = plain(missing);
                format!("in spite of --wait {waited} something may be missing: {missing}")
            }
            None => format!("after {waited} not everything on disk is searchable yet"),
        };
        summary.push_str(&style.doubtful(&late));
        summary.push('\n');
    } else if let Some(missing) = &answer.missing {
        summary.push_str(&style.doubtful(&plain(missing)));
        summary.push('\n');
    }
    summary.push_str(&corrections(answer, style));
    if answer.about {
        return hits + &summary;
    }
    for near in nearest(answer, listed) {
        let place = location(&near.collection, &near.path, near.lines);
        let heading = plain(&near.heading);
        summary.push_str(&style.dim(format!("nearest: {place}  {heading}").trim_end()));
        summary.push('\n');
    }
    if !hits.is_empty() {
        summary.push('\n');
    }
    summary + &hits
}

/// What was looked for in place of what was typed.
fn corrections(answer: &SearchAnswer, style: Style) -> String {
    if answer.corrected.is_empty() {
        return String::new();
    }
    let pairs = answer.corrected.iter();
    let pairs = pairs.map(|c| format!("{} instead of {}", plain(&c.to), plain(&c.from)));
    let pairs: Vec<String> = pairs.collect();
    let said = format!("searched for {} (--exact does not)", pairs.join(", "));
    format!("{}\n", style.doubtful(&said))
}

/// The best of what is not listed, whether it has words of the query or not.
fn nearest(answer: &SearchAnswer, listed: usize) -> Vec<&Hit> {
    let mut nearest: Vec<&Hit> = answer.hits[listed..]
        .iter()
        .chain(&answer.nearest)
        .collect();
    nearest.sort_by(|a, b| b.score.total_cmp(&a.score));
    nearest.truncate(NEAREST_MAX);
    nearest
}

/// What was found, in a sentence.
fn summary(query: &str, answer: &SearchAnswer, listed: usize) -> String {
    let query = super::text::one_line(query, 80);
    let total = answer.hits.len();
    if answer.legs.is_empty() {
        return format!("nothing found: {query} contains no word");
    }
    if total == 0 && answer.nearest.is_empty() {
        return format!("nothing found for {query}");
    }
    let by = format!(
        "by {} in {:.1} ms",
        answer.legs.join(" and "),
        answer.took_ms
    );
    if !answer.about {
        return match total {
            0 => format!("nothing here seems to be about {query}"),
            _ if listed > 0 => {
                let found = counted(total as u64, "hit has", "hits have");
                format!("nothing here seems to be about {query}; {found} words of it, {by}")
            }
            _ => {
                let found = counted(total as u64, "chunk has", "chunks have");
                format!(
                    "nothing here seems to be about {query}; {found} words of it (--all lists them)"
                )
            }
        };
    }
    match total - listed {
        0 => format!("{} {by}", counted(total as u64, "hit", "hits")),
        more => format!(
            "{} {by}, and {more} that {} far below (--all lists them)",
            counted(listed as u64, "hit", "hits"),
            if more == 1 { "scores" } else { "score" }
        ),
    }
}

/// `collection/path:first-last  heading`, the lines that matched, and where else they stand.
fn render_hit(hit: &Hit, style: Style) -> String {
    let place = location(&hit.collection, &hit.path, hit.lines);
    let mut text = style.place(&place);
    if !hit.heading.is_empty() {
        text.push_str(&format!("  {}", style.bold(&plain(&hit.heading))));
    }
    text.push('\n');
    if let Some(explain) = &hit.explain {
        text.push_str(&format!("  {}\n", style.dim(&explained(hit, explain))));
    }
    text.push_str(&excerpt::render(hit, style));
    if hit.more > 0 {
        let more = counted(hit.more.into(), "more place", "more places");
        text.push_str(&format!(
            "  {}\n",
            style.dim(&format!("{more} in this file"))
        ));
    }
    for also in hit.also.iter().take(ALSO_MAX) {
        text.push_str(&format!(
            "  {}\n",
            style.dim(&format!("also in {}", elsewhere(also)))
        ));
    }
    if let Some(more) = hit
        .also
        .len()
        .checked_sub(ALSO_MAX)
        .filter(|more| *more > 0)
    {
        let places = counted(more as u64, "other place", "other places");
        text.push_str(&format!("  {}\n", style.dim(&format!("and in {places}"))));
    }
    text
}

/// `score 0.62 = (0.55 × 0.41 + 0.45 × 0.38) × path 1.50`
fn explained(hit: &Hit, explain: &Explain) -> String {
    let mut text = format!(
        "score {:.3} = (0.55 × {:.3} + 0.45 × {:.3})",
        hit.score, explain.keyword, explain.vector
    );
    for boost in &explain.boosts {
        text.push_str(&format!(" × {} {:.2}", plain(&boost.name), boost.factor));
    }
    text
}

fn elsewhere(place: &OtherPlace) -> String {
    location(&place.collection, &place.path, place.lines)
}

fn location(collection: &str, path: &str, lines: [u32; 2]) -> String {
    format!("{}/{}:{}", plain(collection), plain(path), range(lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::{BoostView, Corrected, Freshness};

    pub(super) fn hit(text: &str, marked: &[&str]) -> Hit {
        let marks = marked.iter().map(|word| {
            let start = text.find(word).unwrap();
            [start, start + word.len()]
        });
        Hit {
            collection: "docs".to_owned(),
            path: "a.md".to_owned(),
            lines: [12, 12 + u32::try_from(text.lines().count()).unwrap() - 1],
            heading: "Title > Install".to_owned(),
            text: text.to_owned(),
            score: 0.5,
            digest: "d".to_owned(),
            keyword: 1.0,
            vector: 0.1,
            marks: marks.collect(),
            also: Vec::new(),
            more: 0,
            explain: None,
        }
    }

    fn answer(hits: Vec<Hit>) -> SearchAnswer {
        SearchAnswer {
            listed: hits.len(),
            about: !hits.is_empty(),
            hits,
            nearest: Vec::new(),
            legs: vec!["keyword".to_owned(), "vector".to_owned()],
            freshness: Freshness {
                complete_to: Some("2026-01-31T12:03:04Z".to_owned()),
                pending: 3,
                failed: 0,
            },
            waited: None,
            missing: None,
            corrected: Vec::new(),
            cut: false,
            took_ms: 3.123,
        }
    }

    #[test]
    fn a_hit_reads_from_its_place_to_its_words() {
        let mut found = hit("run cargo install", &["cargo"]);
        let place = OtherPlace {
            collection: "docs".to_owned(),
            path: "b\x1b.md".to_owned(),
            lines: [3, 9],
            digest: String::new(),
        };
        found.also = vec![place; 5];
        let text = render("cargo", false, &answer(vec![found]), Style::new(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "docs/a.md:12  Title > Install");
        assert_eq!(lines[1], "  12  run cargo install");
        assert_eq!(lines[2], "  also in docs/b\\x1B.md:3-9");
        assert_eq!(lines[5], "  and in 2 other places");
        assert!(
            lines[7].starts_with(
                "1 hit by keyword and vector in 3.1 ms; 3 changes pending, complete as of "
            ),
            "{text}"
        );
    }

    #[test]
    fn a_correction_a_score_and_more_of_a_file_are_told() {
        let mut found = hit("a connection", &["connection"]);
        found.more = 3;
        found.explain = Some(Explain {
            keyword: 0.5,
            vector: 0.25,
            boosts: vec![BoostView {
                name: "path".to_owned(),
                factor: 1.5,
            }],
        });
        let mut answer = answer(vec![found]);
        answer.waited = Some("2s".to_owned());
        answer.corrected = vec![Corrected {
            from: "conection".to_owned(),
            to: "connection".to_owned(),
        }];
        let text = render("conection", false, &answer, Style::new(false));
        for line in [
            "  score 0.500 = (0.55 × 0.500 + 0.45 × 0.250) × path 1.50",
            "  3 more places in this file",
            "after 2s not everything on disk is searchable yet",
            "searched for connection instead of conection (--exact does not)",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
    }

    #[test]
    fn that_nothing_seems_to_be_about_it_is_said_first() {
        let mut none = answer(Vec::new());
        none.nearest = vec![hit("far off", &[])];
        let text = render("zzqqxx", false, &none, Style::new(false));
        assert!(
            text.starts_with("nothing here seems to be about zzqqxx; 3 changes pending"),
            "{text}"
        );
        assert!(
            text.ends_with("\nnearest: docs/a.md:12  Title > Install\n"),
            "{text}"
        );
        let mut some = answer(vec![hit("a word", &["word"]); 5]);
        some.about = false;
        some.nearest = vec![Hit {
            score: 0.9,
            path: "near.md".to_owned(),
            ..hit("x", &[])
        }];
        let text = render("word zzqqxx", false, &some, Style::new(false));
        let lines: Vec<&str> = text.lines().collect();
        let said = "nothing here seems to be about word zzqqxx; 5 chunks have words of it (--all lists them); ";
        assert!(lines[0].starts_with(said), "{text}");
        assert_eq!(lines[1], "nearest: docs/near.md:12  Title > Install");
        assert_eq!(
            (lines.len(), text.matches("nearest: ").count()),
            (4, 3),
            "{text}"
        );
        let text = render("word zzqqxx", true, &some, Style::new(false));
        assert!(
            text.starts_with("nothing here seems to be about word zzqqxx; 5 hits have"),
            "{text}"
        );
        assert_eq!(text.matches("a word").count(), 5, "{text}");
    }

    #[test]
    fn what_scores_far_below_the_best_is_listed_on_request() {
        let mut found = answer(vec![hit("good", &[]), hit("noise", &[]), hit("noise", &[])]);
        found.listed = 1;
        let text = render("x", false, &found, Style::new(false));
        assert!(text.contains("good") && !text.contains("noise"), "{text}");
        let said = "1 hit by keyword and vector in 3.1 ms, and 2 that score far below (--all lists them); ";
        assert!(text.contains(said), "{text}");
        let text = render("x", true, &found, Style::new(false));
        assert_eq!(text.matches("noise").count(), 2, "{text}");
        assert!(text.contains("\n3 hits by keyword"), "{text}");
    }

    #[test]
    fn several_arguments_are_one_query_and_numbers_may_have_a_sign() {
        #[derive(Debug, clap::Parser)]
        struct Cli {
            #[command(flatten)]
            search: Arguments,
        }
        let parse = |line: &str| <Cli as clap::Parser>::try_parse_from(line.split(' '));
        let query = |line: &str| parse(line).unwrap().search.query.join(" ");
        assert_eq!(
            query("search what happens on kill -9"),
            "what happens on kill -9"
        );
        assert_eq!(query("search -9 --limit 3 kill --json"), "-9 kill");
        assert_eq!(query("search --json -- kill -HUP --now"), "kill -HUP --now");
        let refused = parse("search kill -HUP").unwrap_err().to_string();
        assert!(refused.contains("use '-- -H'"), "{refused}");
    }

    #[test]
    fn without_a_hit_there_is_a_sentence() {
        let mut none = answer(Vec::new());
        assert!(
            render("x y", false, &none, Style::new(false))
                .starts_with("nothing found for x y; 3 changes pending")
        );
        none.legs.clear();
        assert!(
            render("\"", false, &none, Style::new(false))
                .starts_with("nothing found: \" contains no word; ")
        );
    }
}
