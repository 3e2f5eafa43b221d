//! `docent top` on a real terminal, and the overview that it shows beside what else tells the same numbers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::helper::World;
use crate::terminal::Terminal;

/// Waits until the screen has all of these.
fn shows(world: &World, terminal: &Terminal, parts: &[&str]) {
    let mut seen = String::new();
    world.until(&format!("the screen has {parts:?}"), || {
        let screen = terminal.text();
        let all = parts.iter().all(|part| screen.contains(part));
        if !all && screen != seen {
            println!("{screen}\n----");
            seen = screen;
        }
        all
    });
}

fn ended(world: &World, terminal: &mut Terminal) -> i32 {
    let mut code = None;
    world.until("it ends", || {
        code = terminal.ended();
        code.is_some()
    });
    code.unwrap()
}

#[test]
fn numbers_follow_what_happens_in_any_size_and_the_terminal_is_left_as_it_was() {
    let world = World::new("");
    world.write("a.md", "# Anchor");
    let daemon = world.start();
    world.wait();
    let mut terminal = Terminal::run(&world.command(["top"]), 80, 24);
    shows(
        &world,
        &terminal,
        &[
            "is running",
            "1 document is searchable",
            "document_management",
            "q quit",
        ],
    );
    assert!(!terminal.is_as_it_was());
    assert!(!terminal.text().contains("CARRIER"));
    world.write("b.md", "# Boat");
    shows(&world, &terminal, &["2 documents are searchable"]);
    terminal.resize(200, 50);
    shows(&world, &terminal, &["CARRIER", "embedded", "q quit"]);
    terminal.type_in("c");
    shows(&world, &terminal, &["1 collection", "2 stored"]);
    terminal.type_in("q");
    assert_eq!(ended(&world, &mut terminal), 0);
    world.until("the terminal is as it was", || terminal.is_as_it_was());

    let mut terminal = Terminal::run(&world.command(["top"]), 80, 24);
    shows(&world, &terminal, &["2 documents are searchable"]);
    terminal.signal("TERM");
    assert_eq!(ended(&world, &mut terminal), 0);
    world.until("the terminal is as it was", || terminal.is_as_it_was());
    assert_eq!(daemon.stop(), Some(0), "nobody who looks holds it up");
}

#[test]
fn a_lost_daemon_is_told_with_the_age_of_the_numbers_and_found_again() {
    let world = World::new("");
    world.write("a.md", "# Anchor");
    let daemon = world.start();
    world.wait();
    let mut terminal = Terminal::run(&world.command(["top"]), 80, 24);
    shows(&world, &terminal, &["1 document is searchable"]);
    daemon.kill();
    shows(
        &world,
        &terminal,
        &[
            "! the numbers are from ",
            "trying again",
            "1 document is searchable",
        ],
    );
    let daemon = world.start();
    world.until("it is found again", || {
        let screen = terminal.text();
        screen.contains("is running") && !screen.contains("the numbers are from")
    });
    daemon.kill();
    shows(&world, &terminal, &["! the numbers are from "]);
    terminal.type_in("\x03");
    assert_eq!(ended(&world, &mut terminal), 69, "as other verbs end");
    world.until("the terminal is as it was", || terminal.is_as_it_was());
    shows(&world, &terminal, &["docent:"]);
}

#[test]
fn where_there_is_no_terminal_it_says_what_to_do_and_once_prints_one_screen() {
    let world = World::new("");
    world.write("a.md", "# Anchor");
    assert_eq!(world.cli(["top", "--once"]).code(), 69, "nobody runs");
    let _daemon = world.start();
    world.wait();
    let refused = world.cli(["top"]);
    assert_eq!(refused.code(), 2);
    assert!(
        refused.stderr().contains("docent status"),
        "{}",
        refused.stderr()
    );
    let mut dumb = Terminal::run(world.command(["top"]).env("TERM", "dumb"), 160, 24);
    assert_eq!(ended(&world, &mut dumb), 2);
    shows(
        &world,
        &dumb,
        &["TERM names no terminal that docent can draw on"],
    );
    assert_eq!(world.cli(["top", "--json"]).code(), 2);
    let once = world.cli(["top", "--once"]);
    assert_eq!(once.code(), 0, "{}", once.stderr());
    for part in ["is running", "1 document is searchable", "logging_audit"] {
        assert!(once.stdout().contains(part), "{}", once.stdout());
    }
    let overview = world.cli(["top", "--once", "--json"]).json().unwrap();
    assert_eq!(overview["status"]["documents"], 1);
    assert!(
        overview["freshness"]["measured"]["changes"].is_number(),
        "{overview}"
    );
}

