//! The MCP server, on stdin and stdout and over HTTP: driven by a client of our own, and by the Python SDK.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, port_of};
use crate::fresh::edit;
use crate::helper::{Run, World};

/// A server, and the client's side of its streams.
pub(crate) struct Mcp {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    id: u64,
    /// Sent with every request: how clients without a handshake say who they are.
    meta: Option<Value>,
}

impl Mcp {
    fn spawn(world: &World) -> Mcp {
        Mcp::spawn_as(world.command(["mcp"]))
    }

    fn spawn_as(mut command: Command) -> Mcp {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Mcp {
            stdin: child.stdin.take(),
            child,
            stdout,
            id: 0,
            meta: None,
        }
    }

    /// A server that has shaken hands.
    fn start(world: &World) -> Mcp {
        Mcp::start_as(world.command(["mcp"]))
    }

    /// A server that is started by a command of the caller's and has shaken hands.
    pub(crate) fn start_as(command: Command) -> Mcp {
        let mut mcp = Mcp::spawn_as(command);
        assert_eq!(mcp.initialize("2025-11-25"), "2025-11-25");
        mcp
    }

    /// Shakes hands; gives the version that the server agrees to.
    fn initialize(&mut self, version: &str) -> Value {
        let answer = self.ask(
            "initialize",
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}),
        );
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer["result"]["protocolVersion"].clone()
    }

    fn send(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{message}").unwrap();
        stdin.flush().unwrap();
    }

    /// Sends a request; gives its answer. Every line of stdout is a message of the protocol.
    fn ask(&mut self, method: &str, mut params: Value) -> Value {
        self.id += 1;
        let id = self.id;
        if let Some(meta) = &self.meta {
            params["_meta"] = meta.clone();
        }
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let mut line = String::new();
            assert!(
                self.stdout.read_line(&mut line).unwrap() > 0,
                "the server has gone"
            );
            let message: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(message["jsonrpc"], "2.0", "{message}");
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Calls a tool; gives its result.
    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        let result = answer["result"].clone();
        assert!(result.is_object(), "{answer}");
        result
    }

    /// Calls a tool that answers; gives its text and its structured answer.
    fn answer(&mut self, tool: &str, arguments: Value) -> (String, Value) {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], false, "{result}");
        (text(&result), result["structuredContent"].clone())
    }

    /// Calls a tool that cannot answer; gives the one sentence that says why.
    pub(crate) fn refusal(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        assert_eq!(result["content"].as_array().unwrap().len(), 1, "{result}");
        let text = text(&result);
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    }

    /// Closes stdin: the exit code.
    fn end(mut self) -> Option<i32> {
        self.stdin.take();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn text(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

/// The same without what differs from one moment to the next.
fn lasting(mut answer: Value) -> Value {
    let object = answer.as_object_mut().unwrap();
    for key in [
        "freshness",
        "took_ms",
        "uptime_s",
        "free_space",
        "scan",
        "agents",
    ] {
        object.remove(key);
    }
    answer
}

#[test]
fn every_version_of_the_protocol_is_spoken_with_a_handshake_or_without() {
    let world = World::new("");
    world.write("a.md", "# Anchor\n\nThe quick brown fox.\n");
    let _daemon = world.start();
    world.wait();
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut mcp = Mcp::spawn(&world);
        assert_eq!(mcp.initialize(version), version);
        let tools = mcp.ask("tools/list", json!({}));
        assert_eq!(
            tools["result"]["tools"].as_array().unwrap().len(),
            4,
            "{tools}"
        );
        assert!(
            mcp.answer("search", json!({"query": "fox"}))
                .0
                .contains("docs/a.md:")
        );
        assert_eq!(mcp.end(), Some(0));
    }
    let mut mcp = Mcp::spawn(&world);
    assert_eq!(
        mcp.initialize("2099-01-01"),
        "2025-11-25",
        "the newest with a handshake"
    );
    let mut mcp = Mcp::spawn(&world);
    mcp.meta = Some(json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }));
    let discovered = mcp.ask("server/discover", json!({}));
    let versions = discovered["result"]["supportedVersions"]
        .as_array()
        .unwrap()
        .clone();
    assert!(versions.contains(&json!("2026-07-28")), "{discovered}");
    let (found, _) = mcp.answer("search", json!({"query": "fox"}));
    assert!(found.contains("docs/a.md:"), "{found}");
    assert_eq!(mcp.end(), Some(0));
    assert_eq!(
        Mcp::spawn(&world).end(),
        Some(0),
        "a client that says nothing"
    );
}

