//! What this host may do, as far as it knows: the leases that it holds, and how long it trusts them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use uuid::Uuid;

use super::TRUST;
use super::captures::{Captured, Captures};
use super::in_flight::InFlight;
use super::slot::{LeaseName, SLOTS, Slot};
use crate::event::{AgentName, Millis, Seq, Subject};

/// A lease as it was held when something was begun under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseTerm {
    name: LeaseName,
    term: i64,
    /// Whose it was.
    incarnation: Arc<str>,
}

/// The terms of all leases of one incarnation, as they stand in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct HeldTerms {
    /// The number of the last transfer that they are of.
    pub(in crate::store) transfers: u64,
    pub(in crate::store) incarnation: Arc<str>,
    pub(in crate::store) terms: BTreeMap<LeaseName, i64>,
}

impl HeldTerms {
    /// Whether what was begun under this lease may be written now.
    pub(in crate::store) fn allow(&self, lease: &LeaseTerm) -> bool {
        self.incarnation == lease.incarnation && self.terms.get(&lease.name) == Some(&lease.term)
    }
}

/// A delivery that was taken: its holder and the token of the take, which no other take of it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoldToken {
    pub(in crate::store) incarnation: Arc<str>,
    pub(in crate::store) token: i64,
}

/// By what right a flight is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FlightRight {
    /// Nobody else works on the store, or it does no harm.
    Free,
    /// The lease of its subject's slot.
    Slot(LeaseTerm),
    /// It was taken.
    Held(HoldToken),
}

/// One slot as this host has it.
#[derive(Debug, Default)]
struct SlotState {
    /// 0: it is not held.
    term: AtomicI64,
    /// It is to be given up: nothing of it begins.
    is_leaving: AtomicBool,
    /// What was begun of it and has not ended.
    uses: AtomicUsize,
}

/// What a renewal has found on the store.
#[derive(Debug, Clone, Default)]
struct HostsAndCollections {
    /// The names of the hosts that have not ended.
    hosts: Arc<[String]>,
    /// The collections that somebody watches, or that have files.
    collections: Arc<[String]>,
}

/// The leases of a host on a database.
#[derive(Debug)]
struct SharedLeases {
    /// Deliveries are taken before they are handled, whoever has their slots: Redis hands them to whatever host reads them.
    takes: bool,
    /// What is being taken, or was taken and has not ended.
    holds: Mutex<HashSet<(AgentName, Seq)>>,
    slots: Vec<SlotState>,
    /// All but the slots.
    named: watch::Sender<BTreeMap<LeaseName, i64>>,
    incarnation: Mutex<Arc<str>>,
    /// Milliseconds of the clock that runs while the machine sleeps; 0: not trusted.
    trusted_until: AtomicU64,
    has_others: AtomicBool,
    seen: Mutex<HostsAndCollections>,
    /// A delivery that was passed over may be this host's now: slots were gained, or stay after all, or are trusted again.
    look_anew: AtomicBool,
    /// The change that this host's index has reached.
    position: AtomicU64,
    /// How many deliveries each of its agents has in flight.
    in_flight: Mutex<InFlight>,
    captures: Mutex<Captures>,
    /// Its incarnation is of a store that is no more: it is to join again.
    is_lost: AtomicBool,
    /// Nobody knows whether the last batch was committed, or will be.
    is_in_doubt: AtomicBool,
    /// When a collection became this host's last, in milliseconds since 1970 UTC; 0: never.
    collections_since: AtomicI64,
}

/// What this host may do. On a file all of it is its own, always.
#[derive(Debug, Clone)]
pub(crate) struct Leases(Option<Arc<SharedLeases>>);

/// Something of a slot that was begun. The slot is not given up before this is dropped.
pub(crate) struct SlotUse(Option<SharedUse>);

/// A delivery that is being taken or was taken. Dropped, it counts as in nobody's hands, and is released.
pub(crate) struct HoldUse {
    leases: Arc<SharedLeases>,
    delivery: (AgentName, Seq),
    incarnation: Arc<str>,
}

impl fmt::Debug for HoldUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HoldUse").field(&self.delivery).finish()
    }
}

impl Drop for HoldUse {
    fn drop(&mut self) {
        self.leases.holds().remove(&self.delivery);
    }
}

impl HoldUse {
    /// Whose hold it is, or will be.
    pub(crate) fn incarnation(&self) -> &Arc<str> {
        &self.incarnation
    }

    /// Whether its host still trusts that it holds what it holds.
    pub(crate) fn is_current(&self) -> bool {
        self.leases.incarnation() == self.incarnation && self.leases.is_trusted()
    }
}

