//! Collections that another host of the same store watches: what is known of them, and how a scan of them is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::State;
use super::wire::{Problem, ProblemKind};
use crate::event::Millis;
use crate::store::{Effect, LeaseName, ScanRequest};

/// How often the store is asked whether a scan has ended.
const POLL: Duration = Duration::from_millis(200);

/// How long nobody may watch a collection: hosts look every three seconds for what is free.
const PASSES_ON: Duration = Duration::from_secs(6);

/// The reason of a scan that somebody waits for on another host.
const REASON: &str = "asked for on another host";

/// The collections that this host does not watch.
pub(super) fn watched_elsewhere(state: &State) -> Vec<String> {
    let leases = state.store.leases();
    let is_ours = |name: &String| leases.has(&LeaseName::Collection(name.clone()));
    let mut collections = state.known().into_owned().collections;
    collections.retain(|name| !is_ours(name));
    collections
}

/// What is remembered of each collection, as far as this host has heard.
#[derive(Debug, Default)]
pub(super) struct Collections(Mutex<BTreeMap<String, Known>>);

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Up to when whoever watched it had captured every change that was noticed.
    captured_to: Option<Millis>,
    /// When the last scan began that a search of this host has waited for.
    scanned_at: Option<Millis>,
}

impl Collections {
    /// Whoever watches a collection has captured every change up to a moment.
    pub(super) fn captured(&self, name: &str, to: Millis) {
        let mut all = self.all();
        let known = all.entry(name.to_owned()).or_default();
        known.captured_to = known.captured_to.max(Some(to));
    }

    pub(super) fn captured_to(&self, name: &str) -> Option<Millis> {
        self.all().get(name)?.captured_to
    }

    /// Another host has scanned these; the scan began at `at` or later.
    pub(super) fn scanned(&self, names: &[String], at: Millis) {
        let mut all = self.all();
        for name in names {
            let known = all.entry(name.clone()).or_default();
            known.scanned_at = known.scanned_at.max(Some(at));
        }
    }

    /// When a search had them scanned last.
    pub(super) fn scanned_at(&self, name: &str) -> Option<Millis> {
        self.all().get(name)?.scanned_at
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for a scan of each of these collections that begins after the call, and waits for their ends.
///
/// # Errors
/// Nobody watches one of them, or the store cannot be read or written.
pub(super) async fn scan_elsewhere(state: &State, collections: &[String]) -> Result<(), Problem> {
    if collections.is_empty() {
        return Ok(());
    }
    let known = state.store.scan_requests().await?;
    let before = known.iter().map(|request| request.id).max().unwrap_or(0);
    let effects = collections.iter().map(|collection| Effect::ScanRequested {
        collection: collection.clone(),
        path: None,
        reason: REASON.to_owned(),
    });
    let submitted = state.store.submit(effects.collect(), Vec::new()).await?;
    submitted.committed().await?;
    // Those that come later are not waited for.
    let asked = state.store.scan_requests().await?;
    let is_ours =
        |request: &&ScanRequest| request.id > before && collections.contains(&request.collection);
    let ours: BTreeSet<u64> = asked.iter().filter(is_ours).map(|one| one.id).collect();
    let mut watched_at = Instant::now();
    loop {
        let requests = state.store.scan_requests().await?;
        let waiting = requests.iter().find(|request| ours.contains(&request.id));
        let Some(waiting) = waiting else {
            return Ok(());
        };
        let hosts = state.store.hosts().await?;
        let mut watched = hosts.iter().flat_map(|host| &host.collections);
        if watched.any(|watched| *watched == waiting.collection) {
            watched_at = Instant::now();
        } else if watched_at.elapsed() > PASSES_ON {
            return Err(nobody(&waiting.collection));
        }
        sleep(POLL).await;
    }
}

/// Asks for a scan of every collection, here and elsewhere, that begins after the call, and waits for their ends.
///
/// # Errors
/// See [`scan_elsewhere`].
pub(super) async fn scanned(state: &State) -> Result<(), Problem> {
    let elsewhere = watched_elsewhere(state);
    let here = async {
        let scan = state.scans.scans().ask();
        state.scans.scans().ended(scan).await;
        Ok(())
    };
    tokio::try_join!(here, scan_elsewhere(state, &elsewhere)).map(drop)
}

fn nobody(collection: &str) -> Problem {
    let detail = format!("no running host watches the collection {collection}");
    Problem::new(ProblemKind::AgentMissing, detail).hint(
        "start a host whose config has it (after a host was killed, another one takes over within 20 seconds); to let its documents go, give it to a host's config with an empty directory, accept the removals, and take it out again",
    )
}
