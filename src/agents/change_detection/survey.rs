//! A walk compared with the manifest, in the order of the paths: what differs is to be read.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::beneath::RootId;
use super::changed_paths::ChangePriority;
use super::classifier::Classifier;
use super::context::AgentContext;
use super::findings::{UNREAD_MAX, WalkFindings};
use super::manifest_rows::ManifestRows;
use super::own_files;
use super::paths;
use super::pulse::Halt;
use super::root_identity::{self, RootAway, RootMatch};
use super::walk::{TreeWalk, UnreadDirectory, WalkItem, WalkedTree};
use crate::store::{FileStat, KnownTree, ManifestRow};

/// Entries walked, and rows compared, in one step.
const STEP: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SurveyOrder {
    pub(super) tree: usize,
    /// The directory; empty: everything.
    pub(super) base: Vec<u8>,
    pub(super) priority: ChangePriority,
    /// The running scan waits for it.
    pub(super) of_scan: bool,
    /// The first marker that waits for it; `None`: no marker does.
    pub(super) marker: Option<u64>,
    /// How often the directory could not be read.
    pub(super) failures: u32,
}

impl SurveyOrder {
    /// A survey of a whole collection.
    pub(super) fn whole(tree: usize, of_scan: bool) -> Self {
        SurveyOrder {
            tree,
            base: Vec::new(),
            priority: ChangePriority::Scan,
            of_scan,
            marker: None,
            failures: 0,
        }
    }

    pub(super) fn before(mut self, marker: Option<u64>) -> Self {
        self.marker = marker;
        self
    }

    pub(super) fn is_whole(&self) -> bool {
        self.base.is_empty()
    }
}

/// What one step of a survey found.
#[derive(Debug, Default)]
pub(super) struct SurveyStep {
    /// Paths that differ from the manifest.
    pub(super) differ: Vec<Vec<u8>>,
    /// Directories that cannot be read.
    pub(super) unread: Vec<UnreadDirectory>,
    /// Directories whose rules cannot be used, with the cause.
    pub(super) closed: Vec<(Vec<u8>, String)>,
    pub(super) seen: u64,
    /// It was the last step.
    pub(super) over: bool,
}

/// A survey in progress.
pub(super) struct Survey {
    pub(super) order: SurveyOrder,
    /// The root when the walk began; `None`: nothing is walked, and all rows differ.
    pub(super) root: Option<RootId>,
    /// Whether the root is the known one is uncertain: nothing is reported, files are only compared with their rows.
    pub(super) doubting: bool,
    /// Every file counts as different.
    pub(super) reread: bool,
    pub(super) findings: WalkFindings,
    /// How many files were found as their rows say, except for the device.
    recognised: u64,
    had_rows: bool,
    context: AgentContext,
    walk: Option<TreeWalk>,
    rows: ManifestRows,
    /// The prefix of the paths below a directory that cannot be read.
    unread_prefix: Option<Vec<u8>>,
}

/// How a survey begins.
pub(super) enum SurveyStart {
    /// The root was opened and compared with the known one.
    Rooted(Box<Survey>, RootId, RootMatch),
    /// The collection is not in the config: there is nothing to walk.
    Unrooted(Box<Survey>),
    /// The root cannot be opened. The survey would check the rows alone.
    Away(Box<Survey>, RootAway),
}

