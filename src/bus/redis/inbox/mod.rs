//! The carrier Redis of one agent: the *relay* writes owed deliveries into the agent's inbox, the *reader* reads them back in
//! rounds and offers them.
//!
//! It is driven by its runner's task and owns no task of its own: what is under way is a set of futures that outlives any one
//! call, so a read is awaited and never dropped while the connection lives. What it has noted stays when a connection is
//! replaced; what it has read but not handed over is read again.

mod connection;
mod reader;
mod relay;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::Settings;
use super::client::Trouble;
use super::link::Link;
use super::notes::Notes;
use super::reply::{Entry, StreamId};
use super::round::Round;
use super::session::Session;
use crate::bus::order::Order;
use crate::bus::{Boxed, Carrier, CopyId, Hunger, LastPoll, Left, Offer, TableView};
use crate::event::{AgentName, Seq, Subject, awake};
use crate::store::ReadError;

/// Entries acknowledged with one call.
const ACKNOWLEDGED_AT_ONCE: usize = 500;

/// Trimmed entries after which there may be more to trim.
const TRIMMED_AT_ONCE: u64 = 1000;

/// What a call under way has ended with.
enum Reply {
    Opened(Result<Session, Trouble>),
    Mended(Result<(), Trouble>),
    LastId(Result<StreamId, Trouble>),
    Read(Result<Vec<Entry>, Trouble>),
    Pending(Result<Vec<StreamId>, Trouble>),
    Fetched(Vec<StreamId>, Result<Vec<Entry>, Trouble>),
    Added(Vec<(Seq, u64)>, Vec<Result<(), Trouble>>),
    Acknowledged(Result<(), Trouble>),
    Claimed(Result<(), Trouble>),
    Trimmed(Result<u64, Trouble>),
    /// Something was told to somebody else; nothing hangs on it.
    Told,
}

/// Where the connection is.
enum Connected {
    /// There is none; the next attempt is due then.
    No { retry_at: Instant },
    /// It is being opened.
    Opening,
    /// It is there.
    Yes(Arc<Session>),
}

/// The carrier Redis of one agent.
pub struct Inbox {
    link: Link,
    agent: AgentName,
    order: Order,
    notes: Notes,
    round: Round,
    /// Which session this is: replies and copies of an earlier one mean nothing.
    number: u64,
    epoch: Option<u64>,
    connected: Connected,
    failures: u32,
    /// Connections of this epoch on which a call gave nothing, since something was last added.
    strikes: u32,
    /// Entries that were read and not handed over yet.
    ready: VecDeque<(Seq, StreamId)>,
    /// A write of the relay is under way. What becomes owed meanwhile goes with the next one.
    adding: bool,
    acknowledged: Vec<String>,
    acknowledging: usize,
    trimming: bool,
    read_began: Instant,
    claimed_at: Instant,
    /// That entries could not be read was said on this connection.
    said_unreadable: bool,
    /// Calls of this session: they end with it.
    under_way: FuturesUnordered<Boxed<'static, (u64, Reply)>>,
    /// What is being told about Redis, whatever becomes of the session.
    telling: FuturesUnordered<Boxed<'static, ()>>,
    replies: VecDeque<Reply>,
    poll: LastPoll,
}

impl Inbox {
    /// The carrier of `agent`; it connects when it is first asked for offers while Redis can carry.
    pub fn new(link: Link, agent: AgentName) -> Self {
        let now = Instant::now();
        let (settings, store) = (link.settings().clone(), link.store().clone());
        Inbox {
            order: Order::new(
                store,
                agent,
                settings.backoff_max,
                settings.window_per_subject,
            ),
            link,
            agent,
            notes: Notes::default(),
            round: Round::new(settings.block_time),
            number: 0,
            epoch: None,
            connected: Connected::No { retry_at: now },
            failures: 0,
            strikes: 0,
            ready: VecDeque::new(),
            adding: false,
            acknowledged: Vec::new(),
            acknowledging: 0,
            trimming: false,
            read_began: awake::now(),
            claimed_at: now,
            said_unreadable: false,
            under_way: FuturesUnordered::new(),
            telling: FuturesUnordered::new(),
            replies: VecDeque::new(),
            poll: LastPoll::new(settings.block_time * 2 + connection::READ_MARGIN),
        }
    }

