//! The way to the supervisor, for whoever wants an agent restarted.

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::event::AgentName;

/// Requests that wait, at most.
const REQUESTS: usize = 16;

/// Why the supervisor did not do what it was asked.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// The agent is turned off in the config.
    #[error("the agent {0} is turned off in the config")]
    Off(AgentName),
    #[error("docent is stopping")]
    Stopping,
}

/// Somebody wants an agent restarted.
pub struct RestartRequest {
    pub(super) agent: AgentName,
    pub(super) reason: String,
    pub(super) reply: oneshot::Sender<Result<(), RequestError>>,
}

/// The way to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SupervisorHandle {
    requests: mpsc::Sender<RestartRequest>,
}

/// A way to a supervisor that is about to be made, and the end that it takes.
pub fn supervisor_channel() -> (SupervisorHandle, mpsc::Receiver<RestartRequest>) {
    let (requests, receiver) = mpsc::channel(REQUESTS);
    (SupervisorHandle { requests }, receiver)
}

impl SupervisorHandle {
    /// Restarts an agent; brings a parked one back.
    pub async fn restart(&self, agent: AgentName, reason: &str) -> Result<(), RequestError> {
        let (reply, answer) = oneshot::channel();
        let request = RestartRequest {
            agent,
            reason: reason.to_owned(),
            reply,
        };
        self.requests
            .send(request)
            .await
            .map_err(|_| RequestError::Stopping)?;
        answer.await.unwrap_or(Err(RequestError::Stopping))
    }
}
