//! A walk held against the manifest, path by path in one order: what differs is to be looked at.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::Halt;
use super::beneath::RootId;
use super::look::Terms;
use super::marks::Class;
use super::pulse::Pulse;
use super::roots::{Away, Ruling};
use super::walk::{Gap, Ground, Item, Walk};
use super::walks::GAPS_MAX;
use super::watch::Watches;
use super::{Options, Tree, blocking, own, paths, roots};
use crate::runtime::Compute;
use crate::store::{FileStat, KnownTree, ManifestRow, Store};

/// Entries walked, and rows compared, in one go.
const SLICE: usize = 512;

/// Where to walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// The collection.
    pub(super) tree: usize,
    /// The directory; empty for everything.
    pub(super) base: Vec<u8>,
    /// Who is in a hurry.
    pub(super) class: Class,
    /// The running scan waits for it.
    pub(super) of_scan: bool,
}

/// What a survey works with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) trees: Arc<Vec<Tree>>,
    pub(super) options: Arc<Options>,
    pub(super) watches: Watches,
    pub(super) store: Store,
    pub(super) compute: Compute,
    pub(super) pulse: Pulse,
}

/// What one step of a survey gave.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Paths that differ from the manifest.
    pub(super) differ: Vec<Vec<u8>>,
    /// Directories that nothing is known of.
    pub(super) gaps: Vec<Gap>,
    /// Directories that are closed because their rules cannot be used, with the cause.
    pub(super) shut: Vec<(Vec<u8>, String)>,
    /// Files seen.
    pub(super) seen: u64,
    /// It was the last step.
    pub(super) over: bool,
}

/// The walk of one order, under way.
pub(super) struct Survey {
    pub(super) order: Order,
    /// The root when the walk began; `None` where nothing is walked: all rows are told.
    pub(super) root: Option<RootId>,
    /// Whether the root is the known one is not sure: nothing is told, files are only compared with their rows.
    pub(super) doubting: bool,
    /// Every file is told, also one that is as its row says.
    pub(super) anew: bool,
    /// Files that were found as their rows say, but for the device.
    pub(super) recognised: u64,
    /// Whether there was any row.
    pub(super) had_rows: bool,
    /// Why changes in a part of it will not be notified.
    pub(super) unwatched: Option<String>,
    /// Directories that could not be looked at; a bounded number of them.
    pub(super) gaps: BTreeSet<Vec<u8>>,
    /// Directories that are closed because their rules cannot be used; a bounded number of them.
    pub(super) shut: BTreeSet<Vec<u8>>,
    /// Files may be left that nothing is known of.
    pub(super) hidden: bool,
    walk: Option<Walk>,
    rows: Rows,
    /// What the paths below a directory that cannot be looked at begin with.
    gap: Option<Vec<u8>>,
}

/// How a survey begins.
pub(super) enum Begun {
    /// Below this root, which is what the ruling says.
    Rooted(Box<Survey>, RootId, Ruling),
    /// There is nothing to walk: the collection is not in the config.
    Unrooted(Box<Survey>),
    /// The root cannot be opened.
    Away(Order, Away),
}

impl Survey {
    /// Begins to walk. `known` is what the root is known to be; with `accept` it is taken as it is now.
    pub(super) async fn begin(
        means: &Means,
        order: Order,
        known: Option<KnownTree>,
        accept: bool,
    ) -> Result<Begun, Halt> {
        if means.trees[order.tree].scope.is_none() {
            return Ok(Begun::Unrooted(Box::new(Survey::of_rows(means, order))));
        }
        let path = means.trees[order.tree].root.as_os_str();
        let known = known.filter(|known| !accept && known.path == path.as_encoded_bytes());
        let (own, base, tree) = (means.clone(), order.base.clone(), order.tree);
        let begun = blocking(&means.compute, &means.pulse, move |_| {
            let (root, id) = roots::open(&own.trees[tree].root)?;
            let ruling = known.map(|known| roots::rule(&known, id));
            // Of another directory not even the names are looked at.
            let ground = match ruling {
                Some(Ruling::Hold(_)) => None,
                _ => own.ground(tree),
            };
            let walk = ground.map(|ground| Walk::begin(&ground, root, id.device, &base));
            Ok::<_, Away>((walk, id, ruling))
        });
        let (walk, id, ruling) = match begun.await? {
            Ok(begun) => begun,
            Err(away) => return Ok(Begun::Away(order, away)),
        };
        let mut survey = Survey::of_rows(means, order);
        survey.walk = walk;
        survey.root = Some(id);
        let ruling = match ruling {
            _ if accept => Ruling::Trust,
            Some(ruling) => ruling,
            None => survey.first_sight(means, id).await?,
        };
        survey.doubting = matches!(ruling, Ruling::Doubt(_));
        Ok(Begun::Rooted(Box::new(survey), id, ruling))
    }

