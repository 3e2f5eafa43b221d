//! `docent status`

use clap::Args;

use super::context::{Context, block_on};
use super::progress;
use super::table::{Cell, Table, numeric, word};
use super::text::{Style, clock, counted, duration, number, plain, size};
use crate::error::{Exit, Fatal};
use crate::http::wire::{
    AgentState, AgentView, CollectionView, Condition, Freshness, HostView, ListedState,
    ProblemKind, Status,
};
use crate::http::{ClientError, Target};

/// The flags of `status`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// 0 running (or about to, or stopping), 1 degraded, 3 not running.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let answer = block_on(async { Ok(client.get::<Status>(&Target::new("/status")).await) })?;
    let mut status = match answer {
        Ok(status) => status,
        Err(ClientError::Unreachable { path, .. }) => {
            let text = format!(
                "docent is not running: nobody answers on {}\nhint: {}\nconfig: {}",
                plain(&path.to_string_lossy()),
                context.start(),
                plain(&context.choice().line())
            );
            if arguments.json {
                context.out.note(&text);
            } else {
                context.out.line(&text)?;
            }
            return Ok(Exit::NotRunning);
        }
        // It runs; how it stands cannot be told now.
        Err(ClientError::Problem(problem))
            if problem.is(ProblemKind::Busy)
                || super::failure::exit_of(&problem) == Exit::Permission =>
        {
            return Err(ClientError::Problem(problem).into());
        }
        Err(ClientError::Problem(problem)) => {
            // It runs, and cannot even tell how: that is degraded.
            return Err(super::failure::refused(Exit::Negative, problem));
        }
        Err(error) => return Err(error.into()),
    };
    if arguments.json {
        context.out.json(&status)?;
    } else {
        for wrong in &mut status.wrong {
            wrong.remedy = context.advice(&wrong.remedy);
        }
        let text = render(&status, context.out.style);
        context.out.text(&text)?;
    }
    Ok(exit_of(status.state))
}

fn exit_of(condition: Condition) -> Exit {
    match condition {
        Condition::Degraded => Exit::Negative,
        Condition::Starting | Condition::Running | Condition::Draining => Exit::Clean,
    }
}

/// One screen: what is wrong first, then what is there, then the agents.
fn render(status: &Status, style: Style) -> String {
    let condition = match status.state {
        Condition::Running => style.good(status.state.as_str()),
        Condition::Degraded => style.wrong(status.state.as_str()),
        Condition::Starting | Condition::Draining => style.doubtful(status.state.as_str()),
    };
    let mut text = format!(
        "docent {} on {} is {condition}, up {}\n",
        plain(&status.version),
        plain(&status.instance),
        duration(status.uptime_s as f64)
    );
    for wrong in &status.wrong {
        text.push_str(&format!("  {} {}\n", style.wrong("!"), plain(&wrong.what)));
        text.push_str(&format!("    {}\n", plain(&wrong.remedy)));
    }
    text.push('\n');
    for (name, value) in facts(status, style) {
        text.push_str(&format!("{}  {value}\n", style.dim(&format!("{name:<10}"))));
    }
    text.push('\n');
    text.push_str(&agents(status, style));
    if !status.hosts.is_empty() {
        text.push('\n');
        text.push_str(&host_table(&status.hosts, style));
    }
    text
}

/// The hosts that share the store.
fn host_table(hosts: &[HostView], style: Style) -> String {
    let mut table = Table::new(&[
        word("HOST"),
        word("VERSION"),
        numeric("RENEWED"),
        numeric("SLOTS"),
        word("IN FLIGHT"),
        word("WATCHES"),
        word("TASKS"),
    ]);
    for host in hosts {
        let renewed = match host.is_late() {
            true => Cell::painted(host.renewed(), Style::doubtful),
            false => host.renewed().into(),
        };
        let this = if host.this { " (this one)" } else { "" };
        table.row(vec![
            format!("{}{this}", plain(&host.instance)).into(),
            plain(&host.version).into(),
            renewed,
            number(host.slots).into(),
            or_dash(host.flights()).into(),
            or_dash(host.collections.join(", ")).into(),
            or_dash(host.tasks.join(", ")).into(),
        ]);
    }
    table.render(style)
}

fn or_dash(text: String) -> String {
    match text.is_empty() {
        true => "-".to_owned(),
        false => plain(&text),
    }
}

