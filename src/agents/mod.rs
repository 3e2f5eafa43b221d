//! The agents: event in, outcome out. None knows another, none knows the bus.

pub(crate) mod change_detection;
pub(crate) mod document_management;
pub(crate) mod logging_audit;
pub(crate) mod rag;
pub(crate) mod scheduler;
pub(crate) mod self_healing;
#[cfg(feature = "testing")]
pub(crate) mod test;
