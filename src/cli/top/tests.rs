//! Screens, drawn for terminals of several sizes.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::{Value, json};

use super::draw::{draw, text};
use super::feed::News;
use super::paint::Palette;
use super::view::{TopView, Turn};
use super::*;
use crate::cli::text::{Style, width};

fn agent(name: &str, owed: u64) -> Value {
    json!({
        "name": name, "state": "running", "carrier": "embedded", "restarts": 1, "reason": "it panicked: the walrus",
        "handled": 1200, "failed": 3, "owed": owed, "oldest_owed_s": if owed > 0 { json!(75.0) } else { Value::Null },
        "in_flight": 0, "queued": 0, "kept": 0, "retrying": 0, "dead": 0, "unavailable": null,
        "handled_minute": 40, "failed_minute": 1, "last_progress_at": "2026-01-31T12:00:00Z",
        "oldest": [{"event": "01890000-0000-7000-8000-00000000abcd", "type": "file.changed", "subject": "docs/wal\u{1b}[2Jrus.md",
            "since": "2026-01-31T11:59:00Z", "attempts": 2, "error": "the disk is full"}],
    })
}

/// An overview of a daemon that is at work.
fn overview() -> Value {
    let names = [
        "change_detection",
        "document_management",
        "rag",
        "logging_audit",
        "scheduler",
        "self_healing",
    ];
    let agents = names.iter().zip([0, 1, 2, 0, 1, 2]);
    let agents: Vec<Value> = agents.map(|(name, owed)| agent(name, owed)).collect();
    json!({
        "taken_at": "2026-01-31T12:00:42Z",
        "status": {
            "state": "running", "wrong": [], "version": "0.1.0", "instance": "host", "data_dir": "/var/lib/docent",
            "started_at": "2026-01-31T10:00:00Z", "uptime_s": 7242,
            "bus": {"active": "embedded", "why": "the config says embedded", "owed": 12, "in_flight": 1, "retrying": 0,
                "dead": 0, "lost_by_redis": 0},
            "agents": {}, "freshness": {"complete_to": "2026-01-31T12:00:42Z", "pending": 12, "failed": 0},
            "documents": 1234, "files": 1300, "states": {}, "configured": 1, "chunks": 5000, "embedder": "table",
            "collections": [], "scan": {"scanning": null, "seen": 0, "changed": 0, "marked": 0, "held": null, "absent": []},
            "index": {"ready": true, "position": 7, "behind": 0, "chunks": 5000, "passages": 5000, "rebuilt": null, "stopped": null},
            "free_space": {"bytes": 1_000_000_000, "floor": 1000}, "issues": 0,
        },
        "summary": {"text": "docent is well: 12 changes are on the way to search", "remedy": null},
        "freshness": {"complete_to": "2026-01-31T12:00:42Z", "pending": 12, "failed": 0,
            "measured": {"changes": 20, "since": "2026-01-31T11:00:00Z", "until": "2026-01-31T12:00:00Z", "p50_s": 0.8, "p99_s": 2.5}},
        "minute_s": 60.0,
        "stages": [
            {"stage": "captured", "waiting": 3, "passed_minute": 40, "held": null},
            {"stage": "validated", "waiting": 7, "passed_minute": 39, "held": null},
            {"stage": "chunked", "waiting": 2, "passed_minute": 38, "held": null},
            {"stage": "indexed", "waiting": null, "passed_minute": null, "held": "the disk is full"},
            {"stage": "searchable", "waiting": null, "passed_minute": 35, "held": null},
        ],
        "agents": agents,
        "published_minute": 100, "searches_minute": 2, "redis": null, "issues": [],
        "dead": {"total": 0, "looked_at": 0, "groups": [], "more_groups": 0},
        "jobs": [{"name": "verify", "schedule": "hourly", "paused": false, "next_at": null, "last_at": null,
            "last_event": null, "last": null, "missed": 0}],
        "collections": [{"name": "docs", "path": "/srv/docs", "root": "there", "cause": null, "watch": "poll",
            "why_poll": "it is on a network", "unlisted": [], "shut": [], "files": 1300,
            "states": {"stored": 1234, "rejected": 66}, "rejections": [{"reason": "it is no text", "files": 60}]}],
        "store_bytes": 1_000_000,
    })
}