struct SharedUse {
    leases: Arc<SharedLeases>,
    slot: Slot,
    lease: LeaseTerm,
}

impl Drop for SharedUse {
    fn drop(&mut self) {
        let state = &self.leases.slots[self.slot.index()];
        state.uses.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for SlotUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SlotUse").field(&self.right()).finish()
    }
}

impl SlotUse {
    /// Uses no slot: for what does no harm if it is done twice.
    pub(crate) fn none() -> Self {
        SlotUse(None)
    }

    /// By what right it is settled.
    pub(crate) fn right(&self) -> FlightRight {
        match &self.0 {
            None => FlightRight::Free,
            Some(shared) => FlightRight::Slot(shared.lease.clone()),
        }
    }

    /// Whether its slot is still held, as it was when it was begun, and trusted.
    pub(crate) fn is_current(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| {
            let term = shared.leases.slots[shared.slot.index()]
                .term
                .load(Ordering::SeqCst);
            term == shared.lease.term
                && shared.leases.incarnation() == shared.lease.incarnation
                && shared.leases.is_trusted()
        })
    }
}

/// The time since the machine was started, its sleep included.
pub(in crate::store) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let (secs, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl SharedLeases {
    fn holds(&self) -> MutexGuard<'_, HashSet<(AgentName, Seq)>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn captures(&self) -> MutexGuard<'_, Captures> {
        self.captures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_trusted(&self) -> bool {
        millis(since_boot()) < self.trusted_until.load(Ordering::SeqCst)
    }

    fn incarnation(&self) -> Arc<str> {
        let held = self.incarnation.lock();
        held.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The term of a slot of which something may begin.
    fn open(&self, slot: Slot) -> Option<i64> {
        let state = &self.slots[slot.index()];
        let term = state.term.load(Ordering::SeqCst);
        let leaves = state.is_leaving.load(Ordering::SeqCst);
        (term != 0 && !leaves && self.is_trusted()).then_some(term)
    }
}

impl Leases {
    /// Those of a store on a file.
    pub(in crate::store) fn of_a_file() -> Self {
        Leases(None)
    }

    /// Those of a host that has joined, and holds nothing yet. `takes`: deliveries are taken before they are handled.
    pub(in crate::store) fn of_a_host(incarnation: &str, takes: bool) -> Self {
        Leases(Some(Arc::new(SharedLeases {
            takes,
            holds: Mutex::default(),
            slots: (0..SLOTS).map(|_| SlotState::default()).collect(),
            named: watch::Sender::default(),
            incarnation: Mutex::new(incarnation.into()),
            trusted_until: AtomicU64::new(0),
            has_others: AtomicBool::new(false),
            seen: Mutex::default(),
            look_anew: AtomicBool::new(false),
            position: AtomicU64::new(0),
            in_flight: Mutex::default(),
            captures: Mutex::default(),
            is_lost: AtomicBool::new(false),
            is_in_doubt: AtomicBool::new(false),
            collections_since: AtomicI64::new(0),
        })))
    }

    /// The incarnation of this host; `None`: the store is a file.
    pub(in crate::store) fn incarnation(&self) -> Option<Arc<str>> {
        self.0.as_ref().map(|shared| shared.incarnation())
    }

    /// Whether deliveries are taken before they are handled.
    pub(crate) fn take_deliveries(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.takes)
    }

    /// Begins to take a delivery; `None`: this host does not trust its row, or has it in hand.
    pub(crate) fn begin_take(&self, agent: AgentName, seq: Seq) -> Option<HoldUse> {
        let shared = self.0.as_ref().filter(|shared| shared.is_trusted())?;
        let delivery = (agent, seq);
        shared.holds().insert(delivery).then(|| HoldUse {
            leases: shared.clone(),
            delivery,
            incarnation: shared.incarnation(),
        })
    }

    /// Whether a delivery is being taken, or was taken and has not ended.
    pub(in crate::store) fn has_in_hand(&self, delivery: &(AgentName, Seq)) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.holds().contains(delivery))
    }

    /// Whether this host trusts its row: always, if the store is a file.
    pub(crate) fn are_trusted(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| shared.is_trusted())
    }

    /// How long ago this host heard of the store last, at the most; `None`: it did not hear of it yet, or the store is a file.
    pub(crate) fn heard_ago(&self) -> Option<Duration> {
        let until = self.0.as_ref()?.trusted_until.load(Ordering::SeqCst);
        let heard = Duration::from_millis(until).checked_sub(TRUST)?;
        Some(since_boot().saturating_sub(heard))
    }

    /// Whether several hosts may work on the store.
    pub(crate) fn are_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Whether other hosts work on the store.
    pub(crate) fn has_others(&self) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.has_others.load(Ordering::SeqCst))
    }

    /// Whether what is owed of this subject is this host's to handle.
    pub(crate) fn has_slot_of(&self, subject: &Subject) -> bool {
        let shared = self.0.as_ref();
        shared.is_none_or(|shared| shared.open(Slot::of(subject)).is_some())
    }

    /// Begins something of a subject's slot; `None`: the slot is not this host's.
    pub(crate) fn use_slot_of(&self, subject: &Subject) -> Option<SlotUse> {
        let Some(shared) = &self.0 else {
            return Some(SlotUse(None));
        };
        let slot = Slot::of(subject);
        // Counted first: whoever gives the slot up marks it and looks at the count then.
        shared.slots[slot.index()]
            .uses
            .fetch_add(1, Ordering::SeqCst);
        let mut begun = SharedUse {
            leases: shared.clone(),
            slot,
            lease: LeaseTerm {
                name: LeaseName::Slot(slot),
                term: 0,
                incarnation: shared.incarnation(),
            },
        };
        begun.lease.term = shared.open(slot)?;
        Some(SlotUse(Some(begun)))
    }

    /// Whether a task of the store, or a collection, is this host's.
    pub(crate) fn has(&self, name: &LeaseName) -> bool {
        let shared = self.0.as_ref();
        shared.is_none_or(|shared| shared.is_trusted() && shared.named.borrow().contains_key(name))
    }

    /// The collections of the store that somebody watches, or that have files, as of the last renewal; none on a file.
    pub(crate) fn known_collections(&self) -> Arc<[String]> {
        self.seen().collections
    }

    /// The names of the hosts that have not ended, as of the last renewal; none on a file.
    pub(crate) fn hosts(&self) -> Arc<[String]> {
        self.seen().hosts
    }

    fn seen(&self) -> HostsAndCollections {
        let seen = self.0.as_ref().map(|shared| {
            let seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.clone()
        });
        seen.unwrap_or_default()
    }

    /// The lease of this name; `None`: it is not held, or the store is a file.
    pub(crate) fn lease(&self, name: &LeaseName) -> Option<LeaseTerm> {
        let shared = self.0.as_ref()?;
        let term = *shared.named.borrow().get(name)?;
        Some(LeaseTerm {
            name: name.clone(),
            term,
            incarnation: shared.incarnation(),
        })
    }

    /// The collections that are this host's to watch; `None`: all of its config.
    pub(crate) fn collections(&self) -> Option<BTreeMap<String, LeaseTerm>> {
        let shared = self.0.as_ref()?;
        let incarnation = shared.incarnation();
        let named = shared.named.borrow();
        let watched = named.iter().filter_map(|(name, term)| match name {
            LeaseName::Collection(collection) => {
                let lease = LeaseTerm {
                    name: name.clone(),
                    term: *term,
                    incarnation: incarnation.clone(),
                };
                Some((collection.clone(), lease))
            }
            _ => None,
        });
        Some(watched.collect())
    }

    /// Waits until the collections or their terms are no longer these; forever on a file.
    pub(crate) async fn collections_changed(&self, since: &Option<BTreeMap<String, LeaseTerm>>) {
        let Some(shared) = &self.0 else {
            return std::future::pending().await;
        };
        let mut named = shared.named.subscribe();
        while self.collections() == *since {
            // The sender lives as long as `self`.
            named.changed().await.ok();
        }
    }

    /// The leases besides slots, with their terms.
    pub(in crate::store) fn named(&self) -> BTreeMap<LeaseName, i64> {
        let shared = self.0.as_ref();
        shared.map_or_else(BTreeMap::new, |shared| shared.named.borrow().clone())
    }

    /// How many slots are held.
    #[cfg(test)]
    pub(in crate::store) fn slots_held(&self) -> usize {
        let held = |state: &&SlotState| state.term.load(Ordering::SeqCst) != 0;
        let shared = self.0.as_ref();
        shared.map_or(0, |shared| shared.slots.iter().filter(held).count())
    }

    /// The index of this host has reached a change.
    pub(in crate::store) fn set_position(&self, change: u64) {
        if let Some(shared) = &self.0 {
            shared.position.store(change, Ordering::SeqCst);
        }
    }

    pub(in crate::store) fn position(&self) -> u64 {
        let shared = self.0.as_ref();
        shared.map_or(0, |shared| shared.position.load(Ordering::SeqCst))
    }

    /// An agent of this host has so many deliveries in flight; other hosts are told with the next renewal.
    pub(crate) fn set_in_flight(&self, agent: AgentName, deliveries: usize) {
        if let Some(shared) = &self.0 {
            shared.in_flight().set(agent, deliveries);
        }
    }

    pub(in crate::store) fn in_flight(&self) -> InFlight {
        let shared = self.0.as_ref();
        shared.map_or_else(InFlight::default, |shared| shared.in_flight().clone())
    }

    /// So many changed paths of the collections of this host are not captured; other hosts are told with the next renewal.
    /// `caught_up`: everything that changed before was noticed; `since`: when the first of them was, if that is known.
    pub(crate) fn note_captures(&self, caught_up: bool, pending: u64, since: Option<Millis>) {
        if let Some(shared) = &self.0 {
            let now = Millis::now();
            shared.captures().note(caught_up, pending, since, now);
        }
    }

    /// What is captured at this moment.
    pub(in crate::store) fn captured(&self) -> Captured {
        let shared = self.0.as_ref();
        shared.map_or_else(Captured::default, |shared| {
            let captures = *shared.captures();
            captures.at(Millis::now())
        })
    }
}

