//! How flights end: what a handler gave, what the writer reports, what is not available, and what makes no progress.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;

use super::{CommitReport, Flight, Runner, RunnerEnd, TICK, panic_text};
use crate::backoff::Backoff;
use crate::bus::Left;
use crate::event::{AgentName, Millis, Seq, awake};
use crate::runtime::agent::Ending;
use crate::store::{Settled, Settlement, WriteError};

/// How long a handler that was stopped may take to end; then its thread counts as blocked.
const ABORT_GRACE: Duration = Duration::from_secs(2);

/// How long the failure of a blocked flight may take to be committed before the agent is replaced all the same.
const LAST_COMMIT: Duration = Duration::from_secs(10);

impl Runner {
    /// A handler has ended: its outcome or failure goes to the writer, its permit is free.
    pub(super) fn ended(&mut self, joined: Result<(Id, Ending), JoinError>) {
        let id = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(seq) = self.tasks.remove(&id) else {
            return;
        };
        if let Some(flight) = self.flights.get(&seq) {
            if flight.is_lost || !flight.hold.is_current() {
                return self.leave(seq, Left::Answered);
            }
            let ran = flight.began.elapsed();
            self.take_ahead.ran(ran);
            self.parts.board.figures().took(self.name, ran);
        }
        let settlement = match joined {
            Ok((_, Ending::Outcome(outcome))) => Settlement::Done(outcome),
            Ok((_, Ending::Transient(error))) => Settlement::Transient(error),
            Ok((_, Ending::Permanent(error))) => Settlement::Permanent(error),
            Ok((_, Ending::Unavailable(cause))) => return self.unavailable(seq, &cause),
            Err(error) if error.is_panic() => {
                Settlement::Transient(format!("the handler panicked: {}", panic_text(error)))
            }
            Err(_) => Settlement::Transient(format!(
                "the handler made no progress for {:?} and was stopped",
                self.parts.options.stall_timeout
            )),
        };
        self.submit(seq, settlement);
    }

    fn submit(&mut self, seq: Seq, settlement: Settlement) {
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        self.table.submit(seq, settlement.weight());
        let (store, key, fence) = (
            self.parts.store.clone(),
            flight.event.key(self.name),
            flight.fence.clone(),
        );
        let source = self.parts.source.clone();
        self.settling.push(Box::pin(async move {
            let result = match store.settle(key, fence, settlement, &source).await {
                Ok(pending) => pending.committed().await,
                Err(error) => Err(error),
            };
            CommitReport { seq, result }
        }));
    }

    /// A commit is reported: the flight leaves the table with its copies, then they are acknowledged. True: the store is closed.
    pub(super) fn settled(&mut self, report: CommitReport) -> bool {
        let CommitReport { seq, result } = report;
        let fine = result.is_ok();
        if let (Ok(Settled::Dead), Some(flight)) = (&result, self.flights.get(&seq)) {
            tracing::error!(name: "event.dead_lettered", agent = %self.name, event = %flight.event.id, subject = %flight.event.subject,
                "a delivery failed for good; `docent dead show {id}` says why, `docent dead replay {id}` retries it", id = flight.event.id);
        }
        match result {
            Ok(Settled::Dead) => {
                self.parts.board.figures().died(self.name);
                self.leave(seq, Left::Dead);
            }
            Ok(_) | Err(WriteError::Refused) => self.leave(seq, Left::Settled),
            Err(WriteError::Closed) => return true,
            Err(WriteError::Unavailable(cause)) => self.unavailable(seq, &cause),
            Err(error) => {
                // The outcome breaks a rule of the store: that is a failed attempt, with a fence of its own. If the store does not
                // take that either, nothing is written, and it is tried again after a pause.
                if let Some(flight) = self.flights.get_mut(&seq) {
                    if std::mem::replace(&mut flight.is_refused, true) {
                        self.unavailable(seq, &error.to_string());
                        return false;
                    }
                    flight.fence = self.parts.incarnation.flight(flight.hold.right());
                }
                let settlement = match error {
                    WriteError::TooLarge { .. } => Settlement::Permanent(error.to_string()),
                    _ => Settlement::Transient(error.to_string()),
                };
                self.submit(seq, settlement);
            }
        }
        if fine && self.pause.count > 0 && self.pause.until.is_none() {
            self.available();
        }
        false
    }