fn facts(status: &Status, style: Style) -> Vec<(&'static str, String)> {
    let mut facts = vec![(
        "documents",
        format!(
            "{} of {}, {}",
            number(status.documents),
            counted(status.files, "file", "files"),
            counted(status.chunks, "chunk", "chunks")
        ),
    )];
    facts.extend(other_files(status));
    facts.push(("search", freshness(&status.freshness, style)));
    let scan = &status.scan;
    if scan.scanning.is_some()
        || scan.marked > 0
        || scan.held.is_some()
        || status.freshness.pending > 0
    {
        facts.push(("at work", progress::line(status)));
    }
    if status.configured == 0 {
        let how = "none: add a [[collection]] with `name` and `path` to the config file of docent, and restart it";
        facts.push(("collection", how.to_owned()));
    }
    for collection in &status.collections {
        facts.push(("collection", collection_line(collection)));
    }
    if let Some(why) = &status.index.rebuilt {
        facts.push(("index", format!("rebuilt at this start: {}", plain(why))));
    }
    let bus = &status.bus;
    facts.push((
        "events",
        format!(
            "{} owed, {} in flight, {} retrying, {} dead; carrier: {} ({})",
            number(bus.owed),
            number(bus.in_flight),
            number(bus.retrying),
            number(bus.dead),
            plain(&bus.active),
            plain(&bus.why)
        ),
    ));
    if status.issues > 0 {
        facts.push((
            "health",
            format!(
                "{}: docent health",
                counted(status.issues, "open issue", "open issues")
            ),
        ));
    }
    if let Some(told) = status.alerts.sentence() {
        let told = plain(&told);
        facts.push((
            "alerts",
            match status.alerts.is_bad() {
                true => style.wrong(&told),
                false => style.doubtful(&told),
            },
        ));
    }
    facts.push((
        "disk",
        format!(
            "{} free in {}",
            size(status.free_space.bytes),
            plain(&status.data_dir)
        ),
    ));
    facts
}

/// The files that are not searchable, by state, each with where they are listed.
fn other_files(status: &Status) -> impl Iterator<Item = (&'static str, String)> {
    let others = status
        .states
        .iter()
        .filter(|(state, _)| **state != ListedState::Stored);
    others.map(|(state, count)| {
        let (state, count) = (plain(&state.to_string()), number(*count));
        (
            "",
            format!("{count} {state}: docent documents --state {state}"),
        )
    })
}

/// A collection, its root, and how its changes are noticed.
fn collection_line(collection: &CollectionView) -> String {
    let place = format!("{} {}", plain(&collection.name), plain(&collection.path));
    let root = match &collection.cause {
        None => String::new(),
        Some(cause) => format!("; {}: {}", plain(&collection.root), plain(cause)),
    };
    let unlisted = match collection.unlisted.as_slice() {
        [] => String::new(),
        [only] => format!("; cannot read {}", plain(only)),
        [first, rest @ ..] => format!("; cannot read {} and {} more", plain(first), rest.len()),
    };
    let shut = match collection.shut.as_slice() {
        [] => String::new(),
        [only] => format!("; left out: {}", plain(only)),
        [first, rest @ ..] => format!("; left out: {} | and {} more", plain(first), rest.len()),
    };
    let root = root + &unlisted + &shut;
    match &collection.why_poll {
        None => format!("{place}, watched{root}"),
        Some(why) => format!("{place}, scanned often ({}){root}", plain(why)),
    }
}

/// How far search is behind the disk, on one line.
pub(super) fn freshness(freshness: &Freshness, style: Style) -> String {
    let mut text = match (&freshness.complete_to, freshness.pending) {
        (Some(at), 0) => style.good(&format!("up to date as of {}", clock(at))),
        (Some(at), pending) => {
            let changes = counted(pending, "change", "changes");
            style.doubtful(&format!("{changes} pending, complete as of {}", clock(at)))
        }
        (None, 0) => style.doubtful("not known to be complete"),
        (None, pending) => style.doubtful(&format!(
            "{} pending, not known to be complete",
            counted(pending, "change", "changes")
        )),
    };
    if freshness.failed > 0 {
        let failed = format!(
            "{} failed: docent dead list",
            counted(freshness.failed, "change", "changes")
        );
        text.push_str(&format!("; {}", style.wrong(&failed)));
    }
    text
}

fn agents(status: &Status, style: Style) -> String {
    let agents = status.agents.iter();
    agent_table(agents.map(|(name, agent)| (name.as_str(), agent)), style)
}