/// The same where almost everything is wrong.
fn wrong() -> Value {
    let mut overview = overview();
    overview["status"]["state"] = json!("degraded");
    let long = "the agent rag is parked: it failed too often, and what it failed with is told in so many words that they \
                do not fit into one line of any terminal that somebody works with, nor into two";
    overview["summary"] =
        json!({"text": format!("docent is degraded: {long}"), "remedy": "see what it failed with"});
    overview["agents"][2]["unavailable"] =
        json!({"why": "the model is not there", "since": "2026-01-31T11:00:00Z"});
    overview["issues"] = json!([{"subject": "agent_parked:agent/rag@host", "detector": "agent_parked", "severity": "error",
        "what": long, "remedy": "`docent agent restart rag`", "since": "2026-01-31T11:00:00Z",
        "fix": {"name": "restart", "attempts": 2, "result": null}}]);
    overview["dead"] = json!({"total": 1500, "looked_at": 1000, "more_groups": 3, "groups": [
        {"agent": "rag", "type": "document.stored", "error": format!("{long}\u{202e}"), "count": 990,
         "event": "01890000-0000-7000-8000-00000000abcd", "subject": "docs/a.md", "at": "2026-01-31T11:00:00Z"}]});
    overview["redis"] = json!({"up": true, "reconnects": 0, "lost": 0, "streams": [
        {"key": "docent:{rag}:inbox", "agent": "rag", "length": 12, "pending": 3, "lag": null, "consumers": 1}]});
    overview
}

fn view_of(overview: Value) -> TopView {
    let mut view = TopView::default();
    let overview = serde_json::from_value(overview).expect("an overview");
    view.took(News::Overview(Box::new(overview)));
    let minutes = json!([1.0, null, 3.0]);
    let history = json!({"hour": {"step_s": 10, "until": null, "figures": {"pending": minutes, "handled_per_min.rag": minutes}},
        "day": {"step_s": 300, "until": null, "figures": {}}});
    view.took(News::History(
        serde_json::from_value(history).expect("a history"),
    ));
    view
}

fn press(view: &mut TopView, code: KeyCode) -> Turn {
    view.press(KeyEvent::new(code, KeyModifiers::NONE))
}

