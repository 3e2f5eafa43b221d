//! `docent wait`

use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use super::context::{Context, block_on};
use super::failure::{exit_of, refused};
use super::progress::alongside;
use super::scan::unlisted_line;
use super::text::duration;
use crate::config::{UnitError, format_duration, parse_duration};
use crate::error::{Exit, Fatal};
use crate::http::wire::WaitAnswer;
use crate::http::{ClientError, Target};

/// How much longer than it was told the daemon may take to say that time is up.
const SLACK: Duration = Duration::from_secs(10);

/// The flags of `wait`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How long to wait, for example 60s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = with_unit)]
    timeout: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn with_unit(text: &str) -> Result<Duration, UnitError> {
    parse_duration(text)
}

/// 0 when every change that was on disk is searchable; 75 if it could not wait for that.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let target = Target::new("/wait").with("timeout", Some(&format_duration(arguments.timeout)));
    let answer = block_on(async {
        let asked = timeout(
            arguments.timeout + SLACK,
            client.post::<WaitAnswer>(&target),
        );
        let answer = alongside(&context.out, &client, asked).await;
        Ok(answer.unwrap_or(Err(ClientError::Silent(arguments.timeout + SLACK))))
    })?;
    let answer = answer.map_err(failed)?;
    let took = duration(Duration::from_millis(answer.waited_ms).as_secs_f64());
    let text = |_| format!("everything is searchable ({took})\n");
    context.out.answer(arguments.json, &answer, text)?;
    for unlisted in &answer.unlisted {
        context
            .out
            .note(&format!("but {}", unlisted_line(unlisted)));
    }
    Ok(Exit::Clean)
}

/// What the daemon could not fulfil is 75, whatever the reason.
fn failed(error: ClientError) -> Fatal {
    match error {
        // A token that does not let in is no wait that was not fulfilled.
        ClientError::Problem(problem) if exit_of(&problem) == Exit::Permission => {
            ClientError::Problem(problem).into()
        }
        ClientError::Problem(problem) => {
            let exit = match exit_of(&problem) {
                Exit::Usage => Exit::Usage,
                _ => Exit::Temporary,
            };
            refused(exit, problem)
        }
        error @ ClientError::Silent(_) => Fatal::new(Exit::Temporary, error),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::{Problem, ProblemKind};

    #[test]
    fn what_is_not_fulfilled_is_75() {
        for kind in [
            ProblemKind::Timeout,
            ProblemKind::DeadLetter,
            ProblemKind::AgentMissing,
            ProblemKind::Stopping,
        ] {
            assert_eq!(
                failed(ClientError::Problem(Problem::new(kind, "no"))).exit(),
                Exit::Temporary
            );
        }
        let usage = Problem::new(ProblemKind::BadRequest, "no");
        assert_eq!(failed(ClientError::Problem(usage)).exit(), Exit::Usage);
        let unknown = Problem::new(ProblemKind::Unauthorized, "no");
        assert_eq!(
            failed(ClientError::Problem(unknown)).exit(),
            Exit::Permission
        );
        assert_eq!(failed(ClientError::Silent(SLACK)).exit(), Exit::Temporary);
    }
}
