//! The agent with a real tree and a real store. What is expected comes from another walker than the one under test.

mod files;
mod markers;
mod roots;
mod rules;
mod scans;
mod secrets;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ignore::WalkBuilder;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::context::AgentContext;
use super::pulse::Pulse;
use super::{ChangeDetection, Collection, WatchOptions};
use crate::event::{AgentName, Event, EventType, Heartbeat, Seq, Subject};
use crate::runtime::{Agent, Compute, DutyContext, DutyError, Ending, Handling, ScanDesk, Source};
use crate::store::tests::{options, write};
use crate::store::{Closer, Digest, FileStat, FileState, Store};

/// The longest that anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// What is known of a file: its state, its digest if it is captured, and the stat.
type Known = BTreeMap<Vec<u8>, (FileState, Option<Digest>, FileStat)>;

/// A tree, a store and an agent at work on them.
pub(super) struct Bed {
    dir: TempDir,
    options: WatchOptions,
    store: Store,
    _closer: Closer,
    desk: ScanDesk,
    run: Option<(CancellationToken, JoinHandle<Result<(), DutyError>>)>,
}

impl Bed {
    /// A bed whose agent has not started, with the agents `on` owing what is published.
    pub(super) fn made(on: &[AgentName]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tree")).unwrap();
        let data_dir = dir.path().join("data");
        let options = crate::store::StoreOptions {
            ledger_keep_events: 1_000_000,
            agents: on.to_vec(),
            ..options()
        };
        let (store, closer) = Store::open(&data_dir, options).unwrap();
        let docs = Collection {
            name: "docs".to_owned(),
            root: dir.path().join("tree"),
            include: Vec::new(),
            exclude: Vec::new(),
            allow_secrets: Vec::new(),
            git: true,
            watch: super::WatchMode::Auto,
        };
        let options = WatchOptions {
            collections: vec![docs],
            supported: Arc::new(|path: &[u8]| path.ends_with(b".md")),
            secrets: vec![
                ".env".to_owned(),
                "*.pem".to_owned(),
                "secrets.*".to_owned(),
            ],
            own_files: Vec::new(),
            file_size: 100_000,
            debounce: Duration::from_millis(60),
            stable_after: Duration::from_millis(600),
            rescan: Duration::from_secs(3600),
            poll: Duration::from_secs(30),
            owed_high: 1000,
            owed_high_watch: 10_000,
            free_space_floor: 0,
            data_dir,
            instance: "test".to_owned(),
        };
        Bed {
            dir,
            options,
            store,
            _closer: closer,
            desk: ScanDesk::default(),
            run: None,
        }
    }

    /// A bed with an agent that has scanned the tree `files` make.
    pub(super) async fn with(files: &[(&str, &str)]) -> Self {
        let mut bed = Bed::made(&[]);
        for (path, text) in files {
            bed.write(path, text);
        }
        bed.start();
        bed.scan().await;
        bed
    }

    pub(super) fn agent(&self) -> Arc<ChangeDetection> {
        let source = Source::new(self.store.clone(), 64, 32 * 1024 * 1024);
        let compute = Compute::new(2);
        Arc::new(ChangeDetection::new(
            self.options.clone(),
            self.store.clone(),
            source,
            self.desk.clone(),
            compute,
        ))
    }

    pub(super) async fn context(&self) -> AgentContext {
        let (options, store) = (Arc::new(self.options.clone()), self.store.clone());
        let context = AgentContext::new(options, store, Compute::new(2), Pulse::default(), None);
        context.await.unwrap()
    }

