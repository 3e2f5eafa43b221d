//! The runner: the only consumer loop. It answers offers, handles, hands the end to the writer, and acknowledges after the commit.
//!
//! It is one task that owns its table; there is no mutex. It looks in the table first, then in the ledger. A flight is settled
//! once: its fence is taken by the writer with the outcome or the failure, whichever comes first.

mod ends;
mod take_ahead;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use self::ends::stopping_lost;
use self::take_ahead::{PATIENCE, TakeAhead};
use super::agent::{Agent, Boxed, Ending, Handling};
use super::isolation::{AloneTurn, Isolation, IsolationWatch, Presence};
use super::shutdown::Stop;
use super::status::Board;
use super::table::{DeliveryTable, TableLimits};
use crate::bus::{Carrier, Demand, Left, Offer, TableView};
use crate::event::{AgentName, Event, Heartbeat, Millis, Seq};
use crate::log_once::LogOnce;
use crate::store::{
    DueBy, Fence, FlightRecorder, FlightRight, HoldToken, HoldUse, Incarnation, OfferClass,
    Settled, SlotUse, Store, Suspicion, WriteError,
};

/// Why a handler does not begin.
const NOT_HELD: &str =
    "docent stood still, so that another host may have taken over what it was about to handle";

/// How often the runner looks at its clocks when nothing happens.
const TICK: Duration = Duration::from_millis(500);

/// How a runner works.
#[derive(Debug, Clone, Copy)]
pub struct RunnerOptions {
    /// Deliveries handled at once.
    pub concurrency: usize,
    /// Flights running or handed to the writer.
    pub unsettled: usize,
    /// Bytes handed to the writer.
    pub unsettled_bytes: usize,
    /// Deliveries in the table.
    pub capacity: usize,
    /// A handler that makes no progress for this long is stopped.
    pub stall_timeout: Duration,
    /// The longest backoff of a retry: what is due later than this from now is due now.
    pub backoff_max: Duration,
    /// The first pause when something is unavailable.
    pub pause_min: Duration,
    pub pause_max: Duration,
}

/// How a runner ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RunnerEnd {
    /// It was told to, and these were still in flight when the time was over.
    Stopped(Vec<String>),
    /// A handler blocks its thread and cannot be stopped.
    Blocked(String),
    /// The store is closed.
    Closed,
}

/// What a runner is made of.
pub(super) struct RunnerParts {
    pub(super) agent: Arc<dyn Agent>,
    pub(super) store: Store,
    pub(super) carrier: Box<dyn Carrier>,
    pub(super) options: RunnerOptions,
    pub(super) board: Board,
    pub(super) stop: Stop,
    pub(super) heartbeat: Heartbeat,
    pub(super) incarnation: Incarnation,
    /// What is in flight with other runners.
    pub(super) isolation: Isolation,
    /// Where it stands what is being handled, in case docent crashes.
    pub(super) recorder: Option<FlightRecorder>,
    pub(super) run: u64,
    /// Where handlers run: threads of this run alone.
    pub(super) handlers: Handle,
    /// Who publishes derived events.
    pub(super) source: String,
}

/// A delivery that may be handled now.
struct Candidate {
    event: Arc<Event>,
    attempts: u32,
    suspicion: Suspicion,
    presence: Presence,
}

/// One delivery that is being handled or committed.
struct Flight {
    event: Arc<Event>,
    _presence: Presence,
    fence: Fence,
    /// Nothing else has one for long: what was begun is let go of with the flight.
    hold: Arc<FlightHold>,
    heartbeat: Heartbeat,
    abort: AbortHandle,
    began: Instant,
    stopped_at: Option<Instant>,
    /// It was stopped because its slot is not held any more.
    is_lost: bool,
    /// The store did not take its outcome.
    is_refused: bool,
}

/// By what a flight was begun on a store that hosts may share. It is let go of when the flight has ended.
enum FlightHold {
    Slot(SlotUse),
    Taken(HoldUse, HoldToken),
}

impl FlightHold {
    fn right(&self) -> FlightRight {
        match self {
            FlightHold::Slot(slot) => slot.right(),
            FlightHold::Taken(_, token) => FlightRight::Held(token.clone()),
        }
    }

    /// Whether what the flight gives can still be applied.
    fn is_current(&self) -> bool {
        match self {
            FlightHold::Slot(slot) => slot.is_current(),
            FlightHold::Taken(hold, _) => hold.is_current(),
        }
    }
}

