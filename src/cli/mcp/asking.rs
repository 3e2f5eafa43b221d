//! How the server reaches the daemon, and in which words it says that there is no answer.

use bytes::Bytes;

use super::super::context::{Context, pasteable};
use super::super::text::plain;
use crate::config::Config;
use crate::error::Fatal;
use crate::http::wire::{Problem, ProblemKind};
use crate::http::{Ask, Client, ClientError, Target};

/// The way to the daemon.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    client: Client,
    /// What names the config in a command.
    flag: String,
    /// How the daemon is started.
    start: String,
    /// How this user comes to be allowed to ask.
    admit: String,
    /// Bytes of a request's body.
    body: usize,
}

impl Asking {
    pub(super) fn new(context: &Context, config: &Config) -> Result<Self, Fatal> {
        let admit = match config.control.group.as_str() {
            "" => "set `[control] group` in docent's config to a group that this user is in, and restart docent".to_owned(),
            group => format!("`sudo usermod -aG {group} $USER`, then log in again"),
        };
        Ok(Asking {
            client: context.client()?,
            flag: context.flags(),
            start: context.start(),
            admit,
            body: usize::try_from(config.control.body).unwrap_or(usize::MAX),
        })
    }

    fn told(&self, problem: &Problem) -> String {
        let hint = match &problem.hint {
            _ if problem.is(ProblemKind::IndexNotReady) => {
                Some("`docent wait` returns when it is ready")
            }
            hint => hint.as_deref(),
        };
        match hint {
            Some(hint) => format!(
                "{}; {}",
                plain(&problem.detail),
                pasteable(hint, &self.flag)
            ),
            None => plain(&problem.detail),
        }
    }
}

impl Ask for Asking {
    async fn whole(&self, target: &Target, body: Option<Bytes>) -> Result<Vec<u8>, ClientError> {
        self.client.whole(target, body).await
    }

    async fn lines(&self, target: &Target, most: usize) -> Result<Vec<Vec<u8>>, ClientError> {
        let mut answer = self.client.lines(target).await?;
        let mut lines = Vec::new();
        while lines.len() < most
            && let Some(line) = answer.next().await?
        {
            lines.push(line);
        }
        Ok(lines)
    }

    fn sentence(&self, error: ClientError) -> String {
        let way = match &error {
            ClientError::Problem(problem) => return self.told(problem),
            ClientError::Unreachable { .. } => self.start.clone(),
            ClientError::Forbidden { .. } => self.admit.clone(),
            _ => pasteable("`docent status` says more", &self.flag),
        };
        format!("{}: {way}", plain(&error.to_string()))
    }

    fn body_max(&self) -> usize {
        self.body
    }
}
