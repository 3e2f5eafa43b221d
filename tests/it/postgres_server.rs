//! A real PostgreSQL in a folder of its own, and what can be done to it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::helper::{DEADLINE, signal};

/// A server that this test alone uses, with an empty database `docent` of the user `docent`. Stopped when dropped.
pub(crate) struct PostgresServer {
    dir: TempDir,
    child: Option<Child>,
}

impl PostgresServer {
    /// One that listens on a socket alone.
    pub(crate) fn start() -> PostgresServer {
        let mut server = PostgresServer::absent();
        server.appear();
        server.psql("CREATE DATABASE docent");
        server
    }

    /// One that does not run yet.
    pub(crate) fn absent() -> PostgresServer {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        if rustix::process::geteuid().is_root() {
            // It does not run as root.
            let user = uid_of("postgres");
            chown(dir.path(), Some(user), None).expect("root may");
        }
        let server = PostgresServer { dir, child: None };
        let made = server
            .program("initdb")
            .args([
                "-A",
                "trust",
                "-U",
                "docent",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-D",
            ])
            .arg(server.data())
            .output()
            .expect("initdb runs; install it: apt-get install postgresql");
        assert!(made.status.success(), "{made:?}");
        server
    }

    /// A program of the server's, as a user who is not root.
    fn program(&self, name: &str) -> Command {
        let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .expect("PostgreSQL is installed: apt-get install postgresql")
            .map(|entry| entry.expect("an entry").path().join("bin"))
            .collect();
        folders.sort();
        let path = folders.last().expect("a version").join(name);
        let mut command = match rustix::process::geteuid().is_root() {
            false => Command::new(path),
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
                command.arg(path);
                command
            }
        };
        command.current_dir(self.dir.path());
        command
    }

    /// Its folder of data.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts it and waits until it answers.
    pub(crate) fn appear(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("server.log"))
            .expect("the server's log");
        let child = self
            .program("postgres")
            .args(["-c", "listen_addresses=", "-k"])
            .arg(self.dir.path())
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("PostgreSQL starts");
        self.child = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while !self.asked("postgres", "SELECT 1").status.success() {
            assert!(Instant::now() < deadline, "PostgreSQL does not answer");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a crash would: the next start recovers from its log.
    pub(crate) fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, "QUIT");
            child.wait().expect("it is gone");
        }
    }

    /// The URL of docent's database.
    pub(crate) fn url(&self) -> String {
        self.url_of("docent")
    }

    /// The URL of a database.
    pub(crate) fn url_of(&self, database: &str) -> String {
        let folder = self.dir.path().to_str().expect("a plain path");
        format!(
            "postgres://docent@{}/{database}",
            folder.replace('/', "%2F")
        )
    }

    fn asked(&self, database: &str, statement: &str) -> Output {
        Command::new("psql")
            .args([
                "-qAtX",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "docent",
                "-d",
                database,
                "-c",
                statement,
                "-h",
            ])
            .arg(self.dir.path())
            .output()
            .expect("psql runs; install it: apt-get install postgresql")
    }

    fn said(output: Output) -> String {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What it answers in the database `postgres`.
    pub(crate) fn psql(&self, statement: &str) -> String {
        Self::said(self.asked("postgres", statement))
    }

    /// What it answers in docent's database.
    pub(crate) fn query(&self, statement: &str) -> String {
        Self::said(self.asked("docent", statement))
    }

    /// How often the agent `test` did the work of each event, as far as it was applied.
    pub(crate) fn effects(&self) -> HashMap<String, usize> {
        let rows = self.query(
            "SELECT e.id, COUNT(*) FROM test_effect t JOIN event e ON e.seq = t.event GROUP BY e.id",
        );
        let row = |line: &str| {
            let (id, count) = line.split_once('|').expect("two columns");
            (id.to_owned(), count.parse().expect("a number"))
        };
        rows.lines().map(row).collect()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The number of a user of this machine.
fn uid_of(name: &str) -> u32 {
    let id = Command::new("id")
        .args(["-u", name])
        .output()
        .expect("id runs");
    let text = String::from_utf8(id.stdout).expect("a number");
    text.trim()
        .parse()
        .expect("the user postgres is there; install it: apt-get install postgresql")
}
