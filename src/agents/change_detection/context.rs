//! What every part of the agent works with.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::options::WatchOptions;
use super::pulse::{Halt, Pulse, blocking};
use super::tree::{Tree, trees};
use super::watch::Watches;
use crate::event::Subject;
use crate::runtime::{Compute, DutyError};
use crate::store::{DATABASE_SUBJECT_MAX, LeaseTerm, Store};

/// The folder in `data_dir` in which markers are made.
const MARKERS: &str = "markers";

/// The trees, the options and the handles that every part needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct AgentContext {
    pub(super) trees: Arc<Vec<Tree>>,
    pub(super) options: Arc<WatchOptions>,
    pub(super) watches: Watches,
    pub(super) store: Store,
    pub(super) pulse: Pulse,
    compute: Compute,
}

impl AgentContext {
    /// Reads which collections the manifest knows, and prepares the watches. `ours`: the collections of this host, where others may
    /// have some of the config; `None`: all.
    pub(super) async fn new(
        options: Arc<WatchOptions>,
        store: Store,
        compute: Compute,
        pulse: Pulse,
        ours: Option<BTreeMap<String, LeaseTerm>>,
    ) -> Result<Self, Halt> {
        let unknown = store.manifest_collections().await?.into_iter();
        let unknown = unknown.filter(|name| !options.has(name)).collect();
        let deserted = store.deserted(unknown).await?;
        let own = options.clone();
        let prepared = blocking(&compute, &pulse, move |_| {
            (
                trees(&own, ours.as_ref(), deserted),
                Watches::new(own.data_dir.join(MARKERS)),
            )
        });
        let (trees, watches) = prepared.await?;
        Ok(AgentContext {
            trees: Arc::new(trees.map_err(|e| Halt::Failed(DutyError::Failed(e)))?),
            options,
            watches,
            store,
            pulse,
            compute,
        })
    }

    /// Runs blocking work, see [`blocking`].
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Pulse) -> T + Send + 'static,
    ) -> Result<T, Halt> {
        blocking(&self.compute, &self.pulse, work).await
    }

    /// The longest subject that the store takes, in bytes.
    pub(super) fn subject_max(&self) -> usize {
        match self.store.leases().are_shared() {
            true => DATABASE_SUBJECT_MAX,
            false => Subject::BYTES_MAX,
        }
    }

    /// The index of a collection in [`Self::trees`].
    pub(super) fn tree_named(&self, collection: &str) -> Option<usize> {
        self.trees.iter().position(|t| t.name == collection)
    }
}