/// What the membership tells.
impl Leases {
    pub(in crate::store) fn set_seen(&self, hosts: Vec<String>, collections: Vec<String>) {
        if let Some(shared) = &self.0 {
            shared.has_others.store(hosts.len() > 1, Ordering::SeqCst);
            let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
            *seen = HostsAndCollections {
                hosts: hosts.into(),
                collections: collections.into(),
            };
        }
    }

    /// Trusts the row until then, by [`since_boot`]. True: it was not trusted before.
    pub(in crate::store) fn trust_until(&self, until: Duration) -> bool {
        let Some(shared) = &self.0 else { return false };
        let was_trusted = shared.is_trusted();
        shared.trusted_until.store(millis(until), Ordering::SeqCst);
        !was_trusted
    }

    /// The store has lost commits, the row of this host perhaps among them. Nothing that was begun counts, until it joins again.
    pub(in crate::store) fn lose(&self) {
        self.begin_anew(&Uuid::now_v7().to_string());
        if let Some(shared) = &self.0 {
            shared.is_lost.store(true, Ordering::SeqCst);
        }
    }

    /// Whether this host is to join again, because its store has lost commits.
    pub(in crate::store) fn is_lost(&self) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.is_lost.load(Ordering::SeqCst))
    }

    /// When a collection became this host's last; what changed there before only a scan since then tells.
    pub(crate) fn collections_since(&self) -> Millis {
        let shared = self.0.as_ref();
        let since = |shared: &Arc<SharedLeases>| shared.collections_since.load(Ordering::SeqCst);
        Millis(shared.map_or(0, since))
    }

    /// Whether it is known of every batch if it was committed.
    pub(in crate::store) fn set_in_doubt(&self, is_in_doubt: bool) {
        if let Some(shared) = &self.0 {
            shared.is_in_doubt.store(is_in_doubt, Ordering::SeqCst);
        }
    }

    /// Whether a batch may still be committed of which nobody knows. What is read meanwhile is from before it.
    pub(in crate::store) fn is_in_doubt(&self) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.is_in_doubt.load(Ordering::SeqCst))
    }

    /// Another incarnation begins, which holds nothing.
    pub(in crate::store) fn begin_anew(&self, incarnation: &str) {
        let Some(shared) = &self.0 else { return };
        shared.trusted_until.store(0, Ordering::SeqCst);
        shared.is_lost.store(false, Ordering::SeqCst);
        let mut held = shared
            .incarnation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *held = incarnation.into();
        drop(held);
        self.set(&BTreeMap::new());
    }

    /// Marks which slots are to be given up. Gives those of them of which nothing is under way.
    pub(in crate::store) fn leave(&self, slots: &[Slot]) -> Vec<Slot> {
        let Some(shared) = &self.0 else {
            return Vec::new();
        };
        for slot in Slot::all() {
            let state = &shared.slots[slot.index()];
            let leaves = slots.contains(&slot);
            if state.is_leaving.swap(leaves, Ordering::SeqCst) && !leaves {
                self.look_anew(); // what was passed meanwhile
            }
        }
        let idle = |slot: &Slot| shared.slots[slot.index()].uses.load(Ordering::SeqCst) == 0;
        slots.iter().copied().filter(idle).collect()
    }

    /// What is owed is to be looked at from the beginning.
    pub(in crate::store) fn look_anew(&self) {
        if let Some(shared) = &self.0 {
            shared.look_anew.store(true, Ordering::SeqCst);
        }
    }

    /// Whether it is to be looked at from the beginning, once.
    pub(in crate::store) fn take_look_anew(&self) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.look_anew.swap(false, Ordering::SeqCst))
    }

    /// What the store has.
    pub(in crate::store) fn set(&self, terms: &BTreeMap<LeaseName, i64>) {
        let Some(shared) = &self.0 else { return };
        let mut gained = false;
        for slot in Slot::all() {
            let term = terms.get(&LeaseName::Slot(slot)).copied().unwrap_or(0);
            let before = shared.slots[slot.index()].term.swap(term, Ordering::SeqCst);
            gained |= term != 0 && term != before;
        }
        let named = terms
            .iter()
            .filter(|(name, _)| !matches!(name, LeaseName::Slot(_)));
        let named: BTreeMap<LeaseName, i64> =
            named.map(|(name, term)| (name.clone(), *term)).collect();
        let is_new = |(name, term): (&LeaseName, &i64)| {
            matches!(name, LeaseName::Collection(_))
                && shared.named.borrow().get(name) != Some(term)
        };
        if named.iter().any(is_new) {
            let now = Millis::now();
            shared.collections_since.store(now.0, Ordering::SeqCst);
        }
        shared
            .named
            .send_if_modified(|now| std::mem::replace(now, named.clone()) != named);
        if gained {
            self.look_anew();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject::parse("docs/a.md").unwrap()
    }

    fn holding(term: i64) -> BTreeMap<LeaseName, i64> {
        BTreeMap::from([(LeaseName::Slot(Slot::of(&subject())), term)])
    }

    fn trusted(leases: &Leases) {
        leases.trust_until(since_boot() + Duration::from_secs(60));
    }

    #[test]
    fn on_a_file_everything_is_ours() {
        let leases = Leases::of_a_file();
        let begun = leases.use_slot_of(&subject()).unwrap();
        assert!(begun.is_current() && begun.right() == FlightRight::Free);
        assert!(leases.has_slot_of(&subject()) && leases.has(&LeaseName::Alerts));
    }

    #[test]
    fn nothing_begins_without_the_slot_or_without_trust() {
        let leases = Leases::of_a_host("one", false);
        trusted(&leases);
        assert!(leases.use_slot_of(&subject()).is_none());
        leases.set(&holding(3));
        assert!(leases.take_look_anew());
        leases.set(&holding(3));
        assert!(!leases.take_look_anew(), "nothing was gained");
        assert!(leases.use_slot_of(&subject()).unwrap().is_current());
        leases.trust_until(Duration::ZERO);
        assert!(leases.use_slot_of(&subject()).is_none());
        assert!(!leases.has_slot_of(&subject()));
    }

    #[test]
    fn a_slot_is_given_up_when_what_was_begun_of_it_has_ended() {
        let leases = Leases::of_a_host("one", false);
        trusted(&leases);
        leases.set(&holding(1));
        let slot = [Slot::of(&subject())];
        let begun = leases.use_slot_of(&subject()).unwrap();
        assert!(leases.leave(&slot).is_empty());
        assert!(leases.use_slot_of(&subject()).is_none(), "it is leaving");
        assert!(begun.is_current());
        drop(begun);
        assert_eq!(leases.leave(&slot), slot);
        leases.take_look_anew();
        leases.leave(&[]);
        assert!(leases.take_look_anew(), "what was passed meanwhile");
        assert!(leases.has_slot_of(&subject()), "it stays after all");
    }

    #[test]
    fn what_was_begun_under_another_term_or_incarnation_is_not_current() {
        let leases = Leases::of_a_host("one", false);
        trusted(&leases);
        leases.set(&holding(1));
        let begun = leases.use_slot_of(&subject()).unwrap();
        leases.set(&holding(2));
        assert!(!begun.is_current());
        leases.set(&holding(1));
        leases.begin_anew("two");
        trusted(&leases);
        leases.set(&holding(1));
        assert!(!begun.is_current());
        let held = HeldTerms {
            transfers: 0,
            incarnation: "two".into(),
            terms: holding(1),
        };
        let allowed = |begun: &SlotUse| match begun.right() {
            FlightRight::Slot(lease) => held.allow(&lease),
            other => panic!("{other:?}"),
        };
        assert!(!allowed(&begun));
        assert!(allowed(&leases.use_slot_of(&subject()).unwrap()));
    }
}
