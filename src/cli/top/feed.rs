//! What the daemon says, event by event; after a loss it is asked anew, again and again.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::{Backoff, half_jitter};
use crate::http::wire::{FigureHistory, Overview, Problem};
use crate::http::{Client, ClientError, LineStream, Target};

/// An overview comes every five seconds at least: after so long without anything nobody is there.
const SILENCE: Duration = Duration::from_secs(20);

/// How long the daemon is left alone after a loss.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15));

/// Something that was said.
#[derive(Debug)]
pub(super) enum News {
    Overview(Box<Overview>),
    History(FigureHistory),
    /// The daemon is there and cannot look.
    Blind(String),
}

/// The way to what is said.
pub(super) struct OverviewFeed {
    client: Client,
    lines: Option<LineStream>,
    /// Attempts in a row that failed.
    failures: u32,
    again_at: Instant,
}

impl OverviewFeed {
    /// A feed of the daemon that answers now.
    pub(super) async fn begin(client: Client) -> Result<Self, ClientError> {
        let lines = client.lines(&target()).await?;
        Ok(OverviewFeed {
            client,
            lines: Some(lines),
            failures: 0,
            again_at: Instant::now(),
        })
    }

    /// What is said next. After an error the next call waits, and asks anew.
    pub(super) async fn next(&mut self) -> Result<News, ClientError> {
        let news = self.attempt().await;
        match &news {
            Ok(_) => self.failures = 0,
            Err(_) => {
                self.lines = None;
                self.failures = self.failures.saturating_add(1);
                let wait = half_jitter(AGAIN.after(self.failures), fastrand::f64());
                self.again_at = Instant::now() + wait;
            }
        }
        news
    }

    async fn attempt(&mut self) -> Result<News, ClientError> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => {
                sleep_until(self.again_at).await;
                let lines = self.client.lines(&target()).await?;
                self.lines.insert(lines)
            }
        };
        timeout(SILENCE, said(lines))
            .await
            .unwrap_or(Err(ClientError::Silent(SILENCE)))
    }
}

fn target() -> Target {
    Target::new("/overview/stream")
}

/// The next event that means something here.
async fn said(lines: &mut LineStream) -> Result<News, ClientError> {
    let mut event = String::new();
    loop {
        let Some(line) = lines.next().await? else {
            return Err(ClientError::Ended);
        };
        let line = String::from_utf8_lossy(&line);
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut event);
        } else if let Some(data) = line.strip_prefix("data: ") {
            match event.as_str() {
                "overview" => return Ok(News::Overview(Box::new(read(data)?))),
                "history" => return Ok(News::History(read(data)?)),
                "problem" => return Ok(News::Blind(read::<Problem>(data)?.to_string())),
                "end" => return Err(ClientError::Ended),
                _ => {}
            }
        }
    }
}

fn read<T: DeserializeOwned>(data: &str) -> Result<T, ClientError> {
    serde_json::from_str(data).map_err(|e| ClientError::Unexpected(e.to_string()))
}
