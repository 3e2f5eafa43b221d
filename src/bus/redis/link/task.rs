//! The task behind a link: connects, watches, decides, reports.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{FailureReport, Link, LinkState};
use crate::backoff::Backoff;
use crate::bus::redis::client::{Connection, RedisError};
use crate::bus::redis::keeper::{self, ConnectionKeeper};
use crate::bus::redis::owner::{self, OwnerCheck};
use crate::bus::redis::preflight::{self, PreflightFacts};
use crate::event::{EventType, Millis};

const PING_EVERY: Duration = Duration::from_millis(500);
const PING_DEADLINE: Duration = Duration::from_secs(1);
const MISSES: u32 = 2;

/// How long Redis is left alone after a carrier could not work with it.
const HOLD_MAX: Duration = Duration::from_secs(60);
const HOLD: Backoff = Backoff::new(Duration::from_secs(1), HOLD_MAX);

/// After a carrier has reported a failure, how long Redis must carry without another one until that is told: by then it has been
/// asked for real work.
const PROVEN: Duration = Duration::from_secs(10);

/// How long a connection that was closed may take to be replaced before work goes on without Redis.
const REPLACE: Duration = Duration::from_secs(1);

/// The task behind a [`Link`].
pub struct LinkTask {
    link: Link,
    reports: mpsc::Receiver<FailureReport>,
    epoch: u64,
    /// Redis could carry when this was last told.
    told: Option<bool>,
    /// A carrier could not work with it though the preflight finds nothing. That it carries again is told only after a while.
    doubted: bool,
}

/// Why a connection is watched no more.
enum WatchEnd {
    Stopped,
    Closed,
    /// The health connection found it.
    Failed(RedisError),
    /// A carrier found it.
    Reported(RedisError),
}

impl LinkTask {
    pub(super) fn new(link: Link, reports: mpsc::Receiver<FailureReport>) -> Self {
        LinkTask {
            link,
            reports,
            epoch: 0,
            told: None,
            doubted: false,
        }
    }