/// The samples of `/metrics`.
fn samples(world: &World) -> BTreeMap<String, f64> {
    let (status, page) = world.get("/metrics");
    assert_eq!(status, 200, "{page}");
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// What changes by itself even while nothing happens.
fn without_time(mut status: Value) -> Value {
    for key in ["uptime_s", "free_space"] {
        status.as_object_mut().unwrap().remove(key);
    }
    status["freshness"]
        .as_object_mut()
        .unwrap()
        .remove("complete_to");
    status
}

#[test]
fn status_metrics_and_overview_tell_the_same_numbers() {
    let world = World::new("");
    world.write("a.md", "# Anchor\n\nDrop it.");
    world.write("b.md", "# Boat");
    world.write("c.bin", [0, 159, 146, 150]);
    world.write("bad.txt", b"a lighthouse \0");
    let _daemon = world.start();
    world.wait();
    world.settled();
    let mut compared = None;
    // A job may run at any moment: what is compared is what was so before and after.
    world.until("a quiet moment", || {
        let before = without_time(world.status());
        let overview = world.cli(["top", "--once", "--json"]).json().unwrap();
        let metrics = samples(&world);
        let after = without_time(world.status());
        let seen = without_time(overview["status"].clone());
        if before == after && seen == after {
            compared = Some((overview, metrics));
        }
        compared.is_some()
    });
    let (overview, metrics) = compared.unwrap();
    let status = &overview["status"];
    let number = |value: &Value| value.as_f64().unwrap();
    let metric = |name: &str| {
        *metrics
            .get(name)
            .unwrap_or_else(|| panic!("{name} in {metrics:?}"))
    };
    for agent in overview["agents"].as_array().unwrap() {
        let name = agent["name"].as_str().unwrap();
        let same = &status["agents"][name];
        for field in [
            "owed",
            "dead",
            "handled",
            "failed",
            "restarts",
            "in_flight",
            "retrying",
        ] {
            assert_eq!(agent[field], same[field], "{name} {field}");
        }
        let label = format!("{{agent=\"{name}\"}}");
        assert_eq!(
            metric(&format!("docent_deliveries_owed{label}")),
            number(&agent["owed"])
        );
        assert_eq!(
            metric(&format!("docent_deliveries_dead{label}")),
            number(&agent["dead"])
        );
        assert_eq!(
            metric(&format!("docent_agent_restarts_total{label}")),
            number(&agent["restarts"])
        );
        for (outcome, field) in [("done", "handled"), ("failed", "failed")] {
            let name = format!("docent_handled_total{{agent=\"{name}\",outcome=\"{outcome}\"}}");
            assert_eq!(metric(&name), number(&agent[field]), "{name}");
        }
    }
    let docs = &overview["collections"][0];
    assert_eq!(docs["states"], status["states"]);
    assert_eq!(docs["files"], status["files"]);
    for (state, files) in docs["states"].as_object().unwrap() {
        let name = format!("docent_documents{{collection=\"docs\",state=\"{state}\"}}");
        assert_eq!(metric(&name), number(files), "{name}");
    }
    assert_eq!(metric("docent_chunks"), number(&status["chunks"]));
    assert_eq!(overview["stages"][3]["waiting"], status["index"]["behind"]);
    assert_eq!(
        metric("docent_index_lag_changes"),
        number(&status["index"]["behind"])
    );
    assert_eq!(overview["dead"]["total"], status["bus"]["dead"]);
    assert_eq!(
        overview["issues"].as_array().unwrap().len() as f64,
        number(&status["issues"])
    );
    let measured = &overview["freshness"]["measured"]["changes"];
    assert_eq!(metric("docent_freshness_seconds_count"), number(measured));
    let rejected = &docs["rejections"][0];
    assert_eq!(rejected["files"], 1, "{docs}");
    assert_eq!(rejected["files"], docs["states"]["rejected"], "{docs}");
}
