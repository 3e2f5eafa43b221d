//! The one loop of the edge: what it holds, one turn of it, and what it waits for.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::beneath;
use super::captures::Landing;
use super::marks::{Class, Marks, Place};
use super::pulse::Pulse;
use super::roots::Away;
use super::scans::Scan;
use super::survey::{Means, Order, Survey};
use super::watch::Watches;
use super::{ChangeDetection, Halt, Scope, Tree, WatchMode, blocking};
use crate::event::AgentName;
use crate::runtime::{Boxed, DutyError, ScanDesk, Source};
use crate::store::{Digest, KnownTree};

/// Marks at once; beyond, what a watch says becomes a scan of everything.
const MARKS_MAX: usize = 200_000;

/// Marks of a class that wait while a survey goes on; beyond, it pauses.
const SURVEY_AHEAD: usize = 2048;

/// The longest the loop waits for anything.
const TICK: Duration = Duration::from_millis(500);

/// How soon it looks again whether what holds it up is over.
const RETRY: Duration = Duration::from_millis(50);

/// What is known of a root.
#[derive(Debug)]
pub(super) struct RootState {
    /// The directory that the manifest's files are of, once that is sure.
    pub(super) known: Option<KnownTree>,
    /// That is not in the store yet.
    pub(super) unsaved: bool,
    /// Why the root cannot be opened.
    pub(super) absent: Option<Away>,
    /// The manifest has files of it.
    pub(super) kept: bool,
    /// While it is absent its files are taken for removed: somebody said so.
    pub(super) let_go: bool,
    /// Why another directory is at its place, which is left alone.
    pub(super) held: Option<String>,
    /// The next walk takes the root as it is.
    pub(super) accept: bool,
    /// Every file is to be read again: what tells a secret is another than it was.
    pub(super) anew: bool,
    /// Why not all changes are notified: it is walked often.
    pub(super) unwatched: Option<String>,
    /// Directories that could not be looked at in the last walk; a bounded number of them.
    pub(super) gaps: BTreeSet<Vec<u8>>,
    /// Directories that are closed because their rules cannot be used, with the cause; a bounded number of them.
    pub(super) shut: BTreeMap<Vec<u8>, String>,
    /// There are files that the last walk of everything could not reach.
    pub(super) hidden: bool,
    /// Files that could not be read though docent may; a bounded number of them.
    pub(super) failed: BTreeSet<Vec<u8>>,
    /// Files seen by the walks of the running scan.
    pub(super) seen: u64,
}

impl RootState {
    fn new(known: Option<KnownTree>) -> Self {
        RootState {
            known,
            unsaved: false,
            absent: None,
            kept: true,
            let_go: false,
            held: None,
            accept: false,
            anew: false,
            unwatched: None,
            gaps: BTreeSet::new(),
            hidden: false,
            failed: BTreeSet::new(),
            shut: BTreeMap::new(),
            seen: 0,
        }
    }
}

/// Why the store is left alone for a while.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) until: Instant,
    pub(super) length: Duration,
    pub(super) cause: String,
}

/// The loop's state.
pub(super) struct Edge {
    pub(super) means: Means,
    pub(super) source: Source,
    pub(super) desk: ScanDesk,
    pub(super) wished: Arc<Notify>,
    /// The source of its events.
    pub(super) speaker: String,
    pub(super) marks: Marks,
    /// Paths with a transaction under way.
    pub(super) busy: HashSet<Place>,
    pub(super) flights: FuturesUnordered<Boxed<'static, Landing>>,
    pub(super) roots: Vec<RootState>,
    /// By class.
    pub(super) orders: [VecDeque<Order>; 2],
    pub(super) surveys: [Option<Box<Survey>>; 2],
    pub(super) scan: Option<Scan>,
    /// Why a scan of everything is to begin.
    pub(super) scan_wanted: Option<&'static str>,
    /// The newest wish of each collection that no scan has begun for.
    pub(super) wishes: BTreeMap<String, Vec<crate::store::ScanWish>>,
    pub(super) pause: Option<Pause>,
    /// Free bytes, when they are under the floor.
    pub(super) space_low: Option<u64>,
    pub(super) overflows: u64,
    pub(super) next_upkeep: Instant,
    pub(super) next_poll: Instant,
    pub(super) next_rescan: Instant,
}

/// Runs the loop until it is told to stop.
pub(super) async fn run(agent: &ChangeDetection, pulse: Pulse) -> Result<(), Halt> {
    // What an earlier life handed over is committed or refused before any row is read.
    agent
        .store
        .barrier()
        .await
        .map_err(|e| Halt::Failed(e.into()))?;
    let mut edge = Edge::new(agent, pulse).await?;
    while !edge.means.pulse.stopped() {
        edge.means.pulse.beat();
        let worked = edge.turn().await?;
        edge.land_what_is_ready()?;
        edge.report();
        if !worked {
            edge.wait().await?;
        }
    }
    Ok(())
}

impl Edge {
    /// The loop's state before its first turn.
    pub(super) async fn new(agent: &ChangeDetection, pulse: Pulse) -> Result<Self, Halt> {
        let options = agent.options.clone();
        let known = agent.store.manifest_collections().await?;
        let own = options.clone();
        let (trees, watches) = blocking(&agent.compute, &pulse, move |_| {
            (trees(&own, &known), Watches::new())
        })
        .await?;
        let trees = Arc::new(trees.map_err(|e| Halt::Failed(DutyError::Failed(e)))?);
        let mut roots = Vec::with_capacity(trees.len());
        for tree in trees.iter() {
            roots.push(RootState::new(agent.store.known_tree(&tree.name).await?));
        }
        let now = Instant::now();
        Ok(Edge {
            speaker: format!("agent/{}@{}", AgentName::ChangeDetection, options.instance),
            marks: Marks::new(MARKS_MAX, options.stable_after),
            busy: HashSet::new(),
            flights: FuturesUnordered::new(),
            roots,
            orders: Default::default(),
            surveys: [None, None],
            scan: None,
            scan_wanted: Some("start"),
            wishes: BTreeMap::new(),
            pause: None,
            space_low: None,
            overflows: 0,
            next_upkeep: now,
            next_poll: now,
            next_rescan: now + options.rescan,
            source: agent.source.clone(),
            desk: agent.desk.clone(),
            wished: agent.wished.clone(),
            means: Means {
                trees,
                options,
                watches,
                store: agent.store.clone(),
                compute: agent.compute.clone(),
                pulse,
            },
        })
    }

