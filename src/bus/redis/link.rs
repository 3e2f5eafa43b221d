//! Whether Redis can carry, decided again all the time: a health connection of its own, asked every 500 ms with a deadline of
//! 1 s, by turns whether it answers (PING) and whether it still does what is needed (it lets the owner be written, its policy
//! evicts nothing); two misses or one refusal, and it cannot. A new connection is checked (owner, preflight) before anybody hears of
//! it, and so is one that a carrier has complained about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{Connection, Trouble};
use super::preflight::{self, Facts};
use super::{Settings, owner};
use crate::event::{AgentName, EventType, Millis, NewEvent, Subject};
use crate::store::Store;

const PING_EVERY: Duration = Duration::from_millis(500);
const PING_DEADLINE: Duration = Duration::from_secs(1);
const MISSES: u32 = 2;

/// Between attempts to reach a Redis that does not answer.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How long Redis is left alone after a carrier could not work with it, at first and at most.
const HOLD_MIN: Duration = Duration::from_millis(500);
const HOLD_MAX: Duration = Duration::from_secs(60);

/// How long Redis must carry without a complaint, after one, until that is told: by then it was asked for real work.
const PROVEN: Duration = Duration::from_secs(10);

/// How long a connection that was closed may take to be replaced before work goes on without Redis.
const REPLACE: Duration = Duration::from_secs(1);

/// The number that the ingress works by while Redis is full; no connection has it.
pub(super) const FULL: u64 = 0;

/// Whether Redis can carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// It is being found out for the first time.
    Connecting,
    /// It can. Each connection has its number.
    Up {
        /// The number of the connection.
        epoch: u64,
        /// What the preflight found.
        facts: Facts,
    },
    /// It cannot.
    Down {
        /// Why, and what to do.
        why: String,
        /// Since when.
        since: Millis,
        /// It answers, and does not do what it is asked for.
        answers: bool,
        /// It takes nothing more for want of memory, and what is in it can be read.
        full: bool,
    },
    /// Another store owns the namespace: docent leaves Redis alone.
    Foreign {
        /// Who, and what to do.
        why: String,
    },
}

/// A carrier cannot work though Redis answers.
struct Complaint {
    epoch: u64,
    trouble: Trouble,
}

struct Shared {
    settings: Settings,
    store: Store,
    state: watch::Sender<LinkState>,
    complaints: mpsc::Sender<Complaint>,
    lost: AtomicU64,
}

/// What everybody knows of Redis. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

/// The task behind a [`Link`].
pub struct LinkTask {
    link: Link,
    complaints: mpsc::Receiver<Complaint>,
    epoch: u64,
    /// Redis could carry when this was last told.
    told: Option<bool>,
    /// A carrier could not work with it though the preflight finds nothing: that it carries again is told when it has for a while.
    doubted: bool,
}

/// Why a connection is watched no more.
enum End {
    Stopped,
    Closed,
    Silent(String),
    Refused(Trouble),
    Complained(Trouble),
}

impl Link {
    /// A link that has found out nothing yet, and the task that does.
    pub fn new(settings: Settings, store: Store) -> (Self, LinkTask) {
        let (complaints, receiver) = mpsc::channel(16);
        let shared = Shared {
            settings,
            store,
            state: watch::Sender::new(LinkState::Connecting),
            complaints,
            lost: AtomicU64::new(0),
        };
        let link = Link {
            shared: Arc::new(shared),
        };
        let task = LinkTask {
            link: link.clone(),
            complaints: receiver,
            epoch: 0,
            told: None,
            doubted: false,
        };
        (link, task)
    }

