//! Closed sets of words, as the API's description lists them.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{
    AgentState, DeliveryState, Detector, DocumentState, ListedState, RunState, Severity, StageName,
    TokenRole,
};
use crate::event::{AgentName, EventType};
use crate::word::Word;

/// One of these words.
fn one_of(words: impl Iterator<Item = &'static str>) -> Object {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    schema.enum_values(Some(words)).build()
}

pub(crate) fn event_type() -> Object {
    one_of(EventType::ALL.iter().map(|kind| kind.as_str()))
}

pub(crate) fn agent_name() -> Object {
    one_of(AgentName::ALL.iter().map(|agent| agent.as_str()))
}

/// Describes sets by their words.
macro_rules! schemas {
    ($($set:ident),* $(,)?) => {$(
        impl PartialSchema for $set {
            fn schema() -> RefOr<Schema> {
                one_of($set::ALL.iter().map(|word| word.text())).into()
            }
        }

        impl ToSchema for $set {}
    )*};
}

schemas! {
    AgentState, DeliveryState, Detector, DocumentState, ListedState, RunState, Severity, StageName,
    TokenRole,
}
