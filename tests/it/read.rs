//! `docent read`: the text as it is indexed, and nothing of what is not.

use std::fs;

use serde_json::{Value, json};

use crate::helper::{Run, World};

impl World {
    fn read(&self, reference: &str) -> Run {
        self.cli(["read", reference, "--json"])
    }

    fn text(&self, reference: &str) -> Value {
        let run = self.read(reference);
        run.json()
            .unwrap_or_else(|| panic!("no text: {}", run.stderr()))
    }
}

#[test]
fn a_document_is_read_whole_or_in_lines_with_its_version_and_digest() {
    let world = World::new("");
    let text = "\u{feff}# Guide\r\n\r\nfirst line\r\nsecond line\r\n";
    world.write("sub/guide.md", text);
    let _daemon = world.start();
    world.wait();
    let whole = world.text("docs/sub/guide.md");
    let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
    let expected = json!({
        "collection": "docs", "path": "sub/guide.md", "version": 1, "digest": digest, "lines": [1, 4],
        "total_lines": 4, "text": text.trim_start_matches('\u{feff}'), "stale": false,
    });
    assert_eq!(whole, expected);
    assert_eq!(world.documents()["sub/guide.md"]["digest"], whole["digest"]);
    let part = world.text("docs/sub/guide.md:3-4");
    assert_eq!(
        (&part["lines"], &part["text"]),
        (&json!([3, 4]), &json!("first line\r\nsecond line"))
    );
    let one = world.text("docs/sub/guide.md:4");
    assert_eq!(
        (&one["lines"], &one["text"]),
        (&json!([4, 4]), &json!("second line"))
    );
    // A hit's place gives the hit's text.
    let run = world.cli(["search", "second line", "--json"]);
    let hit = run.json().expect("an answer")["hits"][0].clone();
    let place = format!("docs/sub/guide.md:{}-{}", hit["lines"][0], hit["lines"][1]);
    assert_eq!(world.text(&place)["text"], hit["text"]);
    // As text it is what the file holds.
    let plain = world.cli(["read", "docs/sub/guide.md"]);
    assert_eq!(plain.stdout(), text.trim_start_matches('\u{feff}'));
    for (reference, code) in [("5", 65), ("0", 2), ("4-3", 2)] {
        let run = world.read(&format!("docs/sub/guide.md:{reference}"));
        assert_eq!(run.code(), code, "{reference}: {}", run.stderr());
    }
}

#[test]
fn a_long_document_is_read_in_pieces_that_say_where_the_next_begins() {
    let world = World::new("");
    let text: String = (1..=1000).map(|n| format!("line {n}\n")).collect();
    world.write("long.txt", &text);
    let _daemon = world.start();
    world.wait();
    let mut next = Some("docs/long.txt".to_owned());
    let mut seen = Vec::new();
    while let Some(reference) = next {
        let run = world.cli(["read", &reference, "--max-lines", "300", "--json"]);
        let piece = run.json().expect("a piece");
        let lines = piece["text"].as_str().expect("text").lines();
        seen.extend(lines.map(str::to_owned));
        next = piece["left_off"]["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, text.lines().collect::<Vec<_>>());
    let run = world.cli(["read", "docs/long.txt", "--max-bytes", "19"]);
    assert_eq!(run.stdout(), "line 1\nline 2\n");
    assert!(
        run.stderr().contains("left off: 998 lines")
            && run.stderr().contains("continue at docs/long.txt:3-1000"),
        "{}",
        run.stderr()
    );
}

#[test]
fn what_is_no_document_gets_one_answer_whether_it_is_there_or_not() {
    let world = World::new("exclude = [\"private/**\"]");
    let secret = "the-content-that-must-not-be-shown";
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(8);
    let key = format!(
        "{secret}\n-----BEGIN {0} KEY-----\n{body}-----END {0} KEY-----\n",
        "PRIVATE"
    );
    world.write(".gitignore", "ignored.md\n");
    for (path, text) in [
        ("ignored.md", secret),
        ("private/a.md", secret),
        (".env", secret),
        ("key.md", key.as_str()),
        ("image.png", secret),
        ("gone.md", secret),
        ("shown.md", "# Shown"),
    ] {
        world.write(path, text);
    }
    world.write("binary.md", b"a\0b".as_slice());
    fs::write(world.path().join("outside.md"), secret).unwrap();
    std::os::unix::fs::symlink(
        world.path().join("outside.md"),
        world.docs().join("link.md"),
    )
    .unwrap();
    let _daemon = world.start();
    world.wait();
    assert_eq!(world.read("docs/gone.md").code(), 0);
    fs::remove_file(world.docs().join("gone.md")).unwrap();
    world.wait();
    assert_eq!(world.read("docs/shown.md").code(), 0);
    let absolute = world.docs().join("shown.md").display().to_string();
    let mut answers = Vec::new();
    for reference in [
        "docs/none.md",
        "docs/none.md:3",
        "docs/ignored.md",
        "docs/private/a.md",
        "docs/.env",
        "docs/key.md",
        "docs/key.md:1-2",
        "docs/image.png",
        "docs/binary.md",
        "docs/link.md",
        "docs/gone.md",
        "docs/../outside.md",
        "docs/./shown.md",
        "docs/sub",
        "docs",
        "docs/",
        "other/shown.md",
        absolute.as_str(),
    ] {
        let run = world.read(reference);
        assert_eq!((run.code(), run.stdout().as_str()), (65, ""), "{reference}");
        assert!(!run.stderr().contains(secret), "{reference}");
        answers.push(run.stderr());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn a_path_that_is_there_wins_over_lines() {
    let world = World::new("");
    world.write("a.md", "one\ntwo\n");
    world.write("a.md:2", "three\n");
    world.write("b.md:2.txt", "four\n");
    let _daemon = world.start();
    world.wait();
    assert_eq!(world.documents()["a.md:2"]["state"], "unsupported");
    assert_eq!(world.text("docs/a.md:2")["text"], "two");
    assert_eq!(world.text("docs/b.md:2.txt")["text"], "four\n");
    world.write("notes:2/README", "five\n");
    world.wait();
    assert_eq!(world.text("docs/notes:2/README:1")["text"], "five");
}

#[test]
fn a_file_that_has_changed_since_makes_its_text_stale_until_it_is_captured() {
    let world = World::new("");
    world.write("a.md", "one\n");
    let _daemon = world.start();
    world.wait();
    assert_eq!(world.text("docs/a.md")["stale"], false);
    // The same bytes with another stat are the same.
    world.write("a.md", "one\n");
    assert_eq!(world.text("docs/a.md")["stale"], false);
    // An edit is captured only when it has come to rest.
    let mut n = 0;
    world.until("an edit is seen before it is captured", || {
        n += 1;
        world.write("a.md", format!("edit {n}\n"));
        let read = world.text("docs/a.md");
        assert_ne!(read["text"], format!("edit {n}\n"), "{read}");
        read["stale"] == true
    });
    world.wait();
    let read = world.text("docs/a.md");
    assert_eq!(
        (&read["stale"], &read["text"]),
        (&json!(false), &json!(format!("edit {n}\n")))
    );
    fs::remove_file(world.docs().join("a.md")).unwrap();
    world.until("a removed file is gone or stale", || {
        let run = world.read("docs/a.md");
        run.json().is_none_or(|read| read["stale"] == true)
    });
}
