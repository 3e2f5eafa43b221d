//! Closed sets of words, as the API's description lists them.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{
    AgentState, DeliveryState, Detector, DocumentState, ListedState, RunState, Severity, TokenRole,
};
use crate::word::Word;

/// Describes sets by their words.
macro_rules! schemas {
    ($($set:ident),* $(,)?) => {$(
        impl PartialSchema for $set {
            fn schema() -> RefOr<Schema> {
                let words = $set::ALL.iter().map(|word| word.text());
                let schema = ObjectBuilder::new().schema_type(Type::String);
                schema.enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $set {}
    )*};
}

schemas! {
    AgentState, DeliveryState, Detector, DocumentState, ListedState, RunState, Severity, TokenRole,
}
