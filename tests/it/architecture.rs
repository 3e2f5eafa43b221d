//! The structure is a rule, not a hope: who may import whom, and which crate is at home where.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of one function each. They name nothing, and every module may name them.
const COMMON: &[&str] = &[
    "amounts", "backoff", "disk", "hex", "log_once", "metrics", "word",
];

/// Module → the modules that it may name.
const IMPORTS: &[(&str, &[&str])] = &[
    ("json", &[]),
    ("event", &[]),
    ("config", &[]),
    ("visible", &[]),
    ("document", &[]),
    ("embed", &[]),
    ("telemetry", &["config", "json", "visible"]),
    ("store", &["event", "json"]),
    ("bus", &["event", "store"]),
    ("index", &["event", "document", "embed", "store"]),
    ("runtime", &["event", "store", "bus"]),
    ("health", &["event", "config", "store", "runtime"]),
    ("webhook", &["config", "event"]),
    ("report", &["event", "store"]),
    (
        "agents",
        &[
            "event", "config", "document", "embed", "store", "index", "runtime", "health",
            "report", "webhook",
        ],
    ),
    (
        "http",
        &[
            "event", "json", "bus", "config", "store", "index", "runtime", "health", "report",
            "visible",
        ],
    ),
    ("error", &["config", "store", "visible"]),
    (
        "daemon",
        &[
            "agents", "bus", "config", "document", "embed", "error", "event", "health", "http",
            "index", "runtime", "store",
        ],
    ),
    (
        "environment",
        &["bus", "config", "daemon", "index", "store", "webhook"],
    ),
    (
        "cli",
        &[
            "config",
            "daemon",
            "environment",
            "error",
            "event",
            "http",
            "json",
            "telemetry",
            "visible",
        ],
    ),
];

/// Crate → the places that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("tantivy", &["index"]),
    ("notify", &["agents/change_detection"]),
    ("gix_glob", &["agents/change_detection", "index"]),
    ("gix_ignore", &["agents/change_detection"]),
    ("axum", &["http"]),
    ("askama", &["http/page"]),
    ("utoipa", &["http", "event/codec.rs"]),
    ("tokio_postgres", &["config", "store"]),
    ("tokio_rustls", &["http", "store", "webhook"]),
    ("rustls_native_certs", &["http/client", "webhook"]),
    ("base64", &["webhook"]),
    ("prometheus_client", &["metrics"]),
    ("fred", &["bus/redis"]),
    ("clap", &["cli"]),
    ("rmcp", &["cli/mcp", "http/mcp"]),
    ("ratatui", &["cli/top"]),
    ("crossterm", &["cli/top"]),
    ("jsonc_parser", &["cli/mcp/setup"]),
    ("toml_edit", &["cli/mcp/setup"]),
    ("tracing_subscriber", &["telemetry"]),
    ("tracing_journald", &["telemetry/journal.rs"]),
    (
        "signal_hook",
        &["runtime/shutdown.rs", "cli/top", "store/recorder.rs"],
    ),
    ("tikv_jemallocator", &["main.rs"]),
    ("sd_notify", &["runtime/notifier.rs"]),
    ("croner", &["config", "agents/scheduler"]),
    ("pulldown_cmark", &["document"]),
    ("serde_saphyr", &["document"]),
    ("memchr", &["document", "http/cite"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// A file's text up to its unit tests.
fn without_tests(text: &str) -> &str {
    let is_module = |line: Option<&str>| line.is_some_and(|line| line.ends_with("mod tests {"));
    let mut tests = text.match_indices("#[cfg(test)]\n");
    let begin = tests.find(|(at, _)| is_module(text[*at..].lines().nth(1)));
    begin.map_or(text, |(at, _)| &text[..at])
}

/// Every Rust file below `folder`, relative to `src`, with its text up to its unit tests.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("src can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let relative = path
                .strip_prefix(source())
                .expect("below src")
                .to_str()
                .expect("a plain name");
            let product = without_tests(&text);
            found.push((relative.to_owned(), product.to_owned()));
        }
    }
}

pub(crate) fn product() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&source(), &mut found);
    found.retain(|(path, _)| !path.contains("tests"));
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn module(path: &str) -> &str {
    path.split('/')
        .next()
        .unwrap_or(path)
        .trim_end_matches(".rs")
}

