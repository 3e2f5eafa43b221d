mod documentation;

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn what_the_interfaces_name_is_understood() {
    for line in [
        "docent run -c x.toml",
        "docent --config x.toml run --log-level debug --log-format json",
        "docent check --no-environment --json",
        "docent config show --json",
        "docent config schema",
        "docent completions zsh",
        "docent man target/man",
        "docent status --json --color never",
        "docent wait --timeout 5min",
        "docent scan",
        "docent scan docs --json",
        "docent search how to install --limit 5 --collection docs --json",
        "docent documents --collection docs --state rejected --json",
        "docent history docs/a.md --json",
        "docent publish scan.requested --subject docs --data {} --id 6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55",
        "docent publish --stdin",
        "docent events list --subject docs --type scan.requested --since 1h --limit 5 --json",
        "docent events show 6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55 --json",
        "docent tail --json",
        "docent dead list --json",
        "docent dead replay 6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55 --agent rag",
        "docent dead show 6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55 --agent rag --json",
        "docent dead drop 6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55 --agent rag --json",
        "docent events replay 6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55 --agent rag --json",
        "docent agent restart rag --json",
        "docent agent restart rag@two",
        "docent scan docs --accept-removals",
        "docent jobs --json",
        "docent jobs run verify",
        "docent jobs pause verify --json",
        "docent jobs resume verify",
        "docent health --all --json",
        "docent agent list --json",
        "docent audit list --json",
        "docent audit verify --json",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn what_is_wrong_is_usage_and_help_is_clean() {
    for (line, exit) in [
        ("docent", Exit::Usage),
        ("docent fly", Exit::Usage),
        ("docent wait --timeout 5", Exit::Usage),
        ("docent search", Exit::Usage),
        ("docent publish", Exit::Usage),
        ("docent publish scan.requested", Exit::Usage),
        (
            "docent publish scan.requested --subject x --stdin",
            Exit::Usage,
        ),
        ("docent status --color red", Exit::Usage),
        ("docent --help", Exit::Clean),
        ("docent --version", Exit::Clean),
    ] {
        assert_eq!(
            run_with(line.split_whitespace().map(OsString::from)),
            exit,
            "{line}"
        );
    }
}
