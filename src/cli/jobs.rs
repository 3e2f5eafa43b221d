//! `docent jobs [run|pause|resume]`

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::table::{Cell, Table, numeric, text as texts, word};
use super::text::{Style, clock, duration, number, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{JobList, JobView, PublishedId, RunState, Submission};

/// The flags of `jobs`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a job now, even if it is paused
    Run(WhichJob),
    /// Pause a job: do not run it on its schedule
    Pause(WhichJob),
    /// Resume a paused job
    Resume(WhichJob),
}

#[derive(Debug, Args)]
struct WhichJob {
    /// The job's name
    name: String,
}

/// Prints the jobs, or asks for what is to be done with one.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let Some(verb) = &arguments.verb else {
        return list(context, arguments.json);
    };
    let (which, kind, data, told) = match verb {
        Verb::Run(which) => (which, "job.requested", json!({}), "was asked to run"),
        Verb::Pause(which) => (which, "job.changed", json!({"paused": true}), "is paused"),
        Verb::Resume(which) => {
            let data = json!({"paused": false});
            (which, "job.changed", data, "runs on its schedule again")
        }
    };
    let submission = Submission {
        kind: kind.to_owned(),
        subject: format!("job/{}", which.name),
        data: Some(data.into()),
        id: None,
    };
    let published: PublishedId = context.send(&Target::new("/events"), &submission)?;
    context.out.answer(arguments.json, &published, |_| {
        let (name, id) = (plain(&which.name), plain(&published.id));
        format!("the job {name} {told} (event {id}); `docent jobs` shows its state\n")
    })?;
    Ok(Exit::Clean)
}

fn list(context: &mut Context, json: bool) -> Result<Exit, Fatal> {
    let list: JobList = context.get(&Target::new("/jobs"))?;
    let text = |style| render(&list, style);
    context.out.answer(json, &list, text)?;
    Ok(Exit::Clean)
}

fn render(list: &JobList, style: Style) -> String {
    if list.jobs.is_empty() {
        return "no jobs yet\n".to_owned();
    }
    let mut table = Table::new(&[
        word("JOB"),
        texts("SCHEDULE"),
        word("NEXT RUN"),
        texts("LAST RUN"),
        numeric("MISSED"),
    ]);
    for job in &list.jobs {
        let next = match (job.paused, &job.next_at) {
            (true, _) => Cell::painted("paused", Style::doubtful),
            (false, Some(at)) => clock(at).into(),
            (false, None) => Cell::painted("not scheduled", Style::dim),
        };
        table.row(vec![
            (&job.name).into(),
            (&job.schedule).into(),
            next,
            last(job),
            number(job.missed).into(),
        ]);
    }
    table.render(style)
}

/// When a job ran last, what came of it, and how long it took.
fn last(job: &JobView) -> Cell {
    let Some(at) = &job.last_at else {
        return Cell::painted("never", Style::dim);
    };
    let at = clock(at);
    let Some(run) = &job.last else {
        return at.into();
    };
    let took = run.took_ms.map_or_else(String::new, |took| {
        // A run takes less than 2^53 ms.
        format!(" in {}", duration(took as f64 / 1000.0))
    });
    let why = run.reason.as_deref();
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let text = format!("{at} {}{took}{why}", run.state);
    match run.state.known() {
        Some(RunState::Ok) => Cell::painted(text, Style::good),
        Some(RunState::Failed) => Cell::painted(text, Style::wrong),
        _ => Cell::painted(text, Style::doubtful),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::JobRun;

    #[test]
    fn a_job_tells_when_it_runs_and_what_came_of_its_last_run() {
        let job = |paused, next_at: Option<&str>, last: Option<(RunState, Option<&str>)>| JobView {
            name: "health".to_owned(),
            schedule: "*/5 * * * *".to_owned(),
            paused,
            next_at: next_at.map(str::to_owned),
            last_at: last.map(|_| "2026-01-31T12:00:00Z".to_owned()),
            last_event: None,
            last: last.map(|(state, reason)| JobRun {
                state: state.into(),
                reason: reason.map(str::to_owned),
                took_ms: Some(1500),
            }),
            missed: 2,
        };
        let list = JobList {
            jobs: vec![
                job(false, Some("2026-01-31T12:00:00Z"), None),
                job(true, None, Some((RunState::Ok, None))),
                job(
                    false,
                    None,
                    Some((RunState::Failed, Some("rag: disk\nfull"))),
                ),
            ],
        };
        let text = render(&list, Style::new(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[1].starts_with("health  */5 * * * *  2026-01-") && lines[1].contains("  never "),
            "{text}"
        );
        assert!(
            lines[2].contains("  paused ") && lines[2].contains(" ok in 1.5s "),
            "{text}"
        );
        assert!(
            lines[3].contains("  not scheduled ")
                && lines[3].contains(" failed in 1.5s: rag: disk\\nfull "),
            "{text}"
        );
        assert!(lines[1].ends_with(" 2"), "{text}");
    }
}
