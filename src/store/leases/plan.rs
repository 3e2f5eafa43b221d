//! What a host does about the leases, decided from what is in the store. No clock, no I/O.

use std::collections::{BTreeMap, BTreeSet};

use super::slot::{LeaseName, SLOTS, Slot};

/// Who is there and who has what.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct LeaseView {
    /// The incarnations that are not ended.
    pub(in crate::store) hosts: BTreeMap<String, SeenHost>,
    /// The holder of each lease that has one.
    pub(in crate::store) holders: BTreeMap<LeaseName, String>,
    /// The collections that somebody watches, or that have files.
    pub(in crate::store) collections: Vec<String>,
}

/// A host that is not ended.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct SeenHost {
    pub(in crate::store) instance: String,
    /// Its row was not renewed for too long.
    pub(in crate::store) is_stale: bool,
    /// The types of event that it knows.
    pub(in crate::store) knows: BTreeSet<String>,
}

/// What a host is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct LeasePlan {
    /// Incarnations to end.
    pub(in crate::store) end: Vec<String>,
    /// Leases to take: nobody has them, or their holders are to be ended.
    pub(in crate::store) take: Vec<LeaseName>,
    /// Leases to give up; slots once nothing of them is under way.
    pub(in crate::store) give: Vec<LeaseName>,
}

impl LeaseView {
    /// Whether every type of event that `one` knows is known to `other`, which knows more.
    fn knows_less(&self, one: &str, other: &str) -> bool {
        let [one, other] = [one, other].map(|host| self.hosts.get(host).map(|seen| &seen.knows));
        one.zip(other)
            .is_some_and(|(one, other)| one != other && one.is_subset(other))
    }
}