impl Survey {
    /// Opens the root and begins to walk. `known`: the directory that the root was; with `accept` it is taken as it is.
    pub(super) async fn begin(
        context: &AgentContext,
        order: SurveyOrder,
        known: Option<KnownTree>,
        accept: bool,
    ) -> Result<SurveyStart, Halt> {
        let mut survey = Box::new(Survey::of_rows(context, order));
        let (tree, base) = (survey.order.tree, survey.order.base.clone());
        if context.trees[tree].scope.is_none() {
            return Ok(SurveyStart::Unrooted(survey));
        }
        let path = context.trees[tree].root.as_os_str().as_encoded_bytes();
        // Whoever alone has the store moves a collection by writing another path into the config. Of several hosts one may just
        // have another path than the others, and what is there must not replace what they have read.
        let is_shared = context.store.leases().are_shared();
        let known = known.filter(|known| !accept && (is_shared || known.path == path));
        let own = context.clone();
        let begun = context.blocking(move |_| {
            let (root, id) = root_identity::open(&own.trees[tree].root)?;
            let matched = known.map(|known| root_identity::compare(&known, id));
            // Of another directory not even the names are read.
            let walked = match matched {
                Some(RootMatch::Other(_)) => None,
                _ => WalkedTree::new(&own, tree),
            };
            let walk = walked.map(|walked| TreeWalk::begin(&walked, &root, id.device, &base));
            Ok::<_, RootAway>((walk, id, matched))
        });
        let (walk, id, matched) = match begun.await? {
            Ok(begun) => begun,
            Err(away) => return Ok(SurveyStart::Away(survey, away)),
        };
        survey.walk = walk;
        survey.root = Some(id);
        let matched = match matched {
            _ if accept => RootMatch::Same,
            Some(matched) => matched,
            None => survey.compare_devices(id).await?,
        };
        survey.doubting = matched == RootMatch::Unsure;
        Ok(SurveyStart::Rooted(survey, id, matched))
    }

    /// One that walks nothing: all rows differ.
    fn of_rows(context: &AgentContext, order: SurveyOrder) -> Survey {
        let collection = &context.trees[order.tree].name;
        Survey {
            rows: ManifestRows::new(&context.store, collection, &order.base),
            findings: WalkFindings {
                base: order.base.clone(),
                began: Instant::now(),
                unwatched: None,
                unread: BTreeSet::new(),
                closed: BTreeSet::new(),
                hidden: false,
            },
            order,
            root: None,
            doubting: false,
            reread: false,
            recognised: 0,
            had_rows: false,
            context: context.clone(),
            walk: None,
            unread_prefix: None,
        }
    }

    /// Whether a root that was doubted is the known one after all: a restart or another mount gave its device another
    /// number.
    pub(super) fn has_recognised(&self) -> bool {
        self.recognised > 0 || !self.had_rows
    }

    /// Does a bounded piece of the work.
    pub(super) async fn step(&mut self) -> Result<SurveyStep, Halt> {
        let mut step = SurveyStep::default();
        if let Some(walk) = self.walk.take() {
            self.walk_step(walk, &mut step).await?;
            return Ok(step);
        }
        for _ in 0..STEP {
            let Some(row) = self.rows.next_if(|_| true).await? else {
                step.over = true;
                break;
            };
            self.without_file(row, &mut step);
        }
        Ok(step)
    }

    async fn walk_step(&mut self, mut walk: TreeWalk, step: &mut SurveyStep) -> Result<(), Halt> {
        let (context, tree) = (self.context.clone(), self.order.tree);
        let own = context.clone();
        let walked = context.blocking(move |pulse| {
            let walked = WalkedTree::new(&own, tree);
            let items = walked.map(|walked| walk.step(&walked, STEP, pulse));
            let own_files = own_files::ids(&own.options.own_files);
            (walk, items.unwrap_or_default(), own_files)
        });
        let (walk, items, own_files) = walked.await?;
        if let Some(scope) = &context.trees[tree].scope {
            let classifier = Classifier::with(scope, &context.options, own_files);
            for item in items {
                self.compare(item, &classifier, step).await?;
            }
        }
        if walk.is_over() {
            self.findings.unwatched = walk.unwatched().map(str::to_owned);
        } else {
            self.walk = Some(walk);
        }
        Ok(())
    }

