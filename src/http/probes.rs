//! Liveness and readiness. Neither looks at what docent depends on: a restart would not bring that back.

use axum::extract::{RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::lines::Json;
use super::wire::{Check, Readiness};
use crate::runtime::{AgentState, Board, Phase};

/// `GET /livez`: that this is answered is the answer.
pub(super) async fn livez() -> &'static str {
    "alive\n"
}

/// `GET /readyz`: 200 or 503; with `?verbose` the checks as JSON.
pub(super) async fn readyz(Shared(board): Shared<Board>, RawQuery(query): RawQuery) -> Response {
    let readiness = readiness(&board);
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose =
        query.is_some_and(|q| q.split('&').any(|p| p.split('=').next() == Some("verbose")));
    if verbose {
        return (status, Json(readiness)).into_response();
    }
    let failed: Vec<String> = readiness
        .checks
        .into_iter()
        .filter(|c| !c.ok)
        .map(|c| c.detail)
        .collect();
    let text = if failed.is_empty() {
        "ready\n".to_owned()
    } else {
        format!("not ready: {}\n", failed.join("; "))
    };
    (status, text).into_response()
}

/// Ready: neither starting nor draining, and no agent parked.
fn readiness(board: &Board) -> Readiness {
    let phase = *board.phase().borrow();
    let mut checks = vec![Check {
        name: "phase".to_owned(),
        ok: phase == Phase::Running,
        detail: match phase {
            Phase::Starting => "docent is starting".to_owned(),
            Phase::Running => "docent is running".to_owned(),
            Phase::Draining => "docent is draining".to_owned(),
        },
    }];
    checks.extend(board.agents().borrow().iter().map(|agent| {
        // Anybody may ask this: why it is parked is for those who may ask for the status.
        Check {
            name: format!("agent/{}", agent.name),
            ok: agent.state != AgentState::Parked,
            detail: format!("the agent {} is {}", agent.name, agent.state.as_str()),
        }
    }));
    Readiness {
        ready: checks.iter().all(|c| c.ok),
        checks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::AgentName;

    #[test]
    fn readiness_names_what_is_missing_and_agrees_with_the_board() {
        let board = Board::new(AgentName::ALL);
        assert!(!readiness(&board).ready);
        board.enter(Phase::Running);
        assert!(readiness(&board).ready && board.ready());
        board.update(AgentName::Rag, |a| {
            a.state = AgentState::Parked;
            a.reason = Some("it panicked".to_owned());
        });
        let found = readiness(&board);
        assert_eq!((found.ready, board.ready()), (false, false));
        let failed: Vec<&str> = found
            .checks
            .iter()
            .filter(|c| !c.ok)
            .map(|c| c.detail.as_str())
            .collect();
        assert_eq!(failed, ["the agent rag is parked"]);
    }
}
