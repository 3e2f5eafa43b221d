//! How far search is behind the disk.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::elsewhere::{Collections, watched_elsewhere};
use super::figures::{FileFigures, SearchFigures};
use super::{State, count, wire};
use crate::event::{AgentName, Millis};
use crate::index::{FollowerState, in_time};
use crate::store::{AgentCounts, ReadError};

/// What is remembered between requests.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When nothing was pending last, as far as somebody looked; 0: never.
    settled_at: AtomicI64,
    /// When every collection had been scanned in this run of the daemon; 0: not yet.
    scanned_at: AtomicI64,
    /// What is known of collections that this host does not watch.
    pub(super) elsewhere: Collections,
    /// An agent that was turned on has yet to catch up.
    behind: AtomicBool,
    pub(super) searches: SearchFigures,
    pub(super) files: FileFigures,
}

impl Memory {
    /// Nothing is remembered yet. `behind`: an agent that was turned on has what it missed to catch up with.
    pub(crate) fn new(behind: bool) -> Self {
        Memory {
            behind: AtomicBool::new(behind),
            ..Memory::default()
        }
    }

    /// All that was on disk at this moment is searchable.
    pub(super) fn settled(&self, at: Millis) {
        self.settled_at.fetch_max(at.0, Ordering::SeqCst);
    }

    /// When nothing was pending last.
    pub(super) fn settled_at(&self) -> Option<Millis> {
        let at = self.settled_at.load(Ordering::SeqCst);
        (at > 0).then_some(Millis(at))
    }

    /// When every collection had been scanned.
    fn scanned_at(&self) -> Option<Millis> {
        let at = self.scanned_at.load(Ordering::SeqCst);
        (at > 0).then_some(Millis(at))
    }

    /// Every collection was scanned by a scan that had begun at `at` or later.
    pub(super) fn scanned(&self, at: Millis) {
        self.scanned_at.fetch_max(at.0, Ordering::SeqCst);
    }

    /// Whether an agent has yet to catch up with what it missed. It has when nobody owes anything: what it asked for at the
    /// start, and what follows from that, is owed without a break.
    pub(super) fn is_behind(&self, state: &State) -> bool {
        let owed = |agent| state.store.counts(agent).owed;
        if owed(AgentName::DocumentManagement) == 0 && owed(AgentName::Rag) == 0 {
            self.behind.store(false, Ordering::SeqCst);
        }
        self.behind.load(Ordering::SeqCst)
    }
}

/// Everything that bounds the moment up to which search is complete.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    now: Millis,
    /// When this host heard of the store last, if it is away; `Some(None)`: never.
    heard: Option<Option<Millis>>,
    /// Up to when other hosts have captured what changed in the collections that this one does not watch; `Some(None)`: that is
    /// not known.
    elsewhere: Option<Option<Millis>>,
    /// When the last scan began of the collection that was scanned least lately, if some collection was not scanned since
    /// the start; `Some(None)`: one was never scanned.
    unscanned: Option<Option<Millis>>,
    /// There are changed paths that are not captured, or may be some that were not noticed.
    uncaptured: bool,
    /// Something that was captured is not searchable.
    unsearchable: bool,
    /// When nothing was pending last.
    settled_at: Option<Millis>,
    /// When every collection had been scanned.
    scanned_at: Option<Millis>,
}

impl Bounds {
    /// The moment up to which every change that was noticed is searchable.
    fn complete_to(&self) -> Option<Millis> {
        let mut complete = self.now;
        if let Some(heard) = self.heard {
            // Nobody knows what other hosts have done since.
            complete = complete.min(heard?);
        }
        if let Some(captured) = self.elsewhere {
            // A host that is gone tells nobody what has changed since.
            complete = complete.min(captured?);
        }
        if let Some(scanned) = self.unscanned {
            // Nobody knows what changed while docent was not there.
            complete = complete.min(scanned?);
        }
        // When something changed that is on its way is not known: not before the last moment at which nothing was.
        if self.unsearchable {
            complete = complete.min(self.settled_at?);
        } else if self.uncaptured {
            let scanned = self.scanned_at.max(self.unscanned.flatten());
            complete = complete.min(self.settled_at.max(scanned)?);
        }
        Some(complete)
    }
}

/// How far search is behind the disk at one moment.
pub(super) struct Reach {
    pub(super) at: Millis,
    /// Up to when every change that was noticed is searchable; `None`: nothing is known to go by.
    pub(super) complete_to: Option<Millis>,
    /// Changes on their way to search.
    pub(super) pending: u64,
    /// Deliveries on that way that failed for good.
    failed: u64,
}

impl Reach {
    /// How long ago search was complete.
    pub(super) fn behind(&self) -> Option<Duration> {
        self.complete_to.map(|complete| self.at.since(complete))
    }
}

/// How far search is behind the disk at this moment, as it is told.
pub(super) async fn freshness(state: &State) -> Result<wire::Freshness, ReadError> {
    Ok(told(&reach(state).await?))
}