/// The end of a take: whether this host may handle the delivery.
struct TakeReport {
    /// What was offered; the candidate is the oldest of its subject.
    offered: Seq,
    candidate: Candidate,
    hold: HoldUse,
    began: Instant,
    result: Result<Option<HoldToken>, WriteError>,
}

/// What this host has taken, and has no permit for yet.
struct TakenAhead {
    candidate: Candidate,
    hold: FlightHold,
    since: Instant,
}

/// What the handlers work with is not there: nothing is started until then.
#[derive(Default)]
struct UnavailablePause {
    until: Option<Instant>,
    /// Pauses in a row; none: everything is available.
    count: u32,
}

/// The end of a commit.
struct CommitReport {
    seq: Seq,
    result: Result<Settled, WriteError>,
}

pub(super) struct Runner {
    parts: RunnerParts,
    name: AgentName,
    table: DeliveryTable,
    flights: HashMap<Seq, Flight>,
    tasks: HashMap<Id, Seq>,
    running: JoinSet<Ending>,
    settling: FuturesUnordered<Boxed<'static, CommitReport>>,
    taking: FuturesUnordered<Boxed<'static, TakeReport>>,
    /// In the order in which they were taken.
    taken: VecDeque<TakenAhead>,
    take_ahead: TakeAhead,
    pause: UnavailablePause,
    isolation: IsolationWatch,
    /// It is this agent's turn to handle a delivery alone, when nothing else is in flight.
    turn: Option<AloneTurn>,
    reads_fail: LogOnce<bool>,
    unknown: LogOnce<bool>,
}

impl Runner {
    pub(super) fn new(parts: RunnerParts) -> Self {
        let options = parts.options;
        Runner {
            name: parts.agent.name(),
            table: DeliveryTable::new(TableLimits {
                permits: options.concurrency,
                unsettled: options.unsettled.max(options.concurrency),
                unsettled_bytes: options.unsettled_bytes,
                capacity: options.capacity,
            }),
            isolation: parts.isolation.subscribe(),
            turn: None,
            parts,
            flights: HashMap::new(),
            tasks: HashMap::new(),
            running: JoinSet::new(),
            settling: FuturesUnordered::new(),
            taking: FuturesUnordered::new(),
            taken: VecDeque::new(),
            take_ahead: TakeAhead::default(),
            pause: UnavailablePause::default(),
            reads_fail: LogOnce::default(),
            unknown: LogOnce::default(),
        }
    }

    /// Works until it is told to stop.
    pub(super) async fn run(mut self) -> RunnerEnd {
        loop {
            self.parts.heartbeat.beat();
            if let Some(end) = self.check_stop() {
                self.parts.carrier.close().await;
                return end;
            }
            self.start_taken();
            self.fill().await;
            self.show();
            if let Some(blocked) = self.check_stalls() {
                return self.give_up(blocked).await;
            }
            let demand = self.demand();
            let stop = self.parts.stop.clone();
            let tick = Instant::now() + TICK;
            let tick = self.pause.until.map_or(tick, |until| until.min(tick));
            tokio::select! {
                Some(joined) = self.running.join_next_with_id(), if !self.running.is_empty() => self.ended(joined),
                Some(report) = self.settling.next(), if !self.settling.is_empty() => {
                    if self.settled(report) { return RunnerEnd::Closed; }
                }
                Some(report) = self.taking.next(), if !self.taking.is_empty() => {
                    if self.take_reported(report) { return RunnerEnd::Closed; }
                }
                () = self.parts.carrier.woken(demand) => {}
                () = self.isolation.changed() => {}
                () = stop.changed() => {}
                () = tokio::time::sleep_until(tick) => {}
            }
            if self.take_ended() {
                return RunnerEnd::Closed;
            }
        }
    }

    /// Takes whatever else has ended by now, so that one look at the ledger serves all of it. True: the store is closed.
    fn take_ended(&mut self) -> bool {
        while let Some(joined) = self.running.try_join_next_with_id() {
            self.ended(joined);
        }
        while let Some(Some(report)) = self.settling.next().now_or_never() {
            if self.settled(report) {
                return true;
            }
        }
        while let Some(Some(report)) = self.taking.next().now_or_never() {
            if self.take_reported(report) {
                return true;
            }
        }
        false
    }

