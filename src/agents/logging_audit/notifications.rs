//! The duty that tells receivers what the store has for them: at least once, of one alert in order, and for a day.
//!
//! Telling and writing what came of it are futures of one set: a store that cannot be written holds up no receiver that is being
//! told, and a receiver that was told waits for its row to be written, not to be told again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::message::environment;
use super::{AlertReceiver, AuditContext, AuditOptions, command};
use crate::backoff::{Backoff, half_jitter};
use crate::event::Millis;
use crate::log_once::LogOnce;
use crate::runtime::{Boxed, Compute, DutyContext, DutyError, Source};
use crate::store::{AlertChange, Effect, LeaseName, Notification, WriteError};
use crate::webhook;

/// How long a notification is tried,
const KEEP_TRYING: Duration = Duration::from_secs(24 * 3600);
/// and how often at least: a machine that slept for a day, or a clock that was set forward, has tried nothing meanwhile.
const ATTEMPTS_MIN: u32 = 20;

/// The waits between attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

/// Receivers that are told at once.
const AT_ONCE: usize = 4;

/// Without a reason to look before, the store is asked after so long, at most.
const LOOK: Duration = Duration::from_secs(60);

/// After something that could not be read or written.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a receiver may take to be opened, which reads files and blocks.
const OPENING: Duration = Duration::from_secs(10);

/// An attempt that ended.
struct Attempt {
    notification: Notification,
    result: Result<(), String>,
}

enum Progress {
    /// A receiver was told, or could not be.
    Told(Attempt),
    /// That was written, or could not be.
    Written {
        attempt: Attempt,
        came: Came,
        written: Result<(), WriteError>,
    },
}

/// One run of the duty.
pub(super) struct NotificationDuty {
    options: Arc<AuditOptions>,
    context: AuditContext,
    wake: Arc<Notify>,
    running: FuturesUnordered<Boxed<'static, Progress>>,
    /// The rules whose receivers are being told, until what came of it is written.
    busy: HashSet<String>,
    failing: LogOnce<bool>,
    unwritable: LogOnce<bool>,
    /// How long after a write that failed it is tried again.
    pause: Duration,
}

/// Why the duty goes on.
enum WakeReason {
    Progress(Box<Progress>),
    Look,
}

impl NotificationDuty {
    pub(super) fn new(
        options: Arc<AuditOptions>,
        context: AuditContext,
        wake: Arc<Notify>,
    ) -> Self {
        NotificationDuty {
            options,
            context,
            wake,
            running: FuturesUnordered::new(),
            busy: HashSet::new(),
            failing: LogOnce::default(),
            unwritable: LogOnce::default(),
            pause: PAUSE,
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
            if let WakeReason::Progress(progress) = wake {
                self.follow(*progress)?;
            }
        }
    }