fn told(reach: &Reach) -> wire::Freshness {
    wire::Freshness {
        complete_to: reach.complete_to.map(|at| at.to_string()),
        pending: reach.pending,
        failed: reach.failed,
    }
}

/// The same, also while the store is away, if searches can do without it.
pub(super) async fn freshness_of_search(state: &State) -> Result<wire::Freshness, ReadError> {
    if !state.searcher.can_do_without_store() {
        return freshness(state).await;
    }
    let fresh = in_time(freshness(state)).await?;
    Ok(fresh.unwrap_or_else(|| freshness_without_store(state)))
}

/// How far search is behind the disk, as far as it is known without the store: since when something is owed the store knows alone.
pub(super) fn freshness_without_store(state: &State) -> wire::Freshness {
    let way = OnTheWay::look(state, Millis::now());
    told(&way.reach(state.memory.settled_at(), 0))
}

/// What is on its way to search, as it is known without asking the store.
struct OnTheWay {
    now: Millis,
    queued: u64,
    caught_up: bool,
    counts: [(AgentName, AgentCounts); 2],
    behind: u64,
    follower: FollowerState,
}

impl OnTheWay {
    /// Looks in the order in which a change passes, so that one which moves on meanwhile is seen at least once. `now`: a moment
    /// before.
    fn look(state: &State, now: Millis) -> Self {
        let progress = state.scans.progress();
        let (queued, caught_up) = {
            let progress = progress.borrow();
            (progress.pending, progress.caught_up)
        };
        let counts = [AgentName::DocumentManagement, AgentName::Rag]
            .map(|agent| (agent, state.store.counts(agent)));
        let head = *state.store.head().borrow();
        let follower = state.follower();
        OnTheWay {
            now,
            queued,
            caught_up,
            counts,
            behind: behind(&follower, head.change),
            follower,
        }
    }

    fn owed(&self) -> u64 {
        self.counts.iter().map(|(_, c)| count(c.owed)).sum()
    }

    fn bounds(&self, state: &State) -> Bounds {
        Bounds {
            now: self.now,
            uncaptured: self.queued > 0 || !self.caught_up,
            settled_at: state.memory.settled_at(),
            ..Bounds::default()
        }
    }

    /// `elsewhere`: changed paths that other hosts have not captured.
    fn reach(&self, complete_to: Option<Millis>, elsewhere: u64) -> Reach {
        Reach {
            at: self.now,
            complete_to,
            pending: elsewhere + self.queued + self.owed() + self.behind,
            failed: self.counts.iter().map(|(_, c)| count(c.dead)).sum(),
        }
    }
}

/// How far search is behind the disk at this moment.
pub(super) async fn reach(state: &State) -> Result<Reach, ReadError> {
    // Everything is looked at after this moment: what is gone by then is searchable.
    let now = Millis::now();
    let elsewhere = Elsewhere::read(state).await?;
    // Before the look: what a scan that has ended by then has found is on its way, and is seen there.
    let unscanned = unscanned(state, &elsewhere).await?;
    let scanned_at = state.memory.scanned_at();
    let mut way = OnTheWay::look(state, now);
    let is_shared = state.store.leases().are_shared();
    let mut unsearchable = way.owed() > 0;
    if is_shared {
        // What other hosts commit is counted a little later here.
        for agent in [AgentName::DocumentManagement, AgentName::Rag] {
            unsearchable |= state.store.oldest_owed(agent).await?.is_some();
        }
        way.behind = behind(&way.follower, state.store.newest_change().await?);
    }
    unsearchable |= way.behind > 0 || !way.follower.ready || state.memory.is_behind(state);
    let heard_ago = state.store.leases().heard_ago();
    let away = heard_ago.filter(|_| !state.store.leases().are_trusted());
    let bounds = Bounds {
        heard: away.map(|ago| Some(way.now.minus(ago))),
        unscanned,
        scanned_at,
        unsearchable,
        ..way.bounds(state)
    };
    let known_here = bounds.complete_to();
    let bounds = Bounds {
        elsewhere: elsewhere.captured_to(state),
        ..bounds
    };
    let reach = way.reach(bounds.complete_to(), elsewhere.pending);
    if reach.pending == 0
        && known_here == Some(now)
        && let Some(settled) = reach.complete_to
    {
        state.memory.settled(settled);
        elsewhere.is_captured_here(state, now);
    }
    Ok(reach)
}

/// The collections that this host does not watch, as those who do tell of them.
pub(super) struct Elsewhere {
    collections: Vec<String>,
    /// Changed paths that are not captured.
    pending: u64,
}

impl Elsewhere {
    pub(super) async fn read(state: &State) -> Result<Self, ReadError> {
        let collections = watched_elsewhere(state);
        let mut pending = 0;
        if !collections.is_empty() {
            // The row of this host may have a collection already that it is about to take over.
            let hosts = state.store.hosts().await?;
            for host in hosts.iter().filter(|host| !host.is_this) {
                pending += host.captured.pending;
                let Some(to) = host.captured.to else {
                    continue;
                };
                for name in &host.collections {
                    state.memory.elsewhere.captured(name, to);
                }
            }
        }
        Ok(Elsewhere {
            collections,
            pending,
        })
    }

