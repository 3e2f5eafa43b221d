//! What is in an entry: in an inbox, the event's id and place; in the journal of everything, the whole event.

use fred::prelude::Value;

use crate::event::Event;
use crate::event::codec::Envelope;

/// The fields of the entry that carries this event.
pub(super) fn fields(event: &Event, whole: bool) -> Vec<Value> {
    let envelope = Envelope::from(event);
    let mut pairs = vec![("id", envelope.id), ("docent_seq", event.seq.to_string())];
    if whole {
        pairs.extend([
            ("source", envelope.source),
            ("type", envelope.kind),
            ("subject", envelope.subject),
            ("time", envelope.time),
            ("data", envelope.data.to_string()),
            ("causation", envelope.causation.unwrap_or_default()),
            ("correlation", envelope.correlation),
        ]);
    }
    let pair = |(name, value): (&'static str, String)| [Value::from_static_str(name), value.into()];
    pairs.into_iter().flat_map(pair).collect()
}
