//! The marks: paths that are to be looked at, each with the moment from which it may be.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::FileStat;

/// A path in a collection. An empty path is the whole collection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// The collection, by its place in the list.
    pub(super) tree: usize,
    /// Exact bytes, relative to the root.
    pub(super) path: Arc<[u8]>,
}

impl Place {
    pub(super) fn new(tree: usize, path: &[u8]) -> Self {
        Place {
            tree,
            path: path.into(),
        }
    }
}

/// Who marked it. What a watch saw goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Watch = 0,
    Scan = 1,
}

/// One mark.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    /// Not to be looked at before.
    pub(super) due: Instant,
    /// When the path was marked first, since it was last captured or reported.
    pub(super) since: Instant,
    pub(super) class: Class,
    /// The running scan waits for it.
    pub(super) of_scan: bool,
    /// The stat of the last look, if that found the file too young to be read.
    pub(super) seen: Option<FileStat>,
    /// To be read even if its stat is the manifest's: the bytes were read while they were young.
    pub(super) reread: bool,
    /// How often the store refused what was found.
    pub(super) refused: u32,
}

impl Mark {
    pub(super) fn new(class: Class, now: Instant, after: Duration) -> Self {
        Mark {
            due: now + after,
            since: now,
            class,
            of_scan: false,
            seen: None,
            reread: false,
            refused: 0,
        }
    }

    /// The same, and the running scan waits for it if `yes`.
    pub(super) fn of_scan(mut self, yes: bool) -> Self {
        self.of_scan = yes;
        self
    }
}

/// All marks, those that are in hand counted too.
#[derive(Debug)]
pub(super) struct Marks {
    by_place: BTreeMap<Place, Mark>,
    /// For each class, what is due when.
    order: [BTreeSet<(Instant, Place)>; 2],
    /// The longest that marking again puts off a look.
    patience: Duration,
    most: usize,
    in_hand: usize,
    /// Marks that the running scan waits for, those in hand among them.
    of_scan: usize,
}

