//! What the tests of faults share: `test.work` and its log, raw requests over the control socket, a look into the store.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helper::World;

/// Faults are over quickly: short backoffs, a handler that stands still is stopped after two seconds.
pub(crate) const QUICK: &str = r#"
[delivery]
backoff_min = "10ms"
backoff_max = "100ms"
stall_timeout = "2s"
[supervisor]
restart_backoff_min = "10ms"
restart_backoff_max = "100ms"
[health]
probe = "1s"
"#;

/// A line of the log of the agent `test`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// It begins; else it is over.
    pub(crate) start: bool,
    /// It panicked or was stopped.
    pub(crate) left: bool,
    pub(crate) event: String,
    pub(crate) subject: String,
    pub(crate) attempt: u32,
    /// Which run of the agent, from 1.
    pub(crate) run: u64,
    /// On a clock that all runs share.
    pub(crate) nanos: u128,
}

/// A copy of a store, as a reader that never touches the original.
pub(crate) struct Copy {
    connection: Connection,
    _folder: TempDir,
}

impl World {
    /// Puts `line` at the top of the config, where keys without a table stand.
    pub(crate) fn top(&self, line: &str) {
        let config = fs::read_to_string(self.config()).expect("the config");
        fs::write(self.config(), format!("{line}\n{config}")).expect("the config");
    }

    /// Publishes `test.work`; its id.
    pub(crate) fn work(&self, subject: &str, data: Value) -> String {
        let data = data.to_string();
        let run = self.cli([
            "publish",
            "test.work",
            "--subject",
            subject,
            "--data",
            &data,
        ]);
        assert_eq!(run.code(), 0, "{}\n{}", run.stderr(), self.log());
        run.stdout().trim().to_owned()
    }

    /// Publishes many `test.work` in this order; their ids.
    pub(crate) fn works(&self, events: &[(String, Value)]) -> Vec<String> {
        let mut child = self
            .command(["publish", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command line runs");
        let mut lines = String::new();
        for (subject, data) in events {
            let line = json!({"type": "test.work", "subject": subject, "data": data});
            lines.push_str(&format!("{line}\n"));
        }
        let mut stdin = child.stdin.take().expect("it is piped");
        // Fewer lines than a pipe and the daemon take without an answer being read.
        stdin.write_all(lines.as_bytes()).expect("it reads");
        drop(stdin);
        let done = child.wait_with_output().expect("it ends");
        assert!(done.status.success(), "{}", self.log());
        let ids: Vec<String> = String::from_utf8(done.stdout)
            .expect("ids are text")
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(ids.len(), events.len());
        ids
    }

    /// What the agent `test` has logged of handlers that began, and of those that ended.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = self.flights();
        lines.retain(|line| line.start || !line.left);
        lines
    }

    /// The same, and when those were over that panicked or were stopped.
    pub(crate) fn flights(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.test_log()).unwrap_or_default();
        text.lines().map(Line::parse).collect()
    }

    /// How often the agent `test` began to handle this event.
    pub(crate) fn starts(&self, event: &str) -> usize {
        let of_event = |line: &&Line| line.start && line.event == event;
        self.lines().iter().filter(of_event).count()
    }

    /// What `agent` owes this event: state, attempts, errors.
    pub(crate) fn delivery(&self, event: &str, agent: &str) -> Value {
        let run = self.cli(["events", "show", event, "--json"]);
        let shown = run
            .json()
            .unwrap_or_else(|| panic!("no event: {}\n{}", run.stderr(), self.log()));
        let deliveries = shown["deliveries"]
            .as_array()
            .expect("deliveries is a list");
        deliveries
            .iter()
            .find(|delivery| delivery["agent"] == agent)
            .unwrap_or_else(|| panic!("{agent} owes nothing: {shown}"))
            .clone()
    }

    /// Waits until the delivery of this event to the agent `test` is in `state`; gives it.
    pub(crate) fn until_work(&self, event: &str, state: &str) -> Value {
        let what = format!("{event} is {state}");
        self.until(&what, || self.delivery(event, "test")["state"] == state);
        self.delivery(event, "test")
    }

    /// How an agent stands, by `agent list`.
    pub(crate) fn agent(&self, name: &str) -> Value {
        let run = self.cli(["agent", "list", "--json"]);
        let list = run
            .json()
            .unwrap_or_else(|| panic!("no agents: {}\n{}", run.stderr(), self.log()));
        let agents = list["agents"].as_array().expect("agents is a list");
        agents
            .iter()
            .find(|agent| agent["name"] == name)
            .expect("the agent is listed")
            .clone()
    }

    /// Waits until the audit log has `count` records of this type; gives them, oldest first.
    pub(crate) fn until_audited(&self, kind: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} times {kind} in the audit log");
        self.until(&what, || self.audited(kind).len() >= count);
        let records = self.audited(kind);
        assert_eq!(records.len(), count, "{records:?}");
        records
    }

    /// The records of the audit log of this type, oldest first.
    pub(crate) fn audited(&self, kind: &str) -> Vec<Value> {
        let mut records = self.audit();
        records.retain(|record| record["type"] == kind);
        records
    }

    /// The status and the body of the answer to a GET over the control socket.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut socket = UnixStream::connect(self.data().join("docent.sock")).expect("the socket");
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: docent\r\nConnection: close\r\n\r\n"
        )
        .expect("the daemon reads");
        let mut answer = String::new();
        socket
            .read_to_string(&mut answer)
            .expect("the daemon answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }

    /// A copy of the store as it is on disk. Only while no daemon runs.
    pub(crate) fn copy(&self) -> Copy {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["store.db", "store.db-wal"] {
            let from = self.data().join(name);
            if from.exists() {
                fs::copy(from, folder.path().join(name)).expect("a copy of the store");
            }
        }
        let connection = Connection::open(folder.path().join("store.db")).expect("a store");
        Copy {
            connection,
            _folder: folder,
        }
    }
}

impl Line {
    fn parse(line: &str) -> Line {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, event, subject, attempt, run, nanos] = words[..] else {
            panic!("not a line of the test's log: {line}");
        };
        Line {
            start: what == "start",
            left: what == "left",
            event: event.to_owned(),
            subject: subject.to_owned(),
            attempt: attempt.parse().expect("an attempt"),
            run: run.parse().expect("a run"),
            nanos: nanos.parse().expect("a moment"),
        }
    }
}

impl Copy {
    /// One number.
    pub(crate) fn count(&self, sql: &str) -> u64 {
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// How many deliveries are owed; none in a store that was killed before it had tables.
    pub(crate) fn owed(&self) -> u64 {
        match self.count("SELECT COUNT(*) FROM sqlite_master WHERE name = 'delivery'") {
            0 => 0,
            _ => self.count("SELECT COUNT(*) FROM delivery WHERE state = 'owed'"),
        }
    }

    /// How often the effect of each `test.work` is in the store, by the event's id.
    pub(crate) fn effects(&self) -> HashMap<String, u64> {
        let sql = "SELECT e.id, (SELECT COUNT(*) FROM test_effect t WHERE t.event = e.seq)
                   FROM event e WHERE e.type = 'test.work'";
        let mut select = self.connection.prepare(sql).expect("the tables are there");
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("it can be read")
            .collect::<Result<_, _>>()
            .expect("rows")
    }
}