    pub(super) fn desk(&self) -> &ScanDesk {
        &self.desk
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the test stands in for the supervisor"
    )]
    fn start(&mut self) {
        let duty = self.agent().duties().into_iter().next().unwrap();
        let stop = CancellationToken::new();
        let context = DutyContext {
            stop: stop.clone(),
            heartbeat: Heartbeat::default(),
        };
        self.run = Some((stop, tokio::spawn((duty.run)(context))));
    }

    /// Ends the agent's run, as the supervisor does.
    pub(super) async fn stop(&mut self) {
        let (stop, task) = self.run.take().unwrap();
        stop.cancel();
        let end = tokio::time::timeout(Duration::from_secs(5), task).await;
        end.expect("the duty does not stop").unwrap().unwrap();
        // What it handed over is decided before the next one looks.
        self.store.barrier().await.unwrap();
    }

    pub(super) fn root(&self) -> PathBuf {
        self.options.collections[0].root.clone()
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Waits for a scan that begins now.
    async fn scan(&self) {
        let number = self.desk.scans().ask();
        let ended = tokio::time::timeout(DEADLINE, self.desk.scans().ended(number)).await;
        ended.unwrap_or_else(|_| {
            panic!("the scan does not end: {:?}", self.desk.progress().borrow())
        });
    }

    async fn known(&self) -> Known {
        let mut known = Known::new();
        for row in self
            .store
            .manifest_rows("docs", b"", 100_000)
            .await
            .unwrap()
        {
            known.insert(row.path, (row.state, row.digest, row.stat));
        }
        known
    }

    /// What a look at the whole tree with other eyes gives.
    fn expected(&self) -> Known {
        let root = self.root();
        let walk = WalkBuilder::new(&root)
            .standard_filters(false)
            .git_ignore(true)
            .git_exclude(true)
            .require_git(false)
            .parents(false)
            .add_custom_ignore_filename(".docentignore")
            .filter_entry(|e| e.file_name() != ".git")
            .build();
        let mut expected = Known::new();
        for entry in walk
            .map(Result::unwrap)
            .filter(|e| e.file_type().is_some_and(|t| t.is_file()))
        {
            let path = entry
                .path()
                .strip_prefix(&root)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec();
            let stat = stat(entry.path());
            let supported = (self.options.supported)(&path);
            let found = match (supported, stat.size <= self.options.file_size) {
                (false, _) => (FileState::Unsupported, None, stat),
                (true, false) => (FileState::TooLarge, None, stat),
                (true, true) => {
                    let bytes = std::fs::read(entry.path()).unwrap();
                    (FileState::Captured, Some(Digest::of(&bytes)), stat)
                }
            };
            expected.insert(path, found);
        }
        expected
    }

    /// Waits until the manifest is what the tree is, without asking for a scan: by what is watched alone.
    async fn follows(&self) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let (known, expected) = (self.known().await, self.expected());
            if known == expected {
                break;
            }
            if tokio::time::Instant::now() > deadline {
                panic!("{}", difference(&known, &expected));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.told().await;
    }

    /// The manifest is what the tree is, now, and was told in events.
    async fn agrees(&self) {
        let (known, expected) = (self.known().await, self.expected());
        assert!(known == expected, "{}", difference(&known, &expected));
        self.told().await;
    }

    /// Who follows the events knows what the manifest knows, and every event says truly what was before.
    async fn told(&self) {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        for event in self.events().await {
            let subject = event.subject.as_str().to_owned();
            match event.kind {
                EventType::FileChanged => {
                    let before = told
                        .get(&subject)
                        .map_or(Value::Null, |d| Value::from(d.as_str()));
                    match event.data["digest"].as_str() {
                        Some(digest) => {
                            assert_eq!(event.data["previous"], before, "{subject}");
                            assert_ne!(event.data["digest"], before, "{subject}");
                            told.insert(subject, digest.to_owned());
                        }
                        None => {
                            told.remove(&subject);
                        }
                    }
                }
                EventType::FileRemoved => {
                    told.remove(&subject);
                }
                other => panic!("{other}"),
            }
        }
        let mut captured = BTreeMap::new();
        for (path, (_, digest, _)) in self.known().await {
            if let Some(digest) = digest {
                let subject = Subject::file("docs", &path).unwrap();
                let bytes = self.store.content(digest.clone()).await.unwrap();
                assert!(bytes.is_some(), "{subject}");
                captured.insert(subject.as_str().to_owned(), digest.to_string());
            }
        }
        assert_eq!(told, captured);
    }

    async fn events(&self) -> Vec<Event> {
        let mut all: Vec<Event> = Vec::new();
        loop {
            let after = all.last().map_or(Seq(0), |event| event.seq);
            let page = self.store.events_after(after, 1000).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// The reasons of the removals of a path, in their order.
    async fn removals(&self, path: &str) -> Vec<String> {
        let subject = Subject::file("docs", path.as_bytes()).unwrap();
        let of_path = self
            .events()
            .await
            .into_iter()
            .filter(|e| e.subject == subject);
        of_path
            .filter(|e| e.kind == EventType::FileRemoved)
            .map(|e| e.data["reason"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until `holds` of the paths that are known.
    async fn until(&self, what: &str, holds: impl Fn(&Known) -> bool) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !holds(&self.known().await) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what}: {:?}",
                self.known().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Hands the agent a `scan.requested` and applies what it decides.
    async fn request(&self, subject: &str, reason: &str) {
        let event = Event {
            seq: Seq(1),
            id: crate::event::EventId::fresh(),
            kind: EventType::ScanRequested,
            source: "cli".to_owned(),
            subject: Subject::parse(subject).unwrap(),
            time: crate::event::Millis::now(),
            data: serde_json::json!({"reason": reason}).into(),
            causation: None,
            correlation: crate::event::EventId::fresh(),
        };
        let handling = Handling {
            attempt: 1,
            run: 1,
            heartbeat: Heartbeat::default(),
        };
        let Ending::Outcome(outcome) = self.agent().handle(&event, &handling).await else {
            panic!("a request fails");
        };
        write(&self.store, outcome.effects, Vec::new()).await;
    }

    /// Waits until no scan request is left.
    async fn fulfilled(&self) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !self.store.scan_requests().await.unwrap().is_empty() {
            assert!(
                tokio::time::Instant::now() < deadline,
                "a scan request is not fulfilled"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(super) fn stat(path: &Path) -> FileStat {
    let meta = std::fs::symlink_metadata(path).unwrap();
    FileStat {
        size: meta.len(),
        mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        ctime_ns: meta.ctime() * 1_000_000_000 + meta.ctime_nsec(),
        device: meta.dev(),
        inode: meta.ino(),
    }
}

fn difference(known: &Known, expected: &Known) -> String {
    let name = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
    let missing: Vec<_> = expected
        .keys()
        .filter(|p| !known.contains_key(*p))
        .map(name)
        .take(10)
        .collect();
    let surplus: Vec<_> = known
        .keys()
        .filter(|p| !expected.contains_key(*p))
        .map(name)
        .take(10)
        .collect();
    let other = expected
        .iter()
        .filter(|(p, e)| known.get(*p).is_some_and(|k| k != *e));
    let other: Vec<_> = other
        .map(|(p, e)| (name(p), e, &known[p]))
        .take(3)
        .collect();
    format!("missing {missing:?}, surplus {surplus:?}, other {other:?}")
}
