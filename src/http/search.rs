//! Search.

use axum::extract::{FromRequestParts, Query, State as Shared};
use axum::http::request::Parts;
use utoipa::IntoParams;

use super::State;
use super::access::Caller;
use super::fresh::Waiting;
use super::freshness::{freshness_of_search, freshness_without_store};
use super::lines::Json;
use super::openapi::{About, Description, Takes};
use super::params::limited;
use super::same::{ShownFile, changed};
use super::wire::{
    BoostView, Corrected, Explain, Hit, OtherPlace, Problem, ProblemKind, SearchAnswer,
};
use crate::config::parse_duration;
use crate::event::{Millis, escape};
use crate::index::{Answer, HitPlace, IndexHit, LIMIT_MAX, SearchRequest, Within, is_blank};

/// What an answer says that the index alone has given.
const AWAY: &str = "the database does not answer: what changed since then is not in the results";

/// Hits in one answer, unless it is said.
const HITS: usize = 10;

/// The query of `GET /api/v1/search`.
#[derive(Debug, Default, IntoParams)]
pub(super) struct SearchQuery {
    /// The text that is looked for; a quoted part is a phrase.
    #[param(value_type = String, min_length = 1)]
    q: Option<String>,
    /// At most so many hits.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 10)]
    limit: Option<String>,
    collection: Option<String>,
    /// Only files whose path in the collection matches one of these globs, and none that begins with `!`.
    #[param(explode, required = false)]
    path: Vec<String>,
    /// Only files of this kind.
    kind: Option<String>,
    /// Only code in this language.
    language: Option<String>,
    /// Only files that changed since a moment, a day, or so long ago, such as `7d`.
    since: Option<String>,
    /// Whether quoted parts must occur.
    #[param(value_type = Option<bool>)]
    exact: Option<String>,
    /// Whether hits tell how their score comes about.
    #[param(value_type = Option<bool>)]
    explain: Option<String>,
    /// How long to wait until what is on disk is searchable, such as `2s`; at most 600s.
    #[param(pattern = "^[0-9]+(ms|s|min|h|d)$")]
    wait: Option<String>,
}

impl Takes for SearchQuery {
    fn describe(to: &mut Description) {
        to.query::<SearchQuery>();
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SearchQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|e| Problem::new(ProblemKind::BadRequest, e.body_text()))?;
        SearchQuery::of(pairs.0)
    }
}

impl SearchQuery {
    /// What the parameters of a request ask for.
    pub(super) fn of(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut query = SearchQuery::default();
        for (name, value) in pairs {
            let field = match name.as_str() {
                "q" => &mut query.q,
                "limit" => &mut query.limit,
                "collection" => &mut query.collection,
                "kind" => &mut query.kind,
                "language" => &mut query.language,
                "since" => &mut query.since,
                "exact" => &mut query.exact,
                "explain" => &mut query.explain,
                "wait" => &mut query.wait,
                "path" => {
                    query.path.push(value);
                    continue;
                }
                _ => {
                    return Err(bad(format!(
                        "unknown parameter `{name}`; there are q, limit, collection, path, kind, language, since, exact, explain and wait"
                    )));
                }
            };
            if field.replace(value).is_some() {
                return Err(bad(format!("{name} is given twice")));
            }
        }
        Ok(query)
    }
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::BadRequest, detail)
}

/// `GET /api/v1/search`
pub(super) const SEARCH: About = About::new("Search by words and meaning")
    .or(&[ProblemKind::NotFound, ProblemKind::IndexNotReady]);

