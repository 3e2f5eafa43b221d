//! The inbox's connection: opened when the link says so, given up when a call fails, ended at the end of a drain.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{Inbox, Reply};
use crate::bus::redis::client::RedisError;
use crate::bus::redis::round::Round;
use crate::bus::redis::session::InboxSession;
use crate::event::awake;
use crate::log_once::LogOnce;

/// How long Redis is left alone after it refused something.
const REFUSED: Duration = Duration::from_secs(1);

/// Connections that may be lost, one after the other, before the link is told.
const STRIKES: u32 = 4;

/// How much later than its own deadline a read counts as lost with its connection.
pub(super) const READ_MARGIN: Duration = Duration::from_secs(5);

/// How much longer than a read may block the end waits for what is under way.
const END_MARGIN: Duration = Duration::from_millis(500);

impl Inbox {
    pub(super) fn session(&self) -> Option<Arc<InboxSession>> {
        self.keeper.connection()
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
            self.poll.heartbeat.exempt();
            return;
        }
        self.poll.heartbeat.resume();
        let deaf = self.round.reading() && awake::since(self.read_began) > self.poll.longest;
        if deaf {
            self.fail(RedisError::Lost("a read did not end in time".to_owned()));
        }
        if self.keeper.begin() {
            self.open();
        }
    }

    pub(super) fn open(&mut self) {
        self.number += 1;
        self.round = Round::new(self.settings().block_time);
        let (link, agent, is_shared) = (self.link.clone(), self.agent, self.is_shared);
        self.start(async move {
            let store = link.store().identity().clone();
            Reply::Opened(InboxSession::open(link.settings(), &store, agent, is_shared).await)
        });
    }

    /// Gives the connection up until then.
    pub(super) fn disconnect(&mut self, wait: Duration) {
        self.keeper.give_up(wait);
        self.forget_session();
    }

    /// Forgets all that is under way on the connection: a read that went on would take entries that nobody sees.
    fn forget_session(&mut self) {
        self.number += 1;
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
        self.unreadable = LogOnce::default();
        self.read.clear();
        self.absent.clear();
        for seq in self.outstanding.end_unreplied() {
            self.order.back_to(seq);
        }
    }

    /// What is to be done about a call that gave nothing.
    pub(super) fn fail(&mut self, error: RedisError) {
        match error {
            // While it is being opened there is nothing to mend yet: it is opened again.
            RedisError::Missing(_) if self.session().is_some() => self.mend(),
            RedisError::Lost(_) | RedisError::Garbled(_) | RedisError::Missing(_) => {
                tracing::debug!(agent = %self.agent, %error, "a connection to Redis was given up");
                self.strikes += 1;
                self.keeper.failed();
                self.forget_session();
                // The health connection may be well, and nothing goes on all the same.
                if self.strikes >= STRIKES {
                    self.report(error);
                }
            }
            RedisError::Refused(_) | RedisError::Foreign { .. } => {
                self.disconnect(REFUSED);
                self.report(error);
            }
        }
    }

    fn report(&self, error: RedisError) {
        if let Some(epoch) = self.epoch {
            self.link.report(epoch, error);
        }
    }

    /// The stream or its group is gone: it is made again, and a new round begins from the start. Outstanding entries stay: what does not
    /// come in that round was lost.
    pub(super) fn mend(&mut self) {
        let Some(session) = self.session() else {
            return;
        };
        let link = self.link.clone();
        self.round = Round::new(self.settings().block_time);
        self.round.hold();
        self.start(async move {
            let store = link.store().identity().clone();
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
        let store = link.store().identity();
        let opened = InboxSession::open(link.settings(), store, agent, self.is_shared);
        let ended = match opened.await {
            Ok(session) => acknowledge_pending(&session).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!(%agent, %error, "entries may stay pending on Redis; the next start finds them");
        }
        while let Some(()) = self.telling.next().await {}
    }
}

/// Acknowledges everything that is pending on our consumer, and says goodbye: the table is empty, what is not settled is owed.
async fn acknowledge_pending(session: &InboxSession) -> Result<(), RedisError> {
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
