//! The API against its own description: requests that others make up from it, good ones and bad ones.

use std::path::Path;
use std::process::Command;

use crate::api::Api;
use crate::helper::Run;

/// How it is installed.
const INSTALL: &str = "python3 -m venv target/openapi-client && target/openapi-client/bin/pip install schemathesis==4.32.5";

/// What is not tried: an answer that goes on until the client has enough (`/tail`, `/stream`), one that lasts as long as what
/// it waits for (`/wait`, `/scan`), and a body that is made of lines (`/events/stream`), which no generator of JSON makes.
const LEFT_OUT: &[&str] = &["/tail", "/stream", "/wait", "/scan", "/events/stream"];

/// What each answer is held against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method";

#[test]
fn whatever_is_asked_the_answer_is_one_that_the_document_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/openapi-client/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is missing; install it with: {INSTALL}"
    );
    let api = Api::start("");
    let world = &api.world;
    world.write("guide.md", "# Guide\n\nThe marmalade is on the shelf.\n");
    world.write("old.md", "# Old\n\nOne line.\n");
    world.write("broken.json", "{\n");
    world.wait();
    world.write("old.md", "# Old\n\nTwo lines.\n\nAnd more.\n");
    world.wait();
    let dead = ["publish", "test.work", "--subject", "docs/dead.md"];
    let dead = world.cli([&dead[..], &["--data", r#"{"end": "permanent"}"#]].concat());
    assert_eq!(dead.code(), 0, "{}", dead.stderr());
    world.until("a dead letter", || world.status()["bus"]["dead"] == 1);

    let token = api.token("tester", &["--role", "operate"]);
    let base = format!("http://localhost:{}", api.port);
    let document = api.get("/api/v1/openapi.json", &token);
    let (_, document) = document.split_once("\r\n\r\n").expect("a body");
    let file = world.path().join("openapi.json");
    std::fs::write(&file, document).unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(world.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["run", "openapi.json", "--no-color"])
        .args(["--url", &base, "--checks", CHECKS])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        // The same requests every time.
        .arg("--generation-deterministic")
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "20",
        ])
        .args([
            "--continue-on-failure",
            "--workers",
            "1",
            "--request-timeout",
            "20",
        ]);
    for path in LEFT_OUT {
        command.args(["--exclude-path", &format!("/api/v1{path}")]);
    }
    let run = Run::of(&mut command);
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout(), run.stderr());
    // It is still there, and no answer broke off.
    world.status();
    let log = world.log();
    assert!(!log.contains("panicked"), "{log}");
}