    pub(super) fn leave(&mut self, seq: Seq, how: Left) {
        self.flights.remove(&seq);
        if let Some((subject, copies)) = self.table.leave(seq) {
            self.parts.carrier.left(seq, Some(&subject), how);
            self.parts.carrier.acknowledge(copies);
        }
    }

    /// No attempt, nothing written: it goes back to queued, holds its subject, and nothing new starts for a pause.
    pub(super) fn unavailable(&mut self, seq: Seq, cause: &str) {
        self.parts.board.figures().was_unavailable(self.name);
        self.flights.remove(&seq);
        self.table.pause(seq);
        if self.pause.until.is_some() && self.pause.count > 0 {
            return;
        }
        let options = self.parts.options;
        let backoff = Backoff::new(options.pause_min, options.pause_max);
        self.pause.count = self.pause.count.saturating_add(1);
        self.pause.until = Some(Instant::now() + backoff.after(self.pause.count));
        if self.pause.count == 1 {
            tracing::warn!(agent = %self.name, cause, "something that the agent needs is not available; it starts nothing new and keeps trying");
            let since = Millis::now();
            self.parts.board.update(self.name, |status| {
                status.unavailable = Some((cause.to_owned(), since))
            });
        }
    }

    fn available(&mut self) {
        self.pause.count = 0;
        tracing::info!(agent = %self.name, "everything that the agent needs is available again");
        self.parts
            .board
            .update(self.name, |status| status.unavailable = None);
    }

    /// Stops handlers that make no progress; gives the one whose thread cannot be stopped.
    pub(super) fn check_stalls(&mut self) -> Option<Seq> {
        stop_lost(&mut self.flights, self.name);
        let limit = self.parts.options.stall_timeout;
        for (seq, flight) in &mut self.flights {
            if flight.abort.is_finished() {
                continue;
            }
            match flight.stopped_at {
                None if flight.heartbeat.idle() >= limit => {
                    tracing::warn!(agent = %self.name, event = %flight.event.id, subject = %flight.event.subject,
                        "a handler made no progress for {limit:?} and is stopped");
                    flight.stopped_at = Some(awake::now());
                    flight.abort.abort();
                }
                Some(at) if awake::since(at) >= ABORT_GRACE => return Some(*seq),
                _ => {}
            }
        }
        None
    }

    /// The thread of this flight is lost: the flight fails, and the agent is to be replaced.
    pub(super) async fn give_up(mut self, seq: Seq) -> RunnerEnd {
        let text = "the handler blocks its thread and cannot be stopped";
        let subject = self
            .flights
            .get(&seq)
            .map_or_else(String::new, |flight| flight.event.subject.to_string());
        self.submit(seq, Settlement::Transient(text.to_owned()));
        let deadline = awake::now() + LAST_COMMIT;
        while let Ok(Some(report)) =
            awake::timeout(deadline.duration_since(awake::now()), self.settling.next()).await
        {
            if report.seq == seq {
                if let Err(error) = report.result {
                    tracing::error!(agent = %self.name, %error, "cannot write the failure of a blocked handler; its delivery is handled again");
                }
                break;
            }
        }
        // If no run follows, other hosts must not wait for what was read here.
        self.parts.carrier.close().await;
        RunnerEnd::Blocked(format!("{text} ({subject})"))
    }
}

/// Stops the handlers of flights whose hold is lost: another host may handle it by now, and nothing of them would be applied.
fn stop_lost(flights: &mut HashMap<Seq, Flight>, agent: AgentName) {
    for flight in flights.values_mut() {
        let runs = flight.stopped_at.is_none() && !flight.abort.is_finished();
        if runs && !flight.hold.is_current() {
            tracing::warn!(%agent, event = %flight.event.id, subject = %flight.event.subject,
                "this host does not hold the event's slot any more; its handler is stopped");
            flight.is_lost = true;
            flight.stopped_at = Some(awake::now());
            flight.abort.abort();
        }
    }
}

/// Waits for a read of the store. Holds are lost without it.
pub(super) async fn stopping_lost<T>(
    flights: &mut HashMap<Seq, Flight>,
    agent: AgentName,
    read: impl Future<Output = T>,
) -> T {
    let mut read = pin!(read);
    loop {
        tokio::select! {
            read = &mut read => return read,
            () = tokio::time::sleep(TICK) => stop_lost(flights, agent),
        }
    }
}
