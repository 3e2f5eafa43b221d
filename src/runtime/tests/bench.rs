//! A runner on a bench: a real store, a carrier that follows a script, and handlers that wait until the test ends them.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::carrier::{Script, Scripted, Told};
use crate::bus::tests::Ledger;
use crate::bus::{Carrier, Embedded};
use crate::event::{AgentName, Event, Heartbeat, Seq};
use crate::runtime::agent::{Agent, Boxed, Ending, Handling};
use crate::runtime::isolation::Isolation;
use crate::runtime::runner::{Runner, RunnerEnd, RunnerOptions, RunnerParts};
use crate::runtime::shutdown::{StopSwitch, stop_pair};
use crate::runtime::status::Board;
use crate::store::{Effect, Incarnation, Outcome, Store};

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than any test: what is put off so long does not come by itself.
pub(super) const NEVER: Duration = Duration::from_secs(100_000 * 3600);

/// How a bench is set up.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) concurrency: usize,
    pub(super) unsettled: usize,
    pub(super) pause_min: Duration,
    pub(super) pause_max: Duration,
    pub(super) backoff: Duration,
    pub(super) stall_timeout: Duration,
    /// The embedded carrier instead of the script.
    pub(super) embedded: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            concurrency: 1,
            unsettled: 3,
            pause_min: Duration::from_millis(300),
            pause_max: Duration::from_millis(300),
            backoff: Duration::from_millis(1),
            stall_timeout: NEVER,
            embedded: false,
        }
    }
}

impl Setup {
    pub(super) fn runner(&self) -> RunnerOptions {
        RunnerOptions {
            concurrency: self.concurrency,
            unsettled: self.unsettled,
            unsettled_bytes: 1 << 20,
            capacity: 6,
            stall_timeout: self.stall_timeout,
            backoff_max: self.backoff,
            pause_min: self.pause_min,
            pause_max: self.pause_max,
        }
    }
}

/// A handler that was called and waits.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) seq: Seq,
    pub(super) attempt: u32,
    pub(super) run: u64,
    pub(super) at: Instant,
    end: oneshot::Sender<Ending>,
}

impl Call {
    /// The handler ends so.
    pub(super) fn ends(self, ending: Ending) {
        // A handler that was stopped hears nothing.
        self.end.send(ending).ok();
    }

    /// The handler ends well, with an effect.
    pub(super) fn succeeds(self) {
        let effect = Effect::Test {
            event: self.seq.0,
            attempt: self.attempt,
        };
        self.ends(Ending::Outcome(Outcome::nothing().effect(effect)));
    }
}

/// An agent whose handlers wait for the test.
pub(super) struct Waiting {
    calls: mpsc::Sender<Call>,
}

impl Agent for Waiting {
    fn name(&self) -> AgentName {
        AgentName::Test
    }

    fn handle<'a>(&'a self, event: &'a Event, handling: &'a Handling) -> Boxed<'a, Ending> {
        Box::pin(async move {
            let (end, ended) = oneshot::channel();
            let call = Call {
                seq: event.seq,
                attempt: handling.attempt,
                run: handling.run,
                at: Instant::now(),
                end,
            };
            self.calls.send(call).await.ok();
            ended.await.unwrap_or(Ending::Unavailable(
                "the test forgot this handler".to_owned(),
            ))
        })
    }
}

/// The runner at work.
pub(super) struct Run {
    pub(super) task: JoinHandle<RunnerEnd>,
    pub(super) switch: StopSwitch,
    incarnation: Incarnation,
}

pub(super) struct Bench {
    setup: Setup,
    pub(super) store: Store,
    pub(super) script: Arc<Script>,
    pub(super) board: Board,
    pub(super) agent: Arc<Waiting>,
    calls: Mutex<mpsc::Receiver<Call>>,
    pub(super) ledger: Ledger,
}

impl Bench {
    /// A bench on which no runner works yet.
    pub(super) fn new(setup: Setup) -> Self {
        let ledger = Ledger::with_backoff(setup.backoff, setup.backoff);
        let (calls, receiver) = mpsc::channel(100);
        Bench {
            setup,
            store: ledger.store.clone(),
            script: Arc::default(),
            board: Board::new(&[AgentName::Test]),
            agent: Arc::new(Waiting { calls }),
            calls: Mutex::new(receiver),
            ledger,
        }
    }

