//! Answers as agents get them: short text for the model, the same as JSON for programs, and links.

use rmcp::model::{CallToolResult, ContentBlock, Resource};
use serde_json::Value;

use super::super::wire::{CiteAnswer, CiteVerdict, Hit, ReadAnswer, SearchAnswer, Status, range};
use super::uri;
use crate::amounts::counted;
use crate::visible::one_line;

/// Characters of a text from outside that an error repeats.
const SHORT: usize = 200;

/// What a tool answers.
pub(super) struct ToolAnswer {
    text: String,
    structured: Value,
    links: Vec<Resource>,
}

impl ToolAnswer {
    pub(super) fn new(text: String, structured: Value) -> Self {
        ToolAnswer {
            text,
            structured,
            links: Vec::new(),
        }
    }

    pub(super) fn links(self, links: Vec<Resource>) -> Self {
        ToolAnswer { links, ..self }
    }

    /// The same, with one line about what could not be waited for.
    pub(super) fn missing(mut self, missing: Option<String>) -> Self {
        if let Some(missing) = missing {
            self.text = format!("{}\n{missing}", self.text.trim_end());
        }
        self
    }

    pub(super) fn into_result(self) -> CallToolResult {
        let mut content = vec![ContentBlock::text(self.text)];
        content.extend(self.links.into_iter().map(ContentBlock::resource_link));
        let mut result = CallToolResult::success(content);
        result.structured_content = Some(self.structured);
        result
    }
}

/// A text from outside, cut and on one line.
pub(super) fn short(text: &str) -> String {
    one_line(text, SHORT)
}

fn place(collection: &str, path: &str, lines: [u32; 2]) -> String {
    format!("{collection}/{path}:{}", range(lines))
}

/// The place of a hit as a resource.
pub(super) fn link(hit: &Hit) -> Resource {
    let uri = uri::of(&hit.collection, &hit.path, Some(&range(hit.lines)));
    Resource::new(uri, place(&hit.collection, &hit.path, hit.lines))
}

/// `path:first-last  heading` of each hit that is worth listing, with its lines, and what is to be said besides.
pub(super) fn search(query: &str, answer: &SearchAnswer) -> String {
    let titled = |hit: &Hit| {
        let place = place(&hit.collection, &hit.path, hit.lines);
        format!("{place}  {}", hit.heading).trim_end().to_owned()
    };
    let corrected = answer.corrected.iter();
    let mut parts: Vec<String> = corrected
        .map(|c| {
            format!(
                "searched for {} instead of {}",
                short(&c.to),
                short(&c.from)
            )
        })
        .collect();
    if answer.about {
        for hit in &answer.hits[..answer.listed.min(answer.hits.len())] {
            parts.push(format!("{}\n{}\n", titled(hit), hit.text));
        }
        match answer.hits.len() - answer.listed.min(answer.hits.len()) {
            0 => {}
            more => {
                let more = counted(more as u64, "hit scores", "hits score");
                parts.push(format!("{more} far below"));
            }
        }
    } else {
        parts.push(format!("nothing here seems to be about {}", short(query)));
        let near = answer.hits.iter().chain(&answer.nearest).take(3);
        parts.extend(near.map(|hit| format!("nearest: {}", titled(hit))));
    }
    if answer.cut {
        parts.push("the query is too long: part of it was ignored".to_owned());
    }
    parts.join("\n").trim_end().to_owned()
}

/// The place, what is to be said about it, and the lines.
pub(super) fn read(answer: &ReadAnswer) -> String {
    let place = place(&answer.collection, &answer.path, answer.lines);
    let mut text = format!(
        "{place}  version {}, {} in all\n{}",
        answer.version,
        counted(u64::from(answer.total_lines), "line", "lines"),
        answer.text
    );
    for note in answer.notes() {
        text = format!("{}\n{note}", text.trim_end());
    }
    text
}

