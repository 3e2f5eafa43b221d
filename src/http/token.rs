//! Tokens: made, listed and taken away, on the control socket alone.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::json;

use super::State;
use super::access::{Caller, SYSTEM_SUBJECTS, fresh_token};
use super::acted::acted;
use super::lines::Json;
use super::openapi::About;
use super::params::{Named, Sent};
use super::problem::stopping;
use super::read::internal;
use super::wire::{NewToken, Problem, ProblemKind, Revoked, TokenList, TokenMade, TokenView};
use crate::config::parse_duration;
use crate::event::codec::SubmissionError;
use crate::event::{Millis, Subject};
use crate::store::{Effect, TokenRow, WriteError};

/// Characters of a name, at most.
const NAME_MAX: usize = 64;

pub(super) const CREATE: About =
    About::new("Create a token").or(&[ProblemKind::Conflict, ProblemKind::Refused]);

/// `POST /api/v1/tokens`: a token, which is told this once.
pub(super) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    body: Sent<NewToken>,
) -> Result<(StatusCode, Json<TokenMade>), Problem> {
    let wanted = body.parsed("{\"name\", \"role\", \"collections\", \"expires\"}")?;
    if state.is_draining() {
        return Err(stopping());
    }
    let (token, hash) = fresh_token().map_err(internal)?;
    let row = checked(&state, wanted, hash)?;
    let effect = Effect::TokenCreated(row.clone());
    let arguments = json!({
        "token": row.name, "role": row.role.as_str(), "collections": row.collections, "expires_at": moment(row.expires_at),
    });
    match change(&state, effect, "token create", &caller, arguments).await {
        Err(WriteError::Refused) => {
            let detail = format!("there is a token `{}` already", row.name);
            return Err(Problem::new(ProblemKind::Conflict, detail)
                .hint("choose another name, or revoke that one first with `docent token revoke`"));
        }
        done => done?,
    }
    state.tokens.add(row.clone());
    // Whoever revoked it before it was added must find it gone.
    if !state.store.tokens().await?.contains(&row) {
        state.tokens.remove(&row.name);
    }
    let made = TokenMade {
        token,
        view: view(row),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// The token as it is kept, if it can be made.
fn checked(state: &State, wanted: NewToken, hash: String) -> Result<TokenRow, Problem> {
    let refused = |detail: String| Problem::new(ProblemKind::Refused, detail);
    let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let length = wanted.name.chars().count();
    if !(1..=NAME_MAX).contains(&length) || !wanted.name.chars().all(is_good) {
        return Err(refused(format!(
            "`{}` is not a name for a token; write 1 to {NAME_MAX} of the characters A-Z a-z 0-9 _ . -",
            wanted.name
        )));
    }
    let known = state.known();
    for name in &wanted.collections {
        let found = known.collection(name);
        found.map_err(SubmissionError::from)?;
        if SYSTEM_SUBJECTS.contains(&name.as_str()) {
            return Err(refused(format!(
                "a token cannot be limited to the collection `{name}`: docent's own events have that name too; rename the collection"
            )));
        }
    }
    let now = Millis::now();
    let age = wanted.expires.as_deref().map(parse_duration).transpose();
    let age = age.map_err(|e| refused(format!("expires: {e}")))?;
    if age == Some(Duration::ZERO) {
        return Err(refused(
            "expires: a token that expires at once lets nobody in; write a longer time".to_owned(),
        ));
    }
    let collections: BTreeSet<String> = wanted.collections.into_iter().collect();
    Ok(TokenRow {
        name: wanted.name,
        hash,
        role: wanted.role,
        collections: (!collections.is_empty()).then(|| collections.into_iter().collect()),
        created_at: now.0,
        expires_at: age.map(|age| now.plus(age).0),
    })
}

pub(super) const LIST: About = About::new("List the tokens");

/// `GET /api/v1/tokens`: all of them, without what would let anybody in.
pub(super) async fn list(Shared(state): Shared<State>) -> Result<Json<TokenList>, Problem> {
    let rows = state.store.tokens().await?;
    Ok(Json(TokenList {
        tokens: rows.into_iter().map(view).collect(),
    }))
}

pub(super) const REVOKE: About = About::new("Revoke a token").or(&[ProblemKind::NotFound]);

/// `POST /api/v1/tokens/{name}/revoke`: it counts no more, and what its bearer has open ends.
pub(super) async fn revoke(
    Shared(state): Shared<State>,
    Named(name): Named,
    caller: Caller,
) -> Result<Json<Revoked>, Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    let effect = Effect::TokenRevoked { name: name.clone() };
    let arguments = json!({"token": name});
    match change(&state, effect, "token revoke", &caller, arguments).await {
        Err(WriteError::Refused) => {
            let detail = format!("there is no token `{name}`");
            return Err(Problem::new(ProblemKind::NotFound, detail)
                .hint("`docent token list` lists the tokens"));
        }
        done => done?,
    }
    state.tokens.remove(&name);
    Ok(Json(Revoked { name }))
}

async fn change(
    state: &State,
    effect: Effect,
    verb: &str,
    caller: &Caller,
    arguments: serde_json::Value,
) -> Result<(), WriteError> {
    let record = acted(state, verb, Subject::store(), caller, arguments);
    let pending = state.store.submit(vec![effect], vec![record]).await?;
    pending.committed().await.map(drop)
}

fn moment(at: Option<i64>) -> Option<String> {
    at.map(|at| Millis(at).to_string())
}

fn view(row: TokenRow) -> TokenView {
    TokenView {
        expired: row.is_expired(Millis::now()),
        name: row.name,
        role: row.role,
        collections: row.collections,
        created_at: Millis(row.created_at).to_string(),
        expires_at: moment(row.expires_at),
    }
}