    /// What a drain asks for: give back at half time, end when nothing is pending or the time is over.
    fn check_stop(&mut self) -> Option<RunnerEnd> {
        if !self.parts.stop.draining() {
            return None;
        }
        if self.parts.stop.giving_back() {
            self.give_back_taken();
            let copies = self.table.give_back();
            self.parts.carrier.acknowledge(copies);
        }
        if self.parts.stop.abandoned() {
            self.parts.incarnation.end();
            self.running.abort_all();
            return Some(RunnerEnd::Stopped(self.table.flying()));
        }
        self.table
            .is_empty()
            .then(|| RunnerEnd::Stopped(Vec::new()))
    }

    /// How many deliveries may start now.
    fn permits(&self) -> usize {
        match self.pause.until {
            Some(_) => 0,
            None if self.parts.isolation.is_closed() => 0,
            None => {
                let ahead = self.take_ahead.places(self.table.permits());
                self.table.free(ahead)
            }
        }
    }

    /// The next delivery to handle alone, once it is this agent's turn and nothing else is in flight.
    fn next_alone(&mut self) -> Option<(Seq, Presence)> {
        let suspect = match self.pause.until {
            Some(_) => None,
            None => self.table.next_suspect(),
        };
        let turn = self.turn.take();
        let seq = suspect?;
        let waited = turn.is_some();
        let turn = turn.or_else(|| self.parts.isolation.turn())?;
        match turn.enter() {
            Ok(presence) => Some((seq, presence)),
            Err(waits) => {
                if !waited {
                    tracing::info!(agent = %self.name, seq = seq.0, "docent has ended while this was handled; nothing begins until what is in flight has ended, then it is handled alone");
                }
                self.turn = Some(waits);
                None
            }
        }
    }

    /// What there is place for; nothing in a drain.
    fn demand(&self) -> Demand {
        if self.parts.stop.draining() {
            return Demand {
                permits: 0,
                capacity: 0,
            };
        }
        Demand {
            permits: self.permits(),
            capacity: self.table.capacity(),
        }
    }

    /// Answers what is queued, then what the carrier offers, while there is place for it.
    async fn fill(&mut self) {
        if self
            .pause
            .until
            .is_some_and(|until| until <= Instant::now())
        {
            self.pause.until = None;
            self.table.resume();
        }
        loop {
            self.parts.heartbeat.beat();
            let alone = self.next_alone();
            let (suspect, mut presence) = alone.unzip();
            let offers = match self.next_offers(suspect).await {
                Ok(offers) if offers.is_empty() => return,
                Ok(offers) => offers,
                Err(error) => return self.reads_fail(&error.to_string()),
            };
            let seqs = offers.iter().map(|o| o.seq).collect();
            let due = DueBy::new(Millis::now(), self.parts.options.backoff_max);
            let read = self.parts.store.classify(self.name, seqs, due);
            match stopping_lost(&mut self.flights, self.name, read).await {
                Ok(classes) => self.answer(offers, classes, &mut presence),
                Err(error) => {
                    self.reads_fail(&error.to_string());
                    // Not answered, so queued. One whose subject nobody knows is offered again by its carrier.
                    for Offer { seq, subject, copy } in offers {
                        match subject {
                            Some(subject) => self.table.queue(seq, &subject, copy),
                            None => self.parts.carrier.left(seq, None, Left::Unanswered),
                        }
                    }
                    return;
                }
            }
            self.reads_fail.is_new(false);
        }
    }

    /// What is answered next: the delivery that is handled alone, else what is queued, else what the carrier offers.
    async fn next_offers(
        &mut self,
        alone: Option<Seq>,
    ) -> Result<Vec<Offer>, crate::store::ReadError> {
        let queued = match alone {
            Some(seq) => vec![seq],
            None => self.table.answerable(self.permits()),
        };
        if !queued.is_empty() {
            let again = |seq| Offer {
                seq,
                subject: None,
                copy: None,
            };
            return Ok(queued.into_iter().map(again).collect());
        }
        loop {
            let demand = self.demand();
            if demand.capacity == 0 {
                return Ok(Vec::new());
            }
            let read = self.parts.carrier.offer(&self.table, demand);
            let mut offers = stopping_lost(&mut self.flights, self.name, read).await?;
            if offers.is_empty() {
                return Ok(offers);
            }
            // The table first: what is in it already only gains a copy.
            offers.retain(|offer| !self.table.add_copy(offer.seq, offer.copy.clone()));
            if !offers.is_empty() {
                return Ok(offers);
            }
        }
    }

