//! What the server asks of the API, whichever way it reaches it.

use std::future::Future;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::super::client::{ClientError, Target};
use super::super::wire::{
    CiteAnswer, CiteItem, CiteRequest, DocumentView, ListedState, ReadAnswer,
};

/// How much of a document is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerRoom {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// How long what was on disk at a call is waited for.
pub(super) const PATIENCE: &str = "2s";

/// A way to the API.
pub(crate) trait Ask: Send + Sync + 'static {
    /// Asks for `target`, or sends it a body; gives the whole answer.
    fn whole(
        &self,
        target: &Target,
        body: Option<Bytes>,
    ) -> impl Future<Output = Result<Vec<u8>, ClientError>> + Send;

    /// The first lines of an answer, at most so many.
    fn lines(
        &self,
        target: &Target,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, ClientError>> + Send;

    /// Why there is no answer and what helps, in one sentence.
    fn sentence(&self, error: ClientError) -> String;

    /// Bytes that a body may have.
    fn body_max(&self) -> usize;
}

pub(super) async fn get<T: DeserializeOwned>(
    way: &impl Ask,
    target: &Target,
) -> Result<T, ClientError> {
    understood(&way.whole(target, None).await?)
}

pub(super) async fn read(
    way: &impl Ask,
    reference: &str,
    room: AnswerRoom,
) -> Result<ReadAnswer, ClientError> {
    let target = Target::new("/read")
        .with("ref", Some(reference))
        .with("max_lines", Some(&room.lines.to_string()))
        .with("max_bytes", Some(&room.bytes.to_string()))
        .with("wait", Some(PATIENCE));
    get(way, &target).await
}

pub(super) async fn cite(way: &impl Ask, items: Vec<CiteItem>) -> Result<CiteAnswer, String> {
    let body = serde_json::to_vec(&CiteRequest { items }).map_err(|e| e.to_string())?;
    if body.len() > way.body_max() {
        return Err(format!(
            "the items are larger than {} bytes together; send fewer at once",
            way.body_max()
        ));
    }
    let target = Target::new("/cite").with("wait", Some(PATIENCE));
    let answer = way.whole(&target, Some(body.into())).await;
    let answer = answer.and_then(|answer| understood(&answer));
    answer.map_err(|error| way.sentence(error))
}

/// The next `most` stored documents after one of them, by collection and path.
pub(super) async fn documents(
    way: &impl Ask,
    after: Option<&str>,
    most: usize,
) -> Result<Vec<DocumentView>, String> {
    let target = Target::new("/documents")
        .with("state", Some(ListedState::Stored.as_str()))
        .with("after", after);
    let lines = way.lines(&target, most).await;
    let lines = lines.map_err(|error| way.sentence(error))?;
    let documents = lines.iter().map(|line| understood(line));
    let documents = documents.collect::<Result<_, _>>();
    documents.map_err(|error| way.sentence(error))
}

fn understood<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(answer).map_err(|e| ClientError::Unexpected(e.to_string()))
}
