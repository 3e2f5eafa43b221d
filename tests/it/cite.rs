//! `docent cite`: does a quote still stand where somebody found it?

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::helper::{World, lines};

const GUIDE: &str =
    "# Guide\n\nThe timeout is 30 seconds.\nA retry waits\n  longer each time.\n\nThe end.\n";

impl World {
    fn cite(&self, reference: &str, quote: &str) -> (i32, Value) {
        let run = self.cli(["cite", reference, "--quote", quote, "--json"]);
        let result = run.json();
        let result = result.unwrap_or_else(|| panic!("no verdict: {}", run.stderr()));
        (run.code(), result)
    }

    /// Sends lines to `cite --stdin`: the exit code, stdout, stderr, and how long it took.
    fn cite_lines(&self, input: &str) -> (i32, String, String, Duration) {
        let began = Instant::now();
        let mut child = self
            .command(["cite", "--stdin", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (
            code,
            text(output.stdout),
            text(output.stderr),
            began.elapsed(),
        )
    }
}

#[test]
fn a_quote_is_followed_through_what_happens_to_its_document() {
    let world = World::new("");
    world.write("guide.md", GUIDE);
    world.write("binary.md", b"The timeout\0");
    let _daemon = world.start();
    world.wait();
    let (code, result) = world.cite("docs/binary.md:1", "The timeout");
    assert_eq!(
        (code, &result["verdict"]),
        (1, &json!("unknown")),
        "it is there, and no document: {result}"
    );
    let digest = world.documents()["guide.md"]["digest"].clone();
    let (code, result) = world.cite("docs/guide.md:3", "The timeout is 30 seconds.");
    let expected =
        json!({"ref": "docs/guide.md:3", "verdict": "ok", "lines": [3, 3], "digest": digest});
    assert_eq!((code, result), (0, expected));
    let (code, result) = world.cite("docs/guide.md:4-5", "A retry waits longer\teach time.");
    assert_eq!(
        (code, &result["verdict"], &result["lines"]),
        (0, &json!("ok"), &json!([4, 5]))
    );
    let (code, result) = world.cite("docs/guide.md:4-5", " ");
    assert_eq!((code, &result["verdict"]), (1, &json!("unknown")));
    let (code, result) = world.cite("docs/none.md:4-5", "x");
    assert_eq!(
        (code, &result["verdict"], &result["digest"]),
        (1, &json!("unknown"), &Value::Null)
    );

    world.write(
        "guide.md",
        GUIDE.replace("# Guide\n", "# Guide\n\nNew lines\nbefore it.\n"),
    );
    world.wait();
    let (code, result) = world.cite("docs/guide.md:3", "The timeout is 30 seconds.");
    assert_eq!(
        (code, &result["verdict"], &result["lines"]),
        (0, &json!("moved"), &json!([6, 6]))
    );
    let (_, result) = world.cite("docs/guide.md:6", "The timeout is 30 seconds.");
    assert_eq!(result["verdict"], "ok");

    world.write("guide.md", GUIDE.replace("30 seconds", "5 minutes"));
    world.wait();
    let (code, result) = world.cite("docs/guide.md:3", "The timeout is 30 seconds.");
    let nearest = json!({"lines": [3, 3], "text": "The timeout is 5 minutes."});
    assert_eq!(
        (code, &result["verdict"], &result["nearest"]),
        (1, &json!("changed"), &nearest)
    );

    world.write("guide.md", "Twice.\n\nTwice.\n\nOnce.\n");
    world.wait();
    let (code, result) = world.cite("docs/guide.md:5", "Twice.");
    assert_eq!(
        (code, &result["verdict"], &result["lines"]),
        (1, &json!("unknown"), &Value::Null)
    );
    let (code, result) = world.cite("docs/guide.md:3", "Twice.");
    assert_eq!(
        (code, &result["verdict"], &result["lines"]),
        (0, &json!("ok"), &json!([3, 3]))
    );
    let last = world.documents()["guide.md"]["digest"].clone();
    fs::remove_file(world.docs().join("guide.md")).unwrap();
    world.wait();
    let (code, result) = world.cite("docs/guide.md:3", "Twice.");
    assert_eq!(
        (code, &result["verdict"], &result["digest"]),
        (1, &json!("gone"), &last)
    );
}

#[test]
fn a_path_that_ends_like_lines_is_meant_as_long_as_it_is_there() {
    let world = World::new("");
    world.write("LICENSE-A", "One.\nTwo.\nThree.\n");
    world.write("LICENSE-A:3", "Other.\n");
    let _daemon = world.start();
    world.wait();
    let input = [
        ("1", "One."),
        ("3", "Three."),
        ("3", "Other."),
        ("2-3", "Two."),
    ];
    let verdicts = || {
        let item =
            |(lines, quote)| json!({"ref": format!("docs/LICENSE-A:{lines}"), "quote": quote});
        let input = input.map(|named| item(named).to_string());
        let (_, stdout, stderr, _) = world.cite_lines(&input.join("\n"));
        let results = lines(&stdout);
        assert_eq!(results.len(), input.len(), "{stderr}");
        let verdict = |result: &Value| result["verdict"].as_str().unwrap().to_owned();
        results.iter().map(verdict).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(), ["ok", "changed", "ok", "ok"]);
    fs::remove_file(world.docs().join("LICENSE-A:3")).unwrap();
    world.wait();
    assert_eq!(verdicts(), ["ok", "ok", "changed", "ok"]);
}

#[test]
fn each_line_of_stdin_has_its_answer_in_order() {
    let world = World::new("");
    world.write("guide.md", GUIDE);
    let _daemon = world.start();
    world.wait();
    let item = |reference: &str, quote: &str| json!({"ref": reference, "quote": quote}).to_string();
    let input = [
        item("docs/guide.md:7", "The end."),
        "{\"ref\": 3}".to_owned(),
        item("docs/none.md:1", "x"),
        item("docs/guide.md:3-2", "x"),
        item("docs/guide.md:1", "The end."),
    ];
    let (code, stdout, stderr, _) = world.cite_lines(&input.join("\n"));
    assert_eq!(code, 65, "{stderr}");
    assert!(stderr.starts_with("line 2: "), "{stderr}");
    let stdout: Vec<&str> = stdout.lines().collect();
    assert_eq!((stdout.len(), stdout[1]), (5, ""));
    let verdict = |n: usize| serde_json::from_str::<Value>(stdout[n]).unwrap()["verdict"].clone();
    let verdicts: Vec<Value> = [0, 2, 3, 4].map(verdict).to_vec();
    assert_eq!(verdicts, ["ok", "unknown", "unknown", "moved"]);
    let (code, _, _, _) = world.cite_lines(&format!("{}\n{}\n", input[0], input[4]));
    assert_eq!(code, 0);
    assert_eq!(world.cite_lines("").0, 0);
    let run = world.cli(["cite", "docs/guide.md:1"]);
    assert_eq!(run.code(), 2, "a quote is missing");
}

/// The text of a document of 100 paragraphs; `version` 2 has lines more at its beginning, and every third paragraph reworded.
fn paragraphs(document: usize, version: usize) -> String {
    let mut text = format!("# Document {document}\n\n");
    if version == 2 {
        text.push_str("Something new\nstands here now.\n\n");
    }
    for n in 0..100 {
        let id = document * 100 + n;
        let (verb, end) = match version == 2 && n % 3 == 1 {
            true => ("rejects", "unless it is asked twice"),
            false => ("accepts", "before anything else happens"),
        };
        text.push_str(&format!(
            "Rule {id} of the set says that the service\n{verb} request{id} from node{} {end}.\n\n",
            id * 7
        ));
    }
    text
}

#[test]
fn ten_thousand_quotes_are_told_apart_quickly() {
    let world = World::new("");
    let path = |document: usize| format!("set/{document}.md");
    for document in 0..100 {
        world.write(&path(document), paragraphs(document, 1));
    }
    let _daemon = world.start();
    world.wait();
    // A third of the documents stays, so that a third of all quotes is where it was.
    let changed = |document: usize| !document.is_multiple_of(3);
    let (mut input, mut expected) = (String::new(), Vec::new());
    for document in 0..100 {
        let text = paragraphs(document, 1);
        for n in 0..100 {
            let first = 3 + n * 3;
            let quote: Vec<&str> = text.lines().skip(first - 1).take(2).collect();
            let reference = format!("docs/{}:{first}-{}", path(document), first + 1);
            input.push_str(&json!({"ref": reference, "quote": quote.join("\n")}).to_string());
            input.push('\n');
            expected.push(match (changed(document), n % 3) {
                (false, _) => ("ok", [first, first + 1]),
                (true, 1) => ("changed", [first + 3, first + 4]),
                (true, _) => ("moved", [first + 3, first + 4]),
            });
        }
        if changed(document) {
            world.write(&path(document), paragraphs(document, 2));
        }
    }
    world.wait();
    let (code, stdout, stderr, took) = world.cite_lines(&input);
    println!("10,000 quotes of 100 documents: {took:?}");
    assert_eq!(code, 1, "{stderr}");
    let results = lines(&stdout);
    assert_eq!(results.len(), expected.len());
    for (result, (verdict, lines)) in results.iter().zip(expected) {
        assert_eq!(result["verdict"], verdict, "{result}");
        let found = match verdict {
            "changed" => &result["nearest"]["lines"],
            _ => &result["lines"],
        };
        assert_eq!(*found, json!(lines), "{result}");
    }
}
