//! Each client's file is read here by that client's rules, not by what wrote it.

use serde_json::{Value, json};

use super::*;

fn start() -> Start {
    Start {
        command: "docent".to_owned(),
        arguments: ["mcp", "--config", "/a b/\"c\".toml"]
            .map(str::to_owned)
            .to_vec(),
    }
}

/// JSON with comments, as VS Code, Zed and Gemini take it: comments and commas at the end of a list are left out.
fn uncommented(text: &str) -> Value {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let ends = |(at, _): &(usize, &str)| {
                let before = rest[..*at]
                    .bytes()
                    .rev()
                    .take_while(|b| *b == b'\\')
                    .count();
                *at > 0 && before % 2 == 0
            };
            let end = rest.match_indices('"').find(ends).unwrap().0 + 1;
            plain.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            rest = &rest[rest.find("*/").unwrap() + 2..];
        } else {
            if matches!(c, '}' | ']') && plain.trim_end().ends_with(',') {
                plain.truncate(plain.trim_end().len() - 1);
            }
            plain.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    serde_json::from_str(&plain).unwrap_or_else(|e| panic!("{e}: {plain}"))
}

/// The entry in a text, by the rules of the client.
fn entry(program: Program, text: &str) -> Value {
    match program {
        Program::ClaudeCode | Program::Cursor => {
            let all: Value = serde_json::from_str(text).unwrap();
            all["mcpServers"]["docent"].clone()
        }
        Program::Gemini => uncommented(text)["mcpServers"]["docent"].clone(),
        Program::Vscode => uncommented(text)["servers"]["docent"].clone(),
        Program::Zed => uncommented(text)["context_servers"]["docent"].clone(),
        Program::Codex => {
            let all: ::toml::Table = ::toml::from_str(text).unwrap();
            serde_json::to_value(&all["mcp_servers"]["docent"]).unwrap()
        }
    }
}

fn expected(program: Program) -> Value {
    let mut expected = json!({"command": "docent", "args": ["mcp", "--config", "/a b/\"c\".toml"]});
    if program == Program::Vscode {
        expected["type"] = json!("stdio");
    }
    expected
}

#[test]
fn each_client_finds_the_entry_in_a_new_file() {
    for program in Program::value_variants() {
        let text = program.with_entry("", &start()).unwrap();
        assert_eq!(entry(*program, &text), expected(*program), "{text}");
        assert!(text.ends_with('\n'), "{text:?}");
        assert_eq!(
            program.with_entry(&text, &start()).unwrap(),
            text,
            "again changes nothing"
        );
    }
}

#[test]
fn what_is_there_stays_with_its_comments() {
    let json = "{\n    // mine\n    \"theme\": \"dark\", /* so */\n    \"KEY\": {\n        \"other\": {\"command\": \"x\"},\n    },\n    \"tail\": [1, 2,],\n}\n";
    for program in [Program::Vscode, Program::Zed, Program::Gemini] {
        let before = json.replace("KEY", program.key());
        let after = program.with_entry(&before, &start()).unwrap();
        assert_eq!(entry(program, &after), expected(program), "{after}");
        for kept in [
            "// mine",
            "/* so */",
            "\"theme\": \"dark\"",
            "\"other\": {\"command\": \"x\"}",
            "[1, 2,]",
        ] {
            assert!(after.contains(kept), "{kept} is gone: {after}");
        }
        assert_eq!(uncommented(&after)[program.key()]["other"]["command"], "x");
    }
    let strict = "{\"mcpServers\": {\"other\": {\"command\": \"x\"}}}";
    for program in [Program::ClaudeCode, Program::Cursor] {
        let after = program.with_entry(strict, &start()).unwrap();
        assert_eq!(entry(program, &after), expected(program), "{after}");
        assert!(after.contains("\"other\": {\"command\": \"x\"}"), "{after}");
    }
    let before = "# mine\nmodel = \"m\" # so\n\n[mcp_servers.other]\ncommand = \"x\"\n\n[tui]\ntheme = \"t\"\n";
    let after = Program::Codex.with_entry(before, &start()).unwrap();
    assert_eq!(
        entry(Program::Codex, &after),
        expected(Program::Codex),
        "{after}"
    );
    for line in before.lines() {
        assert!(after.lines().any(|l| l == line), "{line} is gone: {after}");
    }
}

#[test]
fn of_an_entry_that_is_there_only_the_start_changes() {
    let before = "{\"servers\": {\"docent\": {\"command\": \"old\", \"env\": {\"A\": \"b\"}}}}";
    let after = Program::Vscode.with_entry(before, &start()).unwrap();
    let mut all = expected(Program::Vscode);
    all["env"] = json!({"A": "b"});
    assert_eq!(entry(Program::Vscode, &after), all, "{after}");
    for before in [
        "[mcp_servers.docent]\ncommand = \"old\"\nenabled = false # off\n",
        "mcp_servers = { docent = { command = \"old\", enabled = false } }\n",
        "mcp_servers.docent.enabled = false\n",
    ] {
        let after = Program::Codex.with_entry(before, &start()).unwrap();
        let found = entry(Program::Codex, &after);
        assert_eq!(
            (&found["command"], &found["enabled"]),
            (&json!("docent"), &json!(false)),
            "{after}"
        );
    }
}

#[test]
fn a_file_that_is_something_else_is_left_alone() {
    for (program, text) in [
        (Program::Zed, "[]"),
        (Program::Zed, "{broken"),
        (Program::Zed, "{'single': 1}"),
        (Program::ClaudeCode, "{\"mcpServers\": 3}"),
        (Program::ClaudeCode, "{\"mcpServers\": {\"docent\": []}}"),
        (Program::Codex, "mcp_servers = 3"),
        (Program::Codex, "= ="),
    ] {
        assert!(program.with_entry(text, &start()).is_err(), "{text}");
    }
}

#[test]
fn a_file_is_replaced_whole_and_keeps_its_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/settings.json");
    replace(&path, "one").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let link = folder.path().join("link.json");
    symlink(&path, &link).unwrap();
    replace(&link, "two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert_eq!(present(&path).unwrap().as_deref(), Some("two"));
    assert_eq!(present(&folder.path().join("none")).unwrap(), None);
}
