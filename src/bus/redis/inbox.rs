//! The carrier Redis of one agent: the *relay* writes owed deliveries into the agent's inbox, the *reader* reads them back in
//! rounds and offers them.
//!
//! It is driven by its runner's task and owns no task of its own: what is under way is a set of futures that outlives any one
//! call, so a read is awaited and never dropped while the connection lives. What it has noted stays when a connection is
//! replaced; what it has read but not handed over is read again.

use std::collections::{HashMap, HashSet, VecDeque};
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
use super::round::{Next, Round};
use super::session::Session;
use crate::bus::order::{Judged, Order};
use crate::bus::{Boxed, Carrier, CopyId, Hunger, Left, Offer, TableView};
use crate::event::{AgentName, EventId, Seq, Subject};
use crate::store::{OwedRow, ReadError};

/// Deliveries relayed with one write.
const BATCH: usize = 256;

/// Between attempts to open a session, and before the relay tries again after Redis refused.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Entries acknowledged with one call.
const ACKNOWLEDGED_AT_ONCE: usize = 500;

/// Trimmed entries after which there may be more to trim.
const TRIMMED_AT_ONCE: u64 = 1000;

/// How often what other consumers hold is taken over, and for how long they must have held it.
const CLAIM_EVERY: Duration = Duration::from_secs(5);
const CLAIM_IDLE: Duration = Duration::from_secs(3);

/// How much later than its own deadline a read counts as lost with its connection.
const READ_MARGIN: Duration = Duration::from_secs(5);

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
    /// Entries that were read and not handed over yet.
    ready: VecDeque<(Seq, StreamId)>,
    acknowledged: Vec<String>,
    acknowledging: usize,
    trimming: bool,
    read_began: Instant,
    claimed_at: Instant,
    relay_at: Instant,
    relay_step: Duration,
    /// That entries could not be read was said on this connection.
    said_unreadable: bool,
    under_way: FuturesUnordered<Boxed<'static, (u64, Reply)>>,
    replies: VecDeque<Reply>,
}

impl Inbox {
    /// The carrier of `agent`; it connects when it is first asked for offers while Redis can carry.
    pub fn new(link: Link, agent: AgentName) -> Self {
        let now = Instant::now();
        let (settings, store) = (link.settings().clone(), link.store().clone());
        Inbox {
            order: Order::new(store, agent, settings.backoff_max),
            link,
            agent,
            notes: Notes::default(),
            round: Round::new(settings.block_time),
            number: 0,
            epoch: None,
            connected: Connected::No { retry_at: now },
            failures: 0,
            ready: VecDeque::new(),
            acknowledged: Vec::new(),
            acknowledging: 0,
            trimming: false,
            read_began: now,
            claimed_at: now,
            relay_at: now,
            relay_step: Duration::ZERO,
            said_unreadable: false,
            under_way: FuturesUnordered::new(),
            replies: VecDeque::new(),
        }
    }

    /// Another carrier takes over: the connection is given up, what is noted stays.
    pub fn suspend(&mut self) {
        self.disconnect(Duration::ZERO);
        self.under_way = FuturesUnordered::new();
        self.epoch = None;
    }

    fn settings(&self) -> &Settings {
        self.link.settings()
    }

    fn session(&self) -> Option<Arc<Session>> {
        match &self.connected {
            Connected::Yes(session) => Some(session.clone()),
            _ => None,
        }
    }

    /// Puts a call under way.
    fn start(&mut self, call: impl Future<Output = Reply> + Send + 'static) {
        let number = self.number;
        self.under_way
            .push(Box::pin(async move { (number, call.await) }));
    }