    /// Finds out and watches until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut keeper = ConnectionKeeper::new();
        let mut holds = 0;
        let mut first_attempt_within = None;
        loop {
            let attempt = self.establish(first_attempt_within.take());
            let established = tokio::select! {
                () = stop.cancelled() => return,
                established = attempt => established,
            };
            match established {
                Err(error) => {
                    // The preflight finds this fault, so it will also find when it is gone.
                    self.doubted = false;
                    self.enter_down(&error).await;
                    keeper.failed();
                }
                Ok((connection, facts)) => {
                    keeper.works();
                    self.enter_up(facts).await;
                    let since = Instant::now();
                    let end = self.watch(&keeper.opened(connection), &stop).await;
                    match end {
                        WatchEnd::Stopped => return,
                        WatchEnd::Closed => {
                            first_attempt_within = Some(REPLACE);
                            keeper.give_up(Duration::ZERO);
                        }
                        WatchEnd::Failed(error) => {
                            keeper.failed();
                            self.enter_down(&error).await;
                        }
                        WatchEnd::Reported(error) => {
                            holds = if since.elapsed() > HOLD_MAX {
                                1
                            } else {
                                holds + 1
                            };
                            keeper.give_up(HOLD.after(holds));
                            self.enter_down(&error).await;
                            self.doubted = true;
                        }
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = keeper.due() => {}
            }
        }
    }

    /// A connection that was checked.
    async fn establish(
        &self,
        within: Option<Duration>,
    ) -> Result<(Connection, PreflightFacts), RedisError> {
        let (settings, store) = (&self.link.shared.settings, self.link.store().identity());
        let attempt = async {
            let connection = keeper::connect(settings, store, OwnerCheck::NotForeign).await?;
            let tried = async {
                let facts = preflight::check(&connection, settings).await?;
                // A Redis that cannot carry need not be claimed, and may not support that.
                owner::check(&connection, settings, store, OwnerCheck::Claim).await?;
                Ok(facts)
            };
            let facts = tried.await.map_err(|error| match error {
                // What was read before was answered.
                RedisError::Lost(why) if why.contains("timed out") => RedisError::Refused(format!(
                    "it answers, but there is no answer to a write ({why})"
                )),
                other => other,
            })?;
            Ok((connection, facts))
        };
        match within {
            None => attempt.await,
            Some(within) => tokio::time::timeout(within, attempt)
                .await
                .unwrap_or_else(|_| {
                    Err(RedisError::Lost(format!("no connection within {within:?}")))
                }),
        }
    }

    async fn watch(&mut self, connection: &Connection, stop: &CancellationToken) -> WatchEnd {
        let (since, mut misses, mut beats) = (Instant::now(), 0, 0_u64);
        loop {
            tokio::select! {
                () = stop.cancelled() => return WatchEnd::Stopped,
                Some(report) = self.reports.recv() => {
                    if report.epoch == self.epoch {
                        return WatchEnd::Reported(report.error);
                    }
                }
                () = tokio::time::sleep(PING_EVERY) => {
                    if connection.ended() {
                        return WatchEnd::Closed;
                    }
                    beats += 1;
                    // After a miss comes a thorough question again: a PING would make up for the miss.
                    let thorough = beats.is_multiple_of(2) || misses > 0;
                    match self.ask(connection, thorough).await {
                        Ok(()) => misses = 0,
                        Err(RedisError::Lost(why)) => {
                            misses += 1;
                            if misses >= MISSES {
                                return WatchEnd::Failed(RedisError::Lost(why));
                            }
                        }
                        // The owner's key has gone between two reads: the next check claims it.
                        Err(RedisError::Missing(_)) => {}
                        Err(error) => return WatchEnd::Failed(error),
                    }
                    if self.doubted && since.elapsed() >= PROVEN {
                        self.doubted = false;
                        self.tell_up().await;
                    }
                }
            }
        }
    }

    /// Whether Redis answers; `thorough`: and still does what is needed.
    async fn ask(&self, connection: &Connection, thorough: bool) -> Result<(), RedisError> {
        let settings = &self.link.shared.settings;
        let asking = async {
            if !thorough {
                return connection.call("PING", Vec::new()).await.map(drop);
            }
            owner::check(
                connection,
                settings,
                self.link.store().identity(),
                OwnerCheck::Claim,
            )
            .await?;
            preflight::check_again(connection).await
        };
        tokio::time::timeout(PING_DEADLINE, asking)
            .await
            .unwrap_or_else(|_| {
                let what = if thorough { "to a write" } else { "to PING" };
                Err(RedisError::Lost(format!(
                    "no answer {what} within {PING_DEADLINE:?}"
                )))
            })
    }

    async fn enter_up(&mut self, facts: PreflightFacts) {
        if self.epoch > 0 {
            self.link.shared.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        self.epoch += 1;
        let state = LinkState::Up {
            epoch: self.epoch,
            facts,
        };
        self.link.shared.state.send_replace(state);
        if self.told == Some(true) || self.doubted {
            tracing::debug!("connected to Redis again");
            return;
        }
        self.tell_up().await;
    }

    async fn tell_up(&mut self) {
        let facts = match &*self.link.shared.state.borrow() {
            LinkState::Up { facts, .. } => facts.clone(),
            _ => return,
        };
        self.told = Some(true);
        let settings = &self.link.shared.settings;
        tracing::info!(
            redis = settings.shown,
            version = facts.version,
            durability = facts.durability.as_str(),
            "Redis carries events"
        );
        let data = json!({"carrier": "redis", "why": "Redis answers"});
        self.link.publish(EventType::RedisChanged, data).await;
    }

    async fn enter_down(&mut self, error: &RedisError) {
        let why = error.to_string();
        self.link.shared.state.send_modify(|state| {
            let since = match state {
                LinkState::Down { since, .. } => *since,
                _ => Millis::now(),
            };
            *state = match error {
                RedisError::Foreign { .. } => LinkState::Foreign { why: why.clone() },
                _ => LinkState::Down {
                    why: why.clone(),
                    since,
                    answers: !matches!(error, RedisError::Lost(_)),
                    full: matches!(error, RedisError::Refused(why) if why.contains("OOM command")),
                },
            };
        });
        let settings = &self.link.shared.settings;
        // At the start of one that needs Redis it is what the start ends with.
        let refused = self.told.is_none()
            && !settings.falls_back
            && matches!(error, RedisError::Foreign { .. });
        if self.told == Some(false) || refused {
            tracing::debug!(why, "Redis still cannot carry");
            return;
        }
        self.told = Some(false);
        let carrier = if settings.falls_back {
            tracing::warn!(
                redis = settings.shown,
                why,
                "Redis cannot carry events; the embedded carrier carries them until it can"
            );
            "embedded"
        } else {
            tracing::warn!(
                redis = settings.shown,
                why,
                "Redis cannot carry events; what is published stays owed until it can"
            );
            "redis"
        };
        let data = json!({"carrier": carrier, "why": why});
        self.link.publish(EventType::RedisChanged, data).await;
    }
}