/// What the host `me` does, which wants the leases `wanted` besides slots. `may_judge`: it may say that others are gone.
///
/// While hosts are upgraded one after the other, slots and tasks belong to those that know the most types of event: what a new type
/// asks for is in the hands of a host that can do it.
pub(in crate::store) fn plan(
    view: &LeaseView,
    me: &str,
    wanted: &[LeaseName],
    may_judge: bool,
) -> LeasePlan {
    let is_stale = |host: &str| view.hosts.get(host).is_some_and(|seen| seen.is_stale);
    let gone = |host: &&str| may_judge && *host != me && is_stale(host);
    let hosts: BTreeSet<&str> = view.hosts.keys().map(String::as_str).chain([me]).collect();
    let end: BTreeSet<&str> = hosts.iter().copied().filter(gone).collect();
    let live: Vec<&str> = hosts.difference(&end).copied().collect();
    let holder = |name: &LeaseName| {
        let holder = view.holders.get(name).map(String::as_str);
        holder.filter(|holder| live.contains(holder))
    };
    let slots = || Slot::all().map(|slot| (slot, holder(&LeaseName::Slot(slot))));
    let mine: Vec<Slot> = slots()
        .filter(|(_, holder)| *holder == Some(me))
        .map(|(slot, _)| slot)
        .collect();
    let is_outdated = |host: &str| live.iter().any(|other| view.knows_less(host, other));
    let sharing: Vec<&str> = live
        .iter()
        .copied()
        .filter(|host| !is_outdated(host))
        .collect();
    let share = match sharing.iter().position(|host| *host == me) {
        None => 0,
        Some(rank) => SLOTS / sharing.len() + usize::from(rank < SLOTS % sharing.len()),
    };
    let may_have = |name: &&LeaseName| matches!(name, LeaseName::Collection(_)) || !is_outdated(me);
    let free = slots().filter(|(_, holder)| holder.is_none());
    let free = free.map(|(slot, _)| LeaseName::Slot(slot));
    let named = wanted.iter().filter(may_have);
    let named = named.filter(|name| holder(name).is_none());
    let surplus = mine.iter().skip(share).map(|slot| LeaseName::Slot(*slot));
    let tasks = wanted
        .iter()
        .filter(|name| !may_have(name) && holder(name) == Some(me));
    LeasePlan {
        take: free
            .take(share.saturating_sub(mine.len()))
            .chain(named.cloned())
            .collect(),
        give: surplus.chain(tasks.cloned()).collect(),
        end: end.into_iter().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(is_stale: bool) -> SeenHost {
        SeenHost {
            is_stale,
            ..SeenHost::default()
        }
    }

    fn knowing(types: &[&str]) -> SeenHost {
        SeenHost {
            knows: types.iter().map(|name| (*name).to_owned()).collect(),
            ..SeenHost::default()
        }
    }

    /// Carries a plan out as the store would.
    fn carry_out(view: &mut LeaseView, me: &str, plan: &LeasePlan) {
        for host in &plan.end {
            view.hosts.remove(host);
            view.holders.retain(|_, holder| holder != host);
        }
        for name in &plan.give {
            view.holders.remove(name);
        }
        for name in &plan.take {
            let taken = view.holders.insert(name.clone(), me.to_owned());
            assert_eq!(taken, None, "{name} was held");
        }
    }

    fn held(view: &LeaseView, host: &str) -> usize {
        view.holders
            .values()
            .filter(|holder| *holder == host)
            .count()
    }

    #[test]
    fn one_host_takes_everything_and_a_second_one_gets_half_of_the_slots() {
        let wanted = [LeaseName::Alerts];
        let mut view = LeaseView::default();
        view.hosts.insert("a".to_owned(), seen(false));
        let first = plan(&view, "a", &wanted, false);
        carry_out(&mut view, "a", &first);
        assert_eq!(held(&view, "a"), SLOTS + 1);
        view.hosts.insert("b".to_owned(), seen(false));
        assert!(plan(&view, "b", &wanted, true).take.is_empty());
        let gives = plan(&view, "a", &wanted, true);
        assert_eq!(gives.give.len(), SLOTS / 2);
        carry_out(&mut view, "a", &gives);
        let takes = plan(&view, "b", &wanted, true);
        carry_out(&mut view, "b", &takes);
        assert_eq!((held(&view, "a"), held(&view, "b")), (129, 128));
    }

    #[test]
    fn only_who_may_judge_ends_a_host_that_is_gone_and_takes_what_it_had() {
        let mut view = LeaseView::default();
        view.hosts.insert("a".to_owned(), seen(true));
        view.hosts.insert("b".to_owned(), seen(false));
        view.holders.insert(LeaseName::Alerts, "a".to_owned());
        let wanted = [LeaseName::Alerts];
        let unsure = plan(&view, "b", &wanted, false);
        assert!(unsure.end.is_empty() && !unsure.take.contains(&LeaseName::Alerts));
        let sure = plan(&view, "b", &wanted, true);
        assert_eq!(sure.end, ["a"]);
        assert_eq!(sure.take.len(), SLOTS + 1);
    }

    #[test]
    fn slots_and_tasks_belong_to_hosts_that_know_the_most() {
        let docs = LeaseName::Collection("docs".to_owned());
        let wanted = [docs.clone(), LeaseName::Alerts, LeaseName::Housekeeping];
        let mut view = LeaseView::default();
        let rounds = |view: &mut LeaseView, hosts: &[&str]| {
            for host in hosts.iter().chain(hosts) {
                let planned = plan(view, host, &wanted, true);
                carry_out(view, host, &planned);
            }
        };
        view.hosts.insert("old".to_owned(), knowing(&["a", "b"]));
        rounds(&mut view, &["old"]);
        assert_eq!(held(&view, "old"), SLOTS + 3);
        view.hosts
            .insert("new".to_owned(), knowing(&["a", "b", "c"]));
        rounds(&mut view, &["old", "new"]);
        assert_eq!((held(&view, "old"), held(&view, "new")), (1, SLOTS + 2));
        assert_eq!(view.holders[&docs], "old");
        // Neither knows all that the other does.
        view.hosts.insert("other".to_owned(), knowing(&["a", "d"]));
        rounds(&mut view, &["old", "new", "other"]);
        assert_eq!(held(&view, "other"), SLOTS / 2);
        // The newer ones are gone: what is left does what it can.
        for gone in ["new", "other"] {
            view.hosts.remove(gone);
            view.holders.retain(|_, holder| holder != gone);
        }
        rounds(&mut view, &["old"]);
        assert_eq!(held(&view, "old"), SLOTS + 3);
    }

    proptest! {
        /// Whoever comes and goes, within some rounds every slot has a holder that lives, and all have as many.
        #[test]
        fn slots_come_to_be_spread_evenly(gone in proptest::collection::vec(any::<bool>(), 1..6), held_by in proptest::collection::vec(0usize..6, SLOTS)) {
            let names: Vec<String> = (0..gone.len()).map(|n| format!("h{n}")).collect();
            let mut view = LeaseView::default();
            for (name, gone) in names.iter().zip(&gone) {
                view.hosts.insert(name.clone(), seen(*gone && *name != names[0]));
            }
            for (slot, holder) in Slot::all().zip(held_by) {
                if let Some(name) = names.get(holder) {
                    view.holders.insert(LeaseName::Slot(slot), name.clone());
                }
            }
            for _ in 0..2 {
                for name in &names {
                    if view.hosts.get(name).is_some_and(|seen| !seen.is_stale) {
                        let planned = plan(&view, name, &[], true);
                        carry_out(&mut view, name, &planned);
                    }
                }
            }
            prop_assert_eq!(view.holders.len(), SLOTS);
            let share = SLOTS / view.hosts.len();
            for host in view.hosts.keys() {
                prop_assert!((share..=share + 1).contains(&held(&view, host)));
            }
        }
    }
}
