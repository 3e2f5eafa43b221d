//! What the pages of `docs/` show is what docent prints.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::helper::Run;

/// The lines that a page shows after a prompt with this command.
pub(crate) fn shown(page: &str, command: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(path).unwrap();
    let prompt = format!("$ {command}\n");
    let (_, after) = text
        .split_once(&prompt)
        .unwrap_or_else(|| panic!("{page} does not show {command}"));
    let lines = after.lines().take_while(|line| *line != "```");
    lines.map(str::to_owned).collect()
}

/// Runs docent as a page shows it, in a folder with this `docent.toml`.
fn printed(config: &str, arguments: &[&str], debounce: Option<&str>) -> Run {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("docent.toml"), config).unwrap();
    Run::of(
        Command::new(env!("CARGO_BIN_EXE_docent"))
            .current_dir(folder.path())
            .args(arguments)
            .args(["--config", "docent.toml"])
            .envs(debounce.map(|debounce| ("DOCENT__WATCH__DEBOUNCE", debounce))),
    )
}

#[test]
fn the_mistakes_of_a_config_are_told_as_the_page_shows_them() {
    let config = "data_dir = \"data\"\nshutdown_timeout = 45\n\n[watch]\ndebounce = \"500\"\n\n[redis]\nmax_retires = 5\n";
    let run = printed(config, &["check"], None);
    let shown = shown("docs/configuration.md", "docent check --config docent.toml");
    // On a terminal what goes to stderr stands above it: how many there are.
    let printed = run.stderr() + &run.stdout();
    assert_eq!(printed.lines().collect::<Vec<_>>(), shown);
}

#[test]
fn the_effective_config_is_shown_as_the_page_shows_it() {
    let config = "data_dir = \"/home/me/.docent\"\n\n[[collection]]\nname = \"notes\"\npath = \"/home/me/notes\"\n";
    let stdout = printed(config, &["config", "show"], Some("1s")).stdout();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed: Vec<String> = stdout.lines().map(words).collect();
    let command = "DOCENT__WATCH__DEBOUNCE=1s docent config show --config docent.toml";
    for line in shown("docs/configuration.md", command) {
        assert!(
            printed.contains(&words(&line)),
            "{line} is not in\n{stdout}"
        );
    }
}
