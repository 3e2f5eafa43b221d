//! `test`: does what `test.work` says. Only with the feature `testing`: the agent that faults are tried on.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::event::{AgentName, Event, EventType};
use crate::runtime::{Agent, Boxed, Duty, DutyContext, DutyError, Ending, Handling};
use crate::store::{Effect, Outcome};

pub(crate) struct Test {
    /// Where `start`, `end` and `left` lines go.
    log: Option<PathBuf>,
    /// What the duty is told to do.
    duty: mpsc::Sender<DutyFault>,
    duty_end: std::sync::Mutex<Option<mpsc::Receiver<DutyFault>>>,
}

/// How the agent's duty is to end.
#[derive(Debug, Clone, Copy)]
enum DutyFault {
    Panic,
    Fail,
    Hang,
}

impl Test {
    /// An agent that logs to `log`.
    pub(crate) fn new(log: Option<PathBuf>) -> Self {
        let (duty, duty_end) = mpsc::channel(1);
        Test {
            log,
            duty,
            duty_end: std::sync::Mutex::new(Some(duty_end)),
        }
    }

    fn line(&self, what: &str, event: &Event, handling: &Handling) {
        let Some(path) = &self.log else {
            return;
        };
        let now = clock_gettime(ClockId::Monotonic);
        let nanos = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
        let line = format!(
            "{what} {} {} {} {} {nanos}\n",
            event.id, event.subject, handling.attempt, handling.run
        );
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("the test's own log can be written, or the test proves nothing");
    }

    async fn work(&self, event: &Event, handling: &Handling) -> Ending {
        let data = &event.data;
        let sleep = Duration::from_millis(data["sleep_ms"].as_u64().unwrap_or(0));
        let progress = data["progress"].as_bool().unwrap_or(false);
        let until = tokio::time::Instant::now() + sleep;
        while tokio::time::Instant::now() < until {
            let left = until - tokio::time::Instant::now();
            tokio::time::sleep(left.min(Duration::from_millis(100))).await;
            if progress {
                handling.heartbeat.beat();
            }
        }
        let times = data["times"].as_u64().unwrap_or(0);
        let end = data["end"].as_str().unwrap_or("ok");
        let end = if times > 0 && u64::from(handling.attempt) > times {
            "ok"
        } else {
            end
        };
        self.end(end, event, handling).await
    }

    async fn end(&self, end: &str, event: &Event, handling: &Handling) -> Ending {
        match end {
            "ok" => Ending::Outcome(Outcome::nothing().effect(effect(event, handling.attempt))),
            "transient" => Ending::Transient("test.work asked for a transient failure".to_owned()),
            "permanent" => Ending::Permanent("test.work asked for a permanent failure".to_owned()),
            "unavailable" => Ending::Unavailable("test.work asked to be unavailable".to_owned()),
            "panic" => panic!("test.work asked for a panic"),
            "hang" => std::future::pending().await,
            "block" => loop {
                std::thread::park();
            },
            "abort" => std::process::abort(),
            "duty_panic" => self.fault(DutyFault::Panic).await,
            "duty_fail" => self.fault(DutyFault::Fail).await,
            "duty_hang" => self.fault(DutyFault::Hang).await,
            other => Ending::Permanent(format!("test.work knows no end `{other}`")),
        }
    }

    async fn fault(&self, fault: DutyFault) -> Ending {
        match self.duty.send(fault).await {
            Ok(()) => Ending::Outcome(Outcome::nothing()),
            Err(_) => Ending::Transient("the duty has ended already".to_owned()),
        }
    }
}

#[cfg(not(feature = "testing-older"))]
fn asks_for_work(kind: EventType) -> bool {
    matches!(kind, EventType::TestWork | EventType::TestLater)
}

#[cfg(feature = "testing-older")]
fn asks_for_work(kind: EventType) -> bool {
    kind == EventType::TestWork
}

/// What the work leaves behind.
fn effect(event: &Event, attempt: u32) -> Effect {
    let seq = event.seq.0;
    match event.kind {
        #[cfg(not(feature = "testing-older"))]
        EventType::TestLater => Effect::TestLater {
            event: seq,
            attempt,
        },
        _ => Effect::Test {
            event: seq,
            attempt,
        },
    }
}

/// Writes when a handler is over: that it ended, or that it left by a panic or because it was stopped.
struct Leaving<'a> {
    agent: &'a Test,
    event: &'a Event,
    handling: &'a Handling,
    has_ended: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let what = if self.has_ended { "end" } else { "left" };
        self.agent.line(what, self.event, self.handling);
    }
}

impl Agent for Test {
    fn name(&self) -> AgentName {
        AgentName::Test
    }

    fn handle<'a>(&'a self, event: &'a Event, handling: &'a Handling) -> Boxed<'a, Ending> {
        Box::pin(async move {
            if !asks_for_work(event.kind) || *event.data == Value::Null {
                return Ending::Outcome(Outcome::nothing());
            }
            self.line("start", event, handling);
            let mut leaving = Leaving {
                agent: self,
                event,
                handling,
                has_ended: false,
            };
            let ending = self.work(event, handling).await;
            leaving.has_ended = true;
            ending
        })
    }

    fn duties(self: Arc<Self>) -> Vec<Duty> {
        let faults = self.duty_end.lock().ok().and_then(|mut end| end.take());
        let Some(mut faults) = faults else {
            return Vec::new();
        };
        vec![Duty::new(
            "faults",
            move |context: DutyContext| async move {
                loop {
                    context.heartbeat.beat();
                    let fault = tokio::select! {
                        () = context.stop.cancelled() => return Ok(()),
                        fault = faults.recv() => fault,
                        () = tokio::time::sleep(Duration::from_secs(1)) => continue,
                    };
                    match fault {
                        Some(DutyFault::Panic) => panic!("test.work asked the duty for a panic"),
                        Some(DutyFault::Fail) => {
                            return Err(DutyError::Failed(
                                "test.work asked the duty to fail".to_owned(),
                            ));
                        }
                        Some(DutyFault::Hang) => std::future::pending::<()>().await,
                        None => return Ok(()),
                    }
                }
            },
        )]
    }
}
