//! `kill -9` at random moments of an ingest: what a clean start makes of it is what a daemon knows that was never killed.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::corpus::{QUERIES, fill, markdown};
use crate::helper::World;
use crate::work::QUICK;

const FILES: usize = 300;
const KILLS: usize = 10;

/// How long a daemon may live, in milliseconds: half of them are killed while they start or scan.
const SHORT: std::ops::Range<u64> = 20..500;
const LONG: std::ops::Range<u64> = 500..2000;

#[test]
fn ten_kills_lose_nothing_and_double_nothing() {
    let seed = seed();
    println!("seed {seed} (DOCENT_TEST_SEED={seed} repeats its files, edits and events)");
    let mut rng = Rng::with_seed(seed);
    let world = World::new(QUICK);
    let mut files = Files {
        paths: fill(&world, &mut rng, FILES),
        made: 0,
    };
    let client = Client::default();
    let mut interrupted = 0;
    for round in 1..=KILLS {
        let moment = rng.u64(if round % 2 == 0 { SHORT } else { LONG });
        let before = client.ids().len();
        let edits = live(&world, &client, &mut files, (moment, rng.fork()));
        let owed = world.copy().owed();
        let published = client.ids().len() - before;
        interrupted += u64::from(owed > 0 && published > 0);
        println!(
            "kill {round} after {moment} ms: {owed} deliveries owed, {edits} edits, {published} ids printed"
        );
    }
    assert!(interrupted >= 3, "the kills hit nothing that was under way");
    assert!(client.ids().len() > 100, "hardly anything was published");

    let daemon = world.start();
    world.wait();
    world.settled();
    client.compare_with(&world.audit());
    let status = world.status();
    assert_eq!(status["bus"]["dead"], 0, "{status}");
    assert_eq!(status["freshness"]["failed"], 0, "{status}");
    let known = world.knowledge(QUERIES);
    let intact = world.get("/readyz");
    assert_eq!(intact.0, 200, "{}", intact.1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let effects = world.copy().effects();
    let wrong: Vec<_> = effects.iter().filter(|(_, count)| **count != 1).collect();
    assert!(wrong.is_empty(), "work done not once: {wrong:?}");
    same(&known, &world.clean_build(QUERIES));
    println!(
        "{} ids printed, {} documents, {} chunks",
        client.ids().len(),
        known["documents"].as_array().map_or(0, Vec::len),
        known["chunks"]
    );
}

fn seed() -> u64 {
    match std::env::var("DOCENT_TEST_SEED") {
        Ok(seed) => seed.parse().expect("DOCENT_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

/// One life of a daemon, while files are edited and events published; ended by a kill at `moment`. Gives how many edits.
fn live(world: &World, client: &Client, files: &mut Files, (moment, mut rng): (u64, Rng)) -> u32 {
    let over = AtomicBool::new(false);
    let daemon = world.spawn();
    std::thread::scope(|scope| {
        let events = rng.fork();
        let publisher = scope.spawn(|| client.publish(world, &over, events));
        let editor = scope.spawn(|| {
            let mut edits = 0;
            while !over.load(Ordering::SeqCst) {
                files.edit(world, &mut rng);
                edits += 1;
                pause(Duration::from_millis(15));
            }
            edits
        });
        // The one moment that is left to chance: it is what is tried here.
        pause(Duration::from_millis(moment));
        daemon.kill();
        over.store(true, Ordering::SeqCst);
        publisher.join().expect("the publisher ends");
        editor.join().expect("the editor ends")
    })
}

/// Waits for the whole of `time`: a thread of a scope that ends wakes the one that began it.
fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// The files of the world, as somebody edits them.
struct Files {
    paths: Vec<String>,
    made: usize,
}

impl Files {
    /// Changes something: rewrites, replaces, renames, removes or adds a file.
    fn edit(&mut self, world: &World, rng: &mut Rng) {
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
#[derive(Default)]
struct Client(Mutex<Sent>);

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
    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.0.lock().expect("nobody panicked with it")
    }

    fn ids(&self) -> Vec<String> {
        self.sent().ids.clone()
    }

    /// Publishes until `over`; one `docent publish --stdin` after the other.
    fn publish(&self, world: &World, over: &AtomicBool, mut rng: Rng) {
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
            std::thread::scope(|scope| {
                let (under_way, rng) = (&under_way, &mut rng);
                scope.spawn(move || self.send(stdin, under_way, over, rng));
                for id in answers.lines() {
                    let id = id.expect("an id is text");
                    let sent: Option<Submission> = under_way
                        .lock()
                        .expect("nobody panicked with it")
                        .pop_front();
                    let sent = sent.expect("a line for each id");
                    assert!(sent.id.is_none_or(|own| own == id), "{id} for another");
                    self.sent().ids.push(id);
                }
            });
            let ended = child.wait().expect("it ends");
            assert!(ended.success() || over.load(Ordering::SeqCst) || ended.code() == Some(69));
            let unanswered = under_way.into_inner().expect("nobody panicked with it");
            let known = unanswered.into_iter().filter(|sent| sent.id.is_some());
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
        rng: &mut Rng,
    ) {
        while !over.load(Ordering::SeqCst) {
            for _ in 0..5 {
                let again = self.sent().again.pop_front();
                let next = again.unwrap_or_else(|| submission(rng));
                let line = next.line.clone();
                under_way
                    .lock()
                    .expect("nobody panicked with it")
                    .push_back(next);
                if stdin.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
            pause(Duration::from_millis(20));
        }
    }

    /// Every id that was printed is in the audit log exactly once, and no event is in it twice.
    fn compare_with(&self, audit: &[Value]) {
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

fn submission(rng: &mut Rng) -> Submission {
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
    let mut event = match rng.u8(..4) {
        0 => {
            json!({"type": "report.written", "subject": "docs", "data": {"path": "report.txt", "number": rng.u32(..)}})
        }
        1 => work(rng, json!({"end": "transient", "times": 1})),
        2 => work(rng, json!({"end": "panic", "times": 1})),
        _ => work(rng, json!({"sleep_ms": 30})),
    };
    if let Some(id) = &id {
        event["id"] = json!(id);
    }
    Submission {
        line: format!("{event}\n"),
        id,
    }
}

fn work(rng: &mut Rng, data: Value) -> Value {
    json!({"type": "test.work", "subject": format!("work/{}", rng.u8(..20)), "data": data})
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
