//! The inbox's connection: opened when the link says so, given up when a call fails, ended at the end of a drain.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{Connected, Inbox, Reply};
use crate::bus::redis::client::Trouble;
use crate::bus::redis::round::Round;
use crate::bus::redis::session::Session;
use crate::event::awake;

/// Between attempts to open a session.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Connections that may be lost, one after the other, before the link is told.
const STRIKES: u32 = 4;

/// How much later than its own deadline a read counts as lost with its connection.
pub(super) const READ_MARGIN: Duration = Duration::from_secs(5);

/// How much longer than a read may block the end waits for what is under way.
const END_MARGIN: Duration = Duration::from_millis(500);

impl Inbox {
    pub(super) fn session(&self) -> Option<Arc<Session>> {
        match &self.connected {
            Connected::Yes(session) => Some(session.clone()),
            _ => None,
        }
    }

    /// Follows the link: opens a session when Redis can carry, and drops one of an earlier connection.
    pub(super) fn follow_link(&mut self) {
        let epoch = self.link.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.strikes = 0;
            self.disconnect(Duration::ZERO);
        }
        if self.epoch.is_none() {
            self.poll.exempt();
            return;
        }
        self.poll.resume();
        let deaf = self.round.reading() && awake::since(self.read_began) > self.poll.longest();
        if deaf {
            self.fail(Trouble::Lost("a read did not end in time".to_owned()));
        }
        if let Connected::No { retry_at } = self.connected
            && retry_at <= Instant::now()
        {
            self.open();
        }
    }

    pub(super) fn open(&mut self) {
        self.number += 1;
        self.connected = Connected::Opening;
        self.round = Round::new(self.settings().block_time);
        let (link, agent) = (self.link.clone(), self.agent);
        self.start(async move {
            let store = link.store().id().to_owned();
            Reply::Opened(Session::open(link.settings(), &store, agent).await)
        });
    }

    /// Gives the connection up, and all that is under way on it: a read that went on would take entries that nobody sees.
    pub(super) fn disconnect(&mut self, wait: Duration) {
        self.number += 1;
        self.connected = Connected::No {
            retry_at: Instant::now() + wait,
        };
        self.round = Round::new(self.settings().block_time);
        // The relay has passed these over. If Redis has lost them by the next connection, nobody else would carry them.
        for (seq, _) in self.ready.drain(..) {
            self.order.back_to(seq);
        }
        self.under_way = FuturesUnordered::new();
        self.adding = false;
        self.acknowledged.clear();
        self.acknowledging = 0;
        self.trimming = false;
        self.said_unreadable = false;
        self.replies.clear();
        for seq in self.notes.end_unreplied() {
            self.order.back_to(seq);
        }
    }

    /// What is to be done about a call that gave nothing.
    pub(super) fn fail(&mut self, trouble: Trouble) {
        match trouble {
            // While it is being opened there is nothing to mend yet: it is opened again.
            Trouble::Missing(_) if self.session().is_some() => self.mend(),
            Trouble::Lost(_) | Trouble::Garbled(_) | Trouble::Missing(_) => {
                tracing::debug!(agent = %self.agent, %trouble, "a connection to Redis was given up");
                self.failures += 1;
                self.strikes += 1;
                let step = BACKOFF_MIN * 2u32.saturating_pow(self.failures.min(8));
                let wait = step.min(BACKOFF_MAX).mul_f64(0.5 + fastrand::f64() / 2.0);
                self.disconnect(wait);
                // The health connection may be well, and nothing goes on all the same.
                if self.strikes >= STRIKES
                    && let Some(epoch) = self.epoch
                {
                    self.link.complain(epoch, trouble);
                }
            }
            Trouble::Refused(_) | Trouble::Foreign { .. } => {
                self.disconnect(BACKOFF_MAX);
                if let Some(epoch) = self.epoch {
                    self.link.complain(epoch, trouble);
                }
            }
        }
    }

    /// The stream or its group is gone: it is made anew, and a new round begins from the start. The notes stay: what does not
    /// come in that round was lost.
    pub(super) fn mend(&mut self) {
        let Some(session) = self.session() else {
            return;
        };
        let link = self.link.clone();
        self.round = Round::new(self.settings().block_time);
        self.round.hold();
        self.start(async move {
            let store = link.store().id().to_owned();
            Reply::Mended(session.mend(link.settings(), &store).await)
        });
    }

    /// Leaves nothing pending, if Redis can be reached.
    pub(super) async fn end(&mut self) {
        let patience = self.settings().block_time + END_MARGIN;
        // A read under way is awaited: what it brings would stay pending.
        let quiet = async { while self.under_way.next().await.is_some() {} };
        tokio::time::timeout(patience, quiet).await.ok();
        // The connection may have been lost a moment ago, and nobody would know before a call on it is overdue. So the end has
        // one of its own.
        self.disconnect(Duration::ZERO);
        let (link, agent) = (self.link.clone(), self.agent);
        let ended = match Session::open(link.settings(), link.store().id(), agent).await {
            Ok(session) => acknowledge_pending(&session).await,
            Err(trouble) => Err(trouble),
        };
        if let Err(error) = ended {
            tracing::debug!(%agent, %error, "entries may stay pending on Redis; the next start finds them");
        }
        while let Some(()) = self.telling.next().await {}
    }
}

/// Acknowledges everything that is pending on our consumer, and says goodbye: the table is empty, what is not settled is owed.
async fn acknowledge_pending(session: &Session) -> Result<(), Trouble> {
    loop {
        let ids = session.pending(None).await?;
        if ids.is_empty() {
            session.quit().await;
            return Ok(());
        }
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        session.acknowledge(&ids).await?;
    }
}