    /// One that tells every row and walks nothing.
    pub(super) fn of_rows(means: &Means, order: Order) -> Survey {
        Survey {
            rows: Rows::new(&means.trees[order.tree].name, &order.base),
            order,
            root: None,
            doubting: false,
            anew: false,
            recognised: 0,
            had_rows: false,
            unwatched: None,
            gaps: BTreeSet::new(),
            shut: BTreeSet::new(),
            hidden: false,
            walk: None,
            gap: None,
        }
    }

    /// Goes a step on.
    pub(super) async fn step(&mut self, means: &Means) -> Result<Step, Halt> {
        let mut step = Step::default();
        if let Some(mut walk) = self.walk.take() {
            let (own, tree) = (means.clone(), self.order.tree);
            let (walk, items, own_files) = blocking(&means.compute, &means.pulse, move |pulse| {
                let items = own.ground(tree).map(|g| walk.step(&g, SLICE, pulse));
                let own_files = own::ids(&own.options.own_files);
                (walk, items.unwrap_or_default(), own_files)
            })
            .await?;
            let scope = means.trees[tree].scope.as_ref();
            if let Some(scope) = scope {
                let terms = Terms::with(scope, &means.options, own_files);
                for item in items {
                    self.compare(item, (means, &terms), &mut step).await?;
                }
            }
            if walk.is_over() {
                self.unwatched = walk.unwatched().map(str::to_owned);
            } else {
                self.walk = Some(walk);
            }
            return Ok(step);
        }
        for _ in 0..SLICE {
            let Some(row) = self.rows.next(&means.store).await? else {
                step.over = true;
                break;
            };
            self.without_file(row, &mut step);
        }
        Ok(step)
    }

    /// What to think of a root that is not known. One without any of the rows' files on its device may be what an
    /// unmounted volume leaves behind.
    async fn first_sight(&mut self, means: &Means, id: RootId) -> Result<Ruling, Halt> {
        let page = self.rows.peek_page(&means.store).await?;
        let elsewhere = |row: &ManifestRow| row.stat.device != id.device;
        Ok(match !page.is_empty() && page.iter().all(elsewhere) {
            true => Ruling::Doubt(roots::ANOTHER_DEVICE.to_owned()),
            false => Ruling::Trust,
        })
    }

    async fn compare(
        &mut self,
        item: Item,
        (means, terms): (&Means, &Terms<'_>),
        step: &mut Step,
    ) -> Result<(), Halt> {
        let key = item.key();
        while let Some(row) = self.rows.next_before(&key, &means.store).await? {
            self.without_file(row, step);
        }
        match item {
            Item::Gap(gap) => {
                if !gap.denied {
                    self.gap = Some(paths::below(&gap.path));
                    self.hidden = true;
                }
                if !self.doubting {
                    if self.gaps.len() < GAPS_MAX {
                        self.gaps.insert(gap.path.clone());
                    }
                    step.gaps.push(gap);
                }
            }
            Item::Closed(path) => {
                step.seen += 1;
                self.had_rows |= self.rows.next_if(&path, &means.store).await?.is_some();
                self.tell(path, step);
            }
            Item::Shut(path, refused) => {
                if self.shut.len() < GAPS_MAX {
                    self.shut.insert(path.clone());
                }
                step.shut.push((path, refused.to_string()));
            }
            Item::File(path, stat) => {
                step.seen += 1;
                let row = self.rows.next_if(&path, &means.store).await?;
                self.had_rows |= row.is_some();
                self.recognised += u64::from(row.as_ref().is_some_and(|r| is_likely(r, &stat)));
                if self.anew || !row.is_some_and(|row| terms.is_settled(&row, &stat)) {
                    self.tell(path, step);
                }
            }
        }
        Ok(())
    }

    fn without_file(&mut self, row: ManifestRow, step: &mut Step) {
        self.had_rows = true;
        let gap = self.gap.as_ref();
        if !gap.is_some_and(|gap| row.path.starts_with(gap)) {
            self.tell(row.path, step);
        }
    }

    fn tell(&self, path: Vec<u8>, step: &mut Step) {
        if !self.doubting {
            step.differ.push(path);
        }
    }
}

impl Means {
    pub(super) fn ground(&self, tree: usize) -> Option<Ground<'_>> {
        let tree = &self.trees[tree];
        Some(Ground {
            tree,
            scope: tree.scope.as_ref()?,
            watches: &self.watches,
        })
    }
}

