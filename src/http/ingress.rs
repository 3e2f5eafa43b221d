//! Dead letters that are no event: entries of other programs that could not be published.

use serde_json::{Map, Value, json};

use super::State;
use super::access::Caller;
use super::acted::acted;
use super::lines::Json;
use super::problem::stopping;
use super::wire::{Dead, DeadView, Dropped, Problem, ProblemKind, Replayed};
use crate::bus::redis::event_of_entry;
use crate::event::Subject;
use crate::store::{Effect, IngressDeadRow, WriteError};

/// Who could not handle the entry of another program.
const INGRESS: &str = "ingress";

/// The entry that a text in a path names; none: it names no entry. No entry is of a collection.
pub(super) async fn kept(
    state: &State,
    caller: &Caller,
    id: &str,
) -> Result<Option<IngressDeadRow>, Problem> {
    if caller.limit().is_some() {
        return Ok(None);
    }
    let row = state.store.ingress_dead_entry(id.to_owned()).await?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let named = id
        .split_once('-')
        .is_some_and(|(ms, n)| digits(ms) && digits(n));
    match row {
        None if named => Err(not_kept(id)),
        row => Ok(row),
    }
}

fn not_kept(entry: &str) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("docent keeps no entry {entry} of another program"),
    )
    .hint("`docent dead list` lists those that it keeps")
}

/// An entry in a list of dead letters: no event came of it, so its own id stands in the event's place.
pub(super) fn dead(row: IngressDeadRow) -> Dead {
    let fields: Map<String, Value> = row
        .fields
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    Dead {
        event: row.entry,
        agent: INGRESS.to_owned(),
        kind: row.kind,
        subject: row.subject,
        attempts: 1,
        errors: json!([{"attempt": 1, "at": row.at.to_string(), "error": row.reason, "fields": fields}]),
        at: row.at.to_string(),
    }
}

/// An entry with all that it held.
pub(super) fn view(row: IngressDeadRow) -> Json<DeadView> {
    Json(DeadView {
        event: None,
        dead: vec![dead(row)],
    })
}

/// Publishes an entry after all, if it can be published by now.
pub(super) async fn replay(
    state: &State,
    row: IngressDeadRow,
    caller: &Caller,
) -> Result<Json<Replayed>, Problem> {
    let entry = row.entry;
    if row.fields.is_empty() {
        let detail = format!("the entry {entry} cannot be published: {}", row.reason);
        return Err(Problem::new(ProblemKind::Refused, detail).hint(remedy(&entry)));
    }
    let event = event_of_entry(&row.fields, &state.known()).map_err(|why| {
        let detail = format!("the entry {entry} still cannot be published: {why}");
        Problem::new(ProblemKind::Refused, detail).hint(remedy(&entry))
    })?;
    let id = event.id.to_string();
    let gone = Effect::IngressDropped {
        entry: entry.clone(),
    };
    let arguments = json!({"entry": entry, "event": id});
    let record = record(state, "dead replay", caller, arguments);
    settle(state, &entry, gone, vec![event, record]).await?;
    Ok(Json(Replayed {
        event: id,
        replayed: 1,
    }))
}

/// Gives an entry up.
pub(super) async fn forget(
    state: &State,
    row: IngressDeadRow,
    caller: &Caller,
) -> Result<Json<Dropped>, Problem> {
    let entry = row.entry;
    let gone = Effect::IngressDropped {
        entry: entry.clone(),
    };
    let record = record(state, "dead drop", caller, json!({"entry": entry}));
    settle(state, &entry, gone, vec![record]).await?;
    Ok(Json(Dropped {
        event: entry,
        dropped: 1,
    }))
}

fn remedy(entry: &str) -> String {
    format!("publish a corrected one with `docent publish`, then `docent dead drop {entry}`")
}

fn record(state: &State, verb: &str, caller: &Caller, arguments: Value) -> crate::event::NewEvent {
    acted(
        state,
        verb,
        Subject::redis(&state.info.instance),
        caller,
        arguments,
    )
}

async fn settle(
    state: &State,
    entry: &str,
    effect: Effect,
    events: Vec<crate::event::NewEvent>,
) -> Result<(), Problem> {
    if state.is_draining() {
        return Err(stopping());
    }
    let pending = state.store.submit(vec![effect], events).await?;
    match pending.committed().await {
        Ok(_) => Ok(()),
        // Somebody else was quicker.
        Err(WriteError::Refused) => Err(not_kept(entry)),
        Err(error) => Err(error.into()),
    }
}