pub(super) async fn search(
    Shared(state): Shared<State>,
    caller: Caller,
    query: SearchQuery,
) -> Result<Json<SearchAnswer>, Problem> {
    let explain = flag("explain", query.explain.as_deref())?;
    let mut waiting = Waiting::of(query.wait.as_deref(), &caller)?;
    let waits = query.wait.is_some();
    let mut request = request(query)?;
    request.within = request
        .within
        .only_of(caller.limit().map(<[String]>::to_vec));
    if let Some(collection) = &request.collection {
        state.known_collection(&caller, collection)?;
    }
    let (freshness, answer) = loop {
        waiting.wait(&state).await;
        // Looked at before the search: what becomes searchable meanwhile is not claimed.
        let freshness = freshness_of_search(&state).await?;
        let answer = state.searcher.search(request.clone()).await;
        let answer = answer.inspect_err(|_| state.memory.searches.failed())?;
        if answer.without_store {
            break (freshness_without_store(&state), answer);
        }
        let shown = if waits { shown(&answer) } else { Vec::new() };
        if !waiting.goes_on(&state, changed(&state, shown).await?) {
            break (freshness, answer);
        }
    };
    state.memory.searches.answered(&answer);
    let without_store = answer.without_store;
    let corrected = answer.corrected.into_iter().map(|c| Corrected {
        from: c.from,
        to: c.to,
    });
    let hit = |found| hit(found, explain);
    Ok(Json(SearchAnswer {
        listed: answer.listed,
        hits: answer.hits.into_iter().map(hit).collect(),
        about: answer.about,
        nearest: answer.nearest.into_iter().map(hit).collect(),
        legs: answer.legs.into_iter().map(str::to_owned).collect(),
        freshness,
        waited: waiting.not_enough(),
        missing: waiting
            .missing()
            .or_else(|| without_store.then(|| AWAY.to_owned())),
        corrected: corrected.collect(),
        cut: answer.cut,
        took_ms: answer.took.as_secs_f64() * 1000.0,
    }))
}

/// The files of the hits.
fn shown(answer: &Answer) -> Vec<ShownFile> {
    let hits = answer.hits.iter().chain(&answer.nearest);
    let shown = |place: &HitPlace| ShownFile {
        collection: place.collection.clone(),
        path: place.path.clone(),
        digest: place.digest.clone(),
    };
    let places = hits.flat_map(|hit| std::iter::once(&hit.place).chain(&hit.also));
    places.map(shown).collect()
}

/// What the index is asked for.
fn request(query: SearchQuery) -> Result<SearchRequest, Problem> {
    let text = query.q.unwrap_or_default();
    if is_blank(&text) {
        return Err(bad("the query is empty; write what to look for"));
    }
    let limit = query.limit.map(|text| {
        let number = text.parse();
        number.map_err(|_| bad(format!("limit `{text}` is not a number")))
    });
    let within = Within::new(query.path, query.kind.as_deref(), query.language).map_err(bad)?;
    Ok(SearchRequest {
        query: text,
        collection: query.collection,
        limit: limited("limit", limit.transpose()?, HITS, LIMIT_MAX)?,
        within,
        since: query.since.as_deref().map(since).transpose()?,
        exact: flag("exact", query.exact.as_deref())?,
    })
}

fn flag(name: &str, text: Option<&str>) -> Result<bool, Problem> {
    match text {
        None | Some("false") => Ok(false),
        Some("true" | "") => Ok(true),
        Some(other) => Err(bad(format!("{name} `{other}` is neither true nor false"))),
    }
}

/// A moment, a day, or how long ago.
fn since(text: &str) -> Result<Millis, Problem> {
    if let Ok(age) = parse_duration(text) {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        return Ok(Millis(Millis::now().0.saturating_sub(age)));
    }
    let moment = Millis::parse(text).or_else(|| Millis::parse(&format!("{text}T00:00:00Z")));
    moment.ok_or_else(|| {
        bad(format!(
            "since `{text}` is neither a time nor an age; write for example 2026-01-31, 2026-01-31T12:00:00Z or 7d"
        ))
    })
}

fn hit(found: IndexHit, explain: bool) -> Hit {
    let boosts = found.boosts.iter().map(|boost| BoostView {
        name: boost.name.to_owned(),
        factor: boost.factor,
    });
    let explain = explain.then(|| Explain {
        keyword: found.keyword,
        vector: found.vector,
        boosts: boosts.collect(),
    });
    let place = place(found.place);
    Hit {
        collection: place.collection,
        path: place.path,
        lines: place.lines,
        digest: place.digest,
        heading: found.heading,
        text: found.text,
        score: found.score,
        keyword: found.keyword,
        vector: found.vector,
        marks: found
            .marks
            .into_iter()
            .map(|mark| [mark.start, mark.end])
            .collect(),
        also: found.also.into_iter().map(self::place).collect(),
        more: found.more,
        explain,
    }
}

fn place(place: HitPlace) -> OtherPlace {
    OtherPlace {
        collection: place.collection,
        path: escape(&place.path),
        lines: [place.first_line, place.last_line],
        digest: place.digest,
    }
}