    /// When it last polled.
    pub fn last_poll(&self) -> LastPoll {
        self.poll.clone()
    }

    /// Another carrier takes over: the connection is given up, what is noted stays.
    pub fn suspend(&mut self) {
        self.disconnect(Duration::ZERO);
        self.epoch = None;
        self.poll.exempt();
    }

    /// How many deliveries are carried.
    #[cfg(all(test, feature = "testing"))]
    pub(super) fn carried(&self) -> usize {
        self.notes.len()
    }

    fn settings(&self) -> &Settings {
        self.link.settings()
    }

    /// Puts a call under way.
    fn start(&mut self, call: impl Future<Output = Reply> + Send + 'static) {
        let number = self.number;
        self.under_way
            .push(Box::pin(async move { (number, call.await) }));
    }

    /// Takes what calls have ended with.
    async fn take_replies(&mut self) -> Result<(), ReadError> {
        while let Some(reply) = self.replies.pop_front() {
            match reply {
                Reply::Opened(Ok(session)) => self.connected = Connected::Yes(Arc::new(session)),
                Reply::Mended(Ok(())) => self.round.release(),
                Reply::LastId(Ok(id)) => self.round.last_id(id),
                Reply::Pending(Ok(ids)) => self.round.pending(ids),
                Reply::Read(Ok(entries)) => {
                    self.failures = 0;
                    let last = entries.iter().map(|entry| entry.id).max();
                    if let Err(error) = self.take_entries(&entries).await {
                        self.replies.push_front(Reply::Read(Ok(entries)));
                        return Err(error);
                    }
                    self.round.read(last);
                }
                Reply::Fetched(ids, Ok(entries)) => {
                    if let Err(error) = self.take_entries(&entries).await {
                        self.replies.push_front(Reply::Fetched(ids, Ok(entries)));
                        return Err(error);
                    }
                    // What is pending and was deleted carries nothing any more.
                    let there: HashSet<StreamId> = entries.iter().map(|entry| entry.id).collect();
                    let gone = ids.iter().filter(|id| !there.contains(id));
                    self.acknowledged.extend(gone.map(ToString::to_string));
                    self.round.fetched();
                }
                Reply::Opened(Err(trouble))
                | Reply::Mended(Err(trouble))
                | Reply::LastId(Err(trouble))
                | Reply::Pending(Err(trouble))
                | Reply::Read(Err(trouble))
                | Reply::Fetched(_, Err(trouble)) => self.fail(trouble),
                light => self.take_light(light),
            }
        }
        Ok(())
    }

    /// Takes a reply on which neither the table nor the round hangs.
    fn take_light(&mut self, reply: Reply) {
        match reply {
            Reply::Added(sent, results) => self.take_added(&sent, results),
            Reply::Acknowledged(result) => {
                self.acknowledging = self.acknowledging.saturating_sub(1);
                // One that failed is not repeated: the copy is offered again and meets a settled delivery.
                if let Err(trouble) = result {
                    self.fail(trouble);
                }
            }
            Reply::Claimed(Err(trouble)) => self.fail(trouble),
            Reply::Trimmed(result) => {
                self.trimming = false;
                match result {
                    Ok(gone) if gone >= TRIMMED_AT_ONCE => self.trim(),
                    Ok(_) => {}
                    Err(trouble) => self.fail(trouble),
                }
            }
            _ => {}
        }
    }

    /// Acknowledges what has been gathered, with at most two calls under way.
    fn flush_acknowledged(&mut self) {
        let Some(session) = self.session() else {
            self.acknowledged.clear();
            return;
        };
        while !self.acknowledged.is_empty() && self.acknowledging < 2 {
            let most = self.acknowledged.len().min(ACKNOWLEDGED_AT_ONCE);
            let ids: Vec<String> = self.acknowledged.drain(..most).collect();
            let session = session.clone();
            self.acknowledging += 1;
            self.start(async move { Reply::Acknowledged(session.acknowledge(&ids).await) });
        }
    }

