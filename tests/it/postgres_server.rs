//! A real PostgreSQL in a folder of its own, and what can be done to it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::certificate;
use crate::helper::{DEADLINE, signal};
use crate::small::{self, Small};

/// The password over the network.
pub(crate) const PASSWORD: &str = "hunter2-of-the-test";

/// A server that this test alone uses, with an empty database `docent` of the user `docent`. Stopped when dropped.
pub(crate) struct PostgresServer {
    /// The file system that its folder is; it goes before the folder does.
    small: Option<Small>,
    dir: TempDir,
    /// Where it listens besides its socket.
    port: Option<u16>,
    /// Who docent is there.
    user: &'static str,
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

    /// One on which docent is a user whose connections can be limited.
    pub(crate) fn limited() -> PostgresServer {
        let mut server = PostgresServer::start();
        server.user = "limited";
        server.psql("CREATE ROLE limited LOGIN");
        server.psql("ALTER DATABASE docent OWNER TO limited");
        server
    }

    /// One that also listens on a port of this machine, with TLS, a certificate for `names`, and a password.
    pub(crate) fn secured(names: &str) -> PostgresServer {
        let mut server = PostgresServer::absent();
        certificate::issue(server.dir.path(), names);
        let key = server.dir.path().join("server.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
        server.own(&key);
        fs::write(
            server.data().join("pg_hba.conf"),
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        )
        .expect("who may connect");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        server.port = Some(free.expect("a free port").port());
        server.appear();
        server.psql("CREATE DATABASE docent");
        server.psql(&format!("ALTER USER docent PASSWORD '{PASSWORD}'"));
        server
    }

    /// Gives a file to the user that the server runs as: it does not run as root.
    fn own(&self, path: &Path) {
        if rustix::process::geteuid().is_root() {
            chown(path, Some(uid_of("postgres")), None).expect("root may");
        }
    }

    /// The certificate of the authority that a secured one is of.
    pub(crate) fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The URL of docent's database over the network.
    pub(crate) fn network_url(&self) -> String {
        let port = self.port.expect("it listens on a port");
        format!("postgres://docent@localhost:{port}/docent")
    }

    /// One whose disk can be filled. Only root can make it.
    pub(crate) fn small() -> PostgresServer {
        let mut server = PostgresServer::nothing();
        server.small = Some(Small::mount(server.dir.path(), "256m"));
        server.own(server.dir.path());
        server.make();
        server.appear();
        server.psql("CREATE DATABASE docent");
        server.psql("ALTER SYSTEM SET max_wal_size = '64MB'");
        server.reload();
        server
    }

    /// Fills its disk; gives what fills it.
    pub(crate) fn fill(&self) -> PathBuf {
        let ballast = self.dir.path().join("ballast");
        small::fill(&ballast);
        ballast
    }

    /// Starts it again if it has ended by itself, as a service manager does.
    pub(crate) fn runs_again(&mut self) {
        let child = self.child.as_mut().expect("it was started");
        if child.try_wait().expect("it can be waited for").is_some() {
            self.appear();
        }
    }

    /// A folder for one.
    fn nothing() -> PostgresServer {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let server = PostgresServer {
            small: None,
            dir,
            port: None,
            user: "docent",
            child: None,
        };
        server.own(server.dir.path());
        server
    }

    /// One that does not run yet.
    pub(crate) fn absent() -> PostgresServer {
        let server = PostgresServer::nothing();
        server.make();
        server
    }

    /// Makes its data.
    fn make(&self) {
        let made = self
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
            .arg(self.data())
            .output()
            .expect("initdb runs; install it: apt-get install postgresql");
        assert!(made.status.success(), "{made:?}");
    }

    /// A program of the server's, as a user who is not root.
    fn program(&self, name: &str) -> Command {
        let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .expect("PostgreSQL is installed: apt-get install postgresql")
            .map(|entry| entry.expect("an entry").path().join("bin"))
            .collect();
        folders.sort();
        let path = folders.last().expect("a version").join(name);
        let mut command = unprivileged(path);
        command.current_dir(self.dir.path());
        command
    }

    /// A pooler of transactions before it, and docent's database behind that. `ignores`: it drops settings that it does not know
    /// in place of refusing them.
    pub(crate) fn pooler(&self, ignores: bool) -> (Pooler, String) {
        let folder = self.dir.path().join(format!("pool-{ignores}"));
        fs::create_dir(&folder).expect("a folder");
        self.own(&folder);
        let config = folder.join("pgbouncer.ini");
        let ignored = if ignores { "options" } else { "" };
        fs::write(
            &config,
            format!(
                "[databases]\ndocent = host={} dbname=docent user=docent\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\n\
                 unix_socket_dir = {}\nauth_type = any\npool_mode = transaction\nignore_startup_parameters = {ignored}\n",
                self.dir.path().display(),
                folder.display(),
            ),
        )
        .expect("the pooler's config");
        let mut command = unprivileged("/usr/sbin/pgbouncer");
        let child = command.arg("-q").arg(&config).spawn();
        let pooler =
            Pooler(child.expect("pgbouncer starts; install it: apt-get install pgbouncer"));
        let deadline = Instant::now() + DEADLINE;
        while !folder.join(".s.PGSQL.6432").exists() {
            assert!(Instant::now() < deadline, "pgbouncer does not listen");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let host = folder.to_str().expect("a plain path").replace('/', "%2F");
        (pooler, format!("postgres://docent@{host}:6432/docent"))
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
        let mut program = self.program("postgres");
        match self.port {
            None => program.args(["-c", "listen_addresses="]),
            Some(port) => program
                .args(["-c", "listen_addresses=localhost", "-c", "ssl=on"])
                .args(["-c", &format!("port={port}")])
                .args([
                    "-c",
                    "ssl_cert_file=../server.pem",
                    "-c",
                    "ssl_key_file=../server.key",
                ]),
        };
        let child = program
            .arg("-k")
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

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        let name = format!(".s.PGSQL.{}", self.port.unwrap_or(5432));
        self.dir.path().join(name)
    }

    /// A standby of it that has every commit before anybody is told of it.
    pub(crate) fn standby(&self) -> PostgresServer {
        let mut standby = PostgresServer::nothing();
        let from = format!(
            "host={} user=docent application_name=standby",
            self.dir.path().display()
        );
        let made = standby
            .program("pg_basebackup")
            .args(["-R", "--no-sync", "-c", "fast", "-d", &from, "-D"])
            .arg(standby.data())
            .output()
            .expect("pg_basebackup runs; install it: apt-get install postgresql");
        assert!(made.status.success(), "{made:?}");
        standby.appear();
        self.psql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
        self.reload();
        standby
    }

    /// It hears of no commit any more, and nobody waits until it has.
    pub(crate) fn falls_behind(&self, primary: &PostgresServer) {
        primary.psql("ALTER SYSTEM RESET synchronous_standby_names");
        primary.reload();
        self.psql("ALTER SYSTEM SET primary_conninfo = ''");
        self.reload();
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        assert_eq!(self.psql("SELECT pg_promote()").trim(), "t");
    }

    /// Lets its settings count.
    pub(crate) fn reload(&self) {
        self.psql("SELECT pg_reload_conf()");
    }

    /// Ends the sessions in docent's database.
    pub(crate) fn end_sessions(&self) {
        self.psql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'docent'");
    }

    /// Its folder, as a host in a URL.
    pub(crate) fn folder(&self) -> String {
        let folder = self.dir.path().to_str().expect("a plain path");
        folder.replace('/', "%2F")
    }

    /// The URL of docent's database on another server or here, whichever can be written.
    pub(crate) fn url_after(&self, other: &str) -> String {
        let here = self.folder();
        format!("postgres://docent@{other},{here}/docent?target_session_attrs=read-write")
    }

    /// The URL of docent's database.
    pub(crate) fn url(&self) -> String {
        self.url_of("docent")
    }

    /// The URL of a database.
    pub(crate) fn url_of(&self, database: &str) -> String {
        format!("postgres://{}@{}/{database}", self.user, self.folder())
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
                "-p",
                &self.port.unwrap_or(5432).to_string(),
                "-h",
            ])
            .arg(self.dir.path())
            .env("PGOPTIONS", "-c default_transaction_read_only=off")
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

/// A pooler. Killed when dropped.
pub(crate) struct Pooler(Child);

impl Drop for Pooler {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A program that does not run as root.
fn unprivileged(program: impl AsRef<OsStr>) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(program);
    command
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