    fn reads_fail(&mut self, error: &str) {
        if self.reads_fail.is_new(true) {
            tracing::warn!(agent = %self.name, error, "cannot read what is owed; trying again");
        }
        // A longer pause that is under way goes on.
        let again = Instant::now() + self.parts.options.pause_min;
        self.pause.until = Some(self.pause.until.map_or(again, |until| until.max(again)));
    }

    /// Answers offers. With `alone` there is one of them, and nothing else is in flight.
    fn answer(
        &mut self,
        offers: Vec<Offer>,
        classes: Vec<OfferClass>,
        alone: &mut Option<Presence>,
    ) {
        for (offer, class) in offers.into_iter().zip(classes) {
            match class {
                OfferClass::Settled | OfferClass::NotDue | OfferClass::Damaged(None) => {
                    self.pass_over(offer, Left::Answered);
                }
                OfferClass::Unknown => {
                    if self.unknown.is_new(true) {
                        tracing::warn!(agent = %self.name, seq = offer.seq.0, "a newer docent published an event of a type that this version does not know; it waits until a docent that knows it runs");
                    }
                    self.pass_over(offer, Left::Unknown);
                }
                // It stays owed and holds its subject. What is damaged mends itself no sooner than anything that is paused.
                OfferClass::Damaged(Some(subject)) => {
                    self.table.queue(offer.seq, &subject, offer.copy);
                    self.table.pause(offer.seq);
                }
                OfferClass::Due {
                    oldest,
                    attempts,
                    suspicion,
                } => {
                    let subject = oldest.subject.clone();
                    if self.table.has_under_another(offer.seq, &subject) {
                        // The store has lost commits, and this place in the ledger is another event's by now.
                        self.leave(offer.seq, Left::Answered);
                    }
                    let (seq, is_alone) = (oldest.seq, suspicion.is_alone());
                    let presence = match alone.take() {
                        Some(presence) => Some(presence),
                        None if self.table.holds(&subject) || self.permits() == 0 || is_alone => {
                            None
                        }
                        None => self.parts.isolation.enter(),
                    };
                    let Some(presence) = presence else {
                        self.table.queue(offer.seq, &subject, offer.copy);
                        if is_alone {
                            self.table.queue_suspect(seq, &subject);
                        }
                        continue;
                    };
                    // An older one of its subject goes first, offered or not; this one is queued then.
                    let candidate = Candidate {
                        event: Arc::new(*oldest),
                        attempts,
                        suspicion,
                        presence,
                    };
                    self.begin(offer, candidate);
                }
            }
        }
    }

    /// Begins to handle the oldest of a subject of which something was offered, if that is this host's to do.
    fn begin(&mut self, offer: Offer, candidate: Candidate) {
        let oldest = candidate.event.clone();
        let leases = self.parts.store.leases();
        let takes = leases.take_deliveries();
        if takes && self.name != AgentName::LoggingAudit {
            let Some(hold) = leases.begin_take(self.name, oldest.seq) else {
                return self.pass_over(offer, Left::Answered);
            };
            let offered = offer.seq;
            self.table.queue(offered, &oldest.subject, offer.copy);
            self.table.take(oldest.seq, &oldest.subject);
            let began = Instant::now();
            let (store, key) = (self.parts.store.clone(), oldest.key(self.name));
            return self.taking.push(Box::pin(async move {
                let result = match store.take(key, oldest.subject.clone(), &hold).await {
                    Ok(pending) => pending.committed().await,
                    Err(error) => Err(error),
                };
                TakeReport {
                    offered,
                    candidate,
                    hold,
                    began,
                    result,
                }
            }));
        }
        let slot = match takes {
            // What only appends does no harm where two hosts do it: one of them is refused.
            true => Some(SlotUse::none()),
            false => leases.use_slot_of(&oldest.subject),
        };
        match slot {
            // Another host handles what is owed of it.
            None => self.pass_over(offer, Left::Answered),
            Some(slot) => {
                self.table.queue(offer.seq, &oldest.subject, offer.copy);
                self.table.start(oldest.seq, &oldest.subject);
                self.start(candidate, FlightHold::Slot(slot));
            }
        }
    }