    /// Takes the end of a call; true: there is something for [`Carrier::offer`] to do.
    fn hear(&mut self, (number, reply): (u64, Reply)) -> bool {
        match reply {
            _ if number != self.number => false,
            Reply::Added(..) => {
                self.take_light(reply);
                true
            }
            Reply::Acknowledged(_) | Reply::Claimed(_) | Reply::Trimmed(_) | Reply::Told => {
                self.take_light(reply);
                false
            }
            _ => {
                self.poll.polled();
                self.replies.push_back(reply);
                true
            }
        }
    }

    fn has_work(&self) -> bool {
        let due = match self.connected {
            Connected::No { retry_at } => self.epoch.is_some() && retry_at <= Instant::now(),
            _ => false,
        };
        !self.replies.is_empty() || !self.ready.is_empty() || due || self.link.epoch() != self.epoch
    }

    /// When to look without having been told.
    fn next_moment(&self) -> Instant {
        let soon = Instant::now() + Duration::from_millis(500);
        match self.connected {
            Connected::No { retry_at } if self.epoch.is_some() => retry_at.min(soon),
            _ => soon,
        }
    }
}

impl Carrier for Inbox {
    fn woken(&mut self, hunger: Hunger) -> Boxed<'_, ()> {
        Box::pin(async move {
            if hunger.room == 0 {
                self.poll.exempt();
            }
            let mut link = self.link.state();
            loop {
                self.flush_acknowledged();
                if hunger.room > 0 && self.has_work() {
                    return;
                }
                let relays = hunger.room > 0 && self.may_relay();
                let moment = self.next_moment();
                let heard = tokio::select! {
                    Some(ended) = self.under_way.next(), if !self.under_way.is_empty() => ended,
                    Some(()) = self.telling.next(), if !self.telling.is_empty() => continue,
                    () = self.order.woken(), if relays => return,
                    changed = link.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return std::future::pending().await,
                    },
                    () = tokio::time::sleep_until(moment) => {
                        if hunger.room > 0 { return; }
                        continue;
                    }
                };
                if self.hear(heard) && hunger.room > 0 {
                    return;
                }
            }
        })
    }

    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        hunger: Hunger,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>> {
        Box::pin(async move {
            self.follow_link();
            if let Err(error) = self.take_replies().await {
                self.poll.exempt(); // it is the store that holds it up
                return Err(error);
            }
            self.flush_acknowledged();
            self.advance(table, hunger.room);
            self.relay(table).await?;
            Ok(self.hand_over(hunger.room))
        })
    }

    fn left(&mut self, seq: Seq, subject: Option<&Subject>, how: Left) {
        match how {
            Left::Settled => {
                self.notes.end(seq);
            }
            Left::Dead => {
                self.notes.end(seq);
                self.show_dead(seq);
            }
            // If it was carried, its note has ended without a commit.
            Left::Answered => {
                if self.notes.end(seq) {
                    self.order.back_to(seq);
                }
            }
            // Its copy is offered again, if Redis still has it; else it must be carried again. The note stays.
            Left::Unanswered => self.order.back_to(seq),
        }
        if let Some(subject) = subject {
            self.order.left(subject);
        }
    }

    fn acknowledge(&mut self, copies: Vec<CopyId>) {
        let number = self.number;
        let ours = copies.into_iter().filter(|copy| copy.session == number);
        self.acknowledged.extend(ours.map(|copy| copy.entry));
    }

    fn close(&mut self) -> Boxed<'_, ()> {
        Box::pin(async move {
            let deadline = self.settings().block_time * 2 + Duration::from_secs(1);
            let ending = tokio::time::timeout(deadline, self.end());
            if ending.await.is_err() {
                tracing::debug!(agent = %self.agent, "Redis did not answer at the end; what is pending there is found at the next start");
            }
        })
    }
}
