//! A walk held against the manifest, path by path in one order: what differs is to be looked at.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::Halt;
use super::look::is_settled;
use super::marks::Class;
use super::paths;
use super::pulse::Pulse;
use super::walk::{Ground, Item, Standing, Walk};
use super::walks::GAPS_MAX;
use super::watch::Watches;
use super::{Options, Tree, blocking};
use crate::runtime::Compute;
use crate::store::{FileStat, ManifestRow, Store};

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
    /// Directories that nothing is known of, with the cause.
    pub(super) gaps: Vec<(Vec<u8>, String)>,
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
    /// The root when the walk began; `None` for a collection that is not in the config.
    pub(super) standing: Option<Standing>,
    /// Rows without a file are not told: the root may not be the one that they are of.
    pub(super) holding: bool,
    /// Files that were found as their rows say, but for the device.
    pub(super) recognised: u64,
    /// Why changes in a part of it will not be notified.
    pub(super) unwatched: Option<String>,
    /// Directories that could not be looked at; a bounded number of them.
    pub(super) gaps: BTreeSet<Vec<u8>>,
    /// Directories that are closed because their rules cannot be used; a bounded number of them.
    pub(super) shut: BTreeSet<Vec<u8>>,
    walk: Option<Walk>,
    rows: Rows,
    /// What the paths below a directory that cannot be looked at begin with.
    gap: Option<Vec<u8>>,
}

impl Survey {
    /// Begins to walk. `device` is that of the root as it was known before, if it was.
    /// Gives the cause instead if the root cannot be opened.
    pub(super) async fn begin(
        means: &Means,
        order: Order,
        device: Option<u64>,
    ) -> Result<Result<Survey, String>, Halt> {
        let (begun, standing) = if means.trees[order.tree].scope.is_some() {
            let (own, base, tree) = (means.clone(), order.base.clone(), order.tree);
            let begun = blocking(&means.compute, &means.pulse, move |_| {
                let ground = own.ground(tree)?;
                Some(Walk::begin(&ground, &base))
            });
            match begun.await? {
                Some(Ok((walk, standing))) => (Some(walk), Some(standing)),
                Some(Err(cause)) => return Ok(Err(cause)),
                None => (None, None),
            }
        } else {
            (None, None)
        };
        let mut survey = Survey {
            rows: Rows::new(&means.trees[order.tree].name, &order.base),
            order,
            standing,
            holding: false,
            recognised: 0,
            unwatched: None,
            gaps: BTreeSet::new(),
            shut: BTreeSet::new(),
            walk: begun,
            gap: None,
        };
        survey.holding = survey.is_suspicious(means, device).await?;
        Ok(Ok(survey))
    }

    /// Goes a step on.
    pub(super) async fn step(&mut self, means: &Means) -> Result<Step, Halt> {
        let mut step = Step::default();
        if let Some(mut walk) = self.walk.take() {
            let (own, tree) = (means.clone(), self.order.tree);
            let (walk, items) = blocking(&means.compute, &means.pulse, move |pulse| {
                let items = own.ground(tree).map(|g| walk.step(&g, SLICE, pulse));
                (walk, items.unwrap_or_default())
            })
            .await?;
            for item in items {
                self.compare(item, means, &mut step).await?;
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

    /// Whether the root looks like another one than the manifest's: its device is not that of before, or not that of
    /// any row. An unmounted volume leaves an empty directory behind, and that is no deletion of its files.
    async fn is_suspicious(&mut self, means: &Means, device: Option<u64>) -> Result<bool, Halt> {
        let Some(standing) = self.standing.filter(|_| self.order.base.is_empty()) else {
            return Ok(false);
        };
        if let Some(device) = device {
            return Ok(device != standing.id.device);
        }
        let page = self.rows.peek_page(&means.store).await?;
        let another = |row: &ManifestRow| row.stat.device != standing.id.device;
        Ok(!page.is_empty() && page.iter().all(another))
    }

    async fn compare(&mut self, item: Item, means: &Means, step: &mut Step) -> Result<(), Halt> {
        let key = item.key();
        while let Some(row) = self.rows.next_before(&key, &means.store).await? {
            self.without_file(row, step);
        }
        match item {
            Item::Gap(path, cause) => {
                self.gap = Some(paths::below(&path));
                if self.gaps.len() < GAPS_MAX {
                    self.gaps.insert(path.clone());
                }
                step.gaps.push((path, cause));
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
                self.recognised += u64::from(row.as_ref().is_some_and(|r| is_likely(r, &stat)));
                if !row.is_some_and(|row| is_settled(&row, &stat, &means.options)) {
                    step.differ.push(path);
                }
            }
        }
        Ok(())
    }

    fn without_file(&self, row: ManifestRow, step: &mut Step) {
        let hidden = self
            .gap
            .as_ref()
            .is_some_and(|gap| row.path.starts_with(gap));
        if !hidden && !self.holding {
            step.differ.push(row.path);
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
        let mut survey = Survey::begin(&edge.means, order, None)
            .await
            .unwrap()
            .unwrap();
        // In place of the walk: `a.md` is not there, `b` cannot be listed, `b.md` and `f.md` are as they were.
        survey.walk = None;
        let mut step = Step::default();
        let file = |path: &str| {
            Item::File(
                path.as_bytes().to_vec(),
                crate::agents::change_detection::tests::stat(&bed.at(path)),
            )
        };
        let items = [
            file("b.md"),
            Item::Gap(b"b".to_vec(), "no".to_owned()),
            file("f.md"),
        ];
        for item in items {
            survey.compare(item, &edge.means, &mut step).await.unwrap();
        }
        assert_eq!(step.differ, [b"a.md"]);
        assert_eq!(step.gaps, [(b"b".to_vec(), "no".to_owned())]);
        assert_eq!((step.seen, survey.recognised), (2, 2));
        let rest = survey.step(&edge.means).await.unwrap();
        assert!(rest.over && rest.differ.is_empty());
    }
}