/// The agents, one a line, and below them what else there is to say.
pub(super) fn agent_table<'a>(
    agents: impl Iterator<Item = (&'a str, &'a AgentView)>,
    style: Style,
) -> String {
    let mut remarks = String::new();
    let mut table = Table::new(&[
        word("AGENT"),
        word("STATE"),
        numeric("RESTARTS"),
        numeric("HANDLED"),
        numeric("FAILED"),
        numeric("OWED"),
        numeric("OLDEST"),
        numeric("DEAD"),
    ]);
    for (name, agent) in agents {
        let paint: fn(Style, &str) -> String = match agent.state.known() {
            Some(AgentState::Running) => Style::good,
            Some(AgentState::Parked) => Style::wrong,
            Some(AgentState::Off) => Style::dim,
            _ => Style::doubtful,
        };
        let dead = if agent.dead > 0 {
            Cell::painted(number(agent.dead), Style::wrong)
        } else {
            "0".into()
        };
        table.row(vec![
            plain(name).into(),
            Cell::painted(agent.state.to_string(), paint),
            number(agent.restarts).into(),
            number(agent.handled).into(),
            number(agent.failed).into(),
            number(agent.owed).into(),
            agent
                .oldest_owed_s
                .map_or_else(|| "-".to_owned(), duration)
                .into(),
            dead,
        ]);
        if let Some(remark) = remark(agent) {
            let mark = style.doubtful("!");
            remarks.push_str(&format!("  {mark} {} {remark}\n", plain(name)));
        }
    }
    table.render(style) + &remarks
}

