//! The names of everything on Redis. The braces are a Cluster hash tag: all keys of one agent live on one node.

use crate::event::AgentName;

/// Who owns the namespace.
pub(super) fn store(namespace: &str) -> String {
    format!("{namespace}:store")
}

/// Where other programs write.
pub(super) fn ingress(namespace: &str) -> String {
    format!("{namespace}:ingress")
}

/// What an agent reads.
pub(super) fn inbox(namespace: &str, agent: AgentName) -> String {
    format!("{namespace}:{{{agent}}}:inbox")
}

/// An agent's dead letters, for other programs.
pub(super) fn dead(namespace: &str, agent: AgentName) -> String {
    format!("{namespace}:{{{agent}}}:dead")
}

/// What the preflight tries commands on.
pub(super) fn probe(namespace: &str, instance: &str) -> String {
    format!("{namespace}:{{probe}}:{instance}")
}