    /// Compares a root that is not known with the rows. One on another device than all of them may be what an unmounted
    /// volume leaves behind.
    async fn compare_devices(&mut self, id: RootId) -> Result<RootMatch, Halt> {
        let page = self.rows.peek_page().await?;
        let elsewhere = |row: &ManifestRow| row.stat.device != id.device;
        Ok(match !page.is_empty() && page.iter().all(elsewhere) {
            true => RootMatch::Unsure,
            false => RootMatch::Same,
        })
    }

    async fn compare(
        &mut self,
        item: WalkItem,
        classifier: &Classifier<'_>,
        step: &mut SurveyStep,
    ) -> Result<(), Halt> {
        let key = item.key();
        while let Some(row) = self.rows.next_if(|path| *path < *key).await? {
            self.without_file(row, step);
        }
        match item {
            WalkItem::Unread(directory) => self.note_unread(directory, step),
            WalkItem::DeniedFile(path) => {
                step.seen += 1;
                self.had_rows |= self.rows.next_if(|p| *p == *path).await?.is_some();
                self.report(path, step);
            }
            WalkItem::Closed(path, rules) => {
                if self.findings.closed.len() < UNREAD_MAX {
                    self.findings.closed.insert(path.clone());
                }
                step.closed.push((path, rules.to_string()));
            }
            WalkItem::File(path, stat) => {
                step.seen += 1;
                let row = self.rows.next_if(|p| *p == *path).await?;
                self.had_rows |= row.is_some();
                self.recognised += u64::from(row.as_ref().is_some_and(|r| is_likely(r, &stat)));
                if self.reread || !row.is_some_and(|row| classifier.is_current(&row, &stat)) {
                    self.report(path, step);
                }
            }
        }
        Ok(())
    }

    fn note_unread(&mut self, directory: UnreadDirectory, step: &mut SurveyStep) {
        if !directory.denied {
            self.unread_prefix = Some(paths::below(&directory.path));
            self.findings.hidden = true;
        }
        if !self.doubting {
            if self.findings.unread.len() < UNREAD_MAX {
                self.findings.unread.insert(directory.path.clone());
            }
            step.unread.push(directory);
        }
    }

    fn without_file(&mut self, row: ManifestRow, step: &mut SurveyStep) {
        self.had_rows = true;
        let prefix = self.unread_prefix.as_ref();
        if !prefix.is_some_and(|prefix| row.path.starts_with(prefix)) {
            self.report(row.path, step);
        }
    }

    fn report(&self, path: Vec<u8>, step: &mut SurveyStep) {
        if !self.doubting {
            step.differ.push(path);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::change_detection::tests::{Bed, stat};

    #[tokio::test]
    async fn nothing_is_concluded_about_what_is_below_a_directory_that_cannot_be_read() {
        let files = [
            ("a.md", "a"),
            ("b/c.md", "c"),
            ("b/d/e.md", "e"),
            ("b.md", "b"),
            ("f.md", "f"),
        ];
        let mut bed = Bed::with(&files).await;
        bed.stop().await;
        let context = bed.context().await;
        // In place of a walk: `a.md` is not there, `b` cannot be read, `b.md` and `f.md` are as they were.
        let mut survey = Survey::of_rows(&context, SurveyOrder::whole(0, false));
        let mut step = SurveyStep::default();
        let unread = UnreadDirectory {
            path: b"b".to_vec(),
            cause: "no".to_owned(),
            denied: false,
        };
        let file = |path: &str| WalkItem::File(path.as_bytes().to_vec(), stat(&bed.at(path)));
        let items = [file("b.md"), WalkItem::Unread(unread.clone()), file("f.md")];
        let scope = context.trees[0].scope.as_ref().unwrap();
        let classifier = Classifier::new(scope, &context.options);
        for item in items {
            survey.compare(item, &classifier, &mut step).await.unwrap();
        }
        assert_eq!(step.differ, [b"a.md"]);
        assert_eq!(step.unread, [unread]);
        assert_eq!((step.seen, survey.recognised), (2, 2));
        let rest = survey.step().await.unwrap();
        assert!(rest.over && rest.differ.is_empty());
    }
}
