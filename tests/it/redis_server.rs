//! A real `redis-server` on a Unix socket in a folder of its own, and what can be done to it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::helper::{DEADLINE, World, signal};

/// A Redis that this test alone uses. Killed when dropped.
pub(crate) struct RedisServer {
    dir: TempDir,
    options: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// One that keeps nothing on disk.
    pub(crate) fn start() -> RedisServer {
        RedisServer::start_with(&["--save", "", "--appendonly", "no"])
    }

    /// One with these options.
    pub(crate) fn start_with(options: &[&str]) -> RedisServer {
        let mut server = RedisServer::absent(options);
        server.appear();
        server
    }

    /// One that does not run yet.
    pub(crate) fn absent(options: &[&str]) -> RedisServer {
        RedisServer {
            dir: tempfile::tempdir().expect("a temporary folder"),
            options: options.iter().map(|&o| o.to_owned()).collect(),
            child: None,
        }
    }

    /// Starts it and waits until it answers.
    pub(crate) fn appear(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", "0", "--daemonize", "no", "--dir"])
            .arg(self.dir.path())
            .arg("--unixsocket")
            .arg(self.socket())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts; install it: apt-get install redis-server");
        self.child = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while self.try_cli(&["PING"]).as_deref() != Some("PONG\n") {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill -9");
            child.wait().expect("it is gone");
        }
    }

    /// Stops it without its knowing, as a frozen host does.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("it runs");
        signal(child, name);
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    fn try_cli(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(arguments)
            .output()
            .expect("redis-cli runs; install it: apt-get install redis-tools");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What Redis answers.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        self.try_cli(arguments)
            .unwrap_or_else(|| panic!("redis-cli {arguments:?} failed"))
    }

    /// The lines of an answer.
    pub(crate) fn lines(&self, arguments: &[&str]) -> Vec<String> {
        self.cli(arguments).lines().map(str::to_owned).collect()
    }

    /// A number.
    pub(crate) fn number(&self, arguments: &[&str]) -> u64 {
        let answer = self.cli(arguments);
        answer
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{arguments:?}: not a number: {answer}"))
    }

    /// How many entries of this inbox are pending.
    pub(crate) fn pending(&self, agent: &str) -> u64 {
        let lines = self.lines(&["XPENDING", &inbox(agent), "docent"]);
        match lines.first().and_then(|line| line.parse().ok()) {
            Some(pending) => pending,
            None => panic!("XPENDING of {agent}: {lines:?}"),
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The six agents and the one that faults are tried on.
pub(crate) const AGENTS: &[&str] = &[
    "change_detection",
    "document_management",
    "rag",
    "logging_audit",
    "scheduler",
    "self_healing",
    "test",
];

/// The key of an agent's inbox.
pub(crate) fn inbox(agent: &str) -> String {
    format!("docent:{{{agent}}}:inbox")
}

impl World {
    /// A world whose daemons use this Redis in this mode.
    pub(crate) fn on_redis(server: &RedisServer, mode: &str, extra: &str) -> World {
        World::on_redis_at(&server.url(), mode, extra)
    }

    /// A world whose daemons reach their Redis there, in this mode.
    pub(crate) fn on_redis_at(url: &str, mode: &str, extra: &str) -> World {
        let world = World::new(&format!("{extra}\n[redis]\nurl = {url:?}"));
        world.top("instance = \"lab\"");
        world.mode(mode);
        world
    }

    /// Sets `[bus] mode`.
    pub(crate) fn mode(&self, mode: &str) {
        let config = fs::read_to_string(self.config()).expect("the config");
        let config = config.replace("mode = \"embedded\"", &format!("mode = {mode:?}"));
        fs::write(self.config(), config).expect("the config");
    }

    /// Waits until this carries.
    pub(crate) fn until_carried_by(&self, active: &str) {
        self.until(&format!("{active} carries"), || {
            self.status()["bus"]["active"] == active
        });
    }
}
