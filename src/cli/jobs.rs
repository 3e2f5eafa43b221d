//! `docent jobs`

use clap::Args;

use super::context::{Context, block_on};
use super::table::{Align, Cell, Table};
use super::text::{Style, moment, number, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::JobList;

/// The flags of `jobs`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the jobs.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let list: JobList = block_on(async { Ok(client.get(&Target::new("/jobs")).await?) })?;
    if arguments.json {
        context.out.json(&list)?;
    } else if list.jobs.is_empty() {
        context.out.line("no jobs yet")?;
    } else {
        let text = render(&list, context.out.style);
        context.out.write(text.as_bytes())?;
    }
    Ok(Exit::Clean)
}

fn render(list: &JobList, style: Style) -> String {
    let mut table = Table::new(&[
        ("JOB", Align::Left),
        ("SCHEDULE", Align::Left),
        ("NEXT", Align::Left),
        ("LAST", Align::Left),
        ("MISSED", Align::Right),
    ]);
    for job in &list.jobs {
        let next = match (job.paused, &job.next_at) {
            (true, _) => Cell::painted("paused", Style::doubtful),
            (false, Some(at)) => moment(at).into(),
            (false, None) => Cell::painted("never by itself", Style::dim),
        };
        table.row(vec![
            plain(&job.name).into(),
            plain(&job.schedule).into(),
            next,
            job.last_at
                .as_deref()
                .map_or_else(|| "never".to_owned(), moment)
                .into(),
            number(job.missed).into(),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::Job;

    #[test]
    fn a_job_tells_when_it_runs_and_ran() {
        let job = |paused, next_at: Option<&str>| Job {
            name: "health".to_owned(),
            schedule: "*/5 * * * *".to_owned(),
            paused,
            next_at: next_at.map(str::to_owned),
            last_at: None,
            last_event: None,
            missed: 2,
        };
        let list = JobList {
            jobs: vec![
                job(false, Some("2026-01-31T12:00:00Z")),
                job(true, None),
                job(false, None),
            ],
        };
        let text = render(&list, Style::new(false));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("health  */5 * * * *  2026-01-"),
            "{text}"
        );
        assert!(
            lines[2].contains("  paused  ") && lines[3].contains("  never by itself  "),
            "{text}"
        );
        assert!(lines[1].ends_with("never       2"), "{text}");
    }
}
