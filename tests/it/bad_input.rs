//! Bad input of every kind gives one clear message, and the rest goes on.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::helper::{Run, World};

/// State, whether it was read, and reason of a file.
fn entry(document: &Value) -> (&str, bool, &str) {
    (
        document["state"].as_str().expect("a state"),
        document["digest"].is_string(),
        document["reason"].as_str().unwrap_or_default(),
    )
}

fn mkfifo(world: &World, path: &str) {
    let made = Command::new("mkfifo").arg(world.docs().join(path)).status();
    assert!(made.expect("mkfifo runs").success());
}

#[test]
fn files_that_are_no_documents_are_listed_with_the_cause_and_the_rest_is_searchable() {
    let world = World::new("");
    world.write(
        "good.md",
        "# Telescopes\n\nHow to polish a telescope mirror.\n",
    );
    world.write("deep/good.txt", "A lighthouse keeper's day.\n");
    world.write("binary.md", b"\x7fELF\x02\x01\0\0\0\0rest");
    world.write("latin.md", b"line one\ncaf\xe9 au lait\n");
    world.write("utf16.txt", b"\xff\xfeh\0i\0");
    world.write("matter.md", "---\ntitle: [a\n---\n# Heading\n\ntext\n");
    world.write("photo.png", b"\x89PNG");
    world.write("empty.md", "");
    world.write("broken.json", "{\"key\": [1, 2\n");
    let huge = File::create(world.docs().join("huge.md")).unwrap();
    huge.set_len(1 << 30).unwrap();
    let daemon = world.start();
    world.wait();
    let listed = world.documents();
    let expect = |path: &str, state: &str, read: bool, said: &[&str]| {
        let found = entry(&listed[path]);
        assert_eq!((found.0, found.1), (state, read), "{path}: {found:?}");
        for part in said {
            assert!(found.2.contains(part), "{path}: {found:?}");
        }
        let has_reason = state != "stored" || !said.is_empty();
        assert_eq!(has_reason, !found.2.is_empty(), "{path}: {found:?}");
    };
    for path in ["good.md", "deep/good.txt", "empty.md", "broken.json"] {
        expect(path, "stored", true, &[]);
    }
    expect(
        "binary.md",
        "rejected",
        true,
        &["binary content: a NUL byte at offset 6 (line 1); "],
    );
    expect(
        "latin.md",
        "rejected",
        true,
        &["not UTF-8: byte 0xe9 at offset 12 (line 2); "],
    );
    expect(
        "utf16.txt",
        "rejected",
        true,
        &["UTF-16", "convert the file to UTF-8"],
    );
    expect(
        "matter.md",
        "stored",
        true,
        &["broken front matter: line 2: ", "correct the YAML"],
    );
    expect(
        "photo.png",
        "unsupported",
        false,
        &["docent reads no files of this type"],
    );
    expect(
        "huge.md",
        "rejected",
        false,
        &["1073741824 bytes", "limit of 8388608"],
    );
    assert_eq!(listed.len(), 10);
    let table = world.cli(["documents", "--state", "rejected"]).stdout();
    assert_eq!(table.lines().skip(1).count(), 4, "{table}");

    assert_eq!(world.search("polish a telescope")[0], "good.md");
    assert_eq!(world.search("lighthouse keeper")[0], "deep/good.txt");
    let found = world.search("heading text coffee");
    assert_eq!(found[0], "matter.md");
    assert!(!found.contains(&"latin.md".to_owned()));
    let status = world.status();
    assert_eq!(
        status["state"], "running",
        "a rejected file is no fault: {status}"
    );
    assert_eq!(
        (&status["documents"], &status["files"]),
        (&5.into(), &10.into())
    );

    // What is mended is taken in; a document that is spoilt leaves the index.
    world.write("latin.md", "caf\u{e9} au lait with chicory\n");
    world.write("deep/good.txt", b"a lighthouse \0");
    huge.set_len(0).unwrap();
    world.wait();
    let listed = world.documents();
    assert_eq!(entry(&listed["latin.md"]).0, "stored");
    assert_eq!(listed["latin.md"]["version"], 2);
    assert_eq!(entry(&listed["huge.md"]).0, "stored");
    assert_eq!(entry(&listed["deep/good.txt"]).0, "rejected");
    assert_eq!(world.search("chicory")[0], "latin.md");
    assert!(
        !world
            .search("lighthouse keeper")
            .contains(&"deep/good.txt".to_owned())
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn names_of_every_kind_pipes_and_links() {
    let world = World::new("");
    let docs = world.docs();
    world.write("plain.md", "# Plain\n\nAn astrolabe.\n");
    let raw = |name: &[u8]| docs.join(OsStr::from_bytes(name));
    fs::write(raw(b"caf\xe9.md"), "# Latin\n\nA sextant.\n").unwrap();
    fs::write(raw(b"two\nlines.md"), "# Lines\n\nA quadrant.\n").unwrap();
    fs::write(raw(b"back\\slash.md"), "# Slash\n\nAn octant.\n").unwrap();
    fs::write(raw(b"\x1b[31mred.md"), "# Red\n\nA planisphere.\n").unwrap();
    fs::write(
        raw("ünïcode — 文書.md".as_bytes()),
        "# Wide\n\nAn orrery.\n",
    )
    .unwrap();
    // A subject has at most 4 KiB, and this name needs four characters for each of its bytes.
    let mut deep = docs.clone();
    for _ in 0..5 {
        deep.push(OsStr::from_bytes(&[0xff; 230]));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("far.md"), "# Far\n\nAn armillary sphere.\n").unwrap();
    mkfifo(&world, "pipe.md");
    symlink("self.md", docs.join("self.md")).unwrap();
    symlink(".", docs.join("loop")).unwrap();
    symlink(world.path(), docs.join("above")).unwrap();
    symlink("plain.md", docs.join("inside.md")).unwrap();
    fs::write(
        world.path().join("secret.md"),
        "# Secret\n\nA zymurgy cellar.\n",
    )
    .unwrap();
    symlink(world.path().join("secret.md"), docs.join("outside.md")).unwrap();
    let daemon = world.start();
    world.wait();

    let listed = world.documents();
    let (far, near): (Vec<_>, Vec<_>) = listed.iter().partition(|(path, _)| path.len() > 1000);
    let near: Vec<&str> = near.iter().map(|(path, _)| path.as_str()).collect();
    let expected = [
        "\u{1b}[31mred.md",
        "back\\x5Cslash.md",
        "caf\\xE9.md",
        "plain.md",
        "two\nlines.md",
        "ünïcode — 文書.md",
    ];
    assert_eq!(near, expected);
    assert_eq!(far.len(), 1, "{far:?}");
    let (state, read, reason) = entry(far[0].1);
    assert_eq!((state, read), ("unreadable", false), "{reason}");
    assert!(reason.contains("the path is too long"), "{reason}");
    assert!(near.iter().all(|path| listed[*path]["state"] == "stored"));

    for (query, path) in [
        ("sextant", "caf\\xE9.md"),
        ("quadrant", "two\nlines.md"),
        ("octant", "back\\x5Cslash.md"),
        ("planisphere", "\u{1b}[31mred.md"),
        ("orrery", "ünïcode — 文書.md"),
    ] {
        assert_eq!(world.search(query)[0], path);
        let history = world.cli(["history", &format!("docs/{path}"), "--json"]);
        assert_eq!(
            history.json().expect("a history")["path"],
            path,
            "{}",
            history.stderr()
        );
    }
    // Nothing outside of the root is known, and what people read has one line a file and no control codes.
    let outside = world.cli(["search", "\"zymurgy cellar\"", "--json"]);
    assert_eq!(
        outside.json().expect("an answer")["hits"],
        serde_json::json!([])
    );
    let table = world.cli(["documents"]).stdout();
    assert_eq!(table.lines().count(), 1 + listed.len(), "{table}");
    assert!(!table.contains('\u{1b}'), "{table:?}");

    // A pipe and a link in the place of a document are its removal; nothing waits for a writer of the pipe.
    fs::remove_file(docs.join("plain.md")).unwrap();
    mkfifo(&world, "plain.md");
    fs::remove_file(raw(b"caf\xe9.md")).unwrap();
    symlink("/etc/passwd", raw(b"caf\xe9.md")).unwrap();
    world.wait();
    let left = world.documents();
    assert!(
        !left.contains_key("plain.md") && !left.contains_key("caf\\xE9.md"),
        "{left:?}"
    );
    assert_eq!(world.clean_build(&["octant"]), world.knowledge(&["octant"]));
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

const TEN_MISTAKES: &str = r#"data_dir = "data"
shutdown_timout = "10s"
[bus]
mode = "embeded"
[redis]
max_retries = "three"
[watch]
debounce = "500"
[documents]
file_size = "8 megs"
file_types = ["markdown", "markdwn"]
[delivery]
stall_timeout = 20
[jobs.health]
schedule = "every day"
[log]
level = "loud"
[[collection]]
name = "The Docs"
path = "docs"
"#;

/// Line and key of each of them.
const MISTAKES: [(usize, &str); 10] = [
    (2, "shutdown_timout"),
    (4, "bus.mode"),
    (6, "redis.max_retries"),
    (8, "watch.debounce"),
    (10, "documents.file_size"),
    (11, "documents.file_types"),
    (13, "delivery.stall_timeout"),
    (15, "jobs.health.schedule"),
    (17, "log.level"),
    (19, "collection[0].name"),
];

#[test]
fn a_config_with_ten_mistakes_is_told_all_of_them_at_once() {
    let world = World::new("");
    fs::write(world.config(), TEN_MISTAKES).unwrap();
    let check = world.cli(["check"]);
    let (code, said) = world.refused();
    assert_eq!((check.code(), code), (78, 78), "{}{said}", check.stderr());
    for (verb, said) in [("check", check.stdout()), ("run", said)] {
        let file = world.config().display().to_string();
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with(&file))
            .collect();
        assert_eq!(lines.len(), 10, "{verb}: {said}");
        for (line, (number, key)) in lines.into_iter().zip(MISTAKES) {
            let rest = line.strip_prefix(&format!("{file}:{number}: {key}: "));
            let rest = rest.unwrap_or_else(|| panic!("{verb}: {line} is not line {number}, {key}"));
            let (what, remedy) = rest.split_once("; ").expect("what is wrong; what to write");
            assert!(!what.is_empty() && !remedy.is_empty(), "{line}");
        }
    }
    assert!(
        !world.data().exists(),
        "a daemon that refuses its config touches nothing"
    );
    let json = world.cli(["check", "--json"]);
    assert_eq!(json.code(), 78);
    assert_eq!(
        json.json().expect("JSON")["problems"]
            .as_array()
            .map(Vec::len),
        Some(10)
    );
}

#[test]
fn other_ways_to_get_a_config_wrong() {
    let world = World::new("");
    let told = |world: &World, part: &str| {
        let run = world.cli(["check"]);
        assert_eq!(run.code(), 78, "{}", run.stderr());
        let found = run
            .stdout()
            .lines()
            .filter(|line| line.contains(part))
            .count();
        assert_eq!(found, 1, "{part} in\n{}", run.stdout());
    };
    // A variable is named as such.
    let mut command = world.command(["check"]);
    let run = command
        .env("DOCENT__WATCH__DEBOUNCE", "soon")
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(78));
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        said.starts_with("DOCENT__WATCH__DEBOUNCE: watch.debounce: \"soon\" "),
        "{said}"
    );
    // Relations between values.
    world.configure("[delivery]\nstall_timeout = \"40s\"");
    told(&world, ":8: delivery.stall_timeout: ");
    // Overlapping collections.
    world.configure("[[collection]]\nname = \"part\"\npath = \"docs/part\"");
    told(&world, "collection[1]");
    // A socket whose path is too long for the system.
    world.configure(&format!(
        "[control]\nsocket = \"/tmp/{}/docent.sock\"",
        "x".repeat(110)
    ));
    told(&world, ":8: control.socket: ");
    // No TOML at all, and no file.
    fs::write(world.config(), "data_dir = \n").unwrap();
    told(&world, "docent.toml:1: ");
    fs::write(world.config(), b"data_dir = \"\xff\"\n").unwrap();
    told(&world, "docent.toml");
    fs::remove_file(world.config()).unwrap();
    told(&world, "cannot be read");
    assert_eq!(world.cli(["search", "x"]).code(), 78);
    // The environment alone fails: that is another answer.
    world.configure("");
    fs::remove_dir(world.docs()).unwrap();
    let run = world.cli(["check"]);
    assert_eq!(run.code(), 1, "{}{}", run.stdout(), run.stderr());
    assert!(
        run.stdout().contains("the collection docs: cannot list "),
        "{}",
        run.stdout()
    );
    assert_eq!(world.cli(["check", "--no-environment"]).code(), 0);
}