    /// All of the others is captured. Another host may watch them later.
    fn is_captured_here(&self, state: &State, now: Millis) {
        if state.store.leases().are_shared() {
            for ours in self.others(state) {
                state.memory.elsewhere.captured(&ours, now);
            }
        }
    }

    /// All other collections. One that this host takes over or gives up at this moment is among these or those.
    fn others(&self, state: &State) -> Vec<String> {
        let mut others = state.known().into_owned().collections;
        others.retain(|name| !self.collections.contains(name));
        others
    }

    /// Up to when all of it is captured. Where nobody tells now, what was told before counts.
    pub(super) fn captured_to(&self, state: &State) -> Option<Option<Millis>> {
        let known = self.collections.iter();
        known
            .map(|name| state.memory.elsewhere.captured_to(name))
            .min()
    }
}

/// Whether something is on its way to search, as it is known without asking the store.
pub(super) fn is_pending(state: &State) -> bool {
    let way = OnTheWay::look(state, Millis::now());
    way.queued + way.owed() + way.behind > 0
}

/// Changes of the store's feed that the index has still to follow. While it is being opened nobody knows where it stands: 0.
pub(super) fn behind(follower: &FollowerState, change: u64) -> u64 {
    let is_open = follower.ready || follower.position > 0;
    change.saturating_sub(follower.position) * u64::from(is_open)
}

/// When the collection of this host that was scanned least lately was scanned, unless all were since it watches them.
pub(super) async fn unscanned(
    state: &State,
    elsewhere: &Elsewhere,
) -> Result<Option<Option<Millis>>, ReadError> {
    let since = state.info.started_at;
    let since = since.max(state.store.leases().collections_since());
    if state.memory.scanned_at() >= Some(since) {
        return Ok(None);
    }
    let scans = state.store.scans().await?;
    let began = |name: &String| {
        let scan = scans.iter().find(|scan| scan.collection == *name);
        scan.map(|scan| scan.began_at)
    };
    let ours = elsewhere.others(state);
    // None, never, is the least.
    match ours.iter().map(began).min().unwrap_or(Some(since)) {
        Some(at) if at >= since => {
            state.memory.scanned(at);
            Ok(None)
        }
        // Another host may have watched for longer.
        _ => {
            let captured_to = |name| state.memory.elsewhere.captured_to(name);
            let known = ours.iter().map(|name| began(name).max(captured_to(name)));
            Ok(known.min())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> Option<Millis> {
        Some(Millis(n))
    }

    /// Everything is known and nothing is on its way.
    const SETTLED: Bounds = Bounds {
        now: Millis(100),
        heard: None,
        elsewhere: None,
        unscanned: None,
        uncaptured: false,
        unsearchable: false,
        settled_at: Some(Millis(90)),
        scanned_at: Some(Millis(60)),
    };

    fn complete_to(change: impl FnOnce(&mut Bounds)) -> Option<i64> {
        let mut bounds = SETTLED;
        change(&mut bounds);
        bounds.complete_to().map(|at| at.0)
    }

    #[test]
    fn complete_is_the_earliest_of_what_bounds_it() {
        assert_eq!(complete_to(|_| {}), Some(100));
        assert_eq!(complete_to(|b| b.uncaptured = true), Some(90));
        assert_eq!(complete_to(|b| b.unsearchable = true), Some(90));
        let captured = complete_to(|b| {
            b.unsearchable = true;
            b.settled_at = at(20);
        });
        assert_eq!(captured, Some(20), "what was scanned may not be searchable");
        assert_eq!(complete_to(|b| b.unscanned = Some(at(10))), Some(10));
        assert_eq!(complete_to(|b| b.elsewhere = Some(at(97))), Some(97));
        assert_eq!(complete_to(|b| b.heard = Some(at(60))), Some(60));
    }

    #[test]
    fn what_is_pending_is_newer_than_the_last_scan_also_than_one_of_an_earlier_run() {
        let pending = |scanned_at, unscanned| {
            complete_to(|b| {
                b.uncaptured = true;
                b.settled_at = None;
                b.scanned_at = scanned_at;
                b.unscanned = unscanned;
            })
        };
        assert_eq!(pending(at(60), None), Some(60));
        assert_eq!(pending(None, Some(at(7))), Some(7));
        assert_eq!(pending(None, None), None);
    }

    #[test]
    fn nothing_is_claimed_before_there_is_something_to_go_by() {
        assert_eq!(complete_to(|b| b.unscanned = Some(None)), None);
        assert_eq!(complete_to(|b| b.elsewhere = Some(None)), None);
        assert_eq!(complete_to(|b| b.heard = Some(None)), None);
        let building = |b: &mut Bounds| {
            b.unsearchable = true;
            b.settled_at = None;
        };
        assert_eq!(complete_to(building), None);
    }
}
