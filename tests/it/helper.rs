//! What the tests share: a world with a daemon in it, the command line, and waiting for a condition with a deadline.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The binary under test, built with the feature `testing`.
pub(crate) const DOCENT: &str = env!("CARGO_BIN_EXE_docent");

/// How long a condition may take to come true. Generous: a test that passes does not wait for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A folder with a config, a tree of documents and a place for the daemon's data.
pub(crate) struct World {
    dir: TempDir,
    /// What is run in it.
    binary: Mutex<PathBuf>,
}

/// A daemon that runs in a world. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
}

impl World {
    /// A world whose config has one collection, `docs`, and `extra` at its end.
    pub(crate) fn new(extra: &str) -> World {
        let world = World {
            dir: tempfile::tempdir().expect("a temporary folder"),
            binary: Mutex::new(DOCENT.into()),
        };
        fs::create_dir(world.docs()).expect("the documents' folder");
        world.configure(extra);
        world
    }

    /// Writes the config anew with `extra` at its end.
    pub(crate) fn configure(&self, extra: &str) {
        let config = format!(
            "data_dir = \"data\"\n[bus]\nmode = \"embedded\"\n[[collection]]\nname = \"docs\"\npath = \"docs\"\n{extra}\n"
        );
        fs::write(self.config(), config).expect("the config");
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn docs(&self) -> PathBuf {
        self.dir.path().join("docs")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("docent.toml")
    }

    /// Where the agent `test` writes its lines.
    pub(crate) fn test_log(&self) -> PathBuf {
        self.dir.path().join("test.log")
    }

    /// What the daemons of this world have logged, the newest last.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("daemon.log")).unwrap_or_default()
    }