/// What else there is to say of an agent, behind its name.
fn remark(agent: &AgentView) -> Option<String> {
    if let Some(unavailable) = &agent.unavailable {
        let since = clock(&unavailable.since);
        let why = super::text::one_line(&unavailable.why, 200);
        return Some(format!("has been waiting since {since}: {why}"));
    }
    let reason = agent.reason.as_ref()?;
    let told = agent.restarts > 0 || agent.state == AgentState::Parked;
    told.then(|| format!("ended last with: {}", super::text::one_line(reason, 200)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::http::wire::{
        AlertsView, BusView, FailingReceiver, FreeSpace, IndexView, IssueText, ScanView,
    };

    pub(in crate::cli) fn agent(state: AgentState) -> AgentView {
        AgentView {
            carrier: "embedded".to_owned(),
            state: state.into(),
            restarts: 0,
            reason: None,
            handled: 1200,
            failed: 0,
            owed: 0,
            oldest_owed_s: None,
            in_flight: 0,
            queued: 0,
            kept: 0,
            retrying: 0,
            dead: 0,
            unavailable: None,
        }
    }

    pub(in crate::cli) fn host(instance: &str, renewed_ago_ms: u64, this: bool) -> HostView {
        let has = |names: &[&str]| match this {
            true => names.iter().map(|name| (*name).to_owned()).collect(),
            false => Vec::new(),
        };
        HostView {
            instance: instance.to_owned(),
            version: "0.1.0".to_owned(),
            joined_at: "2026-01-31T12:00:00Z".to_owned(),
            renewed_ago_ms,
            slots: 128,
            in_flight: match this {
                true => BTreeMap::from([("rag".to_owned(), 0)]),
                false => BTreeMap::from([("rag".to_owned(), 0), ("test".to_owned(), 7)]),
            },
            collections: has(&["docs", "src"]),
            tasks: has(&["alerts"]),
            this,
        }
    }

    pub(in crate::cli) fn status() -> Status {
        Status {
            state: Condition::Running,
            wrong: Vec::new(),
            version: "0.1.0".to_owned(),
            instance: "host".to_owned(),
            data_dir: "/var/lib/docent".to_owned(),
            started_at: "2026-01-31T12:00:00Z".to_owned(),
            uptime_s: 3700,
            bus: BusView {
                active: "embedded".to_owned(),
                why: "[bus] mode is embedded".to_owned(),
                owed: 0,
                in_flight: 0,
                retrying: 0,
                dead: 0,
                lost_by_redis: 0,
            },
            agents: BTreeMap::from([("rag".to_owned(), agent(AgentState::Running))]),
            freshness: Freshness {
                complete_to: Some("2026-01-31T12:03:04Z".to_owned()),
                pending: 0,
                failed: 0,
            },
            documents: 1024,
            files: 1100,
            states: BTreeMap::from([
                (ListedState::Stored.into(), 1024),
                (ListedState::Rejected.into(), 1),
                (ListedState::Unsupported.into(), 75),
            ]),
            configured: 1,
            chunks: 12_400,
            embedder: "table".to_owned(),
            collections: vec![CollectionView {
                name: "docs".to_owned(),
                path: "/srv/docs".to_owned(),
                root: "there".to_owned(),
                cause: None,
                watch: "native".to_owned(),
                why_poll: None,
                unlisted: Vec::new(),
                shut: Vec::new(),
            }],
            scan: ScanView {
                scanning: None,
                seen: 0,
                changed: 0,
                marked: 0,
                held: None,
                absent: Vec::new(),
            },
            index: IndexView {
                ready: true,
                position: 0,
                behind: 0,
                chunks: 0,
                passages: 0,
                rebuilt: None,
                stopped: None,
            },
            free_space: FreeSpace {
                bytes: 5 << 30,
                floor: 1,
            },
            issues: 0,
            alerts: AlertsView::default(),
            hosts: Vec::new(),
        }
    }

    #[test]
    fn raised_alerts_and_receivers_that_fail_are_one_line() {
        let mut status = status();
        status.alerts.failing = vec![FailingReceiver {
            rule: "space".to_owned(),
            attempts: None,
            error: "exit\u{1b}[2J code 1".to_owned(),
        }];
        let text = render(&status, Style::new(false));
        let line = text.lines().find(|line| line.starts_with("alerts"));
        assert_eq!(
            line,
            Some("alerts      messages of space are not taken: exit\\x1B[2J code 1")
        );
    }

    #[test]
    fn a_good_status_is_one_screen_without_alarm() {
        let text = render(&status(), Style::new(false));
        assert!(
            text.starts_with("docent 0.1.0 on host is running, up 1h 1m\n\n"),
            "{text}"
        );
        assert!(
            text.contains("documents   1,024 of 1,100 files, 12,400 chunks\n"),
            "{text}"
        );
        assert!(
            text.contains("\n            75 unsupported: docent documents --state unsupported\n"),
            "{text}"
        );
        assert!(
            text.contains("carrier: embedded ([bus] mode is embedded)"),
            "{text}"
        );
        assert!(!text.contains('!') && !text.contains("at work"), "{text}");
        assert!(text.lines().count() < 24);
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn hosts_that_share_the_store_are_a_table_and_on_a_file_there_is_none() {
        let mut status = status();
        let alone = render(&status, Style::new(false));
        assert!(!alone.contains("HOST"), "{alone}");
        status.hosts = vec![host("one", 1200, true), host("two\u{1b}[2J", 5001, false)];
        let shared = render(&status, Style::new(false));
        let lines: Vec<&str> = shared.lines().collect();
        assert_eq!(
            lines[lines.len() - 3..],
            [
                "HOST            VERSION   RENEWED  SLOTS  IN FLIGHT  WATCHES    TASKS",
                "one (this one)  0.1.0    1.2s ago    128  -          docs, src  alerts",
                "two\\x1B[2J      0.1.0    5.0s ago    128  test 7     -          -",
            ]
        );
        let painted = render(&status, Style::new(true));
        assert!(painted.contains("\x1b[33m5.0s ago\x1b[0m"), "{painted}");
        assert!(!painted.contains("\x1b[33m1.2s ago"), "{painted}");
    }

    #[test]
    fn what_is_wrong_comes_first_with_the_way_out() {
        let mut status = status();
        status.state = Condition::Degraded;
        status.wrong.push(IssueText {
            what: "the agent rag is parked: it panicked".to_owned(),
            remedy: "mend it".to_owned(),
        });
        let mut rag = agent(AgentState::Parked);
        rag.reason = Some("it panicked\nat length".to_owned());
        status.agents.insert("rag".to_owned(), rag);
        let text = render(&status, Style::new(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1..3],
            ["  ! the agent rag is parked: it panicked", "    mend it"]
        );
        assert!(text.contains("rag ended last with: it panicked…"), "{text}");
        assert_eq!(exit_of(status.state), Exit::Negative);
        assert!(render(&status, Style::new(true)).contains("\x1b[1;31mdegraded\x1b[0m"));
    }

    #[test]
    fn a_state_that_is_not_known_is_told_as_such() {
        let mut status = status();
        let mut rag = agent(AgentState::Running);
        rag.state = "asleep".into();
        status.agents.insert("rag".to_owned(), rag);
        let text = render(&status, Style::new(false));
        assert!(
            text.contains("asleep (unknown to this version of docent)"),
            "{text}"
        );
    }

    #[test]
    fn without_a_collection_it_says_how_to_add_one() {
        let mut status = status();
        status.collections.clear();
        status.configured = 0;
        let text = render(&status, Style::new(false));
        assert!(
            text.contains("collection  none: add a [[collection]]"),
            "{text}"
        );
    }

    #[test]
    fn a_scan_shows_how_far_it_is() {
        let mut status = status();
        status.scan.scanning = Some("docs".to_owned());
        (status.scan.seen, status.scan.changed, status.scan.marked) = (5120, 40, 12);
        status.freshness = Freshness {
            complete_to: None,
            pending: 12,
            failed: 1,
        };
        let text = render(&status, Style::new(false));
        assert!(
            text.contains(
                "at work     scanning docs: 5,120 files seen, 40 to read · 12 files to capture\n"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "12 changes pending, not known to be complete; 1 change failed: docent dead list"
            ),
            "{text}"
        );
    }
}
