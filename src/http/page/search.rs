//! `/search`: a form, and what is found.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;

use super::asked::{self, Asked};
use super::excerpt::{Excerpt, excerpt};
use super::{PageFrame, show};
use crate::amounts::counted;
use crate::http::State;
use crate::http::access::Caller;
use crate::http::search::{self, SearchQuery};
use crate::http::wire::{BoostView, Explain, Freshness, Hit, Problem, SearchAnswer, range};
use crate::index::LIMIT_MAX;

/// Hits of the first page, and how many more the next one has.
const HITS: usize = 10;
const MORE: usize = 20;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    page: PageFrame,
    form: SearchForm,
    answer: Option<SearchOutcome>,
    problem: Option<Problem>,
}

/// What was asked, as the form shows it.
struct SearchForm {
    asked: Asked,
    collections: Vec<String>,
}

impl SearchForm {
    fn text(&self, name: &str) -> &str {
        self.asked.one(name)
    }

    fn paths(&self) -> String {
        self.asked.all("path").join(" ")
    }
}

struct SearchOutcome {
    answer: SearchAnswer,
    hits: Vec<HitView>,
    /// Hits that score far below those.
    weak: Vec<HitView>,
    nearest: Vec<HitView>,
    /// The same search with more hits.
    more: Option<String>,
}

impl SearchOutcome {
    fn took(&self) -> String {
        format!("{:.0} ms", self.answer.took_ms)
    }

    fn freshness(&self) -> String {
        told(&self.answer.freshness)
    }
}

/// How fresh an answer is, in one sentence.
fn told(freshness: &Freshness) -> String {
    let mut text = match &freshness.complete_to {
        Some(at) => format!("Complete up to {} UTC", show::clock(at)),
        None => "Not known to be complete yet".to_owned(),
    };
    if freshness.pending > 0 {
        let changes = counted(freshness.pending, "change is", "changes are");
        text.push_str(&format!("; {changes} not searchable yet"));
    }
    if freshness.failed > 0 {
        let changes = counted(freshness.failed, "change", "changes");
        text.push_str(&format!("; {changes} failed for good"));
    }
    text
}

struct HitView {
    place: String,
    link: String,
    heading: String,
    score: String,
    excerpt: Excerpt,
    also: Vec<(String, String)>,
    more: u32,
    explain: Option<Explain>,
}

fn view(hit: Hit) -> HitView {
    let linked = |collection: &str, path: &str, lines: [u32; 2]| {
        let place = format!("{collection}/{path}:{}", range(lines));
        (place, show::document_link(collection, path, Some(lines[0])))
    };
    let (place, link) = linked(&hit.collection, &hit.path, hit.lines);
    let also = hit
        .also
        .iter()
        .map(|at| linked(&at.collection, &at.path, at.lines));
    HitView {
        place,
        link,
        heading: hit.heading.clone(),
        score: number(hit.score),
        excerpt: excerpt(&hit.text, hit.lines[0], &hit.marks),
        also: also.collect(),
        more: hit.more,
        explain: hit.explain,
    }
}

fn number(number: f64) -> String {
    format!("{number:.3}")
}

/// A factor of a score.
fn factor(boost: &BoostView) -> String {
    format!("× {:.2}", boost.factor)
}

pub(super) async fn page(
    Shared(state): Shared<State>,
    caller: Caller,
    page: PageFrame,
    uri: Uri,
) -> Response {
    let (asked, found) = match Asked::of(&uri) {
        Ok(asked) if asked.is_empty() => (asked, Ok(None)),
        Ok(asked) => {
            let found = found(&state, &caller, &asked).await;
            (asked, found.map(Some))
        }
        Err(problem) => (Asked::default(), Err(problem)),
    };
    let (answer, problem) = match found {
        Ok(answer) => (answer, None),
        Err(problem) => (None, Some(problem)),
    };
    let form = SearchForm {
        asked,
        collections: asked::collections(&state, &caller),
    };
    let status = problem.as_ref().map(|problem| problem.status);
    asked::answer(
        status,
        SearchPage {
            page,
            form,
            answer,
            problem,
        },
    )
}

async fn found(state: &State, caller: &Caller, asked: &Asked) -> Result<SearchOutcome, Problem> {
    let mut pairs = asked.pairs().to_vec();
    if asked.one("limit").is_empty() {
        pairs.push(("limit".to_owned(), HITS.to_string()));
    }
    let asked_for = asked.one("limit").parse().unwrap_or(HITS);
    let query = SearchQuery::of(asked::globs(pairs))?;
    let answer = search::search(Shared(state.clone()), caller.clone(), query)
        .await?
        .0;
    let most = (asked_for + MORE).min(LIMIT_MAX);
    let is_full = answer.hits.len() >= asked_for && most > asked_for;
    let mut hits: Vec<HitView> = answer.hits.iter().cloned().map(view).collect();
    let weak = hits.split_off(answer.listed.min(hits.len()));
    Ok(SearchOutcome {
        hits,
        weak,
        nearest: answer.nearest.iter().cloned().map(view).collect(),
        more: is_full.then(|| asked.link("/search", &[("limit", &most.to_string())])),
        answer,
    })
}
