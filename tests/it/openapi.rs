//! The API against its own description: requests that others make up from it, good ones and bad ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::api::Api;
use crate::helper::Run;

/// What installs the program that makes requests up.
const INSTALL: &str = "python3 -m venv target/openapi-client && target/openapi-client/bin/pip install schemathesis==4.32.5";

/// What is not tried: an answer that goes on until the client has enough (`/tail`, the streams), one that lasts as long as what
/// it waits for (`/wait`, `/scan`), and a body that is made of lines (`/events/stream`), which no generator of JSON makes.
const LEFT_OUT: &[&str] = &[
    "/tail",
    "/stream",
    "/overview/stream",
    "/wait",
    "/scan",
    "/events/stream",
];

/// What every answer is held against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// What answers to requests that the document forbids are held against.
const CHECKS_OF_BAD_ONES: &str =
    "negative_data_rejection,missing_required_header,unsupported_method";

/// A program of those that were installed.
fn installed(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/openapi-client/bin").join(name);
    assert!(
        program.exists(),
        "schemathesis is missing; install it with: {INSTALL}"
    );
    program
}

/// A daemon with versions of a document, one that is rejected, and a dead letter.
struct Tried {
    api: Api,
    token: String,
    base: String,
}

impl Tried {
    fn new() -> Tried {
        let api = Api::start("");
        let world = &api.world;
        world.write("guide.md", "# Guide\n\nThe marmalade is on the shelf.\n");
        world.write("old.md", "# Old\n\nOne line.\n");
        world.write("broken.bin", [0, 159, 146, 150]);
        world.wait();
        world.write("old.md", "# Old\n\nTwo lines.\n\nAnd more.\n");
        world.wait();
        let dead = ["publish", "test.work", "--subject", "docs/dead.md"];
        let dead = world.cli([&dead[..], &["--data", r#"{"end": "permanent"}"#]].concat());
        assert_eq!(dead.code(), 0, "{}", dead.stderr());
        world.until("a dead letter", || world.status()["bus"]["dead"] == 1);
        let token = api.token("tester", &["--role", "operate"]);
        let base = format!("http://localhost:{}", api.port);
        Tried { api, token, base }
    }

    fn document(&self) -> String {
        format!("{}/api/v1/openapi.json", self.base)
    }

    /// Makes requests up, the same ones every time, and checks the answers.
    fn try_out(&self, checks: &str, arguments: &[&str]) {
        let header = format!("Authorization: Bearer {}", self.token);
        let mut command = Command::new(installed("schemathesis"));
        command
            .current_dir(self.api.world.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["run", &self.document(), "--no-color", "--url", &self.base])
            .args(["--header", &header, "--checks", checks])
            .args(["--generation-deterministic", "--continue-on-failure"])
            .args(["--workers", "1", "--request-timeout", "20"])
            .args(arguments);
        let run = Run::of(&mut command);
        assert_eq!(run.code(), 0, "{}\n{}", run.stdout(), run.stderr());
        let log = self.api.world.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn whatever_is_asked_the_answer_is_one_that_the_document_has() {
    let tried = Tried::new();
    let left_out = LEFT_OUT.iter().map(|path| format!("/api/v1{path}"));
    let left_out: Vec<String> = left_out.collect();
    let left_out = left_out.iter().flat_map(|path| ["--exclude-path", path]);
    let phases = ["--phases", "coverage,fuzzing", "--max-examples", "10"];
    let arguments: Vec<&str> = phases.into_iter().chain(left_out).collect();
    tried.try_out(&format!("{CHECKS},{CHECKS_OF_BAD_ONES}"), &arguments);
}

#[test]
fn what_is_there_is_answered_as_the_document_says_line_by_line_too() {
    let tried = Tried::new();
    let world = &tried.api.world;
    let dead = world.cli(["dead", "list", "--json"]).json().unwrap();
    let id = dead["dead"][0]["event"].as_str().unwrap();
    // Nothing that is made up is ever there.
    let there = format!(
        "[parameters]\n\"path.id\" = \"{id}\"\n\"path.name\" = \"rag\"\nref = \"docs/guide.md:1-2\"\nof = \"docs/old.md\"\n"
    );
    fs::write(world.path().join("schemathesis.toml"), there).unwrap();
    let of_them = "id}|/read|history|restart";
    let arguments = [
        "--phases",
        "coverage",
        "--mode",
        "positive",
        "--include-path-regex",
        of_them,
    ];
    tried.try_out(CHECKS, &arguments);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/openapi_lines.py");
    let lines = Run::of(
        Command::new(installed("python"))
            .arg(script)
            .args([&tried.base, &tried.token]),
    );
    assert_eq!(lines.code(), 0, "{}\n{}", lines.stdout(), lines.stderr());
    let ok = "/api/v1/audit ok\n/api/v1/documents ok\n/api/v1/events ok\n";
    assert_eq!(lines.stdout(), ok);
}
