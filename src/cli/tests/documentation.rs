//! Holds README and `docs/` against the product: every command parses, every link leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser as Markdown, Tag, TagEnd};

use crate::cli::Cli;

/// README and every page of `docs/`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<PathBuf> = docs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    pages.insert(0, root.join("README.md"));
    assert!(pages.len() > 5, "README and the pages of docs/: {pages:?}");
    pages
}

/// The `docent …` commands of a text: in code spans, in the lines of shell scripts, and after the prompt of a console.
fn commands(markdown: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut prompt = None;
    for event in Markdown::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                prompt = match &*language {
                    "sh" => Some(""),
                    "console" => Some("$ "),
                    _ => None,
                };
            }
            Event::End(TagEnd::CodeBlock) => prompt = None,
            Event::Text(text) => {
                let Some(prompt) = prompt else { continue };
                for line in text.lines().filter_map(|line| line.strip_prefix(prompt)) {
                    let line = line.split(" # ").next().unwrap_or(line);
                    commands.extend(line.split(" && ").filter_map(command));
                }
            }
            Event::Code(span) => commands.extend(command(&span)),
            _ => {}
        }
    }
    commands
}

/// The command in a piece of shell: without variables before it, and without what its output goes to.
fn command(piece: &str) -> Option<String> {
    let piece = piece.split(" | ").next()?.split(" > ").next()?.trim();
    let mut words = piece.split(' ').skip_while(|word| word.contains('='));
    let program = words.next()?;
    let rest: Vec<&str> = words.collect();
    let is_docent = program.rsplit('/').next() == Some("docent");
    (is_docent && !rest.is_empty()).then(|| rest.join(" "))
}

/// The words of a command as a shell gives them, with the brackets of what may be left out removed.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ' ' => words.push(String::new()),
            None if c == '[' || c == ']' => {}
            _ => words.last_mut().expect("there is always one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The anchors of a page, as the usual renderers make them of headings.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Markdown::new(markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|h| slug(&h))),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let heading = heading.to_lowercase();
    let letters = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    letters.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn links(markdown: &str) -> Vec<String> {
    let events = Markdown::new_ext(markdown, Options::ENABLE_TABLES);
    events
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        })
        .collect()
}

#[test]
fn every_command_in_the_documentation_parses() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            seen += 1;
            let arguments = std::iter::once("docent".to_owned()).chain(words(&command));
            // A text may speak of `docent publish` without saying what is published.
            if let Err(error) = Cli::try_parse_from(arguments)
                && error.use_stderr()
                && error.kind() != ErrorKind::MissingRequiredArgument
            {
                wrong.push(format!("{}: docent {command}: {error}", page.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                _ => page.parent().unwrap().join(path),
            };
            let there = match anchor {
                "" => target.exists(),
                _ => fs::read_to_string(&target).is_ok_and(|t| anchors(&t).contains(anchor)),
            };
            if !there {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(seen > 30, "only {seen} links were found");
    assert!(
        wrong.is_empty(),
        "these lead nowhere:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn commands_links_and_anchors_are_found() {
    let text = "# A `b` c!\n\n`docent status` [x](y.md#z)\n\n```sh\nA=1 docent wait --timeout 60s | tee # no\nls\n```\n```console\n$ docent tail\ndocent is here\n```\n";
    assert_eq!(commands(text), ["status", "wait --timeout 60s", "tail"]);
    assert_eq!(links(text), ["y.md#z"]);
    assert_eq!(anchors(text), BTreeSet::from(["a-b-c".to_owned()]));
    assert_eq!(
        words("search '\"a b\"' [--limit N]"),
        ["search", "\"a b\"", "--limit", "N"]
    );
}