    /// Does a bounded piece of everything that can be done; whether there was anything.
    async fn turn(&mut self) -> Result<bool, Halt> {
        let now = Instant::now();
        self.hear(now);
        if now >= self.next_upkeep {
            self.upkeep(now).await?;
        }
        self.begin_scan().await?;
        self.save_roots().await?;
        let mut worked = false;
        for class in [Class::Watch, Class::Scan] {
            if self.may_work(class) {
                worked |= self.look(class).await?;
                worked |= self.advance_survey(class).await?;
            }
        }
        self.end_scan().await?;
        Ok(worked)
    }

    /// Whether work of a class may go on: not while the store cannot be written, nor while too much of what was
    /// captured is unprocessed.
    pub(super) fn may_work(&self, class: Class) -> bool {
        let high = match class {
            Class::Watch => self.means.options.owed_high_watch,
            Class::Scan => self.means.options.owed_high,
        };
        let owed = self.means.store.counts(AgentName::DocumentManagement).owed;
        let paused = self
            .pause
            .as_ref()
            .is_some_and(|p| p.until > Instant::now());
        !paused && u64::try_from(owed).unwrap_or(0) <= high
    }

    /// Goes a step on with the survey of a class.
    async fn advance_survey(&mut self, class: Class) -> Result<bool, Halt> {
        if self.marks.waiting(class) >= SURVEY_AHEAD {
            return Ok(false);
        }
        if self.surveys[class as usize].is_none() {
            let Some(order) = self.orders[class as usize].pop_front() else {
                return Ok(false);
            };
            self.begin_survey(order).await?;
        }
        let Some(mut survey) = self.surveys[class as usize].take() else {
            return Ok(true);
        };
        let step = survey.step(&self.means).await?;
        let over = step.over;
        self.take_step(&survey, step);
        if over {
            self.end_survey(*survey);
        } else {
            self.surveys[class as usize] = Some(survey);
        }
        Ok(true)
    }

    /// Takes note of the transactions that have ended, without waiting.
    fn land_what_is_ready(&mut self) -> Result<(), Halt> {
        while let Some(Some(landing)) = self.flights.next().now_or_never() {
            self.land(landing)?;
        }
        Ok(())
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) -> Result<(), Halt> {
        let pulse = self.means.pulse.clone();
        let watches = self.means.watches.clone();
        let (desk, wished) = (self.desk.clone(), self.wished.clone());
        let idle = self.scan.is_none();
        tokio::select! {
            () = pulse.stop() => {}
            () = tokio::time::sleep_until(self.next_moment()) => {}
            () = watches.arrived() => {}
            () = desk.asked(), if idle => {}
            // Its wish is committed in a moment.
            () = wished.notified() => self.next_upkeep = Instant::now() + RETRY,
            Some(landing) = self.flights.next(), if !self.flights.is_empty() => self.land(landing)?,
        }
        Ok(())
    }

    /// When something is due, if nothing happens before.
    fn next_moment(&self) -> Instant {
        let now = Instant::now();
        let mut next = (now + TICK).min(self.next_upkeep.max(now));
        for class in [Class::Watch, Class::Scan] {
            if let Some(due) = self.marks.next_due(class) {
                // What is due and was not taken waits for a transaction or for room: soon.
                next = next.min(if due > now { due } else { now + RETRY });
            }
            if self.surveys[class as usize].is_some() || !self.orders[class as usize].is_empty() {
                next = next.min(now + RETRY);
            }
        }
        next
    }
}

/// The collections of the config, and those that only the manifest knows.
fn trees(options: &super::Options, known: &[String]) -> Result<Vec<Tree>, String> {
    let data_dir = beneath::open_root(&options.data_dir).map_err(|e| {
        format!(
            "cannot open the data_dir {}: {e}",
            options.data_dir.display()
        )
    })?;
    let data_dir = beneath::id(&data_dir).map_err(|e| std::io::Error::from(e).to_string())?;
    let mut trees = Vec::new();
    for collection in &options.collections {
        let scope = Scope::new(collection, &options.secrets, Some(data_dir));
        trees.push(Tree {
            name: collection.name.clone(),
            root: std::path::absolute(&collection.root).map_err(|e| e.to_string())?,
            watch: collection.watch,
            judged_by: judged_by(collection),
            scope: Some(scope.map_err(|e| e.to_string())?),
        });
    }
    let gone = known.iter().filter(|name| !options.has(name));
    trees.extend(gone.map(|name| Tree {
        name: name.clone(),
        root: std::path::PathBuf::new(),
        watch: WatchMode::Auto,
        judged_by: String::new(),
        scope: None,
    }));
    Ok(trees)
}

/// What identifies the rules by which a file's content makes it a secret or not.
fn judged_by(collection: &super::Collection) -> String {
    /// Raised when `document` finds other private keys than before.
    const VERSION: u32 = 1;
    let rules = format!("{VERSION} {:?}", collection.allow_secrets);
    Digest::of(rules.as_bytes()).to_string()
}
