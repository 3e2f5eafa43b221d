//! A real `redis-server` for unit tests, on a Unix socket in a folder of its own.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::RedisSettings;
use crate::event::Known;

/// A Redis that keeps nothing. Killed when dropped.
pub(crate) struct TestRedis {
    dir: tempfile::TempDir,
    child: Child,
}

impl TestRedis {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(dir.path().join("redis.sock"))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts; install it: apt-get install redis-server");
        let redis = TestRedis { dir, child };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !redis.run(&["PING"]).status.success() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::yield_now();
        }
        redis
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("redis-cli")
            .arg("-s")
            .arg(self.dir.path().join("redis.sock"))
            .args(arguments)
            .output()
            .expect("redis-cli runs; install it: apt-get install redis-tools")
    }

    /// What Redis answers to a command.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.run(arguments).stdout).into_owned()
    }

    /// RedisSettings with small bounds, so that a test meets them.
    pub(crate) fn settings(&self) -> RedisSettings {
        let url = format!(
            "redis+unix://{}",
            self.dir.path().join("redis.sock").display()
        );
        RedisSettings {
            shown: url.clone(),
            url,
            namespace: "docent".to_owned(),
            group: "docent".to_owned(),
            instance: "lab".to_owned(),
            block_time: Duration::from_millis(30),
            window: 4,
            window_per_subject: 2,
            journal_entries: 100,
            journal_bytes: 1 << 20,
            ingress_dead: 100,
            known: Known {
                collections: vec!["docs".to_owned()],
                jobs: Vec::new(),
            },
            event_size: 65536,
            backoff_max: Duration::from_millis(4),
            falls_back: false,
        }
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
