//! A real PostgreSQL for unit tests, on a Unix socket in a folder of its own, and a database of it for each store.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::super::{Database, Trust};

/// Starts a cluster in the folder `$1` and ends it, and the folder with it, when its input ends: with the process of the tests.
const CLUSTER: &str = r#"
cd "$1" || exit 1
as= # a command of its own, so that $! is the server
[ "$(id -u)" -ne 0 ] || as='setpriv --reuid=postgres --regid=postgres --clear-groups'
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
$as "$bin/initdb" -D "$1/data" -A trust -U docent -E UTF8 --locale=C.UTF-8 --no-sync >"$1/log" 2>&1 || { cat "$1/log" >&2; exit 1; }
$as "$bin/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c max_connections=400 >>"$1/log" 2>&1 &
cat >/dev/null
kill -QUIT $!
wait
rm -rf "$1"
"#;

/// The cluster of this process.
#[expect(
    clippy::zombie_processes,
    reason = "it ends when this process does, which nothing in it would wait for"
)]
fn cluster() -> &'static Path {
    static CLUSTER_FOLDER: OnceLock<PathBuf> = OnceLock::new();
    CLUSTER_FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        if let Some(user) = uzers::get_user_by_name("postgres").filter(|_| is_root()) {
            chown(&folder, Some(user.uid()), Some(user.primary_group_id())).unwrap();
        }
        let mut child = Command::new("sh")
            .args(["-c", CLUSTER, "sh"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        std::mem::forget(child.stdin.take()); // it is closed when the process ends
        let deadline = Instant::now() + Duration::from_secs(60);
        while psql(&folder, "SELECT 1").is_err() {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "PostgreSQL does not answer; install it: apt-get install postgresql"
            );
            std::thread::yield_now();
        }
        folder
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What the server answers to statements.
fn psql(folder: &Path, statements: &str) -> Result<String, String> {
    let mut child = Command::new("psql")
        .args([
            "-qAtX",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "docent",
            "-d",
            "postgres",
            "-h",
        ])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("psql: {error}; install it: apt-get install postgresql"))?;
    let mut input = child.stdin.take().unwrap();
    input.write_all(statements.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A database that nobody else uses.
#[derive(Debug, Clone)]
pub(crate) struct TestDatabase(String);

impl TestDatabase {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("d{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        psql(cluster(), &format!("CREATE DATABASE {name}")).unwrap();
        TestDatabase(name)
    }

    /// How docent reaches it.
    pub(crate) fn reached(&self) -> Database {
        let folder = cluster().to_str().unwrap().replace('/', "%2F");
        let url = format!("postgres://docent@{folder}/{}", self.0);
        Database::new(&url, None, Trust::Plain).unwrap()
    }

    /// The same, where another server is named before its own.
    pub(crate) fn url_after(&self, address: SocketAddr) -> String {
        let folder = cluster().to_str().unwrap().replace('/', "%2F");
        format!("postgres://docent@{address},{folder}/{}", self.0)
    }

    /// Runs statements in it, as another program.
    pub(crate) fn run(&self, statements: &str) -> String {
        psql(cluster(), &format!("\\connect {}\n{statements}", self.0)).unwrap()
    }

    /// Ends all sessions that others have in it, and waits until they have ended.
    pub(crate) fn cut(&self) {
        psql(
            cluster(),
            &format!(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'",
                self.0
            ),
        )
        .unwrap();
    }
}