/// The screen of so many columns and lines.
fn screen(view: &TopView, size: (u16, u16)) -> Vec<String> {
    let (columns, lines) = size;
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    let palette = Palette::new(true);
    let drawn = terminal.draw(|frame| draw(view, frame.area(), frame.buffer_mut(), palette));
    let buffer = drawn.unwrap().buffer.clone();
    let line = |y| {
        (0..columns)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (0..lines)
        .map(line)
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// That one of the lines has all of these in this order.
fn has(lines: &[String], parts: &[&str]) {
    let is_in = |line: &String| {
        let mut rest = line.as_str();
        parts.iter().all(|part| match rest.split_once(part) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
    };
    assert!(
        lines.iter().any(is_in),
        "{parts:?} in\n{}",
        lines.join("\n")
    );
}

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);

#[test]
fn the_first_page_has_everything_in_80_by_24_and_more_where_there_is_room() {
    let view = view_of(overview());
    for size in [SMALL, LARGE] {
        let lines = screen(&view, size);
        has(&lines, &["docent 0.1.0 on host is running, up 2h 0m"]);
        has(&lines, &["12 changes are on the way to search"]);
        has(&lines, &["search", "12 pending", "0.8s", "2.5s"]);
        has(
            &lines,
            &["captured", "validated", "chunked", "indexed", "searchable"],
        );
        has(&lines, &["waits", "3", "7", "2", "-", "-"]);
        has(&lines, &["last min", "40", "39", "38", "-", "35"]);
        has(&lines, &["indexed stands still: the disk is full"]);
        has(&lines, &["AGENT", "STATE", "OWED", "OLDEST", "DONE/M"]);
        has(
            &lines,
            &["document_management", "running", "1", "1m", "40", "42s"],
        );
        has(&lines, &["self_healing", "running"]);
        has(
            &lines[lines.len() - 1..],
            &["d dead 0", "i issues 0", "? help", "q quit"],
        );
    }
    assert!(!screen(&view, SMALL).join("\n").contains("CARRIER"));
    let large = screen(&view, LARGE);
    has(&large, &["AGENT", "CARRIER", "QUEUED", "RESTARTS"]);
    has(&large, &["pending changes", "3", "peak 3", "▄ █"]);
}

#[test]
fn before_anything_is_known_it_says_so_and_a_loss_says_since_when_the_numbers_are_old() {
    let mut view = TopView::default();
    has(&screen(&view, SMALL), &["waiting for docent"]);
    assert!(view.selected().is_none());
    view = view_of(overview());
    view.lost("docent went away");
    has(&screen(&view, SMALL), &["on host was running"]);
    has(
        &screen(&view, SMALL),
        &["! the numbers are from ", "docent went away; trying again"],
    );
    let overview = serde_json::from_value(overview()).unwrap();
    view.took(News::Overview(Box::new(overview)));
    assert!(!screen(&view, SMALL).join("\n").contains("numbers are from"));
}

#[test]
fn alerts_that_are_raised_are_one_line_and_nothing_where_there_are_none() {
    let mut overview = overview();
    assert!(
        !screen(&view_of(overview.clone()), SMALL)
            .concat()
            .contains("raised")
    );
    overview["status"]["alerts"] = json!({
        "raised": [{"rule": "space", "severity": "error", "since": "2026-01-31T11:00:00Z", "value": 1, "limit": 2}],
        "failing": [{"rule": "space", "attempts": 3, "error": "refused"}],
    });
    let lines = screen(&view_of(overview), SMALL);
    has(
        &lines,
        &["1 alert raised: space; messages of space are not taken: refused"],
    );
    has(&lines, &["self_healing"]);
}

/// So many hosts, the last of which is late.
fn hosts(count: usize) -> Value {
    let host = |n: usize| {
        let late = n == count;
        json!({"instance": format!("host-{n}"), "version": "0.1.0", "joined_at": "2026-01-31T10:00:00Z",
            "renewed_ago_ms": if late { 7240 } else { 1240 }, "slots": 256 / count, "this": n == 1, "in_flight": {"rag": n, "test": 40},
            "collections": if n == 1 { vec!["docs"] } else { vec![] }, "tasks": ["alerts", "housekeeping"]})
    };
    (1..=count).map(host).collect()
}

#[test]
fn hosts_that_share_the_store_are_a_line_and_a_table_where_there_is_room() {
    let mut overview = overview();
    assert!(
        !screen(&view_of(overview.clone()), LARGE)
            .concat()
            .contains("host-")
    );
    overview["status"]["hosts"] = hosts(2);
    let lines = screen(&view_of(overview.clone()), SMALL);
    has(
        &lines,
        &["hosts", "2 hosts work on the store, late: host-2 (7.2s)"],
    );
    has(
        &lines,
        &[
            "HOST", "VERSION", "RENEWED", "SLOTS", "RUN", "WATCHES", "TASKS",
        ],
    );
    has(
        &lines,
        &[
            "host-1",
            "0.1.0",
            "1.2s",
            "128",
            "41",
            "docs",
            "alerts, housekeeping",
        ],
    );
    has(
        &lines,
        &[
            "host-2",
            "0.1.0",
            "7.2s",
            "128",
            "42",
            "-",
            "alerts, housekeeping",
        ],
    );
    // Of more than there is room for only some are shown, and what stood there before is still there.
    overview["status"]["hosts"] = hosts(60);
    let view = view_of(overview);
    for (size, told) in [(SMALL, "and 59 more"), (LARGE, "and 33 more")] {
        let lines = screen(&view, size);
        has(&lines, &["60 hosts work on the store, late: host-60"]);
        has(&lines, &["self_healing", "running"]);
        has(&lines[lines.len() - 2..], &[told]);
        has(&lines[lines.len() - 1..], &["q quit"]);
    }
}

#[test]
fn a_screen_full_of_what_is_wrong_has_the_line_of_the_hosts_and_no_table() {
    let mut overview = wrong();
    let mut long = hosts(3);
    long[2]["instance"] = json!("h".repeat(200));
    overview["status"]["hosts"] = long;
    let view = view_of(overview);
    let lines = screen(&view, SMALL);
    has(&lines, &["3 hosts work on the store, late: hhhh", "h…"]);
    has(&lines, &["self_healing"]);
    assert!(!lines.concat().contains("RENEWED"), "{}", lines.join("\n"));
    has(&screen(&view, LARGE), &["hhhhhhhhhhhhhhhhhhh… 0.1.0"]);
}

#[test]
fn what_is_wrong_is_told_and_the_agents_are_still_there() {
    let view = view_of(wrong());
    let lines = screen(&view, SMALL);
    has(&lines, &["docent is degraded: the agent rag is parked"]);
    has(&lines, &["> see what it failed with"]);
    has(&lines, &["redis", "1 stream, 3 pending, - not delivered"]);
    has(&lines, &["rag", "unavailable"]);
    has(&lines, &["self_healing"]);
    has(&lines, &["d dead 1.5k", "i issues 1"]);
}

#[test]
fn each_key_leads_to_its_page_and_back() {
    let mut view = view_of(wrong());
    for (key, told) in [
        (
            'd',
            &[
                "990 x rag document.stored",
                "the newest 1,000",
                "3 more kinds of error",
                "00000000abcd docs/a.md",
            ][..],
        ),
        (
            'i',
            &[
                "1 open issue",
                "error agent_parked:",
                "> `docent agent restart rag`",
                "fix restart, 2 attempts: under way",
            ],
        ),
        (
            'j',
            &["1 job", "verify  hourly", "it never ran", "not due again"],
        ),
        (
            'c',
            &[
                "docs  /srv/docs",
                "scanned often: it is on a network",
                "1,234 stored",
                "60 x it is no text",
            ],
        ),
        ('?', &["keys and words", "Ctrl-C", "OLDEST"]),
    ] {
        press(&mut view, KeyCode::Char(key));
        for size in [SMALL, LARGE] {
            let lines = screen(&view, size);
            for told in told {
                has(&lines, &[told]);
            }
            has(&lines, &["Esc back"]);
        }
        press(&mut view, KeyCode::Char(key));
        has(&screen(&view, SMALL), &["Enter agent"]);
    }
    assert_eq!(press(&mut view, KeyCode::Char('q')), Turn::Quit);
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.press(control), Turn::Quit);
}

#[test]
fn an_agent_is_selected_and_shown_with_what_it_owes_and_nothing_commands_the_terminal() {
    let mut view = view_of(wrong());
    press(&mut view, KeyCode::Down);
    press(&mut view, KeyCode::Down);
    press(&mut view, KeyCode::Enter);
    let lines = screen(&view, SMALL);
    has(&lines, &["rag"]);
    has(&lines, &["unavailable", "the model is not there (since "]);
    has(
        &lines,
        &["restarts", "1; the last: it panicked: the walrus"],
    );
    has(
        &lines,
        &["stream", "docent:{rag}:inbox: 12 entries, 3 pending"],
    );
    has(
        &lines,
        &["00000000abcd file.changed docs/wal\\x1B[2Jrus.md"],
    );
    has(&lines, &["2 failed", "the disk is full"]);
    press(&mut view, KeyCode::Esc);
    for _ in 0..20 {
        press(&mut view, KeyCode::Down);
    }
    assert_eq!(view.selected().unwrap().name, "self_healing");
    press(&mut view, KeyCode::Home);
    assert_eq!(view.selected().unwrap().name, "change_detection");
}

#[test]
fn agents_are_sorted_by_a_column_and_back_in_their_order() {
    let mut view = view_of(overview());
    let names = |view: &TopView| {
        view.agents()
            .iter()
            .map(|a| a.name.clone())
            .collect::<Vec<_>>()
    };
    let flow = names(&view);
    for _ in 0..3 {
        press(&mut view, KeyCode::Right);
    }
    assert_eq!(
        names(&view)[..2],
        ["rag", "self_healing"],
        "most owed first"
    );
    press(&mut view, KeyCode::Char('r'));
    assert_eq!(names(&view)[5], "rag");
    press(&mut view, KeyCode::Char('0'));
    assert_eq!(names(&view), flow);
    press(&mut view, KeyCode::Left);
    press(&mut view, KeyCode::Right);
    assert_eq!(names(&view), flow, "once round");
}

#[test]
fn no_page_loses_words_at_the_right_edge_and_none_is_too_much_for_a_tiny_screen() {
    let mut overview = wrong();
    overview["status"]["hosts"] = hosts(3);
    let mut view = view_of(overview);
    let pages = ['d', 'i', 'j', 'c', '?'].map(KeyCode::Char);
    for key in [KeyCode::Esc, KeyCode::Enter].into_iter().chain(pages) {
        press(&mut view, key);
        for columns in [80, 200] {
            // As text no line is cut where the screen ends.
            let room = DrawArea {
                width: columns,
                lines: 200,
            };
            let printed = text(&view, room, Style::new(false));
            for line in printed.lines() {
                assert!(width(line) <= columns, "{key:?} at {columns}: {line}");
            }
        }
        for size in [(1, 1), (10, 3), (40, 12)] {
            assert_eq!(screen(&view, size).len(), usize::from(size.1));
        }
    }
}

#[test]
fn a_long_page_scrolls_to_its_end_and_from_there_up_at_once() {
    const LOW: (u16, u16) = (80, 10);
    let mut view = view_of(wrong());
    press(&mut view, KeyCode::Char('?'));
    let first = screen(&view, LOW);
    press(&mut view, KeyCode::End);
    let end = screen(&view, LOW);
    has(&end, &["unavailable", "Enter shows what"]);
    press(&mut view, KeyCode::PageDown);
    assert_eq!(screen(&view, LOW), end, "further than the end is the end");
    press(&mut view, KeyCode::Up);
    let above = screen(&view, LOW);
    assert_ne!(above, end);
    press(&mut view, KeyCode::Down);
    assert_eq!(screen(&view, LOW), end, "it was one line");
    press(&mut view, KeyCode::Home);
    assert_eq!(screen(&view, LOW), first);
    // In a larger screen there is less to scroll.
    press(&mut view, KeyCode::End);
    screen(&view, LOW);
    has(&screen(&view, SMALL), &["Up Down"]);
}

#[test]
fn what_is_not_read_is_told_with_how_much_of_it_there_is() {
    let mut overview = overview();
    let unlisted: Vec<String> = (1..=5).map(|n| format!("/srv/docs/{n}")).collect();
    overview["collections"][0]["unlisted"] = json!(unlisted);
    overview["collections"][0]["shut"] = json!([".docentignore: a range", "b: no", "c: no"]);
    let mut view = view_of(overview);
    press(&mut view, KeyCode::Char('c'));
    let lines = screen(&view, SMALL);
    has(&lines, &["unread", "/srv/docs/3"]);
    has(&lines, &["unread", "and 2 more"]);
    has(&lines, &["unread", "c: no"]);
    let all = lines.join("\n");
    assert!(!all.contains("/srv/docs/4"), "{all}");
    assert_eq!(all.matches("more").count(), 1, "{all}");
}

#[test]
fn without_colours_there_are_none() {
    let view = view_of(wrong());
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let palette = Palette::new(false);
    let drawn = terminal.draw(|frame| draw(&view, frame.area(), frame.buffer_mut(), palette));
    let buffer = drawn.unwrap().buffer.clone();
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset));
}

#[test]
fn as_text_it_ends_with_the_last_line_that_says_something() {
    let room = DrawArea {
        width: 100,
        lines: 50,
    };
    let printed = text(&view_of(overview()), room, Style::new(false));
    assert!(printed.starts_with("docent 0.1.0 on host is running"));
    assert!(printed.contains("self_healing"));
    assert!(printed.ends_with("▄ █\n"), "{printed}");
    assert!(!printed.contains("q quit"));
}

#[test]
fn only_a_terminal_that_can_be_drawn_on_is_drawn_on() {
    // The tests' stdout is no terminal, or is captured; either way a dumb one is refused.
    for term in [None, Some(""), Some("dumb")] {
        let refused = drawable(term).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(
            refused.report().contains("docent status"),
            "{}",
            refused.report()
        );
    }
}
