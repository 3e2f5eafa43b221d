//! How a host joins the others that work on its store in a database, and stays among them. [`super::leases`] has the rules.

mod join;
mod membership;

use std::collections::BTreeMap;

pub(crate) use join::disagreement_with_others;
pub(super) use join::join;
pub(super) use membership::Membership;

/// The key, among the settings of the store, of what chunks and embeddings are made by: the version has it, and not the config.
pub(crate) const INDEXED_BY: &str = "indexed_by";

/// What a host says of itself, and what it wants to do.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Its name, stable across restarts.
    pub instance: String,
    pub version: &'static str,
    /// The collections of its config.
    pub collections: Vec<String>,
    /// What belongs to the store and not to a host, by key: all hosts have the same values.
    pub settings: BTreeMap<String, String>,
    /// Redis may carry: deliveries are taken before they are handled.
    pub takes: bool,
}
