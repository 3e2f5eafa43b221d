//! The inbox's connection: opened when the link says so, given up when a call fails, ended at the end of a drain.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::{Connected, Inbox, Reply};
use crate::bus::redis::client::Trouble;
use crate::bus::redis::link::Link;
use crate::bus::redis::round::Round;
use crate::bus::redis::session::Session;
use crate::event::AgentName;

/// Between attempts to open a session.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How much later than its own deadline a read counts as lost with its connection.
pub(super) const READ_MARGIN: Duration = Duration::from_secs(5);

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
            self.disconnect(Duration::ZERO);
        }
        if self.epoch.is_none() {
            self.poll.exempt();
            return;
        }
        self.poll.resume();
        let deaf = self.round.reading() && self.read_began.elapsed() > self.poll.longest();
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

    /// Gives the connection up. Replies of it that are still to come are not heard.
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
                let why = trouble.to_string();
                tracing::debug!(agent = %self.agent, why, "a connection to Redis was given up");
                self.failures += 1;
                let step = BACKOFF_MIN * 2u32.saturating_pow(self.failures.min(8));
                let wait = step.min(BACKOFF_MAX).mul_f64(0.5 + fastrand::f64() / 2.0);
                self.disconnect(wait);
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

    /// Acknowledges everything that is pending on our consumer: the table is empty, what is not settled is owed.
    pub(super) async fn acknowledge_pending(&mut self, session: &Session) -> Result<(), Trouble> {
        loop {
            let ids = session.pending(None).await?;
            if ids.is_empty() {
                return Ok(());
            }
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            session.acknowledge(&ids).await?;
        }
    }

    /// Leaves nothing pending, if Redis can be reached: also where the connection was lost just before the end.
    pub(super) async fn end(&mut self) {
        // Whatever is under way is awaited, on connections that were given up too: what a read brings would stay pending.
        while let Some(ended) = self.under_way.next().await {
            self.hear(ended);
        }
        let session = match self.session() {
            Some(session) => Ok(session),
            None => open_for_the_end(self.link.clone(), self.agent).await,
        };
        let ended = match session {
            Ok(session) => self.acknowledge_pending(&session).await.map(|()| session),
            Err(trouble) => Err(trouble),
        };
        match ended {
            Ok(session) => session.quit().await,
            Err(error) => {
                tracing::debug!(agent = %self.agent, %error, "entries may stay pending on Redis; the next start finds them");
            }
        }
    }
}

async fn open_for_the_end(link: Link, agent: AgentName) -> Result<Arc<Session>, Trouble> {
    let session = Session::open(link.settings(), link.store().id(), agent).await?;
    Ok(Arc::new(session))
}
