//! The pages behind the first one.

use ratatui::text::Line;

use super::detail::said;
use super::format::known;
use super::paint::{Paint, span};
use crate::cli::text::{clock, counted, duration, number, plain, short_id, wrap};
use crate::http::wire::{
    CollectionOverview, DeadOverview, IssueOverview, JobView, RunState, Severity,
};

/// The heading of a page and its lines.
type ListedPage = (String, Vec<Line<'static>>);

fn line(text: impl AsRef<str>, paint: Paint) -> Line<'static> {
    Line::from(span(text, paint))
}

/// A text in as many lines as it takes, two columns in.
fn inset(text: &str, width: usize, paint: Paint) -> Vec<Line<'static>> {
    let lines = wrap(&plain(text), width.saturating_sub(2).max(20));
    let lines = lines.into_iter();
    lines.map(|text| line(format!("  {text}"), paint)).collect()
}

pub(super) fn dead(dead: &DeadOverview, width: usize) -> ListedPage {
    let mut heading = counted(dead.total, "dead letter", "dead letters");
    if dead.looked_at < dead.total {
        heading.push_str(&format!(", the newest {} of them:", number(dead.looked_at)));
    }
    let mut lines = Vec::new();
    for group in &dead.groups {
        let what = format!("{} x {} {}", number(group.count), group.agent, group.kind);
        lines.push(line(what, Paint::Bold));
        lines.extend(inset(&group.error, width, Paint::Wrong));
        let newest = format!(
            "the newest: {} {} at {}",
            short_id(&group.event),
            group.subject,
            clock(&group.at)
        );
        lines.extend(inset(&newest, width, Paint::Plain));
    }
    if dead.more_groups > 0 {
        let more = counted(
            dead.more_groups,
            "more kind of error",
            "more kinds of error",
        );
        lines.push(line(more, Paint::Dim));
    }
    if dead.total > 0 {
        lines.push(Line::default());
        let advice = "docent dead list shows all of them, docent dead replay ID tries one again";
        lines.push(line(advice, Paint::Dim));
    }
    (heading, lines)
}

pub(super) fn issues(issues: &[IssueOverview], width: usize) -> ListedPage {
    let mut lines = Vec::new();
    for issue in issues {
        let paint = match issue.severity.known() {
            Some(Severity::Error) => Paint::Wrong,
            Some(Severity::Warning) | None => Paint::Doubtful,
        };
        let what = format!("{} {}: {}", issue.severity, issue.detector, issue.what);
        let lines_of = wrap(&plain(&what), width.max(20));
        lines.extend(lines_of.into_iter().map(|text| line(text, paint)));
        lines.extend(inset(&format!("> {}", issue.remedy), width, Paint::Plain));
        let mut tried = format!("since {}", clock(&issue.since));
        if let Some(fix) = &issue.fix {
            let result = fix.result.as_deref().unwrap_or("under way");
            let times = counted(u64::from(fix.attempts), "attempt", "attempts");
            tried.push_str(&format!("; fix {}, {times}: {result}", fix.name));
        }
        lines.extend(inset(&tried, width, Paint::Dim));
    }
    let open = issues.len() as u64;
    (counted(open, "open issue", "open issues"), lines)
}

pub(super) fn jobs(jobs: &[JobView], width: usize) -> ListedPage {
    let mut lines = Vec::new();
    for job in jobs {
        let (state, paint) = match &job.last {
            None => ("it never ran".to_owned(), Paint::Dim),
            Some(run) => {
                let paint = match run.state.known() {
                    Some(RunState::Ok) => Paint::Good,
                    Some(RunState::Failed) => Paint::Wrong,
                    Some(RunState::Running) | None => Paint::Doubtful,
                };
                let took = run.took_ms.map(|ms| duration(ms as f64 / 1000.0));
                let took = took.map_or_else(String::new, |took| format!(", took {took}"));
                let reason = run.reason.as_deref();
                let reason = reason.map_or_else(String::new, |why| format!(": {why}"));
                let at = known(job.last_at.as_deref().map(clock));
                (format!("{} at {at}{took}{reason}", run.state), paint)
            }
        };
        lines.push(Line::from(vec![
            span(&job.name, Paint::Bold),
            span(format!("  {}", job.schedule), Paint::Dim),
        ]));
        lines.extend(inset(&state, width, paint));
        let next = match (&job.next_at, job.paused) {
            (_, true) => "paused".to_owned(),
            (Some(at), false) => format!("next at {}", clock(at)),
            (None, false) => "not due again".to_owned(),
        };
        lines.extend(inset(&next, width, Paint::Plain));
    }
    (counted(jobs.len() as u64, "job", "jobs"), lines)
}