    /// Writes a document, its folders too.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.docs().join(path);
        fs::create_dir_all(path.parent().expect("a document has a folder"))
            .expect("the folder of a document");
        fs::write(path, text).expect("a document");
    }

    /// Starts a daemon and waits until it is ready.
    pub(crate) fn start(&self) -> Daemon {
        let daemon = self.spawn();
        self.until("the daemon is running", || {
            self.cli(["status", "--json"])
                .json()
                .is_some_and(|s| s["state"] != "starting")
        });
        daemon
    }

    /// Starts a daemon and does not wait.
    pub(crate) fn spawn(&self) -> Daemon {
        self.spawn_as(self.command(["run"]))
    }

    /// Starts a daemon by a command of the caller's and does not wait.
    pub(crate) fn spawn_as(&self, mut command: Command) -> Daemon {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("daemon.log"));
        let child = command
            .env("DOCENT_TEST_LOG", self.test_log())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the daemon's log"))
            .spawn()
            .expect("the daemon starts");
        Daemon { child }
    }

    /// Runs another docent from now on.
    pub(crate) fn install(&self, binary: &Path) {
        binary.clone_into(&mut self.binary());
    }

    /// Whether it is the docent under test.
    pub(crate) fn is_current(&self) -> bool {
        *self.binary() == Path::new(DOCENT)
    }

    fn binary(&self) -> MutexGuard<'_, PathBuf> {
        self.binary.lock().expect("nobody panicked with it")
    }

    /// The command line of this world's config.
    pub(crate) fn command<I: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
    ) -> Command {
        let mut command = Command::new(&*self.binary());
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .env("NO_COLOR", "1")
            .env_remove("DOCENT_CONFIG")
            .env_remove("DOCENT_TEST_LOG");
        command
    }

    /// Runs a daemon that ends by itself: its exit code and what it said.
    pub(crate) fn refused(&self) -> (i32, String) {
        let before = self.log().len();
        let code = self.spawn().ended().expect("it ended by itself");
        (code, self.log().split_off(before))
    }

    /// Runs a verb to its end.
    pub(crate) fn cli<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Waits until every change that is on disk now is searchable.
    pub(crate) fn wait(&self) {
        let run = self.cli(["wait", "--timeout", "120s"]);
        assert_eq!(run.code(), 0, "{}\n{}", run.stderr(), self.log());
    }

    /// The daemon's status.
    pub(crate) fn status(&self) -> Value {
        let run = self.cli(["status", "--json"]);
        run.json()
            .unwrap_or_else(|| panic!("no status: {}\n{}", run.stderr(), self.log()))
    }

    /// The paths of the hits of a search, best first.
    pub(crate) fn search(&self, query: &str) -> Vec<String> {
        let run = self.cli(["search", query, "--json", "--limit", "50"]);
        let found = run
            .json()
            .unwrap_or_else(|| panic!("no answer: {}\n{}", run.stderr(), self.log()));
        let hits = found["hits"].as_array().expect("hits is a list");
        hits.iter()
            .map(|hit| hit["path"].as_str().expect("a path is text").to_owned())
            .collect()
    }

    /// Every file that the daemon lists, by its path.
    pub(crate) fn documents(&self) -> BTreeMap<String, Value> {
        let run = self.cli(["documents", "--json"]);
        let listed = run
            .json()
            .unwrap_or_else(|| panic!("no list: {}\n{}", run.stderr(), self.log()));
        let documents = listed["documents"].as_array().expect("a list").iter();
        documents
            .map(|d| (d["path"].as_str().expect("a path").to_owned(), d.clone()))
            .collect()
    }

    /// The events of a type, newest first.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let run = self.cli([
            "events", "list", "--json", "--type", kind, "--limit", "1000",
        ]);
        assert_eq!(run.code(), 0, "{}", run.stderr());
        lines(&run.stdout())
    }

    /// What the daemon knows, without what depends on its history: documents and the hits of some searches. Two daemons that
    /// know the same files give the same.
    pub(crate) fn knowledge(&self, queries: &[&str]) -> Value {
        let documents = self.cli(["documents", "--json"]).json().expect("documents");
        let mut documents = documents["documents"]
            .as_array()
            .expect("documents is a list")
            .clone();
        for document in &mut documents {
            // How often a file changed on the way is history.
            document
                .as_object_mut()
                .expect("a document is an object")
                .remove("version");
        }
        let hits = |query: &&str| {
            let run = self.cli(["search", query, "--json", "--limit", "50"]);
            let answer = run.json();
            let answer =
                answer.unwrap_or_else(|| panic!("no answer: {}\n{}", run.stderr(), self.log()));
            answer["hits"].clone()
        };
        let hits: Vec<Value> = queries.iter().map(hits).collect();
        let chunks = self.status()["chunks"].clone();
        serde_json::json!({"documents": documents, "hits": hits, "chunks": chunks})
    }

    /// The knowledge of a new daemon, with a store of its own, that sees these files for the first time.
    pub(crate) fn clean_build(&self, queries: &[&str]) -> Value {
        let fresh = World {
            dir: tempfile::tempdir().expect("a temporary folder"),
            binary: Mutex::new(DOCENT.into()),
        };
        let config = fs::read_to_string(self.config()).expect("the config");
        let docs = self.docs();
        let config = config.replace("mode = \"auto\"", "mode = \"embedded\"");
        let config = config.replace("mode = \"redis\"", "mode = \"embedded\"");
        let lines = config
            .lines()
            .filter(|line| !line.starts_with("url = \"postgres") && !line.starts_with("tls = "));
        let config: String = lines.flat_map(|line| [line, "\n"]).collect();
        let config = config.replace(
            "path = \"docs\"",
            &format!("path = {:?}", docs.to_str().expect("a plain path")),
        );
        fs::write(fresh.config(), config).expect("the config");
        let daemon = fresh.start();
        fresh.wait();
        let knowledge = fresh.knowledge(queries);
        assert_eq!(daemon.stop(), Some(0), "{}", fresh.log());
        knowledge
    }

    /// The subjects and ids of the audit log's records, oldest first, and that the chain holds.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let verify = self.cli(["audit", "verify"]);
        assert_eq!(verify.code(), 0, "{}", verify.stderr());
        lines(&self.cli(["audit", "list", "--json"]).stdout())
    }

    /// Waits until `condition` holds, or fails saying what did not come true.
    pub(crate) fn until(&self, what: &str, condition: impl FnMut() -> bool) {
        self.until_within(DEADLINE, what, condition);
    }

    /// The same for what may take longer.
    pub(crate) fn until_within(
        &self,
        patience: Duration,
        what: &str,
        mut condition: impl FnMut() -> bool,
    ) {
        let deadline = Instant::now() + patience;
        while !condition() {
            assert!(
                Instant::now() < deadline,
                "not within {patience:?}: {what}\n{}",
                self.log()
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Waits until no agent owes anything.
    pub(crate) fn settled(&self) {
        self.until_within(3 * DEADLINE, "nothing is owed", || {
            let bus = self.status()["bus"].clone();
            bus["owed"] == 0 && bus["in_flight"] == 0
        });
    }
}

impl Daemon {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid fits")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// SIGTERM, and the exit code; `None` if a signal ended it.
    pub(crate) fn stop(self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("the daemon is gone");
    }

    /// Waits for its end; the exit code, or `None` if a signal ended it.
    pub(crate) fn ended(mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the daemon can be waited for") {
                assert!(status.code().is_some() || status.signal().is_some());
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "the daemon does not end within {DEADLINE:?}"
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the daemon can be waited for")
            .is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that failed must not leave it behind; one that is gone already cannot be killed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends a signal to a process that was started here.
pub(crate) fn signal(child: &Child, name: &str) {
    let signal = match name {
        "TERM" => Signal::TERM,
        "HUP" => Signal::HUP,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        "QUIT" => Signal::QUIT,
        other => panic!("no test sends {other}"),
    };
    kill_process(Pid::from_child(child), signal).expect("the signal is sent");
}

/// The JSON objects of an output that has one a line.
pub(crate) fn lines(output: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("a line is JSON");
    output.lines().map(parse).collect()
}

/// A verb that ran to its end.
pub(crate) struct Run(Output);

impl Run {
    /// Runs this command to its end.
    pub(crate) fn of(command: &mut Command) -> Run {
        Run(command
            .stdin(Stdio::null())
            .output()
            .expect("the command line runs"))
    }

    pub(crate) fn code(&self) -> i32 {
        self.0
            .status
            .code()
            .expect("the command line ended by itself")
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("the output is text")
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The output as JSON, if it is.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.0.stdout).ok()
    }
}