/// The names that follow `crate::` in a text, outside comments.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        for rest in line.split("crate::").skip(1) {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            names.insert(name);
        }
    }
    names
}

#[test]
fn a_module_names_only_what_it_may() {
    let mut wrong = Vec::new();
    for (path, text) in product() {
        let module = module(&path);
        if matches!(module, "lib" | "main") {
            continue;
        }
        let row = IMPORTS.iter().find(|(name, _)| *name == module);
        let allowed = match row {
            Some((_, allowed)) => *allowed,
            None if COMMON.contains(&module) => &[],
            None => {
                wrong.push(format!("{path}: the module {module} is not in the table"));
                continue;
            }
        };
        for name in named(&text) {
            let may = |names: &[&str]| names.contains(&name.as_str());
            if name != module && !may(allowed) && !may(COMMON) {
                wrong.push(format!("{path} names crate::{name}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn an_agent_does_not_know_another() {
    let mut wrong = Vec::new();
    for (path, text) in product()
        .into_iter()
        .filter(|(path, _)| path.starts_with("agents/") && path != "agents/mod.rs")
    {
        let own = path
            .split('/')
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches(".rs")
            .to_owned();
        for rest in text.split("crate::agents::").skip(1) {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if name != own {
                wrong.push(format!("{path} names the agent {name}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whether a text names this crate, as a whole word.
fn names_crate(text: &str, name: &str) -> bool {
    let whole = |at: usize| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    };
    text.match_indices(&format!("{name}::"))
        .any(|(at, _)| whole(at))
        || text.contains(&format!("use {name};"))
}

#[test]
fn a_crate_has_one_home() {
    let mut wrong = Vec::new();
    for (path, text) in product() {
        for (name, homes) in HOMES {
            if names_crate(&text, name) && !homes.iter().any(|home| path.starts_with(home)) {
                wrong.push(format!("{path} names {name}, whose home is {homes:?}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn serde_is_spoken_at_the_edges_alone() {
    let homes = ["config/", "http/", "cli/", "event/codec.rs", "store/"];
    let wrong: Vec<String> = product()
        .into_iter()
        .filter(|(_, text)| {
            text.contains("derive(")
                && (text.contains("Serialize)") || text.contains("Deserialize)"))
        })
        .map(|(path, _)| path)
        .filter(|path| !homes.iter().any(|home| path.starts_with(home)))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_pure_modules_do_no_io_and_read_no_clock() {
    let mut wrong = Vec::new();
    for (path, text) in product().into_iter().filter(|(path, _)| {
        let pure = ["document/", "embed/", "health/"];
        pure.iter().any(|folder| path.starts_with(folder))
    }) {
        for word in [
            "std::fs",
            "std::net",
            "tokio",
            "Instant::now",
            "SystemTime::now",
        ] {
            if text.contains(word) {
                wrong.push(format!("{path} names {word}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nothing_is_left_unfinished() {
    let mut wrong = Vec::new();
    for (path, text) in product() {
        for word in ["todo!", "unimplemented!", "TODO", "FIXME", "XXX"] {
            if text.contains(word) {
                wrong.push(format!("{path} has {word}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The texts that follow `before` in `text`, up to the next quote.
fn quoted<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    let rest = text.split(before).skip(1);
    rest.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_line_that_has_a_name_is_known_to_the_journal_and_to_the_reader() {
    let sources = product();
    let table = source().join("telemetry/lines.rs");
    let table = fs::read_to_string(table).expect("the table of lines");
    let known = quoted(&table, "    line(\"");
    let said = sources
        .iter()
        .filter(|(path, _)| path != "telemetry/lines.rs");
    let said: BTreeSet<_> = said
        .flat_map(|(_, text)| quoted(text, "name: \"").into_iter())
        .filter(|name| name.contains('.'))
        .collect();
    assert_eq!(said, known);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let page = fs::read_to_string(page).expect("docs/operating.md");
    for row in table.split("    line(\"").skip(1) {
        let mut parts = row.split('"');
        let (name, id) = (
            parts.next().unwrap_or_default(),
            parts.nth(1).unwrap_or_default(),
        );
        let listed = page
            .lines()
            .any(|line| line.contains(&format!("`{name}`")) && line.contains(id));
        assert!(listed, "docs/operating.md does not list {name} with {id}");
    }
}