pub(super) fn collections(collections: &[CollectionOverview], width: usize) -> ListedPage {
    let mut lines = Vec::new();
    for one in collections {
        let it = &one.collection;
        lines.push(Line::from(vec![
            span(&it.name, Paint::Bold),
            span(format!("  {}", it.path), Paint::Dim),
        ]));
        let paint = if it.root == "there" {
            Paint::Plain
        } else {
            Paint::Wrong
        };
        let cause = it.cause.as_deref();
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        lines.extend(said("  root", &format!("{}{cause}", it.root), width, paint));
        let watch = match (it.watch.as_str(), &it.why_poll) {
            ("native", _) => "changes are noticed at once".to_owned(),
            (_, Some(why)) => format!("it is scanned often: {why}"),
            (_, None) => "it is scanned often".to_owned(),
        };
        lines.extend(said("  watch", &watch, width, Paint::Plain));
        let states = one.states.iter();
        let states = states.map(|(state, files)| format!("{} {state}", number(*files)));
        let states: Vec<String> = states.collect();
        let files = match states.is_empty() {
            true => "no files".to_owned(),
            false => states.join(", "),
        };
        lines.extend(said("  files", &files, width, Paint::Plain));
        for rejection in &one.rejections {
            let text = format!("{} x {}", number(rejection.files), rejection.reason);
            lines.extend(said("  rejected", &text, width, Paint::Doubtful));
        }
        for causes in [&it.unlisted, &it.shut] {
            lines.extend(unread(causes, width));
        }
    }
    let count = collections.len() as u64;
    (counted(count, "collection", "collections"), lines)
}

/// Causes of one kind that are told of a collection.
const CAUSES: usize = 3;

/// Why files are not read, and how many causes more there are.
fn unread(causes: &[String], width: usize) -> Vec<Line<'static>> {
    let mut told: Vec<String> = causes.iter().take(CAUSES).cloned().collect();
    if causes.len() > CAUSES {
        told.push(format!(
            "and {} more",
            number((causes.len() - CAUSES) as u64)
        ));
    }
    let lines = told.iter();
    lines
        .flat_map(|text| said("  unread", text, width, Paint::Doubtful))
        .collect()
}

pub(super) fn help(width: usize) -> ListedPage {
    let keys = [
        ("Up Down", "select an agent; on other pages, scroll"),
        ("Enter", "show the selected agent in detail"),
        (
            "< >",
            "sort the agents by another column (Left and Right too)",
        ),
        ("r", "sort the other way round"),
        ("0", "list the agents in the order of the data flow again"),
        ("d", "dead letters, those with the same error together"),
        ("i", "open issues, what to do, and what was tried"),
        ("j", "jobs: the last run and the next"),
        ("c", "collections and their files"),
        ("a Esc", "the first page"),
        ("q Ctrl-C", "quit"),
    ];
    let keys = keys.into_iter();
    let mut lines: Vec<Line<'static>> = keys
        .map(|(key, what)| {
            Line::from(vec![
                span(format!("  {key:<10}"), Paint::Bold),
                span(what, Paint::Plain),
            ])
        })
        .collect();
    lines.push(Line::default());
    for (word, meaning) in [
        (
            "took",
            "how long changes took to be searchable: half of them no longer than the first figure, \
             99 of 100 no longer than the second",
        ),
        (
            "waits",
            "what waits at a stage; last min: what passed it in the last minute",
        ),
        (
            "OLDEST",
            "the age of the oldest delivery that the agent owes",
        ),
        ("RUN", "deliveries that run or are being committed"),
        (
            "DONE/M",
            "deliveries done in the last minute; FAIL/M: failed attempts",
        ),
        ("LAST", "how long ago an attempt ended last"),
        (
            "unavailable",
            "something that the agent needs is not available; Enter shows what",
        ),
    ] {
        let word = format!("  {word:<11}");
        lines.extend(said(&word, meaning, width, Paint::Plain));
    }
    ("keys and words".to_owned(), lines)
}
