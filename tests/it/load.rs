//! A load on a world: files that somebody edits and a program that publishes, and what must be true of both afterwards.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::corpus::{QUERIES, markdown};
use crate::helper::World;

/// The seed of a test: `DOCENT_TEST_SEED`, or any.
pub(crate) fn seed() -> u64 {
    match std::env::var("DOCENT_TEST_SEED") {
        Ok(seed) => seed.parse().expect("DOCENT_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

/// Waits for the whole of `time`: a thread of a scope that ends wakes the one that began it.
pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// The files of the world, as somebody edits them.
pub(crate) struct Files {
    pub(crate) paths: Vec<String>,
    pub(crate) made: usize,
}

impl Files {
    /// Changes something: rewrites, replaces, renames, removes or adds a file.
    pub(crate) fn edit(&mut self, world: &World, rng: &mut Rng) {
        let at = rng.usize(..self.paths.len());
        let path = world.docs().join(&self.paths[at]);
        match rng.u8(..10) {
            0 => {
                fs::remove_file(path).expect("the file is there");
                self.paths.swap_remove(at);
            }
            1 => {
                let name = self.name();
                fs::rename(path, world.docs().join(&name)).expect("the file is there");
                self.paths[at] = name;
            }
            2 | 3 => {
                let name = self.name();
                world.write(&name, markdown(rng));
                self.paths.push(name);
            }
            4 => {
                let beside = path.with_extension("md~");
                fs::write(&beside, markdown(rng)).expect("a file beside it");
                fs::rename(&beside, path).expect("an editor saves by rename");
            }
            _ => world.write(&self.paths[at], markdown(rng)),
        }
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("part{}/new{}.md", self.made % 7, self.made)
    }
}

/// A program that publishes, and publishes again under the same id what it got no answer for.
pub(crate) struct Client {
    sent: Mutex<Sent>,
    /// Between five lines and the next five.
    pause: Duration,
    /// Where the docent under test runs, and not an older one, it publishes what only that one knows, too.
    is_newer: bool,
}

impl Default for Client {
    fn default() -> Self {
        Client::one_of(1)
    }
}

#[derive(Default)]
struct Sent {
    /// Ids that were printed.
    ids: Vec<String>,
    /// Lines that have an id and no answer.
    again: VecDeque<Submission>,
}

struct Submission {
    id: Option<String>,
    line: String,
}

impl Client {
    /// One of so many that publish as much together as one alone.
    pub(crate) fn one_of(clients: usize) -> Self {
        let clients = u32::try_from(clients).expect("a few");
        Client {
            sent: Mutex::default(),
            pause: Duration::from_millis(20) * clients,
            is_newer: false,
        }
    }

    /// The same, where an older docent may run: it publishes what only the docent under test knows, too, where that one runs.
    pub(crate) fn newer(self, is_newer: bool) -> Self {
        Client { is_newer, ..self }
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().expect("nobody panicked with it")
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.sent().ids.clone()
    }

    /// Publishes until `over`; one `docent publish --stdin` after the other.
    pub(crate) fn publish(&self, world: &World, over: &AtomicBool, mut rng: Rng) {
        while !over.load(Ordering::SeqCst) {
            let mut child = world
                .command(["publish", "--stdin"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("the command line runs");
            let stdin = child.stdin.take().expect("it is piped");
            let answers = BufReader::new(child.stdout.take().expect("it is piped"));
            let under_way = Mutex::new(VecDeque::new());
            let mut refused = Vec::new();
            let kinds = match self.is_newer && world.is_current() {
                true => &["test.work", "test.later"][..],
                false => &["test.work"][..],
            };
            std::thread::scope(|scope| {
                let rng = rng.fork();
                let (under_way, made) = (&under_way, Submissions { kinds, rng });
                let refused = &mut refused;
                scope.spawn(move || self.send(stdin, under_way, over, made));
                for id in answers.lines() {
                    let id = id.expect("an id is text");
                    let sent: Option<Submission> = under_way
                        .lock()
                        .expect("nobody panicked with it")
                        .pop_front();
                    let sent = sent.expect("a line for each id");
                    if id.is_empty() {
                        refused.push(sent); // the store could not be written
                        continue;
                    }
                    assert!(sent.id.is_none_or(|own| own == id), "{id} for another");
                    self.sent().ids.push(id);
                }
            });
            let ended = child.wait().expect("it ends");
            assert!(ended.success() || over.load(Ordering::SeqCst) || ended.code() == Some(69));
            let unanswered = under_way.into_inner().expect("nobody panicked with it");
            let unpublished = refused.into_iter().chain(unanswered);
            let known = unpublished.filter(|sent| sent.id.is_some());
            self.sent().again.extend(known);
            // The daemon may not be there yet.
            pause(Duration::from_millis(20));
        }
    }

    /// Sends lines until nobody reads any more or it is over.
    fn send(
        &self,
        mut stdin: ChildStdin,
        under_way: &Mutex<VecDeque<Submission>>,
        over: &AtomicBool,
        mut made: Submissions,
    ) {
        while !over.load(Ordering::SeqCst) {
            for _ in 0..5 {
                let again = self.sent().again.pop_front();
                let next = again.unwrap_or_else(|| made.next());
                let line = next.line.clone();
                under_way
                    .lock()
                    .expect("nobody panicked with it")
                    .push_back(next);
                if stdin.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
            pause(self.pause);
        }
    }

    /// Every id that was printed is in the audit log exactly once, and no event is in it twice.
    pub(crate) fn compare_with(&self, audit: &[Value]) {
        let mut records: HashMap<&str, u32> = HashMap::new();
        for id in audit.iter().filter_map(|record| record["event"].as_str()) {
            *records.entry(id).or_default() += 1;
        }
        let twice: Vec<_> = records.iter().filter(|(_, count)| **count > 1).collect();
        assert!(
            twice.is_empty(),
            "in the audit log more than once: {twice:?}"
        );
        let ids = self.ids();
        let lost: Vec<_> = ids
            .iter()
            .filter(|id| !records.contains_key(id.as_str()))
            .collect();
        assert!(
            lost.is_empty(),
            "printed and not in the audit log: {lost:?}"
        );
        let unique: HashSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "an id was printed for two lines");
    }
}

/// Makes what is published.
struct Submissions {
    /// The types of work.
    kinds: &'static [&'static str],
    rng: Rng,
}

impl Submissions {
    fn next(&mut self) -> Submission {
        let rng = &mut self.rng;
        let id = rng.bool().then(|| {
            let digits = format!("{:032x}", rng.u128(..));
            format!(
                "{}-{}-4{}-8{}-{}",
                &digits[..8],
                &digits[8..12],
                &digits[13..16],
                &digits[17..20],
                &digits[20..]
            )
        });
        let mut event = match self.rng.u8(..4) {
            0 => {
                json!({"type": "report.written", "subject": "docs", "data": {"path": "report.txt", "number": self.rng.u32(..)}})
            }
            1 => self.work(json!({"end": "transient", "times": 1})),
            2 => self.work(json!({"end": "panic", "times": 1})),
            _ => self.work(json!({"sleep_ms": 30})),
        };
        if let Some(id) = &id {
            event["id"] = json!(id);
        }
        Submission {
            line: format!("{event}\n"),
            id,
        }
    }

    fn work(&mut self, data: Value) -> Value {
        let kind = self.rng.choice(self.kinds).expect("there is one");
        json!({"type": kind, "subject": format!("work/{}", self.rng.u8(..20)), "data": data})
    }
}

/// Fails at the first difference: whole lists would not be readable.
pub(crate) fn same(ours: &Value, theirs: &Value) {
    let documents = |known: &Value| known["documents"].as_array().expect("a list").clone();
    let (one, other) = (documents(ours), documents(theirs));
    let missing: Vec<_> = other.iter().filter(|d| !one.contains(d)).collect();
    let surplus: Vec<_> = one.iter().filter(|d| !other.contains(d)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "documents differ from those of a clean build; missing: {missing:?}; not in it: {surplus:?}"
    );
    assert_eq!(one.len(), other.len());
    assert_eq!(ours["chunks"], theirs["chunks"], "chunks");
    for (query, hits) in QUERIES.iter().enumerate() {
        let (one, other) = (&ours["hits"][query], &theirs["hits"][query]);
        assert!(
            other.as_array().is_some_and(|list| !list.is_empty()),
            "{hits} finds nothing"
        );
        assert_eq!(one, other, "{hits}");
    }
}

/// Says that it is over when it goes, also when a test fails: who waits for that must not wait for ever.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
