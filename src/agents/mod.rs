//! The agents: event in, outcome out. None knows another, none knows the bus.

pub mod change_detection;
pub mod document_management;
pub mod logging_audit;
pub mod rag;
pub mod scheduler;
pub mod self_healing;
#[cfg(feature = "testing")]
pub mod test;
