//! The command line: shapes and exit codes, as other programs rely on them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::helper::{Run, World, lines};

const ID: &str = "0199a000-0000-7000-8000-000000000001";

/// Publishes `input`, one event a line.
fn publish_lines(world: &World, input: &str) -> std::process::Output {
    let mut child = world
        .command(["publish", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command line starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer
        .join()
        .expect("the writer")
        .expect("stdin is read to its end");
    output
}

fn publish(world: &World, kind: &str, subject: &str, data: &str) -> Run {
    world.cli(["publish", kind, "--subject", subject, "--data", data])
}

/// Fails unless `value` has these keys, each of the type named.
fn assert_shape(value: &Value, shape: &[(&str, &str)]) {
    for (key, kind) in shape {
        let found = match &value[key] {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        assert!(
            kind.split('|').any(|kind| kind == found),
            "{key} is {found} in {value}"
        );
    }
}

#[test]
fn without_a_daemon_every_verb_says_so() {
    let world = World::new("");
    let status = world.cli(["status"]);
    assert_eq!(status.code(), 3, "{}", status.stderr());
    assert!(
        status.stdout().contains("is not running") || status.stderr().contains("is not running")
    );
    assert_eq!(world.cli(["status", "--json"]).code(), 3);
    let verbs: &[&[&str]] = &[
        &["wait"],
        &["scan"],
        &["search", "x"],
        &["documents", "--json"],
        &["history", "docs/a.md"],
        &["publish", "scan.requested", "--subject", "docs"],
        &["publish", "--stdin"],
        &["events", "list", "--json"],
        &["events", "show", ID],
        &["tail"],
        &["dead", "list"],
        &["dead", "replay", ID],
        &["jobs"],
        &["health"],
        &["agent", "list"],
        &["audit", "list"],
        &["audit", "verify"],
    ];
    for verb in verbs {
        let run = world.cli(*verb);
        assert_eq!(run.code(), 69, "{verb:?}: {}", run.stderr());
        assert_eq!(run.stdout(), "", "{verb:?}");
        assert!(
            run.stderr().contains("does not answer on"),
            "{verb:?}: {}",
            run.stderr()
        );
        assert!(
            run.stderr().contains("docent run"),
            "{verb:?} names the way out"
        );
    }
    for usage in [&["serch"][..], &["search"], &["wait", "--timeout", "5"]] {
        assert_eq!(world.cli(usage).code(), 2, "{usage:?}");
    }
    assert!(
        !world.data().exists(),
        "a verb that only asks makes nothing"
    );
}

#[test]
fn a_daemon_of_another_data_dir_is_not_taken_for_this_one() {
    let world = World::new("");
    let daemon = world.start();
    let socket = world.data().join("docent.sock");
    let other = World::new(&format!("[control]\nsocket = {socket:?}"));
    let run = other.cli(["search", "x"]);
    assert_eq!(run.code(), 69, "{}", run.stderr());
    for part in [world.data(), other.data()] {
        assert!(
            run.stderr().contains(part.to_str().unwrap()),
            "{}",
            run.stderr()
        );
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(!socket.exists(), "a clean end takes the socket away");
}

#[test]
fn what_is_in_data_dir_is_private_whatever_the_umask() {
    let world = World::new("");
    world.write("a.md", "# A\n\ntext\n");
    let inner = world.command(["run"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    let daemon = world.spawn_as(command);
    world.until("the daemon is running", || {
        world.cli(["status"]).code() == 0
    });
    world.wait();
    let mut folders = vec![world.data()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        let mode = fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            // A file of the index that is replaced may go meanwhile.
            if let Ok(found) = entry.metadata() {
                assert_eq!(
                    found.permissions().mode() & 0o777,
                    0o600,
                    "{:?}",
                    entry.path()
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "{seen}");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn the_daemon_gives_free_memory_back() {
    let world = World::new("");
    let daemon = world.start();
    let threads = format!("/proc/{}/task", daemon.pid());
    world.until("a thread of the allocator runs", || {
        let threads = fs::read_dir(&threads).expect("its threads");
        threads.flatten().any(|thread| {
            let name = fs::read_to_string(thread.path().join("comm"));
            name.is_ok_and(|name| name.starts_with("jemalloc_bg_thd"))
        })
    });
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn status_search_and_documents_have_their_shapes() {
    let world = World::new("");
    let text = "# Guide\n\nIntro.\n\n## Mirrors\n\nHow to polish\na telescope mirror.\n\n## Tubes\n\nOf brass.\n";
    world.write("deep/guide.md", text);
    world.write("copy.md", text);
    world.write("z.txt", "Something else.\n");
    let daemon = world.start();
    world.wait();

    let run = world.cli(["status", "--json"]);
    assert_eq!(run.code(), 0);
    let status = run.json().expect("JSON");
    assert_shape(
        &status,
        &[
            ("state", "text"),
            ("bus", "object"),
            ("agents", "object"),
            ("freshness", "object"),
            ("documents", "number"),
            ("chunks", "number"),
            ("embedder", "text"),
        ],
    );
    assert_eq!(
        (&status["state"], &status["bus"]["active"]),
        (&json!("running"), &json!("embedded"))
    );
    for count in ["owed", "in_flight", "retrying", "dead", "lost_by_redis"] {
        assert_shape(&status["bus"], &[(count, "number")]);
    }
    let agents = [
        "change_detection",
        "document_management",
        "rag",
        "logging_audit",
        "scheduler",
        "self_healing",
    ];
    for name in agents {
        let agent = &status["agents"][name];
        assert_eq!(agent["state"], "running", "{name}: {agent}");
        let shape = [
            ("restarts", "number"),
            ("handled", "number"),
            ("failed", "number"),
            ("owed", "number"),
            ("oldest_owed_s", "number|null"),
        ];
        assert_shape(agent, &shape);
    }
    assert_shape(
        &status["freshness"],
        &[
            ("complete_to", "text"),
            ("pending", "number"),
            ("failed", "number"),
        ],
    );
    assert_eq!(status["documents"], 3);
    assert_eq!(world.cli(["status"]).code(), 0);

    let run = world.cli([
        "search",
        "polish a telescope mirror",
        "--json",
        "--limit",
        "5",
    ]);
    assert_eq!(run.code(), 0);
    let found = run.json().expect("JSON");
    assert_eq!(found["legs"], json!(["keyword", "vector"]));
    assert_shape(&found, &[("freshness", "object"), ("took_ms", "number")]);
    let hit = &found["hits"][0];
    assert_shape(
        hit,
        &[
            ("heading", "text"),
            ("score", "number"),
            ("digest", "text"),
            ("also", "list"),
        ],
    );
    // The same heading and text at two places is one hit; ties go by path.
    assert_eq!(
        (&hit["collection"], &hit["path"]),
        (&json!("docs"), &json!("copy.md"))
    );
    assert_eq!(hit["also"][0]["path"], "deep/guide.md");
    assert_eq!(hit["also"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        hit["digest"],
        blake3::hash(text.as_bytes()).to_hex().as_str()
    );
    assert!(
        hit["heading"].as_str().unwrap().starts_with("Guide"),
        "{hit}"
    );
    for hit in found["hits"].as_array().unwrap() {
        let file = fs::read_to_string(world.docs().join(hit["path"].as_str().unwrap())).unwrap();
        let line = |at: usize| usize::try_from(hit["lines"][at].as_u64().unwrap()).unwrap();
        let standing: Vec<&str> = file
            .lines()
            .skip(line(0) - 1)
            .take(line(1) + 1 - line(0))
            .collect();
        assert_eq!(
            hit["text"].as_str().unwrap().trim_end(),
            standing.join("\n").trim_end(),
            "{hit}"
        );
    }
    let scores: Vec<f64> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let none = world.cli(["search", "\"no such phrase anywhere\"", "--json"]);
    assert_eq!(
        (none.code(), &none.json().expect("JSON")["hits"]),
        (1, &json!([]))
    );
    assert_eq!(
        world.cli(["search", "\"no such phrase anywhere\""]).code(),
        1
    );
    let unknown = world.cli(["search", "zzqqxx", "--json"]);
    let answer = unknown.json().expect("JSON");
    assert_eq!(
        (unknown.code(), &answer["hits"], &answer["about"]),
        (1, &json!([]), &json!(false))
    );
    assert_shape(
        &answer["nearest"][0],
        &[("path", "text"), ("score", "number")],
    );
    let unknown = world.cli(["search", "zzqqxx"]);
    assert_eq!(unknown.code(), 1);
    assert!(
        unknown
            .stdout()
            .contains("nothing here seems to be about zzqqxx"),
        "{}",
        unknown.stdout()
    );
    let people = world.cli(["search", "polish", "mirror"]);
    assert_eq!(people.code(), 0);
    assert!(
        people.stdout().starts_with("docs/copy.md:"),
        "{}",
        people.stdout()
    );
    assert!(
        people.stdout().contains("up to date as of"),
        "{}",
        people.stdout()
    );
    assert_eq!(
        world.cli(["search", "x", "--collection", "lost"]).code(),
        65
    );
    assert_eq!(world.cli(["search", "x", "--limit", "0"]).code(), 2);
    let run = world.cli(["documents", "--state", "lost"]);
    assert_eq!(run.code(), 2, "{}", run.stderr());

    let listed = world.documents();
    assert_eq!(listed.len(), 3);
    for document in listed.values() {
        let shape = [
            ("collection", "text"),
            ("path", "text"),
            ("version", "number"),
            ("digest", "text"),
            ("state", "text"),
            ("reason", "null"),
        ];
        assert_shape(document, &shape);
    }
    assert_eq!(
        listed["copy.md"]["digest"],
        listed["deep/guide.md"]["digest"]
    );

    world.write("copy.md", "# Guide\n\nAnother text.\n");
    world.wait();
    let history = world
        .cli(["history", "docs/copy.md", "--json"])
        .json()
        .expect("JSON");
    assert_shape(
        &history,
        &[("document", "text"), ("path", "text"), ("versions", "list")],
    );
    let numbers: Vec<&Value> = history["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["version"])
        .collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(
        history["versions"][1]["digest"],
        listed["copy.md"]["digest"]
    );
    assert_eq!(world.cli(["history", "docs/lost.md"]).code(), 65);
    assert_eq!(world.cli(["history", "nothing"]).code(), 2);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn publish_prints_ids_and_refuses_what_it_must() {
    let world = World::new("");
    let daemon = world.start();
    let made = publish(&world, "test.work", "docs/a", r#"{"end": "ok"}"#);
    assert_eq!(made.code(), 0, "{}", made.stderr());
    let made = made.stdout().trim().to_owned();
    assert_eq!(made.len(), 36, "{made}");
    assert_eq!(world.cli(["events", "show", &made]).code(), 0);

    let with_id = |data: &str| {
        world.cli([
            "publish",
            "test.work",
            "--subject",
            "docs/b",
            "--id",
            ID,
            "--data",
            data,
        ])
    };
    for _ in 0..2 {
        let run = with_id(r#"{"sleep_ms": 1}"#);
        assert_eq!(
            (run.code(), run.stdout().trim()),
            (0, ID),
            "the same again is one event"
        );
    }
    let conflict = with_id(r#"{"sleep_ms": 2}"#);
    assert_eq!((conflict.code(), conflict.stdout().as_str()), (65, ""));
    assert!(
        conflict.stderr().contains("exists, with different content"),
        "{}",
        conflict.stderr()
    );

    let large = json!({"pad": "x".repeat(65 * 1024)}).to_string();
    for (kind, subject, data, said) in [
        ("file.changed", "docs/a", "{}", "only docent publishes"),
        (
            "no.such",
            "docs/a",
            "{}",
            "there is no event type `no.such`",
        ),
        ("test.work", "docs/a", "[1]", "not a JSON object"),
        ("test.work", "docs/a", "{", "not JSON"),
        ("test.work", "docs/a", large.as_str(), "more than 65536"),
        ("test.work", "", "{}", "subject"),
    ] {
        let run = publish(&world, kind, subject, data);
        assert_eq!(
            (run.code(), run.stdout().as_str()),
            (65, ""),
            "{kind} {said}: {}",
            run.stderr()
        );
        assert!(run.stderr().contains(said), "{}", run.stderr());
    }
    let no_uuid = world.cli([
        "publish",
        "test.work",
        "--subject",
        "docs/a",
        "--id",
        "seven",
    ]);
    assert_eq!(no_uuid.code(), 65, "{}", no_uuid.stderr());
    // A path that names no file has no effect and does not fail.
    for kind in ["scan.requested", "document.check_requested"] {
        let published = publish(&world, kind, "docs/lost.md", "{}");
        assert_eq!(published.code(), 0, "{kind}: {}", published.stderr());
    }
    // A collection or a job that does not exist is refused with the names that do.
    for (kind, subject, names) in [
        ("scan.requested", "lost", "docs"),
        ("document.check_requested", "lost/a.md", "docs"),
        ("index.verify_requested", "lost", "docs"),
        ("job.requested", "job/lost", "verify"),
        ("job.changed", "job/lost", "verify"),
    ] {
        let refused = publish(&world, kind, subject, "{}");
        assert_eq!(refused.code(), 65, "{kind} {subject}");
        assert!(refused.stdout().is_empty(), "{kind} {subject}");
        let why = refused.stderr();
        assert!(why.contains("there are: ") && why.contains(names), "{why}");
    }
    let scan = world.cli(["scan", "lost"]);
    assert_eq!(scan.code(), 65, "{}", scan.stderr());
    assert!(
        scan.stderr().contains("there are: docs"),
        "{}",
        scan.stderr()
    );
    world.settled();
    assert_eq!(world.status()["bus"]["dead"], 0);

    // Of a stream: a line for each line, in its place.
    let event = |subject: &str, data: Value, id: Option<&str>| {
        let mut event = json!({"type": "test.work", "subject": subject, "data": data});
        if let Some(id) = id {
            event["id"] = json!(id);
        }
        event.to_string()
    };
    let other = "0199a000-0000-7000-8000-000000000002";
    let input = [
        event("docs/c", json!({}), Some(other)),
        "{nonsense".to_owned(),
        json!({"type": "file.changed", "subject": "docs/c", "data": {}}).to_string(),
        event("docs/c", json!({"pad": "x".repeat(65 * 1024)}), None),
        event("docs/b", json!({"sleep_ms": 3}), Some(ID)),
        String::new(),
        json!({"type": "no.such", "subject": "docs/c"}).to_string(),
        event("docs/d", json!({}), None),
        event("docs/c", json!({}), Some(other)),
    ];
    // The last line has no line feed.
    let output = publish_lines(&world, &input.join("\n"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(65), "{said}");
    let ids = String::from_utf8(output.stdout).unwrap();
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), input.len(), "{ids:?}");
    assert_eq!((ids[0], ids[8]), (other, other));
    assert_eq!(ids[7].len(), 36);
    assert_eq!(ids[1..7], [""; 6]);
    for (line, part) in [
        (2, "cannot read"),
        (3, "only docent publishes"),
        (4, "more than 65536"),
        (5, "different content"),
        (6, "cannot read"),
        (7, "no event type"),
    ] {
        let found = said
            .lines()
            .find(|l| l.starts_with(&format!("line {line}: ")));
        assert!(
            found.is_some_and(|l| l.contains(part)),
            "line {line}: {said}"
        );
    }
    assert_eq!(said.lines().count(), 6, "{said}");

    // Many under way at once, and all of them durable.
    let many: Vec<String> = (0..500)
        .map(|n| event(&format!("docs/{}", n % 50), json!({"n": n}), None))
        .collect();
    let began = Instant::now();
    let output = publish_lines(&world, &(many.join("\n") + "\n"));
    println!(
        "500 events published through --stdin in {:.2?}",
        began.elapsed()
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let ids = String::from_utf8(output.stdout).unwrap();
    assert_eq!(ids.lines().count(), 500);
    world.settled();
    let audit = world.audit();
    for (n, id) in ids.lines().enumerate() {
        let record: Vec<&Value> = audit.iter().filter(|r| r["event"] == id).collect();
        assert_eq!(record.len(), 1, "{id}");
        assert_eq!(
            record[0]["data"]["n"], n,
            "the ids come in the order of the lines"
        );
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_stream_that_the_daemon_leaves_ends_with_an_error() {
    let world = World::new("");
    let daemon = world.start();
    let mut child = world
        .command(["publish", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command line starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let line = json!({"type": "test.work", "subject": "docs/a", "data": {}}).to_string() + "\n";
    stdin.write_all(line.as_bytes()).unwrap();
    let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut id = String::new();
    answers.read_line(&mut id).unwrap();
    assert_eq!(
        id.trim().len(),
        36,
        "an id comes while the stream is open: {id}"
    );
    daemon.kill();
    // It may have noticed already, and then nobody reads this.
    stdin.write_all(line.as_bytes()).ok();
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        output.status.code(),
        Some(69),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let daemon = world.start();
    world.settled();
    assert_eq!(
        world
            .audit()
            .iter()
            .filter(|r| r["event"] == id.trim())
            .count(),
        1
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn wait_says_what_it_waited_for() {
    let world = World::new("");
    let daemon = world.start();
    world.write("a.md", "# A\n\nA metronome.\n");
    let run = world.cli(["wait", "--json"]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    assert_shape(&run.json().expect("JSON"), &[("waited_ms", "number")]);
    assert_eq!(world.search("metronome"), ["a.md"]);
    // A file that was written just now is not at rest in a millisecond.
    world.write("b.md", "# B\n");
    let run = world.cli(["wait", "--timeout", "1ms"]);
    assert_eq!(run.code(), 75, "{}", run.stderr());
    assert!(
        run.stderr().contains("not everything is searchable"),
        "{}",
        run.stderr()
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    world.configure("[agents.rag]\nenabled = false");
    let daemon = world.start();
    let began = Instant::now();
    let run = world.cli(["wait", "--timeout", "60s"]);
    assert_eq!(run.code(), 75, "{}", run.stderr());
    assert!(run.stderr().contains("rag"), "{}", run.stderr());
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "it is told at once"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn events_can_be_listed_shown_and_followed() {
    let world = World::new("");
    world.write("a.md", "# A\n\ntext\n");
    let daemon = world.start();
    world.wait();
    world.settled();
    let list = |arguments: &[&str]| {
        let run = world.cli([&["events", "list", "--json"], arguments].concat());
        assert_eq!(run.code(), 0, "{}", run.stderr());
        lines(&run.stdout())
    };
    let all = list(&[]);
    let numbers: Vec<u64> = all.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert!(
        numbers.is_sorted_by(|a, b| a > b),
        "newest first: {numbers:?}"
    );
    for event in &all {
        let shape = [
            ("id", "text"),
            ("type", "text"),
            ("source", "text"),
            ("subject", "text"),
            ("time", "text"),
            ("data", "object"),
            ("causation", "text|null"),
            ("correlation", "text"),
        ];
        assert_shape(event, &shape);
    }
    let of_a = list(&["--subject", "docs/a.md"]);
    let kinds: Vec<&Value> = of_a.iter().map(|e| &e["type"]).collect();
    assert_eq!(kinds, ["index.updated", "document.stored", "file.changed"]);
    let first = &of_a[2];
    assert_eq!(
        list(&["--type", "file.changed"]),
        std::slice::from_ref(first)
    );
    assert_eq!(
        list(&["--correlation", first["id"].as_str().unwrap()]),
        of_a
    );
    assert_eq!(list(&["--limit", "1"]), all[..1]);
    assert_eq!(list(&["--since", "2999-01-01T00:00:00Z"]), [] as [Value; 0]);
    assert_eq!(
        list(&[
            "--since",
            first["time"].as_str().unwrap(),
            "--subject",
            "docs/a.md"
        ]),
        of_a
    );

    let shown = world.cli(["events", "show", first["id"].as_str().unwrap(), "--json"]);
    let shown = shown.json().expect("JSON");
    assert_eq!(&shown["event"], first);
    assert_eq!(shown["caused"][0]["type"], "document.stored");
    let mut agents: Vec<&str> = Vec::new();
    for delivery in shown["deliveries"].as_array().unwrap() {
        assert_shape(
            delivery,
            &[
                ("state", "text"),
                ("attempts", "number"),
                ("errors", "list"),
            ],
        );
        assert_eq!(delivery["state"], "done");
        agents.push(delivery["agent"].as_str().unwrap());
    }
    agents.sort_unstable();
    assert_eq!(agents, ["document_management", "logging_audit"]);
    assert_eq!(world.cli(["events", "show", ID]).code(), 65);
    assert_eq!(world.cli(["events", "show", "seven"]).code(), 2);

    // From now on: nothing of the past.
    let mut tail = world
        .command(["tail", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tail starts");
    let (sender, received) = std::sync::mpsc::channel();
    let stdout = tail.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if sender.send(line.expect("a line")).is_err() {
                break;
            }
        }
    });
    let mut published = Vec::new();
    let mut got: Vec<Value> = Vec::new();
    // When it has begun to follow cannot be seen but by an event that arrives.
    world.until("tail follows", || {
        published.push(
            publish(&world, "test.work", "docs/t", "{}")
                .stdout()
                .trim()
                .to_owned(),
        );
        got.extend(
            received
                .try_iter()
                .map(|line| serde_json::from_str(&line).expect("JSON")),
        );
        !got.is_empty()
    });
    let at = published.iter().position(|id| got[0]["id"] == *id.as_str());
    let at = at.unwrap_or_else(|| panic!("an event of the past: {}", got[0]));
    for _ in 0..5 {
        published.push(
            publish(&world, "test.work", "docs/t", "{}")
                .stdout()
                .trim()
                .to_owned(),
        );
    }
    world.until("tail has told all", || {
        got.extend(
            received
                .try_iter()
                .map(|line| serde_json::from_str(&line).expect("JSON")),
        );
        got.len() >= published.len() - at
    });
    let ids: Vec<&str> = got.iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert_eq!(ids, published[at..]);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(tail.wait().is_ok(), "it ends with the daemon");
    reader.join().expect("the reader");
}

#[test]
fn dead_letters_jobs_health_and_agents() {
    let world = World::new("[delivery]\nbackoff_min = \"10ms\"\nbackoff_max = \"20ms\"");
    let daemon = world.start();
    assert_eq!(
        world.cli(["dead", "list", "--json"]).json().expect("JSON")["dead"],
        json!([])
    );
    assert_eq!(
        world.cli(["health", "--json"]).json().expect("JSON")["issues"],
        json!([])
    );
    let transient = publish(&world, "test.work", "docs/t", r#"{"end": "transient"}"#);
    let permanent = publish(&world, "test.work", "docs/p", r#"{"end": "permanent"}"#);
    world.until("both are dead", || world.status()["bus"]["dead"] == 2);
    let dead = world.cli(["dead", "list", "--json"]).json().expect("JSON");
    for (run, attempts) in [(&transient, 4), (&permanent, 1)] {
        let id = run.stdout().trim().to_owned();
        let letter = dead["dead"]
            .as_array()
            .unwrap()
            .iter()
            .find(|d| d["event"] == id.as_str());
        let letter = letter.unwrap_or_else(|| panic!("{id} is not in {dead}"));
        assert_shape(
            letter,
            &[
                ("type", "text"),
                ("subject", "text"),
                ("errors", "list"),
                ("at", "text"),
            ],
        );
        assert_eq!(
            (&letter["agent"], &letter["attempts"]),
            (&json!("test"), &json!(attempts))
        );
        assert_eq!(letter["errors"].as_array().map(Vec::len), Some(attempts));
        assert_eq!(
            world
                .events("event.dead_lettered")
                .iter()
                .filter(|e| e["data"]["event"] == id.as_str())
                .count(),
            1
        );
    }
    let status = world.cli(["status"]);
    assert_eq!(
        status.code(),
        1,
        "a dead letter is degraded: {}",
        status.stdout()
    );
    assert_eq!(world.status()["state"], "degraded");

    let agents = world.cli(["agent", "list", "--json"]).json().expect("JSON");
    for agent in agents["agents"].as_array().unwrap() {
        assert_shape(
            agent,
            &[
                ("name", "text"),
                ("state", "text"),
                ("restarts", "number"),
                ("owed", "number"),
            ],
        );
    }
    let listed: Vec<&Value> = agents["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["name"])
        .collect();
    assert!(
        listed.len() >= 6 && listed.contains(&&json!("self_healing")),
        "{listed:?}"
    );

    let job = |name: &str| {
        let jobs = world.cli(["jobs", "--json"]).json().expect("JSON");
        let found = jobs["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|j| j["name"] == name)
            .cloned();
        found.unwrap_or_else(|| panic!("no job {name} in {jobs}"))
    };
    for name in ["maintenance", "health", "verify"] {
        assert_shape(
            &job(name),
            &[
                ("schedule", "text"),
                ("next_at", "text"),
                ("last_at", "text|null"),
                ("paused", "bool"),
            ],
        );
    }
    let run = world.cli(["jobs", "run", "maintenance"]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    world.until("the job has run and says what came of it", || {
        job("maintenance")["last"]["state"] == "ok"
    });
    let lost = world.cli(["jobs", "pause", "lost"]);
    assert_eq!(lost.code(), 65, "{}", lost.stderr());
    assert!(
        lost.stderr().contains("there are: maintenance"),
        "{}",
        lost.stderr()
    );
    let ran = job("maintenance")["last_event"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = world
        .cli(["events", "show", &ran, "--json"])
        .json()
        .expect("JSON");
    assert_eq!(shown["event"]["type"], "maintenance.requested");
    for part in [&ran[..ran.len() - 1], &ran[ran.len() - 12..]] {
        let named = world.cli(["events", "show", part, "--json"]);
        assert_eq!(
            named.json(),
            Some(shown.clone()),
            "{part}: {}",
            named.stderr()
        );
    }
    for verb in ["events", "dead"] {
        let none = world.cli([verb, "show", "ffffffff-ffff"]);
        assert_eq!(none.code(), 65, "{verb}: {}", none.stderr());
    }
    let id = |n: u32| format!("abababab-0000-4000-8000-{n:012}");
    for n in [1, 2] {
        let published = world.cli([
            "publish",
            "test.work",
            "--subject",
            "docs/a",
            "--id",
            &id(n),
        ]);
        assert_eq!(published.code(), 0, "{}", published.stderr());
    }
    let several = world.cli(["events", "show", "abababab"]);
    assert_eq!(several.code(), 2);
    let candidates = several.stderr();
    assert!(
        candidates.contains(&id(1)) && candidates.contains(&id(2)),
        "{candidates}"
    );
    for (verb, paused) in [("pause", true), ("resume", false)] {
        assert_eq!(world.cli(["jobs", verb, "verify"]).code(), 0);
        world.until("the job is as it was asked to be", || {
            job("verify")["paused"] == paused
        });
    }
    for verb in [
        &["jobs"][..],
        &["health"],
        &["agent", "list"],
        &["dead", "list"],
        &["events", "list"],
        &["audit", "list"],
    ] {
        let run = world.cli(verb);
        assert_eq!(run.code(), 0, "{verb:?}: {}", run.stderr());
        assert!(!run.stdout().is_empty(), "{verb:?}");
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

fn sha256(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn anybody_can_check_the_audit_log() {
    let world = World::new("");
    for n in 0..12 {
        world.write(&format!("{n}.md"), format!("# {n}\n\ntext\n"));
    }
    let daemon = world.start();
    world.wait();
    let large = json!({"pad": "x".repeat(5000)}).to_string();
    let large = publish(&world, "test.work", "docs/large", &large).stdout();
    world.settled();
    let listed = world.cli(["audit", "list", "--json"]).stdout();
    let mut previous = "0".repeat(64);
    for (at, line) in listed.lines().enumerate() {
        let record: Value = serde_json::from_str(line).expect("a record is JSON");
        assert_eq!(record["n"], at + 1, "n has no gaps");
        assert_shape(
            &record,
            &[
                ("event", "text"),
                ("type", "text"),
                ("subject", "text"),
                ("time", "text"),
                ("hash", "text"),
            ],
        );
        let hash = record["hash"].as_str().unwrap();
        let stored = line
            .strip_suffix(&format!(",\"hash\":\"{hash}\"}}"))
            .expect("hash is the last key");
        assert_eq!(sha256(&[&previous, "\n", stored, "}"]), hash, "{line}");
        hash.clone_into(&mut previous);
        // Data is hashed as it was written: the line has it so, a number that was read would lose digits.
        match stored.split_once(",\"data\":") {
            Some((_, data)) => assert_eq!(record["data_sha256"], sha256(&[data]), "{line}"),
            None => assert_eq!(
                record["event"],
                large.trim(),
                "only data over 4 KiB is not copied"
            ),
        }
    }
    // Every event once: those of the ledger are those of the log.
    let events = lines(
        &world
            .cli(["events", "list", "--json", "--limit", "1000"])
            .stdout(),
    );
    assert_eq!(events.len(), listed.lines().count());
    let verify = world.cli(["audit", "verify"]);
    assert_eq!(verify.code(), 0, "{}", verify.stderr());
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    let store = rusqlite::Connection::open(world.data().join("store.db")).unwrap();
    let changed = store.execute(
        "UPDATE audit SET line = replace(line, 'docs/', 'dogs/') WHERE n = 7",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    drop(store);
    let daemon = world.start();
    let verify = world.cli(["audit", "verify"]);
    assert_eq!(verify.code(), 65);
    assert!(verify.stdout().contains("record 7"), "{}", verify.stdout());
    let verdict = world
        .cli(["audit", "verify", "--json"])
        .json()
        .expect("JSON");
    assert_eq!(
        (&verdict["intact"], &verdict["broken_at"]),
        (&json!(false), &json!(7))
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn config_show_tells_origins_and_no_secrets() {
    let world =
        World::new("[redis]\nurl = \"redis://me:s3cret@db:6379\"\n[watch]\ndebounce = \"250ms\"");
    for json in [false, true] {
        let mut command = world.command(["config", "show"]);
        command
            .env("DOCENT__LOG__LEVEL", "warn")
            .args(json.then_some("--json"));
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        if json {
            let shown: Value = serde_json::from_str(&text).expect("JSON");
            let of = |key: &str| {
                let found = shown["values"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|v| v["key"] == key);
                found
                    .unwrap_or_else(|| panic!("{key} is not shown"))
                    .clone()
            };
            assert!(
                of("watch.debounce")["origin"]
                    .as_str()
                    .unwrap()
                    .ends_with("docent.toml:10"),
                "{}",
                of("watch.debounce")
            );
            assert_eq!(of("watch.debounce")["value"], "\"250ms\"");
            assert_eq!(of("log.level")["origin"], "DOCENT__LOG__LEVEL");
            assert_eq!(
                of("redis.max_retries"),
                json!({"key": "redis.max_retries", "value": "3", "origin": "default"})
            );
            assert!(
                of("redis.url")["value"]
                    .as_str()
                    .unwrap()
                    .contains("***@db")
            );
        } else {
            assert!(
                text.lines()
                    .any(|l| l.starts_with("redis.url = ") && l.contains("***@db")),
                "{text}"
            );
        }
    }
    let error = world
        .command(["check"])
        .env("DOCENT__REDIS__URL", "http://me:s3cret@db")
        .output();
    let error = error.expect("it runs");
    assert_eq!(error.status.code(), Some(78));
    let said = String::from_utf8_lossy(&error.stdout) + String::from_utf8_lossy(&error.stderr);
    assert!(
        said.contains("redis.url") && !said.contains("s3cret"),
        "{said}"
    );
}

#[test]
fn a_hundred_searches_at_once_are_all_answered() {
    let world = World::new("");
    let words = [
        "copper", "kettle", "lantern", "harbour", "saddle", "granite", "meadow",
    ];
    for n in 0..300 {
        let body: Vec<&str> = (0..80)
            .map(|i| words[(n * 3 + i * (1 + n % 5)) % words.len()])
            .collect();
        world.write(
            &format!("{}/{n}.md", n % 10),
            format!(
                "# Paper {n}\n\n{}.\n\n## More\n\nOn the {} {n}.\n",
                body.join(" "),
                words[n % 7]
            ),
        );
    }
    let daemon = world.start();
    world.wait();
    let took = |answer: &Value| answer["took_ms"].as_f64().expect("took_ms");
    let mut alone: Vec<f64> = (0..30)
        .map(|n| {
            took(
                &world
                    .cli(["search", "--json", &format!("{} {n}", words[n % 7])])
                    .json()
                    .expect("JSON"),
            )
        })
        .collect();
    alone.sort_by(f64::total_cmp);
    println!(
        "one search after the other: median {:.2} ms, worst {:.2} ms",
        alone[15], alone[29]
    );
    // The issue names 10 ms for 1,000 files; a debug build on a shared machine gets five times that.
    assert!(alone[15] < 50.0, "{alone:?}");

    let began = Instant::now();
    let children: Vec<_> = (0..100)
        .map(|n| {
            let query = format!("{} in the {} {n}", words[n % 7], words[(n + 3) % 7]);
            let mut command = world.command(["search", "--json", &query]);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command.spawn().expect("a search starts")
        })
        .collect();
    let mut times = Vec::new();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(answer["hits"].as_array().map(Vec::len), Some(10));
        times.push(took(&answer));
    }
    times.sort_by(f64::total_cmp);
    println!(
        "100 searches at once: all answered in {:.2?}; took_ms median {:.2}, worst {:.2}",
        began.elapsed(),
        times[50],
        times[99]
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

/// Whether a terminal is commanded, a line broken or something hidden in a text whose lines are ours.
fn commands(text: &str) -> bool {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
    };
    text.chars().any(hidden) || text.lines().any(|line| line.starts_with("FORGED"))
}

#[test]
fn what_comes_from_outside_reaches_neither_terminal_nor_log_as_it_is() {
    let world = World::new("[log]\nformat = \"text\"\nlevel = \"debug\"");
    let hostile = "a\u{1b}[2Jb\nFORGED c\u{202e}d\u{200b}e\u{9b}f";
    world.write(
        &format!("{hostile}/{hostile}.md"),
        format!(
            "# Heading {}\n\nthe word zanzibar\n",
            hostile.replace('\n', " ")
        ),
    );
    world.write(&format!("{hostile}.bin"), "\0");
    world.write("broken.md", b"the word \xff");
    let daemon = world.start();
    world.wait();
    let scan = ["publish", "scan.requested", "--subject", hostile];
    let collection = ["search", "x", "--collection", hostile];
    let of_data = [
        "publish",
        "scan.requested",
        "--subject",
        "docs",
        "--data",
        hostile,
    ];
    let history = format!("docs/{hostile}/{hostile}.md");
    for arguments in [
        &["documents"][..],
        &["search", "zanzibar"],
        &["search", hostile],
        &["history", &history],
        &["events", "list"],
        &["audit", "list"],
        &["status"],
        &["health"],
        &scan,
        &collection,
        &of_data,
        &["documents", "--state", hostile],
        &["events", "show", hostile],
        &["dead", "show", hostile],
        &["jobs", "run", hostile],
        &["agent", "restart", hostile],
        &["wait", "--timeout", hostile],
        &["status", hostile],
        &[hostile],
        &["run", "--config", hostile],
        &["status", "--log-level", hostile],
    ] {
        let run = world.cli(arguments);
        for text in [run.stdout(), run.stderr()] {
            assert!(!commands(&text), "{arguments:?}: {text:?}");
        }
    }
    let listed = world.cli(["documents"]).stdout();
    assert!(
        listed.contains("a\\x1B[2Jb\\nFORGED c\\u{202E}d"),
        "{listed}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(!commands(&world.log()), "{:?}", world.log());
}

#[test]
fn tables_fit_the_columns_of_the_terminal() {
    let world = World::new("");
    world.write(
        "guide/\u{65e5}\u{672c}\u{8a9e}/\u{6587}\u{66f8}.md",
        "# \u{6587}\u{66f8} \u{1f980} and a long title that goes on\n\ntext\n",
    );
    world.write(
        "a/rather/long/path/to/a/file/that/is/no/document.xyz",
        "text",
    );
    let daemon = world.start();
    world.wait();
    for columns in ["80", "120"] {
        for arguments in [
            &["documents"][..],
            &["events", "list"],
            &["audit", "list"],
            &["jobs"],
            &["agent", "list"],
            &["status"],
        ] {
            let mut command = world.command(arguments);
            let run = Run::of(command.env("COLUMNS", columns));
            assert_eq!(run.code(), 0, "{arguments:?}: {}", run.stderr());
            for line in run.stdout().lines() {
                let wide = line.chars().filter(|c| u32::from(*c) > 0x2E80).count();
                let width = line.chars().count() + wide;
                assert!(
                    width <= columns.parse().unwrap(),
                    "{arguments:?} {columns}: {line}"
                );
            }
        }
    }
    let plain = world.cli(["events", "list"]).stdout();
    assert!(plain.starts_with("TIME "), "{plain}");
    let row = plain.lines().nth(1).expect("an event");
    let id = row.split_whitespace().last().expect("an id");
    assert_eq!(id.len(), 36, "whole in a pipe: {row}");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