/// Whether a row is of the file with this stat, on whatever device it was then.
fn is_likely(row: &ManifestRow, stat: &FileStat) -> bool {
    let now = FileStat {
        device: row.stat.device,
        ..*stat
    };
    row.stat == now
}

/// The rows below a directory, in the order of their paths.
struct Rows {
    collection: String,
    below: Vec<u8>,
    after: Vec<u8>,
    page: VecDeque<ManifestRow>,
    /// There are none after the page.
    last: bool,
}

impl Rows {
    fn new(collection: &str, base: &[u8]) -> Self {
        let below = paths::below(base);
        Rows {
            collection: collection.to_owned(),
            after: below.clone(),
            below,
            page: VecDeque::new(),
            last: false,
        }
    }

    async fn peek_page(&mut self, store: &Store) -> Result<&VecDeque<ManifestRow>, Halt> {
        if self.page.is_empty() && !self.last {
            let rows = store
                .manifest_rows(&self.collection, &self.after, SLICE)
                .await?;
            self.last = rows.len() < SLICE;
            for row in rows {
                if !row.path.starts_with(&self.below) {
                    self.last = true;
                    break;
                }
                self.after.clone_from(&row.path);
                self.page.push_back(row);
            }
        }
        Ok(&self.page)
    }

    async fn next(&mut self, store: &Store) -> Result<Option<ManifestRow>, Halt> {
        self.peek_page(store).await?;
        Ok(self.page.pop_front())
    }

    async fn next_before(
        &mut self,
        key: &[u8],
        store: &Store,
    ) -> Result<Option<ManifestRow>, Halt> {
        let before = self
            .peek_page(store)
            .await?
            .front()
            .is_some_and(|r| r.path.as_slice() < key);
        Ok(before.then(|| self.page.pop_front()).flatten())
    }

    async fn next_if(&mut self, path: &[u8], store: &Store) -> Result<Option<ManifestRow>, Halt> {
        let same = self
            .peek_page(store)
            .await?
            .front()
            .is_some_and(|r| r.path == path);
        Ok(same.then(|| self.page.pop_front()).flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::change_detection::edge::Edge;
    use crate::agents::change_detection::tests::Bed;

    #[tokio::test]
    async fn nothing_is_concluded_about_what_is_below_a_directory_that_cannot_be_looked_at() {
        let files = [
            ("a.md", "a"),
            ("b/c.md", "c"),
            ("b/d/e.md", "e"),
            ("b.md", "b"),
            ("f.md", "f"),
        ];
        let mut bed = Bed::with(&files).await;
        bed.stop().await;
        let edge = Edge::new(&bed.agent(), Pulse::default()).await.unwrap();
        let order = Order {
            tree: 0,
            base: Vec::new(),
            class: Class::Scan,
            of_scan: false,
        };
        // In place of a walk: `a.md` is not there, `b` cannot be listed, `b.md` and `f.md` are as they were.
        let mut survey = Survey::of_rows(&edge.means, order);
        let mut step = Step::default();
        let gap = |denied| Gap {
            path: b"b".to_vec(),
            cause: "no".to_owned(),
            denied,
        };
        let file = |path: &str| {
            Item::File(
                path.as_bytes().to_vec(),
                crate::agents::change_detection::tests::stat(&bed.at(path)),
            )
        };
        let items = [file("b.md"), Item::Gap(gap(false)), file("f.md")];
        let (trees, options) = (edge.means.trees.clone(), edge.means.options.clone());
        let terms = Terms::new(trees[0].scope.as_ref().unwrap(), &options);
        for item in items {
            let means = (&edge.means, &terms);
            survey.compare(item, means, &mut step).await.unwrap();
        }
        assert_eq!(step.differ, [b"a.md"]);
        assert_eq!(step.gaps, [gap(false)]);
        assert_eq!((step.seen, survey.recognised), (2, 2));
        let rest = survey.step(&edge.means).await.unwrap();
        assert!(rest.over && rest.differ.is_empty());
    }
}