    /// Follows the link: opens a session when Redis can carry, and drops one of an earlier connection.
    fn follow_link(&mut self) {
        let epoch = self.link.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.disconnect(Duration::ZERO);
        }
        if self.epoch.is_none() {
            return;
        }
        let deaf = self.round.reading()
            && self.read_began.elapsed() > self.settings().block_time * 2 + READ_MARGIN;
        if deaf {
            self.fail(Trouble::Lost("a read did not end in time".to_owned()));
        }
        if let Connected::No { retry_at } = self.connected
            && retry_at <= Instant::now()
        {
            self.open();
        }
    }

    fn open(&mut self) {
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
    fn disconnect(&mut self, wait: Duration) {
        self.number += 1;
        self.connected = Connected::No {
            retry_at: Instant::now() + wait,
        };
        self.round = Round::new(self.settings().block_time);
        self.ready.clear();
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
    fn fail(&mut self, trouble: Trouble) {
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
    fn mend(&mut self) {
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

    fn take_added(&mut self, sent: &[(Seq, u64)], results: Vec<Result<(), Trouble>>) {
        let mut failed = None;
        for ((seq, generation), result) in sent.iter().zip(results) {
            match result {
                Ok(()) => self.notes.replied(*seq, *generation),
                Err(trouble) => {
                    // Failed or unknown: it is carried again. A second copy does no harm.
                    if self.notes.end_generation(*seq, *generation) {
                        self.order.back_to(*seq);
                    }
                    failed = Some(trouble);
                }
            }
        }
        match failed {
            None => self.relay_step = Duration::ZERO,
            // Without a fallback, what came may still be read and acknowledged; only the relay waits.
            Some(Trouble::Refused(why)) if !self.settings().falls_back => {
                if self.relay_step == Duration::ZERO {
                    tracing::warn!(agent = %self.agent, why, "Redis takes no more entries; what is published stays owed");
                }
                self.relay_step = (self.relay_step * 2).clamp(BACKOFF_MAX, BACKOFF_MAX * 5);
                self.relay_at = Instant::now() + self.relay_step;
            }
            Some(trouble) => self.fail(trouble),
        }
    }

    /// Entries that were read: what they carry is looked up by the event's id alone.
    async fn take_entries(&mut self, entries: &[Entry]) -> Result<(), ReadError> {
        let ids: Vec<Option<EventId>> = entries
            .iter()
            .map(|entry| entry.text("id").and_then(|id| id.parse().ok()))
            .collect();
        let known: Vec<EventId> = ids.iter().flatten().copied().collect();
        let mut seqs = match known.is_empty() {
            true => Vec::new(),
            false => self.link.store().seqs_of(known).await?,
        }
        .into_iter();
        let mut unreadable = 0;
        for (entry, id) in entries.iter().zip(ids) {
            let seq = id.and_then(|_| seqs.next().flatten());
            match seq {
                Some(seq) => {
                    self.notes.came(seq);
                    self.ready.push_back((seq, entry.id));
                }
                // An event that everybody has handled long ago, or nothing that docent wrote.
                None => {
                    unreadable += usize::from(id.is_none());
                    self.acknowledged.push(entry.id.to_string());
                }
            }
        }
        if unreadable > 0 && !std::mem::replace(&mut self.said_unreadable, true) {
            tracing::warn!(agent = %self.agent, unreadable, "the inbox held entries that docent did not write; they are acknowledged and left alone");
        }
        Ok(())
    }

    fn copy(&self, entry: StreamId) -> CopyId {
        CopyId {
            session: self.number,
            entry: entry.to_string(),
        }
    }

    /// Goes on with the round as far as it can.
    fn advance(&mut self, table: &dyn TableView, room: usize) {
        let Some(session) = self.session() else {
            return;
        };
        loop {
            let now = Instant::now();
            let room = room.saturating_sub(self.ready.len());
            let (number, ready) = (self.number, &self.ready);
            let in_hand = |entry: StreamId| {
                let copy = CopyId {
                    session: number,
                    entry: entry.to_string(),
                };
                table.has_copy(&copy) || ready.iter().any(|(_, id)| *id == entry)
            };
            let session = session.clone();
            match self.round.next(now, room, in_hand) {
                Next::Wait => return,
                Next::Begin => {
                    let ready: HashSet<Seq> = self.ready.iter().map(|(seq, _)| *seq).collect();
                    let in_hand = |seq| table.contains(seq) || ready.contains(&seq);
                    let noted = self.notes.begin_round(in_hand);
                    self.round.begun(noted);
                    self.start(async move { Reply::LastId(session.last_id().await) });
                }
                Next::Read => {
                    self.read_began = now;
                    self.start(async move { Reply::Read(session.read_new(room).await) });
                }
                Next::AskPending(after) => {
                    self.start(async move { Reply::Pending(session.pending(after).await) });
                }
                Next::Fetch(ids) => self.start(async move {
                    let entries = session.fetch(&ids).await;
                    Reply::Fetched(ids, entries)
                }),
                Next::Judge(None) => {}
                Next::Judge(Some(noted)) => {
                    let lost = self.notes.judge(&noted);
                    for seq in &lost {
                        self.order.back_to(*seq);
                    }
                    if !lost.is_empty() {
                        let (link, agent, count) = (self.link.clone(), self.agent, lost.len());
                        self.start(async move {
                            link.tell_lost(agent, count).await;
                            Reply::Told
                        });
                    }
                    self.trim();
                    self.claim(now);
                }
            }
        }
    }

    /// Takes over what a consumer of another name holds: a stranger in our group that read entries must not keep them.
    fn claim(&mut self, now: Instant) {
        let Some(session) = self.session() else {
            return;
        };
        if now.duration_since(self.claimed_at) >= CLAIM_EVERY {
            self.claimed_at = now;
            self.start(async move { Reply::Claimed(session.claim(CLAIM_IDLE).await) });
        }
    }

    /// The journal keeps what other programs may want to read, up to its bounds.
    fn trim(&mut self) {
        let Some(session) = self.session() else {
            return;
        };
        if self.agent != AgentName::LoggingAudit || self.trimming {
            return;
        }
        self.trimming = true;
        let (entries, bytes) = (
            self.settings().journal_entries,
            self.settings().journal_bytes,
        );
        self.start(async move { Reply::Trimmed(session.trim(entries, bytes).await) });
    }

    fn may_relay(&self) -> bool {
        matches!(self.connected, Connected::Yes(_))
            && self.round.one_has_ended()
            && self.notes.len() < self.settings().window
    }

    /// Carries what is owed and due, and neither carried nor in hand, in ledger order.
    async fn relay(&mut self, table: &dyn TableView) -> Result<(), ReadError> {
        let Some(session) = self.session() else {
            return Ok(());
        };
        if !self.may_relay() || self.relay_at > Instant::now() {
            return Ok(());
        }
        let (window, per_subject) = (self.settings().window, self.settings().window_per_subject);
        let ready: HashSet<Seq> = self.ready.iter().map(|(seq, _)| *seq).collect();
        let mut picked: HashMap<Subject, usize> = HashMap::new();
        let mut seqs: HashSet<Seq> = HashSet::new();
        let notes = &self.notes;
        let mut judge = |row: &OwedRow| {
            let in_hand = table.contains(row.seq) || ready.contains(&row.seq);
            if in_hand || notes.contains(row.seq) || seqs.contains(&row.seq) {
                return Judged::InHand;
            }
            let of_subject = picked.entry(row.subject.clone()).or_default();
            if notes.of_subject(&row.subject) + *of_subject >= per_subject {
                return Judged::Waits;
            }
            *of_subject += 1;
            seqs.insert(row.seq);
            Judged::Take
        };
        let room = (window - notes.len()).min(BATCH);
        let rows = self.order.next(room, &mut judge).await?;
        let Some(first) = rows.iter().map(|row| row.seq).min() else {
            return Ok(());
        };
        let events = match self
            .link
            .store()
            .events_at(rows.iter().map(|row| row.seq).collect())
            .await
        {
            Ok(events) => events,
            Err(error) => {
                self.order.back_to(first);
                return Err(error);
            }
        };
        let sent: Vec<(Seq, u64)> = events
            .iter()
            .map(|event| (event.seq, self.notes.sent(event.seq, &event.subject)))
            .collect();
        self.start(async move {
            let results = session.add(&events).await;
            Reply::Added(sent, results)
        });
        Ok(())
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

    fn hand_over(&mut self, room: usize) -> Vec<Offer> {
        let count = room.min(self.ready.len());
        let entries: Vec<(Seq, StreamId)> = self.ready.drain(..count).collect();
        let offer = |(seq, entry)| Offer {
            seq,
            subject: None,
            copy: Some(self.copy(entry)),
        };
        entries.into_iter().map(offer).collect()
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
            _ if self.relay_at > Instant::now() => self.relay_at.min(soon),
            _ => soon,
        }
    }

    fn show_dead(&mut self, seq: Seq) {
        let Some(session) = self.session() else {
            return;
        };
        let (store, agent) = (self.link.store().clone(), self.agent);
        self.start(async move {
            // For other programs only: the ledger is what counts.
            if let Ok(Some(letter)) = store.dead_letter(seq, agent).await {
                let fields = vec![
                    ("id".to_owned(), letter.event.to_string()),
                    ("type".to_owned(), letter.kind.to_string()),
                    ("subject".to_owned(), letter.subject.to_string()),
                    ("attempts".to_owned(), letter.attempts.to_string()),
                    ("errors".to_owned(), letter.errors.to_string()),
                    ("time".to_owned(), letter.at.to_string()),
                ];
                if let Err(error) = session.show_dead(fields).await {
                    tracing::debug!(%error, "a dead letter was not shown on Redis");
                }
            }
            Reply::Told
        });
    }

    /// Acknowledges everything that is pending on our consumer: the table is empty, what is not settled is owed.
    async fn acknowledge_pending(&mut self, session: &Session) -> Result<(), Trouble> {
        loop {
            let ids = session.pending(None).await?;
            if ids.is_empty() {
                return Ok(());
            }
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            session.acknowledge(&ids).await?;
        }
    }

    async fn end(&mut self) {
        let Some(session) = self.session() else {
            return;
        };
        // A read under way is awaited: what it brings would stay pending.
        while self.round.reading() || self.acknowledging > 0 {
            let Some((number, reply)) = self.under_way.next().await else {
                break;
            };
            match reply {
                Reply::Read(_) if number == self.number => break,
                other => drop(self.hear((number, other))),
            }
        }
        if let Err(error) = self.acknowledge_pending(&session).await {
            tracing::debug!(agent = %self.agent, %error, "entries stay pending on Redis; the next start finds them");
        }
        session.quit().await;
    }
}

impl Carrier for Inbox {
    fn woken(&mut self, hunger: Hunger) -> Boxed<'_, ()> {
        Box::pin(async move {
            let mut link = self.link.state();
            loop {
                self.flush_acknowledged();
                if hunger.room > 0 && self.has_work() {
                    return;
                }
                let relays = hunger.room > 0 && self.may_relay() && self.relay_at <= Instant::now();
                let moment = self.next_moment();
                let heard = tokio::select! {
                    Some(ended) = self.under_way.next(), if !self.under_way.is_empty() => ended,
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
            self.take_replies().await?;
            self.flush_acknowledged();
            self.advance(table, hunger.room);
            self.relay(table).await?;
            Ok(self.hand_over(hunger.room))
        })
    }

    fn left(&mut self, seq: Seq, subject: Option<&Subject>, how: Left) {
        let was_carried = self.notes.end(seq);
        match how {
            Left::Settled => {}
            Left::Dead => self.show_dead(seq),
            // Its note has ended without a commit.
            Left::Answered if was_carried => self.order.back_to(seq),
            Left::Answered => {}
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