    /// How Redis is used.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The store that it carries for.
    pub(super) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Whether Redis can carry, to read or to watch.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.shared.state.subscribe()
    }

    /// The number of the present connection, while Redis can carry.
    pub(super) fn epoch(&self) -> Option<u64> {
        match &*self.shared.state.borrow() {
            LinkState::Up { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }

    /// What the ingress works by: a number of its own for each connection, and 0 while Redis is full. What other programs wrote may
    /// be what fills it.
    pub(super) fn ingress_epoch(&self) -> Option<u64> {
        match &*self.shared.state.borrow() {
            LinkState::Up { epoch, .. } => Some(*epoch),
            LinkState::Down { full: true, .. } => Some(FULL),
            _ => None,
        }
    }

    /// Copies that Redis has lost since the start.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits for the first verdict.
    pub async fn first_verdict(&self) -> LinkState {
        let mut state = self.state();
        match state.wait_for(|s| *s != LinkState::Connecting).await {
            Ok(state) => state.clone(),
            Err(_) => LinkState::Connecting,
        }
    }

    /// A carrier cannot work with this connection though Redis answers.
    pub(super) fn complain(&self, epoch: u64, trouble: Trouble) {
        // More complaints than fit are about the same thing.
        self.shared
            .complaints
            .try_send(Complaint { epoch, trouble })
            .ok();
    }

    /// Redis has lost copies: counted, said once, and published.
    pub(super) async fn tell_lost(self, agent: AgentName, count: usize) {
        let all = count as u64;
        self.shared.lost.fetch_add(all, Ordering::Relaxed);
        tracing::warn!(agent = %agent, count, "Redis has lost entries; nothing is lost, their deliveries are carried again");
        self.publish(
            EventType::RedisLost,
            json!({"agent": agent.as_str(), "count": count}),
        )
        .await;
    }

    async fn publish(&self, kind: EventType, data: serde_json::Value) {
        let subject = Subject::redis(&self.shared.settings.instance);
        let event = NewEvent::root(kind, "bus", subject, data);
        if let Err(error) = self.shared.store.publish(event).await {
            tracing::warn!(event_type = %kind, %error, "what happened to Redis could not be recorded");
        }
    }
}

impl LinkTask {
    /// Finds out and watches until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = BACKOFF_MIN;
        let mut hold = HOLD_MIN;
        let mut first_attempt_within = None;
        loop {
            let attempt = self.establish(first_attempt_within.take());
            let established = tokio::select! {
                () = stop.cancelled() => return,
                established = attempt => established,
            };
            let wait = match established {
                Err(trouble) => {
                    // What the preflight finds it also finds gone.
                    self.doubted = false;
                    self.enter_down(&trouble).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                    backoff.mul_f64(0.5 + fastrand::f64() / 2.0)
                }
                Ok((connection, facts)) => {
                    backoff = BACKOFF_MIN;
                    self.enter_up(facts).await;
                    let since = Instant::now();
                    let end = self.watch(&connection, &stop).await;
                    drop(connection);
                    match end {
                        End::Stopped => return,
                        End::Closed => {
                            first_attempt_within = Some(REPLACE);
                            Duration::ZERO
                        }
                        End::Silent(why) => {
                            self.enter_down(&Trouble::Lost(why)).await;
                            BACKOFF_MIN
                        }
                        End::Refused(trouble) => {
                            self.enter_down(&trouble).await;
                            BACKOFF_MIN
                        }
                        End::Complained(trouble) => {
                            self.enter_down(&trouble).await;
                            self.doubted = true;
                            if since.elapsed() > HOLD_MAX {
                                hold = HOLD_MIN;
                            }
                            hold = (hold * 2).min(HOLD_MAX);
                            hold
                        }
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// A connection that was checked.
    async fn establish(&self, within: Option<Duration>) -> Result<(Connection, Facts), Trouble> {
        let settings = &self.link.shared.settings;
        let attempt = async {
            let connection = Connection::open(&settings.url).await?;
            let store = self.link.store().id();
            let owner = owner::look(&connection, &settings.namespace).await?;
            let ours = owner.as_deref() == Some(store);
            let tried = async {
                if owner.is_some() && !ours {
                    owner::check(&connection, settings, store).await?;
                }
                let facts = preflight::check(&connection, settings).await?;
                // A Redis that cannot carry need not be claimed, and may not know how.
                if !ours {
                    owner::check(&connection, settings, store).await?;
                }
                Ok(facts)
            };
            let facts = tried.await.map_err(|trouble| match trouble {
                // What was read before was answered.
                Trouble::Lost(why) if why.contains("timed out") => Trouble::Refused(format!(
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
                .unwrap_or_else(|_| Err(Trouble::Lost(format!("no connection within {within:?}")))),
        }
    }

    async fn watch(&mut self, connection: &Connection, stop: &CancellationToken) -> End {
        let (since, mut misses, mut beats) = (Instant::now(), 0, 0_u64);
        loop {
            tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                Some(complaint) = self.complaints.recv() => {
                    if complaint.epoch == self.epoch {
                        return End::Complained(complaint.trouble);
                    }
                }
                () = tokio::time::sleep(PING_EVERY) => {
                    if connection.ended() {
                        return End::Closed;
                    }
                    beats += 1;
                    // What was missed is asked for again, or a PING would make up for it.
                    let thorough = beats.is_multiple_of(2) || misses > 0;
                    match self.ask(connection, thorough).await {
                        Ok(()) => misses = 0,
                        Err(Trouble::Lost(why)) => {
                            misses += 1;
                            if misses >= MISSES {
                                return End::Silent(why);
                            }
                        }
                        // The owner's key has gone between two looks: the next one claims it.
                        Err(Trouble::Missing(_)) => {}
                        Err(trouble) => return End::Refused(trouble),
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
    async fn ask(&self, connection: &Connection, thorough: bool) -> Result<(), Trouble> {
        let settings = &self.link.shared.settings;
        let asking = async {
            if !thorough {
                return connection.call("PING", Vec::new()).await.map(drop);
            }
            owner::check(connection, settings, self.link.store().id()).await?;
            preflight::check_again(connection).await
        };
        tokio::time::timeout(PING_DEADLINE, asking)
            .await
            .unwrap_or_else(|_| {
                let what = if thorough { "to a write" } else { "to PING" };
                Err(Trouble::Lost(format!(
                    "no answer {what} within {PING_DEADLINE:?}"
                )))
            })
    }

    async fn enter_up(&mut self, facts: Facts) {
        self.epoch += 1;
        let state = LinkState::Up {
            epoch: self.epoch,
            facts,
        };
        self.link.shared.state.send_replace(state);
        if self.told == Some(true) || self.doubted {
            tracing::debug!("there is a new connection to Redis");
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

    async fn enter_down(&mut self, trouble: &Trouble) {
        let why = trouble.to_string();
        self.link.shared.state.send_modify(|state| {
            let since = match state {
                LinkState::Down { since, .. } => *since,
                _ => Millis::now(),
            };
            *state = match trouble {
                Trouble::Foreign { .. } => LinkState::Foreign { why: why.clone() },
                _ => LinkState::Down {
                    why: why.clone(),
                    since,
                    answers: !matches!(trouble, Trouble::Lost(_)),
                    full: matches!(trouble, Trouble::Refused(why) if why.contains("OOM command")),
                },
            };
        });
        let settings = &self.link.shared.settings;
        // At the start of one that needs Redis it is what the start ends with.
        let refused = self.told.is_none()
            && !settings.falls_back
            && matches!(trouble, Trouble::Foreign { .. });
        if self.told == Some(false) || refused {
            tracing::debug!(why, "Redis still cannot carry");
            return;
        }
        self.told = Some(false);
        let carrier = if settings.falls_back {
            tracing::warn!(
                redis = settings.shown,
                why,
                "Redis cannot carry events; they are carried directly until it can"
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