/// A line for each quote.
pub(super) fn cite(answer: &CiteAnswer) -> String {
    let lines = answer.results.iter().map(|result| {
        let mut line = format!("{} {}", result.verdict.as_str(), result.reference);
        if let (CiteVerdict::Moved, Some(lines)) = (result.verdict, result.lines) {
            line.push_str(&format!(" now at {}", range(lines)));
        }
        if let Some(nearest) = &result.nearest {
            line.push_str(&format!(
                " nearest at {}:\n{}",
                range(nearest.lines),
                nearest.text
            ));
        }
        if let Some(reason) = &result.reason {
            line.push_str(&format!(": {reason}"));
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The condition, what there is, what is pending, and what is wrong with the way out.
pub(super) fn status(status: &Status) -> String {
    let documents = counted(status.documents, "document", "documents");
    let chunks = counted(status.chunks, "chunk", "chunks");
    let pending = match status.freshness.pending {
        0 => "nothing pending".to_owned(),
        pending => format!("{} pending", counted(pending, "change", "changes")),
    };
    let mut lines = vec![format!(
        "{}: {documents}, {chunks}, {pending}",
        status.state.as_str()
    )];
    for collection in &status.collections {
        lines.push(format!(
            "{}  {}  root {}",
            collection.name, collection.path, collection.root
        ));
    }
    for wrong in &status.wrong {
        lines.push(format!(
            "wrong: {}; {}",
            short(&wrong.what),
            short(&wrong.remedy)
        ));
    }
    lines.join("\n")
}

/// The media type of a document, by its name.
pub(super) fn mime(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("md" | "markdown") => "text/markdown",
        Some("json") => "application/json",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::wire::{Citation, Freshness, LeftOff, Nearest};
    use super::*;

    fn hit(path: &str) -> Hit {
        let hit = serde_json::json!({
            "collection": "docs", "path": path, "lines": [3, 4], "heading": "Guide > Install", "text": "one\ntwo",
            "score": 1.0, "digest": "d", "keyword": 1.0, "vector": 1.0, "marks": [], "also": [],
        });
        serde_json::from_value(hit).unwrap()
    }

    fn found(hits: Vec<Hit>, listed: usize) -> SearchAnswer {
        let freshness = Freshness {
            complete_to: None,
            pending: 0,
            failed: 0,
        };
        let rest = serde_json::json!({
            "hits": hits, "listed": listed, "about": listed > 0, "nearest": [], "legs": [],
            "freshness": freshness, "took_ms": 1.0,
        });
        serde_json::from_value(rest).unwrap()
    }

    #[test]
    fn a_hit_is_its_place_and_its_lines() {
        let answer = found(vec![hit("a b.md"), hit("b.md")], 1);
        assert_eq!(
            search("x", &answer),
            "docs/a b.md:3-4  Guide > Install\none\ntwo\n\n1 hit scores far below"
        );
        let link = link(&answer.hits[0]);
        assert_eq!(
            (link.uri.as_str(), link.name.as_str()),
            ("docent://docs/a%20b.md:3-4", "docs/a b.md:3-4")
        );
        let none = search("x\ny", &found(vec![hit("a.md")], 0));
        assert_eq!(
            none,
            "nothing here seems to be about x…\nnearest: docs/a.md:3-4  Guide > Install"
        );
        let answer =
            ToolAnswer::new("text\n".to_owned(), Value::Null).missing(Some("2 files".to_owned()));
        assert_eq!(answer.text, "text\n2 files");
    }

    #[test]
    fn what_is_left_off_and_what_has_changed_is_said_below_the_lines() {
        let answer = ReadAnswer {
            collection: "docs".to_owned(),
            path: "a.md".to_owned(),
            version: 2,
            digest: "d".to_owned(),
            lines: [1, 1],
            total_lines: 9,
            text: "one".to_owned(),
            stale: true,
            missing: None,
            left_off: Some(LeftOff {
                lines: 8,
                bytes: 40,
                next: Some("docs/a.md:2-9".to_owned()),
            }),
        };
        assert_eq!(
            read(&answer),
            "docs/a.md:1  version 2, 9 lines in all\none\nleft off: 8 lines (40 bytes); continue at docs/a.md:2-9\n\
             the file has changed since docent read it"
        );
    }

    #[test]
    fn a_quote_is_a_line() {
        let citation = |verdict| Citation {
            reference: "docs/a.md:3".to_owned(),
            verdict,
            lines: None,
            digest: None,
            nearest: None,
            reason: None,
        };
        let moved = Citation {
            lines: Some([7, 8]),
            ..citation(CiteVerdict::Moved)
        };
        let nearest = Nearest {
            lines: [4, 4],
            text: "now".to_owned(),
        };
        let changed = Citation {
            nearest: Some(nearest),
            ..citation(CiteVerdict::Changed)
        };
        let results = vec![citation(CiteVerdict::Ok), moved, changed];
        assert_eq!(
            cite(&CiteAnswer {
                results,
                missing: None
            }),
            "ok docs/a.md:3\nmoved docs/a.md:3 now at 7-8\nchanged docs/a.md:3 nearest at 4:\nnow"
        );
    }
}
