//! The Redis carrier of one agent: the *relay* writes owed deliveries into the agent's inbox, the *reader* reads them back in
//! rounds and offers them.
//!
//! It is driven by its runner's task and owns no task of its own: what is under way is a set of futures that outlives any one
//! call, so a read is awaited and never dropped while the connection lives. When a connection is replaced, outstanding entries
//! stay, and what was read but not handed over is read again.

mod connection;
mod reader;
mod relay;

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::RedisSettings;
use super::client::RedisError;
use super::keeper::ConnectionKeeper;
use super::link::Link;
use super::outstanding::{EntryKey, Outstanding};
use super::reply::{StreamEntry, StreamId};
use super::round::Round;
use super::session::InboxSession;
use crate::bus::order::LedgerOrder;
use crate::bus::{Boxed, Carrier, CopyId, Demand, Left, Offer, PollWatch, TableView};
use crate::event::{AgentName, Seq, Subject, awake};
use crate::log_once::LogOnce;
use crate::store::ReadError;

/// How often it looks without having been told.
const LOOK: Duration = Duration::from_millis(500);

/// Entries acknowledged with one call.
const ACKNOWLEDGED_AT_ONCE: usize = 500;

/// Trimmed entries after which there may be more to trim.
const TRIMMED_AT_ONCE: u64 = 1000;

/// What a call under way has ended with.
enum Reply {
    Opened(Result<InboxSession, RedisError>),
    Mended(Result<(), RedisError>),
    LastId(Result<StreamId, RedisError>),
    Read(Result<Vec<StreamEntry>, RedisError>),
    Pending(Result<Vec<StreamId>, RedisError>),
    Fetched(Vec<StreamId>, Result<Vec<StreamEntry>, RedisError>),
    Added(Vec<EntryKey>, Vec<Result<Option<StreamId>, RedisError>>),
    Acknowledged(Result<(), RedisError>),
    Claimed(Result<(), RedisError>),
    Trimmed(Result<u64, RedisError>),
    /// Entries that nobody has and nobody will read.
    Absent(Result<Vec<EntryKey>, RedisError>),
    /// Something was told to somebody else; nothing hangs on it.
    Told,
}

/// The end of a call, and the session that it was made on.
struct CallEnd {
    session: u64,
    reply: Reply,
}

/// Entries that were read and not looked up yet.
struct ReadEntries {
    entries: Vec<StreamEntry>,
    /// The pending ids that were asked for; `None`: these are new.
    asked: Option<Vec<StreamId>>,
}

/// The Redis carrier of one agent.
pub struct Inbox {
    link: Link,
    agent: AgentName,
    /// Other hosts read what this one carries, and the other way round.
    is_shared: bool,
    /// Copies of one subject that are carried at a time.
    per_subject: usize,
    /// Entries that nobody has and nobody will read, to be compared with the ledger.
    absent: Vec<EntryKey>,
    compared_at: Instant,
    order: LedgerOrder,
    outstanding: Outstanding,
    round: Round,
    /// Which session this is: replies and copies of an earlier one mean nothing.
    number: u64,
    epoch: Option<u64>,
    keeper: ConnectionKeeper<InboxSession>,
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
    /// Whether this connection has brought entries that cannot be read.
    unreadable: LogOnce<bool>,
    /// Calls of this session: they end with it.
    under_way: FuturesUnordered<Boxed<'static, CallEnd>>,
    /// What is being told about Redis, whatever becomes of the session.
    telling: FuturesUnordered<Boxed<'static, ()>>,
    read: VecDeque<ReadEntries>,
    poll: PollWatch,
}

impl Inbox {
    /// The carrier of `agent`; it connects when it is first asked for offers while Redis can carry.
    pub fn new(link: Link, agent: AgentName) -> Self {
        let now = Instant::now();
        let (settings, store) = (link.settings().clone(), link.store().clone());
        let is_shared = store.leases().take_deliveries();
        let per_subject = match (is_shared, agent) {
            (false, _) => settings.window_per_subject,
            // It only appends, and takes nothing: hosts need not wait for each other.
            (true, AgentName::LoggingAudit) => settings.window,
            (true, _) => 1,
        };
        Inbox {
            order: LedgerOrder::new(store, agent, settings.backoff_max, per_subject),
            is_shared,
            per_subject,
            absent: Vec::new(),
            compared_at: now,
            link,
            agent,
            outstanding: Outstanding::default(),
            round: Round::new(settings.block_time),
            number: 0,
            epoch: None,
            keeper: ConnectionKeeper::new(),
            strikes: 0,
            ready: VecDeque::new(),
            adding: false,
            acknowledged: Vec::new(),
            acknowledging: 0,
            trimming: false,
            read_began: awake::now(),
            claimed_at: now,
            unreadable: LogOnce::default(),
            under_way: FuturesUnordered::new(),
            telling: FuturesUnordered::new(),
            read: VecDeque::new(),
            poll: PollWatch::new(settings.block_time * 2 + connection::READ_MARGIN),
        }
    }

    pub fn poll_watch(&self) -> PollWatch {
        self.poll.clone()
    }

    /// Another carrier takes over: the connection is given up, outstanding entries stay.
    pub fn suspend(&mut self) {
        self.disconnect(Duration::ZERO);
        self.epoch = None;
        self.poll.heartbeat.exempt();
        // The other one is told what becomes offerable again meanwhile.
        self.order.back_to(Seq(0));
    }

    /// How many deliveries are carried.
    #[cfg(all(test, feature = "testing"))]
    pub(super) fn carried(&self) -> usize {
        self.outstanding.len()
    }

    fn settings(&self) -> &RedisSettings {
        self.link.settings()
    }