#[test]
fn the_tools_answer_as_the_command_line_does() {
    let world = World::new("");
    for n in 0..12 {
        world.write(
            &format!("notes {n}.md"),
            format!("# Note {n}\n\nEvery note has the word marmalade, this is number {n}.\n"),
        );
    }
    let long: String = (1..=1000).map(|n| format!("row {n}\n")).collect();
    world.write("long.txt", &long);
    let _daemon = world.start();
    world.wait();
    let mut mcp = Mcp::start(&world);

    let (text, found) = mcp.answer("search", json!({"query": "marmalade", "limit": 20}));
    let cli = world.cli(["search", "marmalade", "--json", "--limit", "20"]);
    assert_eq!(lasting(found.clone()), lasting(cli.json().unwrap()));
    let hit = &found["hits"][0];
    let place = format!(
        "docs/{}:{}-{}",
        hit["path"].as_str().unwrap(),
        hit["lines"][0],
        hit["lines"][1]
    );
    let first = format!(
        "{place}  {}\n{}\n",
        hit["heading"].as_str().unwrap(),
        hit["text"].as_str().unwrap()
    );
    assert!(text.starts_with(&first), "{text}");

    // Page after page, every hit once.
    let (mut cursor, mut seen) = (Value::Null, Vec::new());
    loop {
        let mut arguments = json!({"query": "marmalade"});
        if !cursor.is_null() {
            arguments["cursor"] = cursor;
        }
        let (_, page) = mcp.answer("search", arguments);
        seen.extend(page["hits"].as_array().unwrap().clone());
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(json!(seen), found["hits"]);

    // The links of a search lead to the same lines, as resources and through `read`.
    let result = mcp.call("search", json!({"query": "marmalade"}));
    let links: Vec<Value> = result["content"].as_array().unwrap()[1..].to_vec();
    assert_eq!(links.len(), 5);
    for (link, hit) in links
        .iter()
        .zip(result["structuredContent"]["hits"].as_array().unwrap())
    {
        assert_eq!(link["type"], "resource_link");
        let (_, read) = mcp.answer("read", json!({"ref": link["uri"]}));
        assert_eq!(
            (&read["text"], &read["digest"]),
            (&hit["text"], &hit["digest"])
        );
        let resource = mcp.ask("resources/read", json!({"uri": link["uri"]}));
        assert_eq!(
            resource["result"]["contents"][0]["text"], hit["text"],
            "{resource}"
        );
    }

    let (text, read) = mcp.answer("read", json!({"ref": "docs/notes 3.md"}));
    assert_eq!(
        read,
        world
            .cli(["read", "docs/notes 3.md", "--json"])
            .json()
            .unwrap()
    );
    assert!(
        text.starts_with("docs/notes 3.md:1-3  version 1, 3 lines in all\n# Note 3\n"),
        "{text}"
    );
    let (mut next, mut rows) = (json!("docs/long.txt"), 0);
    while !next.is_null() {
        let (text, read) = mcp.answer("read", json!({"ref": next}));
        rows += read["text"].as_str().unwrap().lines().count();
        next = read["left_off"]["next"].clone();
        assert_eq!(text.contains("left off: "), !next.is_null(), "{text}");
    }
    assert_eq!(rows, 1000);

    let quote = json!({"ref": "docs/notes 3.md:3", "quote": "the word marmalade"});
    let (text, cited) = mcp.answer("cite", quote.clone());
    let cli = world.cli([
        "cite",
        "docs/notes 3.md:3",
        "--quote",
        "the word marmalade",
        "--json",
    ]);
    assert_eq!(cited, cli.json().unwrap());
    assert_eq!(text, "ok docs/notes 3.md:3");
    let moved = json!({"ref": "docs/notes 3.md:1", "quote": "the word marmalade"});
    let (text, cited) = mcp.answer("cite", json!({"items": [quote, moved]}));
    assert_eq!(cited["results"][1]["verdict"], "moved");
    assert_eq!(
        text,
        "ok docs/notes 3.md:3\nmoved docs/notes 3.md:1 now at 3"
    );

    let (text, status) = mcp.answer("status", json!({}));
    assert_eq!(lasting(status), lasting(world.status()));
    assert!(text.starts_with("running: 13 documents, "), "{text}");

    let listed = mcp.ask("resources/list", json!({}));
    let resources = listed["result"]["resources"].as_array().unwrap();
    assert_eq!(
        (resources.len(), &listed["result"]["nextCursor"]),
        (13, &Value::Null)
    );
    let uri = resources[1]["uri"].clone();
    let resource = mcp.ask("resources/read", json!({"uri": uri}));
    assert!(
        resource["result"]["contents"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("# Note"),
        "{resource}"
    );
    let absent = mcp.ask("resources/read", json!({"uri": "docent://docs/none.md"}));
    assert_eq!(absent["error"]["code"], -32002, "{absent}");
}

#[test]
fn the_list_of_resources_is_given_in_pages() {
    let world = World::new("");
    for n in 0..230 {
        world.write(&format!("{n}.md"), format!("# {n}\n"));
    }
    let _daemon = world.start();
    world.wait();
    let mut mcp = Mcp::start(&world);
    let (mut params, mut pages, mut seen) = (json!({}), Vec::new(), Vec::new());
    loop {
        let listed = mcp.ask("resources/list", params);
        let resources = listed["result"]["resources"].as_array().unwrap();
        pages.push(resources.len());
        seen.extend(
            resources
                .iter()
                .map(|r| r["name"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = listed["result"]["nextCursor"].as_str() else {
            break;
        };
        params = json!({"cursor": cursor});
    }
    assert_eq!(pages, [100, 100, 30]);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 230);
}

#[test]
fn a_call_without_an_answer_says_in_one_sentence_why_and_what_helps() {
    let world = World::new("");
    world.write("a.md", "# Anchor\n");
    let mut mcp = Mcp::start(&world);
    for (tool, arguments) in [
        ("search", json!({"query": "anchor"})),
        ("read", json!({"ref": "docs/a.md"})),
        ("cite", json!({"ref": "docs/a.md", "quote": "anchor"})),
        ("status", json!({})),
    ] {
        let why = mcp.refusal(tool, arguments);
        let command = format!("run --config {}", world.config().display());
        assert!(
            why.contains("docent does not answer on") && why.contains(&command),
            "{why}"
        );
    }
    // The same server answers as soon as there is a daemon.
    let _daemon = world.start();
    world.wait();
    assert!(
        mcp.answer("search", json!({"query": "anchor"}))
            .0
            .contains("docs/a.md")
    );
    for (arguments, expected) in [
        (
            json!({"query": "x ".repeat(500_000)}),
            "query has 1000000 bytes, more than 4096",
        ),
        (
            json!({"query": (0..10_000).map(|n| format!("term{n} ")).collect::<String>()}),
            "bytes, more than 4096",
        ),
        (json!({"query": "a\u{0}b"}), "the control character U+0000"),
        (json!({"query": " "}), "the query is empty"),
        (
            json!({"query": "a", "limit": 0}),
            "limit 0 is not from 1 to 100",
        ),
        (
            json!({"query": "a", "limit": 1000}),
            "limit 1000 is not from 1 to 100",
        ),
        (json!({"query": "a", "cursor": "x"}), "cursor"),
        (json!({"query": "a", "collection": "none"}), "none"),
        (json!({"query": "a", "limt": 3}), "unknown field `limt`"),
        (json!({}), "missing field `query`"),
    ] {
        let why = mcp.refusal("search", arguments);
        assert!(why.contains(expected) && why.len() < 400, "{why}");
    }
    let why = mcp.refusal("read", json!({"ref": "docs/none.md"}));
    assert!(why.contains("no document at this place"), "{why}");
    assert!(
        mcp.refusal("cite", json!({"ref": "docs/a.md"}))
            .contains("cite takes")
    );
    let unknown = mcp.ask("tools/call", json!({"name": "forget", "arguments": {}}));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    // A line that is no message does not end the conversation.
    let stdin = mcp.stdin.as_mut().unwrap();
    stdin
        .write_all(b"not json\n{\"jsonrpc\":\"2.0\"}\n")
        .unwrap();
    assert!(mcp.answer("status", json!({})).0.starts_with("running"));
}

#[test]
fn what_was_on_disk_at_the_call_is_found_or_counted() {
    let world = World::new("");
    world.write("a.md", "# Anchor\n");
    let daemon = world.start();
    world.wait();
    let mut mcp = Mcp::start(&world);
    let (text, _) = mcp.answer("search", json!({"query": "anchor"}));
    assert!(!text.contains("not searchable"), "{text}");
    assert_eq!(daemon.stop(), Some(0));
    // More than any disk has free: nothing is captured.
    world.configure("[store]\nfree_space_floor = \"1TiB\"\n");
    let daemon = world.start();
    world.write("b.md", "# Marmalade\n");
    world.write("c.md", "# Marmalade again\n");
    let began = Instant::now();
    let (text, _) = mcp.answer("search", json!({"query": "marmalade"}));
    let last = text.lines().last().unwrap();
    assert_eq!(last, "2 files are not searchable yet", "{text}");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(daemon.stop(), Some(0));
    world.configure("");
    let _daemon = world.start();
    let (text, _) = mcp.answer("search", json!({"query": "marmalade"}));
    assert!(
        text.contains("docs/b.md") && !text.contains("not searchable"),
        "{text}"
    );
}

#[test]
fn an_edit_is_found_by_an_agents_next_call_200_of_200_times() {
    let world = World::new("");
    world.write("place.md", "# Before\n");
    let _daemon = world.start();
    world.wait();
    let mut mcp = Mcp::start(&world);
    let (mut found, mut slowest) = (0, Duration::ZERO);
    for n in 0..200 {
        let (path, word) = edit(&world, n);
        let began = Instant::now();
        let text = if n % 8 < 4 {
            mcp.answer("search", json!({"query": word})).0
        } else {
            mcp.answer("read", json!({"ref": format!("docs/{path}")})).0
        };
        slowest = slowest.max(began.elapsed());
        assert!(
            text.contains(&path) && text.contains(&word),
            "edit {n}: {text}"
        );
        found += 1;
    }
    println!("{found} edits, the slowest call took {slowest:?}");
    assert_eq!(found, 200);
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
fn while_docent_starts_and_builds_its_index_anew_a_call_answers_or_says_in_one_sentence_why_not() {
    let world = World::new("");
    for n in 0..500 {
        world.write(
            &format!("{n}.md"),
            format!("# Note {n}\n\nMarmalade {n}.\n"),
        );
    }
    let daemon = world.start();
    world.wait();
    assert_eq!(daemon.stop(), Some(0));
    fs::remove_dir_all(world.data().join("index")).unwrap();
    let mut mcp = Mcp::start(&world);
    let _daemon = world.spawn();
    let mut refused = 0;
    world.until("the index is built again", || {
        let result = mcp.call("search", json!({"query": "marmalade 499"}));
        let text = text(&result);
        let found = text.contains("docs/499.md");
        if result["isError"] == true {
            let command = text.contains("`") && text.contains("docent");
            assert!(command && text.lines().count() == 1, "{text}");
            refused += 1;
        } else if !found {
            assert!(
                text.contains("not") && text.contains("searchable"),
                "{text}"
            );
        }
        found
    });
    assert!(refused > 0, "it was asked before it could answer");
}

/// What was at a path for a time.
struct Stay {
    /// The digest of the file; none: there was no file.
    digest: Option<String>,
    /// It may have come so early.
    from: Instant,
    /// It may have stayed so long.
    until: Option<Instant>,
}

/// What was on disk at every moment, and every text by its digest.
#[derive(Default)]
struct History {
    texts: HashMap<String, String>,
    stays: HashMap<String, Vec<Stay>>,
}

impl History {
    fn digest(&mut self, text: &str) -> String {
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        self.texts.insert(digest.clone(), text.to_owned());
        digest
    }

    fn now(&self, path: &str) -> Option<String> {
        self.stays.get(path)?.last()?.digest.clone()
    }

    /// Does what makes the disk so.
    fn change(&mut self, to: Vec<(String, Option<String>)>, change: impl FnOnce()) {
        let from = Instant::now();
        change();
        for (path, digest) in to {
            let stays = self.stays.entry(path).or_default();
            if let Some(last) = stays.last_mut() {
                last.until = Some(Instant::now());
            }
            let until = None;
            stays.push(Stay {
                digest,
                from,
                until,
            });
        }
    }

    /// Whether this was at a path at a moment since `asked`.
    fn was_there(&self, path: &str, digest: Option<&str>, asked: Instant) -> bool {
        let stays = self.stays.get(path).map_or(&[][..], Vec::as_slice);
        let before = digest.is_none() && stays.first().is_none_or(|first| first.from >= asked);
        let since = |stay: &Stay| stay.until.is_none_or(|until| until >= asked);
        let is_it = |stay: &Stay| stay.digest.as_deref() == digest && since(stay);
        before || stays.iter().any(is_it)
    }
}

/// What one client found out.
#[derive(Debug, Default)]
struct Asked {
    /// Answers that were on disk at the call or since.
    true_ones: usize,
    /// Answers that said that they may be older.
    doubted: usize,
}

/// Asks until it is told to stop, and checks each answer: its lines are what its digest holds, and its file was so at a
/// moment since the call.
fn ask_truly(world: &World, number: usize, history: &Mutex<History>, stop: &AtomicBool) -> Asked {
    let mut mcp = Mcp::start(world);
    let mut versions: HashMap<(String, u64), String> = HashMap::new();
    let mut asked = Asked::default();
    let mut check = |place: &str, answer: &Value, at: Option<Instant>| {
        let digest = answer["digest"].as_str().unwrap().to_owned();
        let history = history.lock().unwrap();
        let whole = history.texts.get(&digest);
        let whole = whole.unwrap_or_else(|| panic!("{place}: {digest} was never written"));
        let [first, last] = [0, 1].map(|n| answer["lines"][n].as_u64().unwrap() as usize);
        let lines: Vec<&str> = whole
            .lines()
            .skip(first.max(1) - 1)
            .take(last + 1 - first)
            .collect();
        let text = answer["text"].as_str().unwrap();
        assert_eq!(text.trim_end_matches('\n'), lines.join("\n"), "{place}");
        if let Some(version) = answer["version"].as_u64() {
            let known = versions
                .entry((place.to_owned(), version))
                .or_insert(digest.clone());
            assert_eq!(*known, digest, "{place}: two texts of version {version}");
        }
        let Some(at) = at else { return };
        assert!(
            history.was_there(place, Some(&digest), at),
            "{place}: older than the call: {whole}"
        );
    };
    for turn in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let at = Instant::now();
        let path = match turn % 4 {
            0 => format!("{}.md", (turn + number) % 10),
            2 => format!("branch{}.md", (turn + number) % 5),
            _ => String::new(),
        };
        let result = if path.is_empty() {
            mcp.call("search", json!({"query": "wandering text"}))
        } else {
            mcp.call("read", json!({"ref": format!("docs/{path}")}))
        };
        let text = text(&result);
        let doubted = text.contains("not searchable yet") || text.contains("not be searchable yet");
        let at = (!doubted).then_some(at);
        if result["isError"] == true {
            assert!(text.contains("no document at this place"), "{text}");
            let history = history.lock().unwrap();
            assert!(
                at.is_none_or(|at| history.was_there(&path, None, at)),
                "{path} was there all the time"
            );
        } else if path.is_empty() {
            for hit in result["structuredContent"]["hits"].as_array().unwrap() {
                check(hit["path"].as_str().unwrap(), hit, at);
            }
        } else {
            check(&path, &result["structuredContent"], at);
        }
        *(if doubted {
            &mut asked.doubted
        } else {
            &mut asked.true_ones
        }) += 1;
    }
    asked
}

fn git(world: &World, arguments: &[&str]) {
    let mut command = Command::new("git");
    command
        .current_dir(world.docs())
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"]);
    let run = Run::of(command.args(arguments));
    assert_eq!(run.code(), 0, "{}", run.stderr());
}

/// The files of a branch: some differ, and some are in one alone.
fn on_branch(branch: usize) -> impl Iterator<Item = (String, Option<String>)> {
    (0..5).map(move |n| {
        let text = format!("# Wandering text {n}\n\nOn branch {branch}.\n");
        (format!("branch{n}.md"), (n % 3 != branch).then_some(text))
    })
}

#[test]
fn while_files_are_edited_renamed_removed_and_branches_switched_every_answer_was_on_disk_since_the_call()
 {
    let world = World::new("");
    let history = Mutex::new(History::default());
    let put = |n: usize, edit: usize| {
        let body: String = (0..edit % 7 + 1)
            .map(|line| format!("Line {line} of edit {edit}.\n"))
            .collect();
        let text = format!("# Wandering text {n}\n\n{body}");
        let mut history = history.lock().unwrap();
        let digest = history.digest(&text);
        let path = format!("{n}.md");
        history.change(vec![(path.clone(), Some(digest))], || {
            // As editors do, so that no half of a text is ever there.
            let beside = world.docs().join(format!("{n}.tmp"));
            fs::write(&beside, text).unwrap();
            fs::rename(beside, world.docs().join(path)).unwrap();
        });
    };
    let switch = |branch: usize| {
        let mut history = history.lock().unwrap();
        let paths: Vec<_> = on_branch(branch).collect();
        // While git is at it, a file may be empty or away.
        let empty = history.digest("");
        let paths =
            |history: &mut History,
             digest: &dyn Fn(&mut History, &Option<String>) -> Option<String>| {
                let to =
                    |(path, text): &(String, Option<String>)| (path.clone(), digest(history, text));
                paths.iter().map(to).collect::<Vec<_>>()
            };
        let away = paths(&mut history, &|_, _| None);
        let emptied = paths(&mut history, &|_, _| Some(empty.clone()));
        let there = paths(&mut history, &|history, text| {
            text.as_ref().map(|text| history.digest(text))
        });
        history.change(away, || ());
        history.change(emptied, || ());
        history.change(there, || {
            git(&world, &["checkout", "-q", &format!("b{branch}")])
        });
        // The two before may have been there until now.
        let now = Instant::now();
        let branch = |(path, _): &(&String, &mut Vec<Stay>)| path.starts_with("branch");
        for (_, stays) in history.stays.iter_mut().filter(branch) {
            let count = stays.len();
            for stay in stays.iter_mut().skip(count.saturating_sub(4)) {
                stay.until = stay.until.map(|_| now);
            }
        }
    };
    git(&world, &["init", "-q"]);
    for branch in 0..2 {
        git(
            &world,
            &["checkout", "-q", "--orphan", &format!("b{branch}")],
        );
        for (path, text) in on_branch(branch) {
            match text {
                Some(text) => world.write(&path, text),
                None => fs::remove_file(world.docs().join(path)).unwrap_or_default(),
            }
        }
        git(&world, &["add", "-A"]);
        git(&world, &["commit", "-q", "-m", "files"]);
    }
    (0..10).for_each(|n| put(n, n));
    switch(0);
    let _daemon = world.start();
    world.wait();
    let stop = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let (world, history, stop) = (&world, &history, &stop);
        let clients: Vec<_> = (0..8)
            .map(|number| scope.spawn(move || ask_truly(world, number, history, stop)))
            .collect();
        let until = Instant::now() + Duration::from_secs(15);
        let mut edit = 10;
        while Instant::now() < until {
            edit += 1;
            let (from, to) = (
                format!("{}.md", edit % 10),
                format!("{}.md", (edit + 3) % 10),
            );
            let [from_file, to_file] = [&from, &to].map(|path| world.docs().join(path));
            let there = history.lock().unwrap().now(&from).is_some();
            let remove = |to: Vec<_>, change: &dyn Fn()| {
                history.lock().unwrap().change(to, change);
            };
            match edit % 5 {
                0 if there => remove(vec![(from, None)], &|| fs::remove_file(&from_file).unwrap()),
                1 if there => {
                    let digest = history.lock().unwrap().now(&from);
                    let renamed = || fs::rename(&from_file, &to_file).unwrap();
                    remove(vec![(from, None), (to, digest)], &renamed);
                }
                _ => put(edit % 10, edit),
            }
            if edit % 10 == 0 {
                switch(edit / 10 % 2);
            }
            std::thread::park_timeout(Duration::from_millis(40));
        }
        stop.store(true, Ordering::SeqCst);
        let joined = clients.into_iter().map(|client| client.join().unwrap());
        joined.collect::<Vec<_>>()
    });
    println!("answers: {asked:?}");
    // How many are in doubt depends on how busy the machine is.
    assert!(asked.iter().all(|a| a.true_ones > 0), "{asked:?}");
    // Of all clients together: one alone may be starved on a busy machine.
    let true_ones: usize = asked.iter().map(|a| a.true_ones).sum();
    let all: usize = asked.iter().map(|a| a.true_ones + a.doubted).sum();
    assert!(3 * true_ones >= all, "{true_ones} of {all}: {asked:?}");
}

/// Has the Python SDK use a server, with a handshake and without.
fn driven_by_others(arguments: [&OsStr; 3]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/mcp-client/bin/python");
    assert!(
        python.exists(),
        "the Python SDK is missing; install it with: python3 -m venv target/mcp-client && target/mcp-client/bin/pip install mcp==2.3.0"
    );
    let run = Run::of(
        Command::new(python)
            .arg(root.join("tests/it/fixtures/mcp_client.py"))
            .args(arguments)
            .env_remove("DOCENT_CONFIG"),
    );
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout(), run.stderr());
    assert_eq!(run.stdout(), "2025-11-25 ok\n2026-07-28 ok\n");
}

#[test]
fn a_client_that_others_wrote_gets_on_with_it_on_stdio_and_over_http() {
    let world = World::new("[http]\nlisten = \"127.0.0.1:0\"\n");
    world.write("guide.md", "# Guide\n\nThe marmalade is on the shelf.\n");
    let _daemon = world.start();
    world.wait();
    let config = world.config();
    driven_by_others([
        "stdio".as_ref(),
        crate::helper::DOCENT.as_ref(),
        config.as_ref(),
    ]);
    let made = world.cli(["token", "create", "agent", "--role", "read"]);
    let url = format!("http://localhost:{}/mcp", port_of(&world).unwrap());
    driven_by_others(["http".as_ref(), url.as_ref(), made.stdout().trim().as_ref()]);
}

/// Sends one message to `/mcp`; gives the head of the answer and its body.
fn post(api: &Api, token: &str, method: &str, params: Value) -> (String, Value) {
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let answer = api.exchange(&format!(
        "{}Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{message}",
        api.head("POST /mcp", token),
        message.len(),
    ));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.to_owned(),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

/// Calls a tool over HTTP; gives its result.
fn called(api: &Api, token: &str, tool: &str, arguments: Value) -> Value {
    let (head, body) = post(
        api,
        token,
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
    );
    assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
    body["result"].clone()
}

#[test]
fn over_http_a_tool_tells_what_the_token_lets_it_tell() {
    let api = Api::start("");
    let all = api.token("all", &["--role", "read"]);
    let limited = api.token("limited", &["--role", "read", "--collection", "docs"]);
    let paths = |token: &str, query: &str| {
        let found = called(&api, token, "search", json!({"query": query}));
        let hits = found["structuredContent"]["hits"]
            .as_array()
            .unwrap()
            .clone();
        hits.iter()
            .map(|hit| hit["path"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&all, "\"narwhal\""), ["w.md"]);
    assert_eq!(paths(&limited, "\"narwhal\""), Vec::<Value>::new());
    assert_eq!(paths(&limited, "\"walrus\""), ["a.md"]);
    let read = |token: &str, place: &str| called(&api, token, "read", json!({"ref": place}));
    assert_eq!(read(&all, "wiki/w.md")["isError"], false);
    let refused = read(&limited, "wiki/w.md");
    assert_eq!(refused["isError"], true);
    assert!(
        text(&refused).contains("no document at this place"),
        "{refused}"
    );
    let quote = json!({"ref": "wiki/w.md:3", "quote": "A hidden narwhal."});
    let verdict = |token: &str| {
        called(&api, token, "cite", quote.clone())["structuredContent"]["verdict"].clone()
    };
    assert_eq!(
        (verdict(&all), verdict(&limited)),
        (json!("ok"), json!("unknown"))
    );
    let documents = |token: &str| {
        called(&api, token, "status", json!({}))["structuredContent"]["documents"].clone()
    };
    assert_eq!((documents(&all), documents(&limited)), (json!(2), json!(1)));
    let (_, listed) = post(&api, &limited, "resources/list", json!({}));
    let listed = listed["result"]["resources"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["name"], "docs/a.md");

    let (most, _) = all.split_at(all.len() - 1);
    for token in ["", "x", &format!("{most}-")] {
        let (head, problem) = post(&api, token, "tools/list", json!({}));
        assert!(head.starts_with("HTTP/1.1 401"), "{head}");
        assert!(
            head.to_lowercase().contains("www-authenticate: bearer"),
            "{head}"
        );
        assert_eq!(problem["type"], "urn:docent:unauthorized");
    }
    assert_eq!(api.world.cli(["token", "revoke", "all"]).code(), 0);
    let (head, _) = post(&api, &all, "tools/list", json!({}));
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    let other = api.head("GET /mcp", &limited);
    let other = api.exchange(&format!("{other}Accept: text/event-stream\r\n\r\n"));
    assert!(other.starts_with("HTTP/1.1 405"), "{other}");
    for part in [
        "application/problem+json",
        "urn:docent:method-not-allowed",
        "allow: POST",
    ] {
        assert!(other.contains(part), "{other}");
    }
    let end = api.exchange(&format!("{}\r\n", api.head("DELETE /mcp", &limited)));
    assert!(end.starts_with("HTTP/1.1 405"), "{end}");
    let head = api
        .head("POST /mcp", &limited)
        .replace("Host: localhost", "Host: evil.example");
    let foreign = api.exchange(&format!("{head}Content-Length: 0\r\n\r\n"));
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
}

#[test]
fn each_client_is_set_up_as_its_page_shows_and_keeps_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let setup = |client: &str, write: bool| {
        let mut command = Command::new("docent");
        let path = Path::new(crate::helper::DOCENT).parent().unwrap();
        command.env("PATH", path).current_dir(folder.path());
        command.env_remove("DOCENT_CONFIG").env("NO_COLOR", "1");
        command
            .args(["mcp", "--setup", client])
            .args(write.then_some("--write"));
        Run::of(&mut command)
    };
    for (client, file) in [
        ("claude-code", ".mcp.json"),
        ("codex", ".codex/config.toml"),
        ("cursor", ".cursor/mcp.json"),
        ("vscode", ".vscode/mcp.json"),
        ("zed", ".zed/settings.json"),
        ("gemini", ".gemini/settings.json"),
    ] {
        let printed = setup(client, false);
        assert_eq!(printed.code(), 0, "{}", printed.stderr());
        assert!(printed.stderr().contains(file), "{}", printed.stderr());
        let shown = crate::docs::shown("docs/agents.md", &format!("docent mcp --setup {client}"));
        assert_eq!(
            printed.stdout().lines().collect::<Vec<_>>(),
            shown,
            "{client}"
        );
        assert!(!folder.path().join(file).exists());
        let written = setup(client, true);
        assert_eq!(written.code(), 0, "{}", written.stderr());
        assert!(
            written.stdout().starts_with("--- /dev/null\n+++ "),
            "{}",
            written.stdout()
        );
        assert_eq!(
            fs::read_to_string(folder.path().join(file)).unwrap(),
            printed.stdout()
        );
        assert!(setup(client, true).stdout().contains("is as it should be"));
    }
    let file = folder.path().join(".vscode/mcp.json");
    let mut elsewhere = Command::new(crate::helper::DOCENT);
    elsewhere.current_dir(folder.path()).args([
        "--url",
        "https://docent.example:8443",
        "--token-file",
        "token",
        "mcp",
        "--setup",
        "claude-code",
    ]);
    let printed = Run::of(&mut elsewhere).json().expect("a piece of JSON");
    let token = folder.path().canonicalize().unwrap().join("token");
    assert_eq!(
        printed["mcpServers"]["docent"]["args"],
        json!([
            "mcp",
            "--url",
            "https://docent.example:8443",
            "--token-file",
            token
        ])
    );
    fs::write(
        &file,
        "{\n\t// mine\n\t\"servers\": {\n\t\t\"other\": {\"command\": \"x\"}\n\t}\n}\n",
    )
    .unwrap();
    let written = setup("vscode", true);
    assert!(
        written.stdout().contains("\n+        \"docent\": {\n"),
        "{}",
        written.stdout()
    );
    let after = fs::read_to_string(&file).unwrap();
    assert!(
        after.contains("// mine") && after.contains("\"other\": {\"command\": \"x\"}"),
        "{after}"
    );
    fs::write(&file, "{broken").unwrap();
    let refused = setup("vscode", true);
    assert_eq!(
        (refused.code(), fs::read_to_string(&file).unwrap().as_str()),
        (65, "{broken")
    );
    // A config that is named now is named there too, by its whole path.
    let mut command = Command::new(crate::helper::DOCENT);
    command
        .current_dir(folder.path())
        .args(["mcp", "--setup", "cursor", "--config", "my.toml"]);
    let printed = Run::of(&mut command).json().unwrap();
    let entry = &printed["mcpServers"]["docent"];
    let config = folder.path().canonicalize().unwrap().join("my.toml");
    assert_eq!(entry["command"], crate::helper::DOCENT);
    assert_eq!(entry["args"], json!(["mcp", "--config", config]));
    let skill = Run::of(Command::new(crate::helper::DOCENT).args(["mcp", "--skill"]));
    assert!(
        skill.stdout().contains("docent search --json"),
        "{}",
        skill.stdout()
    );
}
