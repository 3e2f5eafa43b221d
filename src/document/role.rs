//! What a file is for, told by its path: product, test, example, or something that others made.

use super::kind::{extension, file_name, is_page};

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// None of the others.
    Product,
    /// A test, or what only tests use.
    Test,
    /// An example or a benchmark.
    Example,
    /// Made by others, by a program, or kept for what is old.
    Foreign,
    /// Lists of changes, terms and names: they have many words of everything.
    Record,
}

const TEST_FOLDERS: &[&str] = &[
    "test",
    "tests",
    "testing",
    "spec",
    "specs",
    "__tests__",
    "__mocks__",
    "mock",
    "mocks",
    "fixture",
    "fixtures",
    "testdata",
    "test-utils",
    "test_utils",
    "testutil",
    "testutils",
    "e2e",
    "__snapshots__",
    "__fixtures__",
];
const EXAMPLE_FOLDERS: &[&str] = &[
    "example",
    "examples",
    "sample",
    "samples",
    "demo",
    "demos",
    "bench",
    "benches",
    "benchmark",
    "benchmarks",
];
/// Folders of those names that hold pages as often: of how to test, or what a thing is to do.
const OF_PAGES_TOO: &[&str] = &[
    "testing", "spec", "specs", "sample", "samples", "demo", "demos",
];
const FOREIGN_FOLDERS: &[&str] = &[
    "vendor",
    "vendored",
    "third_party",
    "third-party",
    "thirdparty",
    "node_modules",
    "dist",
    "generated",
    "gen",
    "compat",
    "legacy",
    "deprecated",
    "_deprecated",
    "polyfill",
    "polyfills",
];
const RECORD_NAMES: &[&str] = &[
    "changelog",
    "changes",
    "license",
    "licence",
    "copying",
    "notice",
    "news",
    "history",
    "contributing",
    "authors",
    "contributors",
    "publicapi",
];

/// What the file at `path` is for.
pub(crate) fn role_of(path: &[u8]) -> Role {
    let path_text = String::from_utf8_lossy(path);
    let lower = path_text.to_lowercase();
    let mut folders = lower.rsplit('/').skip(1);
    let page = is_page(path);
    let counts = |folder: &&str| !page || !OF_PAGES_TOO.contains(folder);
    let within = |list: &[&str]| {
        let mut counted = folders.clone().filter(counts);
        counted.any(|folder| list.contains(&folder))
    };
    let (test, example, foreign) = (
        within(TEST_FOLDERS),
        within(EXAMPLE_FOLDERS),
        within(FOREIGN_FOLDERS),
    );
    let top = folders.next().is_none();
    let name = String::from_utf8_lossy(file_name(path)).into_owned();
    if test || is_test(&name) {
        Role::Test
    } else if example {
        Role::Example
    } else if foreign || is_foreign(&name.to_lowercase()) {
        Role::Foreign
    } else if is_record(&name.to_lowercase()) && page && (top || extension(path) != "md") {
        Role::Record
    } else {
        Role::Product
    }
}

fn is_test(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let lower = stem.to_lowercase();
    let marked = [
        "_test", "-test", ".test", "_tests", "_spec", "-spec", ".spec", "_bench", ".bench",
    ];
    lower.starts_with("test_")
        || lower == "conftest"
        || marked.iter().any(|end| lower.ends_with(end))
        // `ParserTest`, and not `latest`.
        || ["Test", "Tests", "Spec"].iter().any(|end| stem.len() > end.len() && stem.ends_with(end))
}

fn is_foreign(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    [
        ".min",
        ".generated",
        ".pb",
        ".g",
        ".d",
        "_pb2",
        "_pb",
        ".designer",
    ]
    .iter()
    .any(|end| stem.ends_with(end))
        || stem
            .split(['_', '-', '.'])
            .any(|word| matches!(word, "compat" | "legacy" | "deprecated" | "polyfill"))
}

fn is_record(name: &str) -> bool {
    let base = name.split(['.', '-', '_']).next().unwrap_or(name);
    RECORD_NAMES.contains(&base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_what_a_file_is_for() {
        for (path, role) in [
            ("src/client.rs", Role::Product),
            ("tests/it/client.rs", Role::Test),
            ("src/client_test.go", Role::Test),
            ("src/Test.java", Role::Product),
            ("src/ClientTest.java", Role::Test),
            ("src/latest.py", Role::Product),
            ("test_client.py", Role::Test),
            ("a/client.spec.ts", Role::Test),
            ("examples/a.rs", Role::Example),
            ("benches/a.rs", Role::Example),
            ("vendor/x/a.go", Role::Foreign),
            ("src/compat.py", Role::Foreign),
            ("src/compatible.py", Role::Product),
            ("types/index.d.ts", Role::Foreign),
            ("CHANGELOG.md", Role::Record),
            ("docs/history.md", Role::Product),
            ("src/history.rs", Role::Product),
            ("notice.js", Role::Product),
            ("LICENSE-MIT", Role::Record),
            ("src/NEWS", Role::Record),
            ("specs/retry.md", Role::Product),
            ("specs/retry.js", Role::Test),
            ("docs/samples/a.rst", Role::Product),
            ("tests/fixtures/a.md", Role::Test),
            ("PublicAPI.Shipped.txt", Role::Record),
            ("docs/testing.md", Role::Product),
        ] {
            assert_eq!(role_of(path.as_bytes()), role, "{path}");
        }
    }
}
