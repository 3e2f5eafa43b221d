//! The duty that tells receivers what the store has for them: at least once, of one alert in order, and for a day.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::message::environment;
use super::{AlertReceiver, Options, Surroundings, command};
use crate::backoff::{Backoff, half_jitter};
use crate::event::Millis;
use crate::log_once::LogOnce;
use crate::runtime::{Boxed, Compute, DutyContext, DutyError};
use crate::store::{AlertChange, Effect, Notification, WriteError};
use crate::webhook;

/// How long a notification is tried.
const KEEP_TRYING: Duration = Duration::from_secs(24 * 3600);

/// The waits between attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

/// Receivers that are told at once.
const AT_ONCE: usize = 4;

/// Without a reason to look before, the store is asked after so long, at most.
const LOOK: Duration = Duration::from_secs(60);

/// After something that could not be read or written.
const PAUSE: Duration = Duration::from_secs(5);

/// An attempt that ended.
struct Attempt {
    notification: Notification,
    result: Result<(), String>,
}

/// One life of the duty.
pub(super) struct NotificationDuty {
    options: Arc<Options>,
    surroundings: Surroundings,
    wake: Arc<Notify>,
    running: FuturesUnordered<Boxed<'static, Attempt>>,
    /// The rules whose receivers are being told.
    busy: HashSet<String>,
    failing: LogOnce<bool>,
}

/// Why the duty goes on.
enum WakeReason {
    Ended(Box<Attempt>),
    Look,
}

impl NotificationDuty {
    pub(super) fn new(
        options: Arc<Options>,
        surroundings: Surroundings,
        wake: Arc<Notify>,
    ) -> Self {
        NotificationDuty {
            options,
            surroundings,
            wake,
            running: FuturesUnordered::new(),
            busy: HashSet::new(),
            failing: LogOnce::default(),
        }
    }

    /// Tells until told to stop. What is under way then is given up; it is tried anew after the next start.
    pub(super) async fn run(mut self, context: DutyContext) -> Result<(), DutyError> {
        loop {
            let Some(next) = context.during(self.begin()).await else {
                return Ok(());
            };
            let Some(wake) = context.during(self.wait(next)).await else {
                return Ok(());
            };
            if let WakeReason::Ended(attempt) = wake {
                let Some(recorded) = context.during(self.record(*attempt)).await else {
                    return Ok(());
                };
                recorded?;
            }
        }
    }

    /// Begins what is due; gives when to look again.
    async fn begin(&mut self) -> Duration {
        let waiting = match self.surroundings.store.notifications().await {
            Ok(waiting) => waiting,
            Err(error) => {
                if self.failing.is_new(true) {
                    tracing::warn!(%error, "what is to be told of alerts cannot be read");
                }
                return PAUSE;
            }
        };
        self.failing.is_new(false);
        let (now, mut next) = (Millis::now(), LOOK);
        for notification in waiting {
            if self.busy.contains(&notification.rule) || self.busy.len() >= AT_ONCE {
                continue; // its end is a reason to look
            }
            let receiver = self.options.receiver(&notification.rule).clone();
            let wait = Millis(notification.due_at).since(now);
            // A moment further off than any wait: the clock was set back.
            if wait.is_zero() || wait > LOOK * 10 {
                self.busy.insert(notification.rule.clone());
                let compute = self.surroundings.compute.clone();
                self.running
                    .push(Box::pin(attempt(receiver, notification, compute)));
            } else if receiver != AlertReceiver::Nobody {
                next = next.min(wait);
            }
        }
        next
    }

    async fn wait(&mut self, next: Duration) -> WakeReason {
        tokio::select! {
            Some(attempt) = self.running.next(), if !self.running.is_empty() => WakeReason::Ended(Box::new(attempt)),
            () = self.wake.notified() => WakeReason::Look,
            () = tokio::time::sleep(next) => WakeReason::Look,
        }
    }