fn search(world: &World, query: &str, json: bool) -> Run {
    let mut command = world.command(["search"]);
    command.args(json.then_some("--json")).args(["--", query]);
    Run::of(&mut command)
}

#[test]
fn a_search_for_anything_is_answered_or_told_to_be_no_query() {
    let world = World::new("");
    world.write(
        "a.md",
        "# Kettles\n\nA copper kettle sings. NEAR the \"stove\" it is 100 % hot.\n",
    );
    let daemon = world.start();
    world.wait();
    let long = "kettle ".repeat(1400);
    for query in [
        "\"",
        "\"\"",
        "\"\"\"",
        "NEAR(",
        "NEAR(a b, 3)",
        "*",
        "kett*",
        "^kettle",
        "a AND",
        "OR",
        "NOT kettle",
        "title:kettle",
        "(",
        ")",
        "{x}",
        "[",
        "\\",
        "'",
        "''; DROP TABLE chunk; --",
        "%",
        "",
        "\u{202e}\u{feff}",
        "\n\t",
        "🫖",
        "e\u{301}",
        "the of and",
        "kettle\nstove",
        "\"\"",
        "\"unclosed phrase",
        "-kettle",
        "+",
        "&&",
        long.as_str(),
    ] {
        let run = search(&world, query, true);
        if query.chars().all(|c| c.is_whitespace() || c == '"') {
            assert_eq!(run.code(), 2, "{query:?}: {}", run.stderr());
            assert!(
                run.stderr()
                    .contains("the query is empty; write what to look for")
            );
            continue;
        }
        assert!(
            matches!(run.code(), 0 | 1),
            "{query:?}: {} {}",
            run.code(),
            run.stderr()
        );
        assert_eq!(run.stderr(), "", "{query:?}");
        let answer = run.json().expect("an answer");
        let hits = answer["hits"].as_array().expect("hits");
        assert_eq!(hits.is_empty(), run.code() == 1, "{query:?}: {answer}");
        // For people it is text and the same exit code.
        assert_eq!(search(&world, query, false).code(), run.code());
    }
    // A word, whatever stands around it.
    for query in [
        "kettle)",
        "(kettle",
        "\"copper kettle\"",
        "*kettle*",
        "kettle NEAR(",
    ] {
        let answer = search(&world, query, true).json().expect("an answer");
        assert!(
            answer["hits"][0]["keyword"].as_f64() > Some(0.0),
            "{query}: {answer}"
        );
    }
    let words: String = (0..400).map(|n| format!("kettle word{n} ")).collect();
    let answer = world
        .cli(["search", "--json", &words])
        .json()
        .expect("an answer");
    assert_eq!(answer["cut"], true, "what was not looked for is said");
    assert_eq!(answer["hits"][0]["path"], "a.md");
    // Longer than a request can be, and not text: usage.
    for query in [
        OsStr::new(&"x".repeat(120_000)),
        OsStr::from_bytes(b"\xff\xfe"),
    ] {
        let run = world.cli([OsStr::new("search"), query]);
        assert_eq!(run.code(), 2, "{}", run.stderr());
        assert!(!run.stderr().is_empty());
    }
    assert_eq!(world.status()["state"], "running");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_store_that_is_corrupt_or_newer_is_refused_with_the_way_out() {
    let world = World::new("");
    let write = |shift: usize| {
        for n in 0..50 {
            let (name, text) = (
                format!("{n}.md"),
                "A copper kettle. ".repeat((n + shift) % 50),
            );
            world.write(&name, format!("# Number {}\n\n{text}\n", (n + shift) % 50));
        }
    };
    let knowledge = |world: &World| world.knowledge(&["copper kettle", "number 7"]);
    write(0);
    let daemon = world.start();
    world.wait();
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let store = world.data().join("store.db");
    let whole = fs::read(&store).unwrap();
    assert!(
        whole.len() > 100_000,
        "a clean end leaves everything in the file"
    );
    let mut header = whole.clone();
    header[..16].copy_from_slice(b"Not a database.\0");
    let mut pages = whole.clone();
    pages[4096..65_536].fill(0xA5);
    for (damage, bytes) in [
        ("garbage", vec![0xA5; 20_000]),
        ("another header", header),
        ("garbage in its pages", pages),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("a text", b"this is no database".to_vec()),
        ("emptied", Vec::new()),
    ] {
        fs::write(&store, &bytes).unwrap();
        let (code, said) = world.refused();
        assert_eq!(code, 65, "{damage}: {said}");
        for part in ["store.db is damaged: ", "move it away", "restore a backup"] {
            assert!(said.contains(part), "{damage}: {said}");
        }
        assert_eq!(
            fs::read(&store).unwrap(),
            bytes,
            "{damage}: it is left as it was found"
        );
        let check = world.cli(["status"]);
        assert_eq!(check.code(), 3);
    }

    // The way out: away with it, and everything is read anew.
    fs::remove_file(&store).unwrap();
    for rest in ["store.db-wal", "store.db-shm"] {
        fs::remove_file(world.data().join(rest)).ok(); // SQLite removes them at a clean end
    }
    write(1);
    let daemon = world.start();
    world.wait();
    assert!(
        world.log().contains("there is an index but no store"),
        "{}",
        world.log()
    );
    assert_eq!(world.documents().len(), 50);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    // Or a copy: it goes on from there. The index is now another store's, with chunks of the same numbers.
    fs::write(&store, &whole).unwrap();
    write(0);
    let daemon = world.start();
    world.wait();
    let clean = world.clean_build(&["copper kettle", "number 7"]);
    assert_eq!(knowledge(&world), clean, "{}", world.log());
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    // One of a later version; `user_version` is at byte 60 of a SQLite file.
    let mut newer = fs::read(&store).unwrap();
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes());
    fs::write(&store, &newer).unwrap();
    let (code, said) = world.refused();
    assert_eq!(code, 65, "{said}");
    for part in ["has schema 999", "run the newer docent"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(
        fs::read(&store).unwrap(),
        newer,
        "it is left as it was found"
    );
}

#[test]
fn a_file_that_vanishes_or_never_rests_holds_up_nobody() {
    let world = World::new("[watch]\ndebounce = \"20ms\"\nstable_after = \"200ms\"");
    world.write("good.md", "# Good\n\nA barometer.\n");
    let daemon = world.start();
    world.wait();
    // Files that come and go faster than anybody can read them, and one that is written all the time.
    for round in 0..300 {
        let path = world.docs().join(format!("gone-{}.md", round % 7));
        fs::write(&path, format!("# Gone\n\nNumber {round}.\n")).unwrap();
        fs::write(
            world.docs().join("busy.md"),
            format!("# Busy\n\nTick {round}.\n"),
        )
        .unwrap();
        fs::remove_file(&path).unwrap();
    }
    world.write("late.md", "# Late\n\nA hygrometer.\n");
    world.wait();
    let listed = world.documents();
    assert_eq!(
        listed.keys().collect::<Vec<_>>(),
        ["busy.md", "good.md", "late.md"]
    );
    assert!(
        listed.values().all(|d| d["state"] == "stored"),
        "{listed:?}"
    );
    assert_eq!(world.search("hygrometer")[0], "late.md");
    assert_eq!(world.search("tick 299")[0], "busy.md");
    assert_eq!(world.status()["bus"]["dead"], 0);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_root_that_disappears_and_comes_back_loses_nothing_and_says_so() {
    let world = World::new("");
    world.write("a.md", "# One\n\nA barometer.\n");
    let daemon = world.start();
    world.wait();
    let before = world.documents();
    let aside = world.path().join("aside");
    fs::rename(world.docs(), &aside).unwrap();
    world.until("the root is told to be absent", || {
        world.status()["collections"][0]["root"] == "absent"
    });
    world.until("the health issue is open", || {
        world.cli(["health"]).stdout().contains("root_absent docs ")
    });
    let status = world.cli(["status"]);
    assert_eq!(status.code(), 1);
    assert!(
        status
            .stdout()
            .contains("the root of docs cannot be reached"),
        "{}",
        status.stdout()
    );
    assert_eq!(world.cli(["scan"]).code(), 0);
    assert_eq!(world.documents(), before);
    assert_eq!(world.search("barometer")[0], "a.md");
    fs::write(aside.join("b.md"), "# Two\n\nA hygrometer.\n").unwrap();
    fs::rename(&aside, world.docs()).unwrap();
    world.until("the root is there", || {
        world.status()["collections"][0]["root"] == "there"
    });
    world.wait();
    assert_eq!(world.search("hygrometer")[0], "b.md");
    world.until("nothing is wrong any more", || {
        world.cli(["status"]).code() == 0
    });
    let said = world.log().matches("the root cannot be opened").count();
    assert_eq!(said, 1, "once for each change: {}", world.log());
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
