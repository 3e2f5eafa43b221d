//! What the server asks of the daemon, and in which words it says that there is no answer.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::super::context::{Context, pasteable};
use super::super::text::plain;
use crate::config::Config;
use crate::error::Fatal;
use crate::http::wire::{
    CiteAnswer, CiteItem, CiteRequest, DocumentView, ListedState, Problem, ProblemKind, ReadAnswer,
};
use crate::http::{Client, ClientError, Target};

/// How long what was on disk at a call is waited for.
pub(super) const PATIENCE: &str = "2s";

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
    pub(super) body: usize,
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

    pub(super) async fn get<T: DeserializeOwned>(&self, target: &Target) -> Result<T, String> {
        let answer = self.client.get(target).await;
        answer.map_err(|error| self.sentence(error))
    }

    pub(super) async fn read(
        &self,
        reference: &str,
        (lines, bytes): (usize, usize),
    ) -> Result<ReadAnswer, ClientError> {
        let target = Target::new("/read")
            .with("ref", Some(reference))
            .with("max_lines", Some(&lines.to_string()))
            .with("max_bytes", Some(&bytes.to_string()))
            .with("wait", Some(PATIENCE));
        self.client.get(&target).await
    }

    pub(super) async fn cite(&self, items: Vec<CiteItem>) -> Result<CiteAnswer, String> {
        let body = serde_json::to_vec(&CiteRequest { items }).map_err(|e| e.to_string())?;
        if body.len() > self.body {
            return Err(format!(
                "the items are larger than {} bytes together; send fewer at once",
                self.body
            ));
        }
        let target = Target::new("/cite").with("wait", Some(PATIENCE));
        let answer = self.client.post_body(&target, Bytes::from(body)).await;
        answer.map_err(|error| self.sentence(error))
    }

    /// The next `most` stored documents after one of them, by collection and path.
    pub(super) async fn documents(
        &self,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<DocumentView>, String> {
        let target = Target::new("/documents")
            .with("state", Some(ListedState::Stored.as_str()))
            .with("after", after);
        let sentence = |error| self.sentence(error);
        let mut lines = self.client.lines(&target).await.map_err(sentence)?;
        let mut documents = Vec::new();
        while documents.len() < most
            && let Some(line) = lines.next().await.map_err(sentence)?
        {
            documents.push(serde_json::from_slice(&line).map_err(|e| e.to_string())?);
        }
        Ok(documents)
    }

    /// Why there is no answer and which command helps, in one sentence.
    pub(super) fn sentence(&self, error: ClientError) -> String {
        let way = match &error {
            ClientError::Problem(problem) => return self.told(problem),
            ClientError::Unreachable { .. } => self.start.clone(),
            ClientError::Forbidden { .. } => self.admit.clone(),
            _ => pasteable("`docent status` says more", &self.flag),
        };
        format!("{}: {way}", plain(&error.to_string()))
    }

    fn told(&self, problem: &Problem) -> String {
        let hint = match &problem.hint {
            _ if problem.is(ProblemKind::IndexNotReady) => {
                Some("`docent wait` returns when it is there")
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
