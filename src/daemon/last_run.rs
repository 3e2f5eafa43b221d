//! Whether the run before this one came to its end, and on what it may have crashed.

use std::path::Path;

use crate::event::AgentName;
use crate::store::{Crash, FlightRecorder, Store};

/// Deliveries that the log names.
const NAMED: usize = 16;

/// Says in the log whether the last run did not come to its end, and what is owed since.
pub(super) fn tell(store: &Store) {
    let Some(crash) = store.last_crash() else {
        return;
    };
    let counts = AgentName::ALL.iter().map(|agent| store.counts(*agent));
    let owed: i64 = counts.map(|counts| counts.owed).sum();
    let (cause, in_flight) = (crash.cause.describe(), in_flight(crash));
    if crash.cause.is_crash() && !crash.flights.is_empty() {
        tracing::warn!(
            cause,
            in_flight,
            owed,
            "the last run did not end cleanly: docent may have crashed on something that was in flight; each of these is handled alone now, and is a dead letter after three crashes. Committed work is kept, and pending work continues"
        );
    } else {
        tracing::info!(
            cause,
            in_flight,
            owed,
            "the last run did not end cleanly (kill -9, a crash or a power failure); committed work is kept, and pending work continues"
        );
    }
}

/// What was in flight, with the ids of the events, as far as a line of the log has room for it.
fn in_flight(crash: &Crash) -> String {
    let named = crash.flights.iter().take(NAMED);
    let mut named: Vec<String> = named
        .map(|flight| format!("{} {}", flight.agent, flight.event))
        .collect();
    let more = crash.flights.len().saturating_sub(NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}

/// Begins to write down what is in flight. Without that docent works as well, and a crash cannot be traced to an event.
pub(super) fn record(data_dir: &Path) -> Option<FlightRecorder> {
    let recorder = FlightRecorder::begin(data_dir);
    let failed = |error| {
        tracing::warn!(data_dir = %data_dir.display(), %error, "cannot write down what is being handled; if docent crashes, the next start will not know on which events");
    };
    recorder.map_err(failed).ok()
}

/// The run comes to its end.
pub(super) fn end(recorder: Option<&FlightRecorder>) {
    if let Some(Err(error)) = recorder.map(FlightRecorder::end) {
        tracing::warn!(%error, "cannot write down that this run has ended; the next start will take it for a crash");
    }
}