    /// Begins what is due; gives when to look again.
    async fn begin(&mut self) -> Duration {
        if !self.context.store.leases().has(&LeaseName::Alerts) {
            return LOOK; // another host tells
        }
        let waiting = match self.context.store.notifications().await {
            Ok(waiting) => waiting,
            Err(error) => {
                if self.failing.is_new(true) {
                    tracing::warn!(%error, "cannot read the notifications of alerts");
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
                let compute = self.context.compute.clone();
                let telling = attempt(receiver, notification, compute);
                self.running
                    .push(Box::pin(async move { Progress::Told(telling.await) }));
            } else if receiver != AlertReceiver::Nobody {
                next = next.min(wait);
            }
        }
        next
    }

    async fn wait(&mut self, next: Duration) -> WakeReason {
        tokio::select! {
            Some(progress) = self.running.next(), if !self.running.is_empty() => WakeReason::Progress(Box::new(progress)),
            () = self.wake.notified() => WakeReason::Look,
            () = tokio::time::sleep(next) => WakeReason::Look,
        }
    }

    /// What follows from what went on. A receiver that was told is not told again because that could not be written.
    fn follow(&mut self, progress: Progress) -> Result<(), DutyError> {
        match progress {
            Progress::Told(attempt) => self.write(attempt, Duration::ZERO),
            Progress::Written {
                attempt,
                came,
                written: Ok(()),
            } => {
                self.busy.remove(&attempt.notification.rule);
                if self.unwritable.is_new(false) {
                    tracing::info!("the results of notifications are recorded again");
                }
                came.log(&attempt.notification);
            }
            Progress::Written {
                written: Err(WriteError::Closed),
                ..
            } => return Err(WriteError::Closed.into()),
            Progress::Written {
                attempt,
                written: Err(error),
                ..
            } => {
                if self.unwritable.is_new(true) {
                    let rule = &attempt.notification.rule;
                    tracing::warn!(%error, rule, "cannot record how the receiver of an alert answered; trying again");
                }
                self.write(attempt, self.pause);
            }
        }
        Ok(())
    }

    /// Begins to write how an attempt ended, `pause` from now.
    fn write(&self, attempt: Attempt, pause: Duration) {
        let source = self.context.source.clone();
        self.running.push(Box::pin(write(source, attempt, pause)));
    }
}

/// Writes how an attempt ended, after `pause`.
async fn write(source: Source, attempt: Attempt, pause: Duration) -> Progress {
    tokio::time::sleep(pause).await;
    let result = attempt.result.clone();
    let (now, random) = (Millis::now(), fastrand::f64());
    let (change, came) = conclude(&attempt.notification, result, now, random);
    let submitted = source.submit(vec![Effect::Alert(change)], Vec::new());
    let written = match submitted.await {
        Ok(submitted) => submitted.committed().await.map(drop),
        Err(error) => Err(error),
    };
    Progress::Written {
        attempt,
        came,
        written,
    }
}

/// Tells a receiver once.
async fn attempt(receiver: AlertReceiver, notification: Notification, compute: Compute) -> Attempt {
    let result = match receiver {
        AlertReceiver::Nobody => Ok(()), // nobody is left who could be told
        AlertReceiver::Command(command) => command::run(&command, environment(&notification)).await,
        AlertReceiver::Webhook {
            url,
            secret_file,
            ca_file,
        } => {
            let open = move || webhook::Receiver::new(&url, &secret_file, ca_file.as_deref());
            let opened = compute.run_within(OPENING, open).await;
            let message = webhook::Message {
                id: notification.id.clone(),
                body: notification.body.clone(),
            };
            match opened {
                Err(error) => Err(format!(
                    "the secret and the certificates cannot be read: {error}"
                )),
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
            Came::Taken => {
                tracing::debug!(rule, id, attempts, "the receiver of an alert was notified")
            }
            Came::Failed(error) if attempts == 1 => {
                tracing::warn!(
                    rule,
                    id,
                    error,
                    "cannot notify the receiver of an alert; trying again for a day"
                );
            }
            Came::Failed(error) => {
                tracing::debug!(
                    rule,
                    id,
                    attempts,
                    error,
                    "cannot notify the receiver of an alert"
                );
            }
            Came::GaveUp(error) => {
                tracing::error!(
                    rule,
                    id,
                    attempts,
                    error,
                    "gave up notifying the receiver of an alert after a day"
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
    let attempts = notification.attempts + 1;
    let is_old = now.since(Millis(notification.created_at)) >= KEEP_TRYING;
    let gives_up = is_old && attempts >= ATTEMPTS_MIN;
    let wait = half_jitter(BACKOFF.after(attempts), random);
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

    fn notification() -> Notification {
        Notification {
            id: "id".to_owned(),
            rule: "a".to_owned(),
            body: "{}".to_owned(),
            created_at: 0,
            attempts: 0,
            due_at: 0,
            error: None,
        }
    }

    #[test]
    fn a_day_that_was_slept_through_gives_up_nothing() {
        let mut notification = notification();
        let later = Millis(0).plus(KEEP_TRYING * 3);
        for attempts in 0..ATTEMPTS_MIN {
            notification.attempts = attempts;
            let (_, came) = conclude(&notification, Err("refused".to_owned()), later, 1.0);
            let is_last = attempts + 1 == ATTEMPTS_MIN;
            assert_eq!(came == Came::GaveUp("refused".to_owned()), is_last);
        }
    }

    /// With a store whose writer can be told that its disk is full.
    #[cfg(feature = "testing")]
    mod with_a_store {
        use super::*;
        use crate::agents::logging_audit::AlertOption;
        use crate::event::AgentName;
        use crate::health::alerts::{AlertRule, Bound};
        use crate::runtime::Board;
        use crate::store::tests::{options, write};
        use crate::store::{Severity, Store};

        fn telling(command: Vec<String>, store: &Store) -> NotificationDuty {
            let rule = AlertRule {
                name: "a".to_owned(),
                when: "any",
                bound: Bound::Parked,
                agent: None,
                job: None,
                hold: Duration::ZERO,
                cooldown: Duration::ZERO,
                severity: Severity::Warning,
            };
            let receiver = AlertReceiver::Command(command);
            let options = AuditOptions {
                instance: "here".to_owned(),
                data_dir: std::path::PathBuf::new(),
                alerts: vec![AlertOption { rule, receiver }],
                jobs: Vec::new(),
            };
            let context = AuditContext {
                store: store.clone(),
                source: Source::new(store.clone(), 10, 1 << 20),
                board: Board::new(&[AgentName::LoggingAudit]),
                redis: Arc::new(|| None),
                compute: Compute::new(1),
            };
            NotificationDuty::new(Arc::new(options), context, Arc::default())
        }

        /// The next that goes on.
        async fn progress(duty: &mut NotificationDuty) -> Progress {
            loop {
                if let WakeReason::Progress(progress) = duty.wait(LOOK).await {
                    return *progress;
                }
            }
        }

        #[tokio::test]
        async fn what_cannot_be_recorded_is_written_later_and_told_once() {
            let dir = tempfile::tempdir().unwrap();
            let (store, _closer) = Store::open(dir.path(), options()).unwrap();
            let told = dir.path().join("told");
            let script = format!("echo told >> {}", told.display());
            let command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
            let mut duty = telling(command, &store);
            duty.pause = Duration::from_millis(10);
            let queued = Effect::Alert(AlertChange::Queued(notification()));
            write(&store, vec![queued], Vec::new()).await;

            store.gate().disk_full(true);
            duty.begin().await;
            let ended = progress(&mut duty).await;
            assert!(matches!(&ended, Progress::Told(attempt) if attempt.result.is_ok()));
            duty.follow(ended).unwrap();
            for _ in 0..3 {
                let refused = progress(&mut duty).await;
                let Progress::Written { written, .. } = &refused else {
                    panic!("it was told again");
                };
                assert!(matches!(written, Err(WriteError::Unavailable(_))));
                duty.follow(refused).unwrap();
                duty.begin().await;
                assert_eq!(duty.running.len(), 1, "the write alone is under way");
            }
            assert!(duty.busy.contains("a") && *duty.unwritable.last());

            store.gate().disk_full(false);
            loop {
                let ended = progress(&mut duty).await;
                let is_written = matches!(
                    &ended,
                    Progress::Written {
                        written: Ok(()),
                        ..
                    }
                );
                duty.follow(ended).unwrap();
                if is_written {
                    break;
                }
            }
            assert!(duty.busy.is_empty() && !*duty.unwritable.last());
            assert_eq!(store.notifications().await, Ok(Vec::new()));
            assert_eq!(std::fs::read_to_string(&told).unwrap(), "told\n");
        }
    }

    #[test]
    fn a_notification_is_tried_for_a_day_with_growing_waits_and_then_given_up() {
        let mut notification = notification();
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
