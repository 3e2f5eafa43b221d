//! Reads a batch of changed paths, and does what follows from each.

use tokio::time::Instant;

use super::super::changed_paths::{Change, ChangePriority, RETRIES_MAX, SOON, TreePath};
use super::super::decision::{Decision, ManifestedPath};
use super::super::pulse::Halt;
use super::super::reader::{FileReader, ReadPath, ReadTask, prepare};
use super::super::root_identity::RootAway;
use super::super::snapshot::FileSnapshot;
use super::super::submitter::InFlight;
use super::super::survey::SurveyOrder;
use super::CaptureLoop;
use crate::store::FileStat;

/// Paths read in one batch.
const BATCH: usize = 64;

impl CaptureLoop {
    /// Reads a batch of the paths that are due. Gives whether there were any.
    pub(super) async fn capture(&mut self, priority: ChangePriority) -> Result<bool, Halt> {
        let in_flight = self.submitter.paths_in_flight();
        let busy = |path: &TreePath| in_flight.contains(path);
        let taken = self.queue.take(priority, Instant::now(), BATCH, busy);
        if taken.is_empty() {
            return Ok(false);
        }
        let mut tasks = Vec::with_capacity(taken.len());
        for taken in taken {
            let TreePath { tree, path } = taken.path();
            // A capture in flight has no manifest row yet.
            let captures_below = in_flight.below(*tree, path).next().is_some();
            tasks.push(prepare(&self.context, taken, captures_below).await?);
        }
        let may_read = !self.space.is_low();
        let reader = FileReader::new(&self.context, self.roots.expected(), may_read);
        for read in reader.read(tasks).await? {
            self.apply(read).await?;
        }
        Ok(true)
    }

    /// Does what follows from a path that was read.
    async fn apply(&mut self, read: ReadPath) -> Result<(), Halt> {
        let ReadPath {
            task,
            snapshot,
            other_names,
        } = read;
        self.order_survey(&task, &snapshot);
        self.note_failure(&task, &snapshot);
        let young = matches!(&snapshot, FileSnapshot::Read(bytes) if bytes.young);
        let out_of_scope = matches!(snapshot, FileSnapshot::OutOfScope(_));
        let path = task.taken.path().clone();
        let decision = ManifestedPath {
            collection: &self.context.trees[path.tree].name,
            path: &path.path,
            source: &self.source,
            subject_max: self.context.subject_max(),
            row: task.row.as_ref(),
        }
        .decide(snapshot);
        if let Some(stat) = other_names
            && (out_of_scope || matches!(decision, Decision::Commit(_)))
        {
            self.queue_other_names(stat, task.taken.change().marker)
                .await?;
        }
        let (taken, now) = (task.taken, Instant::now());
        match decision {
            Decision::Settle => taken.settle(),
            Decision::ReadAgain { after, seen } => taken.put_back(|change| {
                change.due = now + after;
                change.seen = seen.or(change.seen);
            }),
            Decision::Retry => {
                let failures = taken.change().failures;
                if failures < RETRIES_MAX {
                    self.queue.add(path, Change::retry(failures + 1, now));
                }
                taken.settle();
            }
            Decision::RootAbsent(cause) => {
                let denied = false;
                let away = RootAway { cause, denied };
                self.roots.set_away(path.tree, away, &self.queue);
                taken.settle();
            }
            // The walk after somebody has decided finds what differs.
            Decision::RootUnknown if self.roots.is_held(path.tree) => taken.settle(),
            Decision::RootUnknown => {
                let marker = taken.change().marker;
                self.scanner.surveys().order_whole(path.tree, marker);
                taken.put_back(|change| change.due = now + SOON);
            }
            Decision::Commit(transaction) => {
                let in_flight = InFlight::Path { taken, young };
                self.submit(in_flight, transaction).await?;
            }
        }
        Ok(())
    }

    /// Orders a survey of a directory that is at a path, or was.
    fn order_survey(&mut self, task: &ReadTask, snapshot: &FileSnapshot) {
        if task.rows_below || *snapshot == FileSnapshot::Directory {
            let (path, change) = (task.taken.path(), task.taken.change());
            self.scanner.surveys().order(SurveyOrder {
                tree: path.tree,
                base: path.path.to_vec(),
                priority: change.priority,
                of_scan: change.of_scan,
                marker: change.marker,
                failures: change.failures,
            });
        }
    }

    /// A file that could not be read though docent may read it is reported, and read again ever later.
    fn note_failure(&mut self, task: &ReadTask, snapshot: &FileSnapshot) {
        let path = task.taken.path();
        match snapshot {
            FileSnapshot::Failed(_, error) => {
                self.roots.file_failed(path.tree, &path.path, error);
                let failures = task.taken.change().failures + 1;
                let again = Change::retry(failures, Instant::now());
                self.queue.add(path.clone(), again);
            }
            FileSnapshot::RootAbsent(_)
            | FileSnapshot::RootUnknown
            | FileSnapshot::Young(..)
            | FileSnapshot::Interrupted
            | FileSnapshot::Stopped => {}
            _ => self.roots.file_did_not_fail(path.tree, &path.path),
        }
    }

    /// Queues the other names of a file: a write through one of them is notified for that one alone.
    async fn queue_other_names(&mut self, stat: FileStat, marker: Option<u64>) -> Result<(), Halt> {
        for (collection, path) in self.context.store.other_names(stat, BATCH).await? {
            if let Some(tree) = self.context.tree_named(&collection) {
                let debounce = self.context.options.debounce;
                let change = Change::new(ChangePriority::Watch, Instant::now(), debounce);
                self.queue
                    .add(TreePath::new(tree, &path), change.before(marker));
            }
        }
        Ok(())
    }
}
