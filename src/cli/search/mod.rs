//! `docent search`

mod passage;

use clap::Args;

use super::context::{Context, block_on};
use super::status::freshness;
use super::text::{Style, counted, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{Hit, Place, SearchAnswer};

/// Other places of a hit that are named; of the rest only the count.
const ALSO_MAX: usize = 3;

/// The flags of `search`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to look for; a part in double quotes is a phrase: docent search '"exactly this"'
    #[arg(required = true, value_name = "QUERY")]
    query: Vec<String>,
    /// At most so many hits [default: 10, at most 100]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only in this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// 0 with hits, 1 without.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let query = arguments.query.join(" ");
    let target = Target::new("/search")
        .with("q", Some(&query))
        .with("limit", arguments.limit.map(|n| n.to_string()).as_deref())
        .with("collection", arguments.collection.as_deref());
    let answer: SearchAnswer = block_on(async { Ok(client.get(&target).await?) })?;
    if arguments.json {
        context.out.json(&answer)?;
    } else {
        let text = render(&query, &answer, context.out.style);
        context.out.text(&text)?;
    }
    Ok(if answer.hits.is_empty() {
        Exit::Negative
    } else {
        Exit::Clean
    })
}

fn render(query: &str, answer: &SearchAnswer, style: Style) -> String {
    let mut text = String::new();
    for hit in &answer.hits {
        text.push_str(&render_hit(hit, style));
        text.push('\n');
    }
    text.push_str(&format!(
        "{}; {}\n",
        summary(query, answer),
        freshness(&answer.freshness, style)
    ));
    for near in &answer.nearest {
        let place = location(&near.collection, &near.path, near.lines);
        let heading = plain(&near.heading);
        text.push_str(&style.dim(format!("nearest: {place}  {heading}").trim_end()));
        text.push('\n');
    }
    if answer.cut {
        text.push_str(&style.doubtful("the query is too long: a part of it was not looked for"));
        text.push('\n');
    }
    text
}

/// What was found, in a sentence.
fn summary(query: &str, answer: &SearchAnswer) -> String {
    let query = super::text::one_line(query, 80);
    if answer.legs.is_empty() {
        return format!("nothing found: there is no word in {query}");
    }
    match (answer.hits.len() as u64, answer.about) {
        (0, _) if answer.nearest.is_empty() => format!("nothing found for {query}"),
        (0, _) => format!("nothing found: nothing here seems to be about {query}"),
        (hits, about) => {
            let hits = counted(hits, "hit", "hits");
            let legs = answer.legs.join(" and ");
            let found = format!("{hits} by {legs} in {:.1} ms", answer.took_ms);
            if about {
                found
            } else {
                format!("{found}, but nothing here seems to be about this")
            }
        }
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
    text.push_str(&passage::render(hit, style));
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

fn elsewhere(place: &Place) -> String {
    location(&place.collection, &place.path, place.lines)
}

fn location(collection: &str, path: &str, [first, last]: [u32; 2]) -> String {
    let lines = if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    };
    format!("{}/{}:{lines}", plain(collection), plain(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::Freshness;

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
        }
    }

    fn answer(hits: Vec<Hit>) -> SearchAnswer {
        SearchAnswer {
            about: !hits.is_empty(),
            hits,
            nearest: Vec::new(),
            legs: vec!["keyword".to_owned(), "vector".to_owned()],
            freshness: Freshness {
                complete_to: Some("2026-01-31T12:03:04Z".to_owned()),
                pending: 3,
                failed: 0,
            },
            cut: false,
            took_ms: 3.123,
        }
    }

    #[test]
    fn a_hit_reads_from_its_place_to_its_words() {
        let mut found = hit("run cargo install", &["cargo"]);
        let place = Place {
            collection: "docs".to_owned(),
            path: "b\x1b.md".to_owned(),
            lines: [3, 9],
            digest: String::new(),
        };
        found.also = vec![place; 5];
        let text = render("cargo", &answer(vec![found]), Style::new(false));
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
    fn what_is_only_near_is_no_hit() {
        let mut none = answer(Vec::new());
        none.nearest = vec![hit("far off", &[])];
        let text = render("zzqqxx", &none, Style::new(false));
        assert!(
            text.starts_with(
                "nothing found: nothing here seems to be about zzqqxx; 3 changes pending"
            ),
            "{text}"
        );
        assert!(
            text.ends_with("\nnearest: docs/a.md:12  Title > Install\n"),
            "{text}"
        );
        let mut some = answer(vec![hit("a word", &["word"])]);
        some.about = false;
        let text = render("word zzqqxx", &some, Style::new(false));
        assert!(
            text.contains(
                "1 hit by keyword and vector in 3.1 ms, but nothing here seems to be about this; "
            ),
            "{text}"
        );
    }

    #[test]
    fn without_a_hit_there_is_a_sentence() {
        let mut none = answer(Vec::new());
        assert!(
            render("x y", &none, Style::new(false))
                .starts_with("nothing found for x y; 3 changes pending")
        );
        none.legs.clear();
        assert!(
            render("\"", &none, Style::new(false))
                .starts_with("nothing found: there is no word in \"; ")
        );
    }
}
