//! Search.

use axum::extract::State as Shared;
use serde::Deserialize;

use super::State;
use super::freshness::freshness;
use super::lines::Json;
use super::params::{Params, limited};
use super::wire::{Hit, Place, Problem, ProblemKind, SearchAnswer};
use crate::event::escape;
use crate::index::{Hit as Found, HitPlace, LIMIT_MAX, SearchRequest};

/// Hits in one answer, unless it is said.
const HITS: usize = 10;

/// The query of `GET /api/v1/search`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    /// The text that is looked for; a quoted part must be there as it stands.
    q: String,
    limit: Option<usize>,
    collection: Option<String>,
}

/// `GET /api/v1/search`
pub(super) async fn search(
    Shared(state): Shared<State>,
    Params(query): Params<SearchQuery>,
) -> Result<Json<SearchAnswer>, Problem> {
    let limit = limited(query.limit, HITS, LIMIT_MAX)?;
    if query.q.trim().is_empty() {
        return Err(Problem::new(
            ProblemKind::BadRequest,
            "the query is empty; write what to look for",
        ));
    }
    if let Some(collection) = &query.collection {
        state.known_collection(collection)?;
    }
    // Looked at before the search: what becomes searchable meanwhile is not claimed.
    let freshness = freshness(&state).await?;
    let request = SearchRequest {
        query: query.q,
        collection: query.collection,
        limit,
    };
    let answer = state.searcher.search(request).await?;
    Ok(Json(SearchAnswer {
        listed: answer.listed,
        hits: answer.hits.into_iter().map(hit).collect(),
        about: answer.about,
        nearest: answer.nearest.into_iter().map(hit).collect(),
        legs: answer.legs.into_iter().map(str::to_owned).collect(),
        freshness,
        cut: answer.cut,
        took_ms: answer.took.as_secs_f64() * 1000.0,
    }))
}

fn hit(found: Found) -> Hit {
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
    }
}

fn place(place: HitPlace) -> Place {
    Place {
        collection: place.collection,
        path: escape(&place.path),
        lines: [place.first_line, place.last_line],
        digest: place.digest,
    }
}
