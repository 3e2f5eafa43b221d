//! What the daemon says, event by event; after a loss it is asked anew, again and again.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::time::{sleep_until, timeout};

use crate::backoff::{Backoff, half_jitter};
use crate::http::wire::{FigureHistory, Overview, Problem};
use crate::http::{Client, ClientError, LineStream, Target};

/// Something comes every five seconds at least, if only that the daemon is alive: after so long without a line nobody is there.
const SILENCE: Duration = Duration::from_secs(20);

/// How long the daemon is left alone after a loss.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(15));

/// Something that was said.
#[derive(Debug)]
pub(super) enum News {
    Overview(Box<Overview>),
    History(FigureHistory),
    /// The daemon is there and cannot tell how it stands.
    Blind(String),
}

/// The way to what is said.
pub(super) struct OverviewFeed {
    client: Client,
    stream: Option<OverviewStream>,
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
            stream: Some(OverviewStream::new(lines)),
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
                self.stream = None;
                self.failures = self.failures.saturating_add(1);
                let wait = half_jitter(AGAIN.after(self.failures), fastrand::f64());
                self.again_at = Instant::now() + wait;
            }
        }
        news
    }

    async fn attempt(&mut self) -> Result<News, ClientError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                sleep_until(self.again_at.into()).await;
                let lines = self.client.lines(&target()).await?;
                self.stream.insert(OverviewStream::new(lines))
            }
        };
        stream.next().await
    }
}

fn target() -> Target {
    Target::new("/overview/stream")
}

/// One connection to the stream of events.
struct OverviewStream {
    lines: LineStream,
    events: EventReader,
}

impl OverviewStream {
    fn new(lines: LineStream) -> Self {
        OverviewStream {
            lines,
            events: EventReader::new(),
        }
    }

    /// The next event that means something here. Every line is a sign of life, whatever it says.
    async fn next(&mut self) -> Result<News, ClientError> {
        loop {
            let line = timeout(SILENCE, self.lines.next()).await;
            let line = line.unwrap_or(Err(ClientError::Silent(SILENCE)))?;
            let line = line.ok_or(ClientError::Ended)?;
            if let Some(news) = self.events.read(&String::from_utf8_lossy(&line))? {
                return Ok(news);
            }
        }
    }
}

/// From lines to what they say.
struct EventReader {
    /// The name of the event whose data comes next.
    event: String,
    /// When it was last told how the daemon stands; at first, when the stream began.
    told_at: Instant,
}

impl EventReader {
    fn new() -> Self {
        EventReader {
            event: String::new(),
            told_at: Instant::now(),
        }
    }

    /// What a line says; nothing: it ends or begins an event, is a comment, or means nothing here.
    fn read(&mut self, line: &str) -> Result<Option<News>, ClientError> {
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut self.event);
            return Ok(None);
        }
        let Some(data) = line.strip_prefix("data: ") else {
            return Ok(None);
        };
        let news = match self.event.as_str() {
            "overview" => News::Overview(Box::new(parsed(data)?)),
            "history" => return Ok(Some(News::History(parsed(data)?))),
            "problem" => News::Blind(parsed::<Problem>(data)?.to_string()),
            // It is alive, and has not told for long how it stands: the numbers are old.
            "alive" if self.told_at.elapsed() > SILENCE => {
                News::Blind("docent answers, but cannot report its state".to_owned())
            }
            "end" => return Err(ClientError::Ended),
            _ => return Ok(None),
        };
        if matches!(news, News::Overview(_)) {
            self.told_at = Instant::now();
        }
        Ok(Some(news))
    }
}

fn parsed<T: DeserializeOwned>(data: &str) -> Result<T, ClientError> {
    serde_json::from_str(data).map_err(|e| ClientError::Unexpected(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said by these lines, one after the other.
    fn said(events: &mut EventReader, lines: &[&str]) -> Vec<News> {
        let each = lines
            .iter()
            .map(|line| events.read(line).expect("it is read"));
        each.flatten().collect()
    }

    #[test]
    fn a_sign_of_life_is_no_news_until_nothing_was_told_for_long() {
        let mut events = EventReader::new();
        let alive = [
            "retry: 2000",
            "",
            ": a comment",
            "event: alive",
            "data: {}",
            "",
        ];
        assert!(said(&mut events, &alive).is_empty());
        let long_ago = Instant::now().checked_sub(SILENCE + Duration::from_secs(1));
        events.told_at = long_ago.expect("the machine runs for longer");
        let news = said(&mut events, &alive);
        assert!(
            matches!(&news[..], [News::Blind(why)] if why.contains("docent answers")),
            "{news:?}"
        );
    }

    #[test]
    fn a_history_does_not_tell_how_it_stands_and_the_end_is_the_end() {
        let mut events = EventReader::new();
        let began = events.told_at;
        let none = r#"{"step_s":10,"until":null,"figures":{}}"#;
        let data = format!("data: {{\"hour\":{none},\"day\":{none}}}");
        let news = said(&mut events, &["event: history", &data]);
        assert!(matches!(news[..], [News::History(_)]), "{news:?}");
        assert_eq!(events.told_at, began);
        assert!(matches!(events.read("event: end"), Ok(None)));
        let end = events.read("data: {\"reason\":\"docent is stopping\"}");
        assert!(matches!(end, Err(ClientError::Ended)), "{end:?}");
    }
}
