//! How far search is behind the disk.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::elsewhere::{was_watched_elsewhere, watched_elsewhere};
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
    /// Up to when other hosts are known to have watched the collections that this one does not; 0: never.
    watched_at: AtomicI64,
    /// When a scan of those began that a search has waited for; 0: never.
    pub(super) scanned_elsewhere_at: AtomicI64,
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

    /// Up to when other hosts are known to have watched what this one does not.
    fn watched_at(&self) -> Option<Millis> {
        let at = self.watched_at.load(Ordering::SeqCst);
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
    /// Up to when other hosts are known to have watched the collections that this one does not; `Some(None)`: nothing is known.
    watched: Option<Option<Millis>>,
    /// When the last scan ended of the collection that was scanned least lately, if some collection was not scanned since
    /// the start; `Some(None)`: one was never scanned.
    unscanned: Option<Option<Millis>>,
    /// Changed paths that are not captured.
    queued: u64,
    /// When the oldest event was published that is on its way.
    oldest_owed: Option<Millis>,
    /// When the index was last complete, if it is behind; `Some(None)`: it never was.
    behind: Option<Option<Millis>>,
    /// When nothing was pending last.
    settled_at: Millis,
    /// When every collection had been scanned.
    scanned_at: Millis,
}

impl Bounds {
    /// The moment up to which every change that was noticed is searchable.
    fn complete_to(&self) -> Option<Millis> {
        let settled = Some(self.settled_at).filter(|at| at.0 > 0);
        let scanned = Some(self.scanned_at).filter(|at| at.0 > 0);
        let mut complete = self.now;
        if let Some(heard) = self.heard {
            // Nobody knows what other hosts have done since.
            complete = complete.min(heard?);
        }
        if let Some(watched) = self.watched {
            // A host that is gone tells nobody what has changed since.
            complete = complete.min(watched?);
        }
        if let Some(scanned) = self.unscanned {
            // Nobody knows what changed while docent was not there.
            complete = complete.min(scanned?);
        }
        if self.queued > 0 {
            // When a path changed is not known: it cannot be before the last moment at which none was pending.
            complete = complete.min(settled.max(scanned)?);
        }
        if let Some(behind) = self.behind {
            complete = complete.min(behind.max(settled)?);
        }
        if let Some(oldest) = self.oldest_owed {
            complete = complete.min(oldest);
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

/// How far search is behind the disk, as far as it is known without the store.
pub(super) fn freshness_without_store(state: &State) -> wire::Freshness {
    let way = OnTheWay::look(state);
    let heard_ago = state.store.leases().heard_ago();
    // A host that is no longer trusted has no collection; what it knew of its own still counts.
    let watched = was_watched_elsewhere(state).then(|| state.memory.watched_at());
    let bounds = Bounds {
        heard: Some(heard_ago.map(|ago| way.now.minus(ago))),
        watched,
        unscanned: (state.memory.scanned_at.load(Ordering::SeqCst) == 0).then_some(None),
        // Since when it is owed the store knows alone.
        queued: way.queued + way.owed(),
        ..way.bounds(state)
    };
    told(&way.reach(bounds.complete_to()))
}

/// What is on its way to search, as it is known without asking the store.
struct OnTheWay {
    now: Millis,
    queued: u64,
    counts: [(AgentName, AgentCounts); 2],
    behind: u64,
    follower: FollowerState,
}

impl OnTheWay {
    /// Looks in the order in which a change passes, so that one which moves on meanwhile is seen at least once.
    fn look(state: &State) -> Self {
        let now = Millis::now();
        let queued = state.scans.progress().borrow().pending;
        let counts = [AgentName::DocumentManagement, AgentName::Rag]
            .map(|agent| (agent, state.store.counts(agent)));
        let head = *state.store.head().borrow();
        let follower = state.follower();
        OnTheWay {
            now,
            queued,
            counts,
            behind: behind(&follower, head.change),
            follower,
        }
    }

    fn owed(&self) -> u64 {
        self.counts.iter().map(|(_, c)| count(c.owed)).sum()
    }

    fn bounds(&self, state: &State) -> Bounds {
        let is_behind = self.behind > 0 || !self.follower.ready;
        Bounds {
            now: self.now,
            queued: self.queued,
            behind: is_behind.then_some(self.follower.applied_at),
            settled_at: Millis(state.memory.settled_at.load(Ordering::SeqCst)),
            scanned_at: Millis(state.memory.scanned_at.load(Ordering::SeqCst)),
            ..Bounds::default()
        }
    }

    fn reach(&self, complete_to: Option<Millis>) -> Reach {
        Reach {
            at: self.now,
            complete_to,
            pending: self.queued + self.owed() + self.behind,
            failed: self.counts.iter().map(|(_, c)| count(c.dead)).sum(),
        }
    }
}

/// How far search is behind the disk at this moment.
pub(super) async fn reach(state: &State) -> Result<Reach, ReadError> {
    let way = OnTheWay::look(state);
    let mut oldest_owed = None;
    for (agent, _) in way.counts.iter().filter(|(_, c)| c.owed > 0) {
        let oldest = state.store.oldest_owed(*agent).await?;
        oldest_owed = match (oldest_owed, oldest) {
            (Some(a), Some(b)) => Some(Millis::min(a, b)),
            (a, b) => a.or(b),
        };
    }
    // In this order: a collection that this host takes over meanwhile is bounded by one of the two.
    let watched = watched(state, way.now).await?;
    let unscanned = unscanned(state).await?;
    let heard_ago = state.store.leases().heard_ago();
    let away = heard_ago.filter(|_| !state.store.leases().are_trusted());
    let bounds = Bounds {
        heard: away.map(|ago| Some(way.now.minus(ago))),
        unscanned,
        oldest_owed,
        ..way.bounds(state)
    };
    let known_here = bounds.complete_to();
    let bounds = Bounds { watched, ..bounds };
    let reach = way.reach(bounds.complete_to());
    if reach.pending == 0
        && known_here == Some(way.now)
        && let Some(settled) = reach.complete_to
    {
        let settled_at = &state.memory.settled_at;
        settled_at.fetch_max(settled.0, Ordering::SeqCst);
    }
    Ok(reach)
}

/// Up to when the hosts that watch what this one does not have renewed their rows; `None`: this host watches everything.
async fn watched(state: &State, now: Millis) -> Result<Option<Option<Millis>>, ReadError> {
    let elsewhere = watched_elsewhere(state);
    if elsewhere.is_empty() || !state.store.leases().are_shared() {
        return Ok(None);
    }
    let hosts = state.store.hosts().await?;
    let renewed = |collection: &String| {
        let mut watching = hosts.iter().filter(|h| h.collections.contains(collection));
        let host = watching.next()?;
        Some(now.minus(Duration::from_millis(host.renewed_ago)))
    };
    let watched_at = &state.memory.watched_at;
    let renewed: Option<Vec<Millis>> = elsewhere.iter().map(renewed).collect();
    if let Some(oldest) = renewed.and_then(|renewed| renewed.into_iter().min()) {
        watched_at.fetch_max(oldest.0, Ordering::SeqCst);
    }
    // Nobody watches one of them now: what was known before counts.
    Ok(Some(state.memory.watched_at()))
}

/// Changes of the store's feed that the index has still to follow.
pub(super) fn behind(follower: &FollowerState, change: u64) -> u64 {
    change.saturating_sub(follower.position)
}

async fn unscanned(state: &State) -> Result<Option<Option<Millis>>, ReadError> {
    let since = state.info.started_at;
    let since = since.max(state.store.leases().collections_since());
    if state.memory.scanned_at.load(Ordering::SeqCst) >= since.0 {
        return Ok(None);
    }
    let scans = state.store.scans().await?;
    let mut oldest = Some(Millis::now());
    for name in &state.info.known.collections {
        let ended = scans
            .iter()
            .find(|scan| scan.collection == *name)
            .map(|scan| scan.ended_at);
        oldest = oldest.min(ended); // None, never, is the least
    }
    match oldest.filter(|at| *at >= since) {
        Some(at) => {
            state.memory.scanned(at);
            Ok(None)
        }
        // Another host may have watched for longer.
        None => Ok(Some(oldest.max(state.memory.watched_at()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> Option<Millis> {
        Some(Millis(n))
    }

    #[test]
    fn complete_is_the_earliest_of_what_bounds_it() {
        let all = Bounds {
            now: Millis(100),
            settled_at: Millis(90),
            ..Bounds::default()
        };
        assert_eq!(all.complete_to(), at(100));
        assert_eq!(Bounds { queued: 1, ..all }.complete_to(), at(90));
        assert_eq!(
            Bounds {
                oldest_owed: at(95),
                ..all
            }
            .complete_to(),
            at(95)
        );
        assert_eq!(
            Bounds {
                oldest_owed: at(80),
                queued: 1,
                ..all
            }
            .complete_to(),
            at(80)
        );
        assert_eq!(
            Bounds {
                behind: Some(at(97)),
                ..all
            }
            .complete_to(),
            at(97)
        );
        assert_eq!(
            Bounds {
                behind: Some(at(50)),
                ..all
            }
            .complete_to(),
            at(90),
            "it was complete after that"
        );
        assert_eq!(
            Bounds {
                unscanned: Some(at(10)),
                ..all
            }
            .complete_to(),
            at(10)
        );
    }

    #[test]
    fn of_a_store_that_is_away_nothing_is_claimed_since_it_was_heard_of() {
        let all = Bounds {
            now: Millis(100),
            heard: Some(at(60)),
            scanned_at: Millis(10),
            ..Bounds::default()
        };
        assert_eq!(all.complete_to(), at(60));
        let settled_at = Millis(50);
        let owed = Bounds {
            queued: 1,
            settled_at,
            ..all
        };
        assert_eq!(owed.complete_to(), at(50));
        let never = Bounds {
            heard: Some(None),
            ..all
        };
        assert_eq!(never.complete_to(), None);
    }

    #[test]
    fn of_what_another_host_watches_nothing_is_claimed_since_that_was_heard_of() {
        let all = Bounds {
            now: Millis(100),
            watched: Some(at(97)),
            ..Bounds::default()
        };
        assert_eq!(all.complete_to(), at(97));
        let unknown = Bounds {
            watched: Some(None),
            ..all
        };
        assert_eq!(unknown.complete_to(), None);
    }

    #[test]
    fn nothing_is_claimed_before_there_is_something_to_go_by() {
        let fresh = Bounds {
            now: Millis(100),
            ..Bounds::default()
        };
        assert_eq!(
            Bounds {
                unscanned: Some(None),
                ..fresh
            }
            .complete_to(),
            None
        );
        assert_eq!(Bounds { queued: 3, ..fresh }.complete_to(), None);
        assert_eq!(
            Bounds {
                queued: 3,
                scanned_at: Millis(60),
                ..fresh
            }
            .complete_to(),
            at(60)
        );
        assert_eq!(
            Bounds {
                behind: Some(None),
                ..fresh
            }
            .complete_to(),
            None
        );
    }
}