    /// Begins a run of the runner.
    #[expect(
        clippy::disallowed_methods,
        reason = "the test stands in for the supervisor"
    )]
    pub(super) fn run(&self, run: u64) -> Run {
        let carrier: Box<dyn Carrier> = if self.setup.embedded {
            let agent = AgentName::Test;
            Box::new(Embedded::new(self.store.clone(), agent, self.setup.backoff))
        } else {
            Box::new(Scripted(self.script.clone()))
        };
        let (switch, stop) = stop_pair();
        let incarnation = Incarnation::begin();
        let runner = Runner::new(RunnerParts {
            agent: self.agent.clone(),
            store: self.store.clone(),
            carrier,
            options: self.setup.runner(),
            board: self.board.clone(),
            stop,
            heartbeat: Heartbeat::default(),
            incarnation: incarnation.clone(),
            isolation: Isolation::default(),
            recorder: None,
            run,
            handlers: Handle::current(),
            source: "agent/test".to_owned(),
        });
        Run {
            task: tokio::spawn(runner.run()),
            switch,
            incarnation,
        }
    }

    /// Ends a run as a replaced agent's does.
    pub(super) async fn end(run: Run) {
        run.task.abort();
        run.task.await.ok();
        run.incarnation.end();
    }

    /// Publishes an event of this subject.
    pub(super) async fn publish(&mut self, subject: &str) -> Seq {
        self.ledger.publish(subject).await
    }

    /// Offers these deliveries by these copies, and waits until the runner has answered and waits again.
    pub(super) async fn offer(&self, batch: &[(Seq, &str)]) {
        let number = self.script.write(batch);
        let mut answered = self.script.answered();
        let waiting = answered.wait_for(|answered| *answered >= number);
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "the offer {batch:?} was not answered");
    }

    /// The next handler that is called.
    pub(super) async fn call(&self) -> Call {
        let mut calls = self.calls.lock().await;
        let called = tokio::time::timeout(PATIENCE, calls.recv()).await;
        called.expect("a handler is called").unwrap()
    }

    /// The handlers of these are called one after the other, and each ends well.
    pub(super) async fn handles(&self, all: &[Seq]) {
        for seq in all {
            let call = self.call().await;
            assert_eq!(call.seq, *seq);
            call.succeeds();
        }
    }

    /// Whether no handler is called for longer than a call takes.
    pub(super) async fn is_quiet(&self) -> bool {
        let mut calls = self.calls.lock().await;
        let called = tokio::time::timeout(Duration::from_millis(100), calls.recv());
        called.await.is_err()
    }

    /// Waits until this is so.
    pub(super) async fn until(&self, what: &str, so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so() {
            assert!(Instant::now() < deadline, "not so: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the writer stands at the closed gate.
    pub(super) async fn until_held(&self) {
        let gate = self.store.gate();
        self.until("the writer is held", || gate.holds()).await;
    }

    /// Waits until the runner has paused.
    pub(super) async fn until_paused(&self) {
        let paused = || self.board.agent(AgentName::Test).unavailable.is_some();
        self.until("it is paused", paused).await;
    }

    /// Waits until nothing is owed.
    pub(super) async fn until_settled(&self) {
        let owed = || self.store.counts(AgentName::Test).owed == 0;
        self.until("nothing is owed", owed).await;
    }

    /// Deliveries in flight and queued, as of when the runner last began to wait.
    pub(super) fn table(&self) -> (usize, usize) {
        let status = self.board.agent(AgentName::Test);
        (status.in_flight, status.queued)
    }

    /// Waits until the runner has told its carrier exactly this since the bench was set up.
    pub(super) async fn until_told(&self, all: &[Told]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.script.told();
            if told == all {
                return;
            }
            assert!(Instant::now() < deadline, "told {told:?}, not {all:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// That these copies were acknowledged, in one call.
pub(super) fn acknowledged(copies: &[&str]) -> Told {
    Told::Acknowledged(copies.iter().map(|copy| (*copy).to_owned()).collect())
}