impl Marks {
    /// No marks, and room for `most`.
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        Marks {
            by_place: BTreeMap::new(),
            order: [BTreeSet::new(), BTreeSet::new()],
            patience,
            most,
            in_hand: 0,
            of_scan: 0,
        }
    }

    /// Marks a path. One that is marked already is put off, but not for ever; gives false if there is no room.
    pub(super) fn mark(&mut self, place: Place, mark: Mark) -> bool {
        if self.by_place.len() >= self.most && !self.by_place.contains_key(&place) {
            return false;
        }
        self.of_scan += usize::from(mark.of_scan);
        self.insert(place, mark);
        true
    }

    /// Takes up to `limit` marks of a class that are due and not `busy`; each is to be [`Self::settled`] or
    /// [`Self::put_back`].
    pub(super) fn take(
        &mut self,
        class: Class,
        now: Instant,
        limit: usize,
        busy: impl Fn(&Place) -> bool,
    ) -> Vec<(Place, Mark)> {
        let ripe: Vec<(Instant, Place)> = self.order[class as usize]
            .iter()
            .take_while(|(due, _)| *due <= now)
            .filter(|(_, place)| !busy(place))
            .take(limit)
            .cloned()
            .collect();
        let mut taken = Vec::with_capacity(ripe.len());
        for key in ripe {
            self.order[class as usize].remove(&key);
            if let Some(mark) = self.by_place.remove(&key.1) {
                taken.push((key.1, mark));
            }
        }
        self.in_hand += taken.len();
        taken
    }

    /// What was found at a path that was taken is committed or reported, or there was nothing to do.
    pub(super) fn settled(&mut self, mark: &Mark) {
        self.in_hand -= 1;
        self.of_scan -= usize::from(mark.of_scan);
    }

    /// A path that was taken is to be looked at again, at `mark.due`.
    pub(super) fn put_back(&mut self, place: Place, mark: Mark) {
        self.in_hand -= 1;
        self.insert(place, mark);
    }

    /// Forgets what is marked in a collection, and gives how many there were.
    pub(super) fn clear(&mut self, tree: usize) -> usize {
        let (gone, kept) = std::mem::take(&mut self.by_place)
            .into_iter()
            .partition(|(place, _)| place.tree == tree);
        self.by_place = kept;
        let gone: BTreeMap<Place, Mark> = gone;
        for (place, mark) in &gone {
            self.order[mark.class as usize].remove(&(mark.due, place.clone()));
            self.of_scan -= usize::from(mark.of_scan);
        }
        gone.len()
    }

    /// The earliest moment at which one of a class is due.
    pub(super) fn next_due(&self, class: Class) -> Option<Instant> {
        self.order[class as usize].first().map(|(due, _)| *due)
    }

    /// How many there are, those in hand among them.
    pub(super) fn len(&self) -> usize {
        self.by_place.len() + self.in_hand
    }

    /// How many of a class wait.
    pub(super) fn waiting(&self, class: Class) -> usize {
        self.order[class as usize].len()
    }

    /// How many the running scan waits for.
    pub(super) fn of_scan(&self) -> usize {
        self.of_scan
    }

    /// Puts a mark where it belongs, joined with one that is there.
    fn insert(&mut self, place: Place, mark: Mark) {
        let merged = match self.by_place.entry(place.clone()) {
            Entry::Vacant(vacant) => vacant.insert(mark).clone(),
            Entry::Occupied(mut occupied) => {
                let old = occupied.get_mut();
                self.order[old.class as usize].remove(&(old.due, place.clone()));
                self.of_scan -= usize::from(old.of_scan && mark.of_scan);
                let since = old.since.min(mark.since);
                *old = Mark {
                    // Writers that go on are waited for, up to a point.
                    due: old
                        .due
                        .max(mark.due)
                        .min(old.due.max(since + self.patience)),
                    since,
                    class: old.class.min(mark.class),
                    of_scan: old.of_scan || mark.of_scan,
                    seen: mark.seen.or(old.seen),
                    reread: old.reread || mark.reread,
                    refused: old.refused.max(mark.refused),
                };
                old.clone()
            }
        };
        self.order[merged.class as usize].insert((merged.due, place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn marks() -> Marks {
        Marks::new(3, 100 * MS)
    }

    #[test]
    fn a_mark_is_taken_when_it_is_due_and_not_while_its_path_is_busy() {
        let (mut marks, now) = (marks(), Instant::now());
        let place = Place::new(0, b"a.md");
        assert!(marks.mark(place.clone(), Mark::new(Class::Watch, now, 50 * MS)));
        assert!(marks.take(Class::Watch, now, 9, |_| false).is_empty());
        assert_eq!(marks.next_due(Class::Watch), Some(now + 50 * MS));
        let later = now + 50 * MS;
        assert!(marks.take(Class::Watch, later, 9, |_| true).is_empty());
        let taken = marks.take(Class::Watch, later, 9, |_| false);
        assert_eq!(taken[0].0, place);
        assert_eq!(marks.len(), 1);
        marks.settled(&taken[0].1);
        assert_eq!(marks.len(), 0);
    }

    #[test]
    fn marking_again_puts_the_look_off_but_not_beyond_the_patience() {
        let (mut marks, now) = (marks(), Instant::now());
        for ms in (0..1000).step_by(40) {
            marks.mark(
                Place::new(0, b"a"),
                Mark::new(Class::Watch, now + ms * MS, 50 * MS),
            );
        }
        assert_eq!(marks.next_due(Class::Watch), Some(now + 100 * MS));
    }

    #[test]
    fn a_scan_waits_for_its_marks_and_a_watch_makes_one_urgent() {
        let (mut marks, now) = (marks(), Instant::now());
        let place = Place::new(0, b"a");
        marks.mark(place.clone(), Mark::new(Class::Scan, now, MS).of_scan(true));
        marks.mark(place.clone(), Mark::new(Class::Scan, now, MS).of_scan(true));
        assert_eq!(marks.of_scan(), 1);
        marks.mark(place.clone(), Mark::new(Class::Watch, now, MS));
        assert_eq!(
            (marks.waiting(Class::Watch), marks.waiting(Class::Scan)),
            (1, 0)
        );
        let taken = marks.take(Class::Watch, now + MS, 9, |_| false);
        // Marked anew while in hand: two are waited for.
        marks.mark(place.clone(), Mark::new(Class::Scan, now, MS).of_scan(true));
        assert_eq!(marks.of_scan(), 2);
        marks.put_back(place, taken[0].1.clone());
        assert_eq!(marks.of_scan(), 1);
        assert_eq!(marks.clear(0), 1);
        assert_eq!((marks.of_scan(), marks.len()), (0, 0));
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let (mut marks, now) = (marks(), Instant::now());
        for name in [b"a", b"b", b"c"] {
            assert!(marks.mark(Place::new(0, name), Mark::new(Class::Watch, now, MS)));
        }
        assert!(!marks.mark(Place::new(0, b"d"), Mark::new(Class::Watch, now, MS)));
        assert!(marks.mark(Place::new(0, b"a"), Mark::new(Class::Watch, now, MS)));
    }
}