    /// Puts a call under way.
    fn start(&mut self, call: impl Future<Output = Reply> + Send + 'static) {
        let session = self.number;
        self.under_way.push(Box::pin(async move {
            let reply = call.await;
            CallEnd { session, reply }
        }));
    }

    /// Takes the end of a call; true: there is something for [`Carrier::offer`] to do.
    fn hear(&mut self, ended: CallEnd) -> bool {
        if ended.session != self.number {
            return false;
        }
        let (mut polled, mut to_offer) = (true, true);
        let result = match ended.reply {
            Reply::Opened(opened) => opened.map(|session| drop(self.keeper.opened(session))),
            Reply::Mended(mended) => mended.map(|()| self.round.release()),
            Reply::LastId(id) => id.map(|id| self.round.last_id(id)),
            Reply::Pending(ids) => ids.map(|ids| self.round.pending(ids)),
            Reply::Read(read) => read.map(|entries| {
                let asked = None;
                self.read.push_back(ReadEntries { entries, asked });
            }),
            Reply::Fetched(ids, fetched) => fetched.map(|entries| {
                let asked = Some(ids);
                self.read.push_back(ReadEntries { entries, asked });
            }),
            Reply::Added(sent, results) => {
                polled = false;
                self.take_added(&sent, results)
            }
            // On the rest neither the table nor the round hangs.
            Reply::Acknowledged(done) => {
                (polled, to_offer) = (false, false);
                self.acknowledging = self.acknowledging.saturating_sub(1);
                // One that failed is not repeated: the copy is offered again and meets a settled delivery.
                done
            }
            Reply::Trimmed(gone) => {
                (polled, to_offer) = (false, false);
                self.trimming = false;
                gone.map(|gone| {
                    if gone >= TRIMMED_AT_ONCE {
                        self.trim();
                    }
                })
            }
            Reply::Absent(absent) => absent.map(|absent| self.absent.extend(absent)),
            Reply::Claimed(done) => {
                (polled, to_offer) = (false, false);
                done
            }
            Reply::Told => return false,
        };
        if polled {
            self.poll.heartbeat.beat();
        }
        if let Err(error) = result {
            self.fail(error);
        }
        to_offer
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

    fn has_work(&self) -> bool {
        let due = self
            .keeper
            .retry_at()
            .is_some_and(|at| at <= Instant::now());
        let connects = self.epoch.is_some() && due;
        let handed = !self.read.is_empty() || !self.ready.is_empty();
        handed || connects || self.link.epoch() != self.epoch
    }

    /// When to look without having been told.
    fn next_moment(&self) -> Instant {
        let soon = Instant::now() + LOOK;
        let retry_at = self.keeper.retry_at().filter(|_| self.epoch.is_some());
        // What others have settled is asked for.
        let compare =
            (self.is_shared && self.outstanding.len() > 0).then(|| self.next_comparison());
        retry_at.into_iter().chain(compare).fold(soon, Instant::min)
    }

    /// How many entries may be read: what other hosts could read is left to them until it could be handled here.
    fn room(&self, demand: Demand) -> usize {
        match self.is_shared {
            true => demand.permits.min(demand.capacity),
            false => demand.capacity,
        }
    }
}

impl Carrier for Inbox {
    fn woken(&mut self, demand: Demand) -> Boxed<'_, ()> {
        Box::pin(async move {
            if self.room(demand) == 0 {
                self.poll.heartbeat.exempt();
            }
            let mut link = self.link.state();
            loop {
                self.flush_acknowledged();
                if demand.capacity > 0 && self.has_work() {
                    return;
                }
                let relays = demand.capacity > 0 && self.may_relay();
                // What is due then is for a table that can take it.
                let moment = match demand.capacity {
                    0 => Instant::now() + LOOK,
                    _ => self.next_moment(),
                };
                let heard = tokio::select! {
                    Some(ended) = self.under_way.next(), if !self.under_way.is_empty() => ended,
                    Some(()) = self.telling.next(), if !self.telling.is_empty() => continue,
                    () = self.order.woken(), if relays => return,
                    changed = link.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return std::future::pending().await,
                    },
                    () = tokio::time::sleep_until(moment) => {
                        if demand.capacity > 0 { return; }
                        continue;
                    }
                };
                if self.hear(heard) && demand.capacity > 0 {
                    return;
                }
            }
        })
    }

    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        demand: Demand,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>> {
        Box::pin(async move {
            self.follow_link();
            if let Err(error) = self.look_up_read().await {
                self.poll.heartbeat.exempt(); // it is the store that holds it up
                return Err(error);
            }
            self.flush_acknowledged();
            self.compare_with_ledger(table).await?;
            self.advance(table, self.room(demand));
            self.relay(table).await?;
            Ok(self.hand_over(demand.capacity))
        })
    }

    fn left(&mut self, seq: Seq, subject: Option<&Subject>, how: Left) {
        match how {
            Left::Settled => {
                self.outstanding.end(seq);
            }
            Left::Dead => {
                self.outstanding.end(seq);
                self.show_dead(seq);
            }
            // If it was carried, its outstanding entry has ended without a commit.
            Left::Answered | Left::Refused => {
                if self.outstanding.end(seq) {
                    self.order.back_to(seq);
                }
            }
            // Its copy is offered again, if Redis still has it; else it must be carried again. The outstanding entry stays.
            Left::Unanswered => self.order.back_to(seq),
            Left::Unknown => {
                self.outstanding.end(seq);
                return;
            }
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
                tracing::debug!(agent = %self.agent, "Redis did not answer while docent was stopping; the next start finds what is pending there");
            }
        })
    }
}