    /// Records how an attempt ended. Where that cannot be written the receiver is told again, under the same id.
    async fn record(&mut self, attempt: Attempt) -> Result<(), DutyError> {
        let Attempt {
            notification,
            result,
        } = attempt;
        let (change, told) = conclude(&notification, result, Millis::now(), fastrand::f64());
        let submitted = self
            .surroundings
            .source
            .submit(vec![Effect::Alert(change)], Vec::new());
        let written = match submitted.await {
            Ok(submitted) => submitted.committed().await.map(drop),
            Err(error) => Err(error),
        };
        self.busy.remove(&notification.rule);
        match written {
            Ok(()) => told.log(&notification),
            Err(WriteError::Closed) => return Err(WriteError::Closed.into()),
            Err(error) => {
                tracing::warn!(%error, rule = notification.rule, "how the receiver of an alert answered could not be recorded; it will be told again");
                // Not at once: the store may be unwritable for long.
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}

/// Tells a receiver once.
async fn attempt(receiver: AlertReceiver, notification: Notification, compute: Compute) -> Attempt {
    let result = match receiver {
        AlertReceiver::Nobody => Ok(()), // nobody is left who could be told
        AlertReceiver::Command(command) => command::run(&command, environment(&notification)).await,
        AlertReceiver::Webhook { url, secret_file } => {
            let opened = compute
                .run(move || webhook::Receiver::new(&url, &secret_file))
                .await;
            let message = webhook::Message {
                id: notification.id.clone(),
                body: notification.body.clone(),
            };
            match opened {
                Err(error) => Err(error),
                Ok(Err(error)) => Err(error.to_string()),
                Ok(Ok(receiver)) => {
                    let told = receiver.tell(&message, Millis::now()).await;
                    told.map_err(|error| error.to_string())
                }
            }
        }
    };
    Attempt {
        notification,
        result,
    }
}

/// What came of an attempt, for the log.
#[derive(Debug, PartialEq)]
enum Came {
    Taken,
    /// It will be tried again.
    Failed(String),
    GaveUp(String),
}

impl Came {
    fn log(&self, notification: &Notification) {
        let (rule, id, attempts) = (
            &notification.rule,
            &notification.id,
            notification.attempts + 1,
        );
        match self {
            Came::Taken => tracing::debug!(rule, id, attempts, "the receiver of an alert was told"),
            Came::Failed(error) if attempts == 1 => {
                tracing::warn!(
                    rule,
                    id,
                    error,
                    "the receiver of an alert could not be told; it will be tried again for a day"
                );
            }
            Came::Failed(error) => {
                tracing::debug!(
                    rule,
                    id,
                    attempts,
                    error,
                    "the receiver of an alert could not be told"
                );
            }
            Came::GaveUp(error) => {
                tracing::error!(
                    rule,
                    id,
                    attempts,
                    error,
                    "the receiver of an alert could not be told for a day; given up"
                );
            }
        }
    }
}

/// What follows from an attempt that ended at `now`. `random` is from 0 to 1.
fn conclude(
    notification: &Notification,
    result: Result<(), String>,
    now: Millis,
    random: f64,
) -> (AlertChange, Came) {
    let id = notification.id.clone();
    let error = match result {
        Ok(()) => return (AlertChange::Sent { id }, Came::Taken),
        Err(error) => error,
    };
    let gives_up = now.since(Millis(notification.created_at)) >= KEEP_TRYING;
    let wait = half_jitter(BACKOFF.after(notification.attempts + 1), random);
    let change = AlertChange::Failed {
        id,
        error: error.clone(),
        due_at: (!gives_up).then(|| now.plus(wait).0),
    };
    let came = if gives_up {
        Came::GaveUp(error)
    } else {
        Came::Failed(error)
    };
    (change, came)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_tried_for_a_day_with_growing_waits_and_then_given_up() {
        let mut notification = Notification {
            id: "id".to_owned(),
            rule: "a".to_owned(),
            body: "{}".to_owned(),
            created_at: 0,
            attempts: 0,
            due_at: 0,
            error: None,
        };
        let mut now = Millis(0);
        let mut waits = Vec::new();
        loop {
            let (change, came) = conclude(&notification, Err("refused".to_owned()), now, 1.0);
            let AlertChange::Failed { due_at, error, .. } = change else {
                panic!("{change:?}");
            };
            assert_eq!(error, "refused");
            let Some(due) = due_at else {
                assert_eq!(came, Came::GaveUp("refused".to_owned()));
                break;
            };
            waits.push(due - now.0);
            (now, notification.attempts) = (Millis(due), notification.attempts + 1);
        }
        assert_eq!(waits[..4], [1000, 2000, 4000, 8000]);
        assert_eq!(waits.last(), Some(&300_000));
        assert_eq!(now.since(Millis(0)).as_secs() / 3600, 24);
        let (change, came) = conclude(&notification, Ok(()), now, 1.0);
        let id = "id".to_owned();
        assert_eq!((change, came), (AlertChange::Sent { id }, Came::Taken));
    }
}