    /// A take is reported: its handler starts when there is a permit, or the delivery leaves the table. True: the store is closed.
    fn take_reported(&mut self, report: TakeReport) -> bool {
        let TakeReport {
            offered,
            candidate,
            hold,
            began,
            result,
        } = report;
        let seq = candidate.event.seq;
        match result {
            Ok(Some(token)) => {
                self.take_ahead.took(began.elapsed());
                let hold = FlightHold::Taken(hold, token);
                self.taken.push_back(TakenAhead {
                    candidate,
                    hold,
                    since: Instant::now(),
                });
            }
            Err(WriteError::Closed) => return true,
            Err(WriteError::Unavailable(cause)) => self.unavailable(seq, &cause),
            Ok(None) | Err(_) => {
                self.leave(seq, Left::Refused);
                if offered != seq {
                    self.leave(offered, Left::Refused);
                }
            }
        }
        false
    }

    /// Starts what was taken, while there are permits.
    fn start_taken(&mut self) {
        if self.pause.until.is_some() {
            // Another host may have what this one waits for.
            return self.give_back_taken();
        }
        while self.table.has_permit()
            && let Some(TakenAhead {
                candidate, hold, ..
            }) = self.taken.pop_front()
        {
            let event = &candidate.event;
            if hold.is_current() {
                self.table.start(event.seq, &event.subject);
                self.start(candidate, hold);
            } else {
                self.leave(event.seq, Left::Answered);
            }
        }
        if let Some(first) = self.taken.front()
            && first.since.elapsed() > PATIENCE
        {
            // Handlers take longer than it seemed.
            for _ in &self.taken {
                self.take_ahead.ran(PATIENCE);
            }
            self.give_back_taken();
        }
    }

    /// Gives back what was taken and has not started: its hold is released with the next renewal.
    fn give_back_taken(&mut self) {
        for TakenAhead { candidate, .. } in std::mem::take(&mut self.taken) {
            self.leave(candidate.event.seq, Left::Refused);
        }
    }

    /// There is nothing to do here for what was offered.
    fn pass_over(&mut self, offer: Offer, how: Left) {
        let mut copies: Vec<_> = offer.copy.into_iter().collect();
        let left = self.table.leave(offer.seq).map(|(subject, held)| {
            copies.extend(held);
            subject
        });
        let subject = left.or(offer.subject);
        self.parts.carrier.left(offer.seq, subject.as_ref(), how);
        self.parts.carrier.acknowledge(copies);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the runner owns its handlers and joins every one"
    )]
    fn start(&mut self, candidate: Candidate, hold: FlightHold) {
        let Candidate {
            event,
            attempts,
            suspicion,
            presence,
        } = candidate;
        let seq = event.seq;
        let handling = Handling {
            attempt: attempts + 1,
            run: self.parts.run,
            heartbeat: Heartbeat::default(),
        };
        let (agent, handled, heartbeat) = (
            self.parts.agent.clone(),
            event.clone(),
            handling.heartbeat.clone(),
        );
        let hold = Arc::new(hold);
        let begun_by = Arc::downgrade(&hold);
        let verdict = suspicion.verdict();
        if suspicion.is_alone() {
            tracing::info!(agent = %self.name, event = %event.id, subject = %event.subject, ends = suspicion.ends(),
                "docent has ended while this was handled; it is handled alone now");
        }
        let recorder = self.parts.recorder.as_ref();
        let record = recorder.map(|recorder| recorder.record(self.name, &event));
        let handler = async move {
            let _record = record;
            // This process may have stood still since the hold was looked at.
            if !begun_by.upgrade().is_some_and(|hold| hold.is_current()) {
                return Ending::Unavailable(NOT_HELD.to_owned());
            }
            match verdict {
                None => agent.handle(&handled, &handling).await,
                Some(why) => Ending::Permanent(why),
            }
        };
        let abort = self.running.spawn_on(handler, &self.parts.handlers);
        self.tasks.insert(abort.id(), seq);
        let fence = self.parts.incarnation.flight(hold.right());
        self.flights.insert(
            seq,
            Flight {
                event,
                _presence: presence,
                fence,
                hold,
                heartbeat,
                abort,
                began: Instant::now(),
                stopped_at: None,
                is_lost: false,
                is_refused: false,
            },
        );
    }

    fn show(&self) {
        let (in_flight, queued) = (self.table.in_flight(), self.table.queued());
        let leases = self.parts.store.leases();
        leases.set_in_flight(self.name, in_flight);
        self.parts.board.update(self.name, |status| {
            status.in_flight = in_flight;
            status.queued = queued;
        });
    }
}

/// The message of a panic.
pub(super) fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned()),
        Err(_) => "it was cancelled".to_owned(),
    }
}
