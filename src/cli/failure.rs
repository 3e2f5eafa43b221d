//! From what went wrong with a request to how the process ends.

use crate::error::{Exit, Fatal};
use crate::http::wire::{Problem, ProblemKind};
use crate::http::{ClientError, NetworkError};

impl From<ClientError> for Fatal {
    fn from(error: ClientError) -> Self {
        match error {
            // What the daemon says is for who sends a header; a verb has a file.
            ClientError::Problem(problem) if problem.is(ProblemKind::Unauthorized) => {
                Fatal::new(Exit::Permission, problem.detail).hint(
                    "--token-file must name a file with a valid token: on docent's machine, `docent token list` lists the tokens, and `docent token create NAME --role read` creates one",
                )
            }
            ClientError::Problem(problem) => refused(exit_of(&problem), problem),
            // What to do about it depends on the config: `Context::explained` says it.
            ClientError::Unreachable { .. } => Fatal::new(Exit::Unavailable, error),
            ClientError::Forbidden { .. } => Fatal::new(Exit::Permission, error)
                .hint("run this as the user that docent runs as, or as a member of [control] group"),
            ClientError::Ended => Fatal::new(Exit::Unavailable, error),
            ClientError::Busy { .. } => Fatal::new(Exit::Unavailable, error)
                .hint("try again in a moment; the daemon's log says what it is busy with"),
            ClientError::Foreign { .. } => Fatal::new(Exit::Unavailable, error)
                .hint("name the config of the daemon that you mean with --config"),
            ClientError::Away { .. } => Fatal::new(Exit::Unavailable, error).hint(
                "check that docent runs there, that [http] listen in its config has this address, and that no firewall blocks it",
            ),
            ClientError::Untrusted { .. } => Fatal::new(Exit::Unavailable, error).hint(
                "write http:// if docent has no certificate; name the authority of its certificate with --ca-file; the certificate must be for the name in the URL",
            ),
            ClientError::Lost(_) => Fatal::new(Exit::Unavailable, error)
                .hint("the daemon's log says what happened; an answer that nobody reads for a minute is cut off"),
            ClientError::Silent(_) => {
                Fatal::new(Exit::Unavailable, error).hint("the daemon's log says what happened")
            }
            ClientError::TooLong => Fatal::new(Exit::Usage, error),
            ClientError::Unexpected(_) => Fatal::new(Exit::Internal, error),
        }
    }
}

impl From<NetworkError> for Fatal {
    fn from(error: NetworkError) -> Self {
        let exit = match &error {
            NetworkError::Url(_) => Exit::Usage,
            NetworkError::Authorities(cause) if cause.is_denied() => Exit::Permission,
            NetworkError::Token | NetworkError::Authorities(_) | NetworkError::Authority { .. } => {
                Exit::Data
            }
            NetworkError::NoAuthorities => Exit::Unavailable,
            NetworkError::Tls(_) => Exit::Internal,
        };
        Fatal::new(exit, error)
    }
}

/// An end with `exit`, because the daemon said no.
pub(super) fn refused(exit: Exit, problem: Problem) -> Fatal {
    let fatal = Fatal::new(exit, problem.detail);
    match problem.hint {
        Some(hint) => fatal.hint(hint),
        None => fatal,
    }
}

/// The exit code of a problem.
pub(super) fn exit_of(problem: &Problem) -> Exit {
    use ProblemKind as Kind;
    let kinds = [
        (Exit::Usage, &[Kind::BadRequest][..]),
        (
            Exit::Data,
            &[
                Kind::NotFound,
                Kind::Conflict,
                Kind::TooLarge,
                Kind::Refused,
            ],
        ),
        (Exit::Permission, &[Kind::Unauthorized, Kind::Forbidden]),
        (
            Exit::Temporary,
            &[Kind::AgentMissing, Kind::DeadLetter, Kind::Timeout],
        ),
        (
            Exit::Unavailable,
            &[
                Kind::Busy,
                Kind::TooSlow,
                Kind::Stopping,
                Kind::StoreUnavailable,
                Kind::IndexNotReady,
            ],
        ),
    ];
    let found = kinds
        .into_iter()
        .find(|(_, kinds)| kinds.iter().any(|kind| problem.is(*kind)));
    found.map_or(Exit::Internal, |(exit, _)| exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_token_that_counts_is_told_of_the_file() {
        let problem = Problem::new(ProblemKind::Unauthorized, "it is revoked").hint("a header");
        let fatal = Fatal::from(ClientError::Problem(problem));
        let told = fatal.report();
        assert!(
            told.contains("--token-file") && !told.contains("a header"),
            "{told}"
        );
        assert_eq!(fatal.exit(), Exit::Permission);
    }

    #[test]
    fn a_problem_ends_the_process_as_its_kind_says() {
        for (kind, exit) in [
            (ProblemKind::BadRequest, Exit::Usage),
            (ProblemKind::Refused, Exit::Data),
            (ProblemKind::Conflict, Exit::Data),
            (ProblemKind::Forbidden, Exit::Permission),
            (ProblemKind::Timeout, Exit::Temporary),
            (ProblemKind::StoreUnavailable, Exit::Unavailable),
            (ProblemKind::Internal, Exit::Internal),
        ] {
            let fatal = Fatal::from(ClientError::Problem(Problem::new(kind, "no").hint("do")));
            assert_eq!(
                (fatal.exit(), fatal.report().as_str()),
                (exit, "docent: no\nhint: do")
            );
        }
        let path = std::path::PathBuf::from("/x/docent.sock");
        let source = std::io::ErrorKind::NotFound.into();
        let away = Fatal::from(ClientError::Unreachable { path, source });
        assert_eq!(away.exit(), Exit::Unavailable);
        assert_eq!(
            away.report(),
            "docent: docent does not answer on /x/docent.sock: entity not found"
        );
    }
}
