//! The state of the streams, read now and then on a separate connection, to judge health by. Reading it changes nothing, and
//! nothing waits for it: if an answer does not come in time, the state is not known.

use std::time::Duration;

use fred::prelude::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{Connection, RedisError, args};
use super::keeper::{self, ConnectionKeeper};
use super::link::Link;
use super::owner::OwnerCheck;
use super::reply::{StreamId, bytes, list, number, text};
use super::{keys, scripts};
use crate::event::AgentName;

const EVERY: Duration = Duration::from_secs(5);

/// How long one read may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// A consumer on which nothing is pending counts as there if it was at work within this.
const AT_WORK: u64 = 30_000;

/// Entries that are pending for long are counted up to here.
const STUCK_MAX: &str = "1000";

/// Consumers of other names that are told, at most.
const STRANGERS_MAX: usize = 5;

const GARBLED: RedisError = RedisError::Garbled("the script that reads how a stream stands");

/// How one stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamView {
    pub key: String,
    /// Whose inbox it is; `None`: the ingress.
    pub agent: Option<AgentName>,
    pub entries: u64,
    /// Entries that were delivered to our group and not acknowledged.
    pub pending: u64,
    /// Consumers of our group.
    pub consumers: u64,
    /// Entries that our group has still to read; `None`: Redis does not know.
    pub lag: Option<u64>,
    /// Entries that have been pending for longer than they should.
    pub stuck: u64,
    /// Consumers of other names in our group that hold entries or are at work, the first few.
    pub strangers: Vec<String>,
    /// For how long its first entry has been the first. It means something only where entries are deleted when they are answered.
    pub standing: Duration,
}

/// Reads how the streams stand while Redis can carry.
pub(crate) struct Surveyor {
    link: Link,
    agents: Vec<AgentName>,
    stuck_after: Duration,
    keeper: ConnectionKeeper<Connection>,
    first: Option<(StreamId, Instant)>,
    seen: watch::Sender<Option<Vec<StreamView>>>,
}

impl Surveyor {
    /// One that reads the inboxes of `agents` and the ingress. Entries pending for more than `stuck_after` are counted.
    pub(crate) fn new(link: Link, agents: Vec<AgentName>, stuck_after: Duration) -> Self {
        Surveyor {
            link,
            agents,
            stuck_after,
            keeper: ConnectionKeeper::new(),
            first: None,
            seen: watch::Sender::new(None),
        }
    }

    /// What was seen last; `None`: not known.
    pub(crate) fn seen(&self) -> watch::Receiver<Option<Vec<StreamView>>> {
        self.seen.subscribe()
    }

    /// Reads now and then until it is told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.once() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Reads once. It changes nothing, so it may be dropped at any moment.
    async fn once(&mut self) {
        let views = match self.link.epoch() {
            None => Err(RedisError::Lost("Redis cannot carry".to_owned())),
            Some(_) => tokio::time::timeout(DEADLINE, self.read())
                .await
                .unwrap_or_else(|_| {
                    Err(RedisError::Lost(format!("no answer within {DEADLINE:?}")))
                }),
        };
        match &views {
            Ok(_) => self.keeper.works(),
            Err(error) => {
                tracing::debug!(%error, "cannot read the state of the streams");
                self.keeper.failed();
            }
        }
        self.seen.send_replace(views.ok());
    }

    async fn read(&mut self) -> Result<Vec<StreamView>, RedisError> {
        let (settings, store) = (self.link.settings(), self.link.store().identity());
        let connection = match self.keeper.connection().filter(|c| !c.ended()) {
            Some(connection) => connection,
            None => {
                let connected = keeper::connect(settings, store, OwnerCheck::Own).await?;
                self.keeper.opened(connected)
            }
        };
        let namespace = settings.namespace.clone();
        let mut views = Vec::with_capacity(self.agents.len() + 1);
        for agent in self.agents.clone() {
            let key = keys::inbox(&namespace, agent);
            views.extend(self.stream(&connection, key, Some(agent)).await?);
        }
        let key = keys::ingress(&namespace);
        views.extend(self.stream(&connection, key, None).await?);
        Ok(views)
    }

    /// How a stream stands; nothing where there is none, or our group is not there yet.
    async fn stream(
        &mut self,
        connection: &Connection,
        key: String,
        agent: Option<AgentName>,
    ) -> Result<Option<StreamView>, RedisError> {
        let settings = self.link.settings();
        let own = match agent {
            Some(agent) => format!("{agent}@{}", settings.instance),
            None => format!("ingress@{}", settings.instance),
        };
        let stuck_after = self.stuck_after.as_millis().to_string();
        let (at_work, most) = (AT_WORK.to_string(), STRANGERS_MAX.to_string());
        let arguments = [
            settings.group.as_str(),
            &own,
            &stuck_after,
            STUCK_MAX,
            &at_work,
            &most,
        ];
        let standing = connection.script(scripts::STANDING, &key, args(arguments));
        let value = match standing.await {
            Err(RedisError::Missing(_)) => return Ok(None),
            other => other?,
        };
        let parts = list(value).unwrap_or_default();
        let [entries, stuck, first, strangers, pending, consumers, lag] = parts.as_slice() else {
            return Err(GARBLED);
        };
        let strangers = list(strangers.clone()).ok_or(GARBLED)?;
        let name = |name: &Value| String::from_utf8_lossy(&bytes(name)).into_owned();
        // The namespace belongs to one store, so a name of this kind is that of one of its hosts, or of one that is gone.
        let of_hosts = format!("{}@", agent.map_or("ingress", AgentName::as_str));
        let is_strange = |name: &String| !name.starts_with(&of_hosts);
        let first = text(first).and_then(|id| StreamId::parse(&id));
        Ok(Some(StreamView {
            entries: number(entries).ok_or(GARBLED)?,
            pending: number(pending).ok_or(GARBLED)?,
            consumers: number(consumers).ok_or(GARBLED)?,
            lag: number(lag),
            stuck: number(stuck).ok_or(GARBLED)?,
            strangers: strangers.iter().map(name).filter(is_strange).collect(),
            standing: match agent {
                Some(_) => Duration::ZERO,
                None => self.standing(first),
            },
            agent,
            key,
        }))
    }

    /// For how long the stream's first entry has been seen to be the first.
    fn standing(&mut self, first: Option<StreamId>) -> Duration {
        self.first = match (first, self.first) {
            (Some(id), Some((known, since))) if id == known => Some((known, since)),
            (Some(id), _) => Some((id, Instant::now())),
            (None, _) => None,
        };
        self.first
            .map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::redis::LinkState;
    use crate::bus::redis::testing::TestRedis;
    use crate::store::{Closer, Store, StoreOptions};

    const INBOX: &str = "docent:{rag}:inbox";
    const INGRESS: &str = "docent:ingress";

    fn store(folder: &std::path::Path) -> (Store, Closer) {
        let options = StoreOptions {
            agents: vec![AgentName::Rag],
            ..crate::store::tests::options()
        };
        Store::open(folder, options).unwrap()
    }

    #[tokio::test]
    async fn strangers_what_is_stuck_and_what_nobody_reads_are_seen() {
        let redis = TestRedis::start();
        let folder = tempfile::tempdir().unwrap();
        let (store, _closer) = store(folder.path());
        let (link, task) = Link::new(redis.settings(), store);
        let agents = vec![AgentName::Rag, AgentName::Scheduler];
        let mut surveyor = Surveyor::new(link.clone(), agents, Duration::ZERO);
        surveyor.once().await;
        assert_eq!(
            *surveyor.seen().borrow(),
            None,
            "nothing is known before Redis carries"
        );
        let stop = CancellationToken::new();
        let work = async {
            assert!(matches!(link.first_verdict().await, LinkState::Up { .. }));
            surveyor.once().await;
            assert_eq!(*surveyor.seen().borrow(), Some(Vec::new()));
            for key in [INBOX, INGRESS] {
                redis.cli(&["XGROUP", "CREATE", key, "docent", "0", "MKSTREAM"]);
                redis.cli(&["XADD", key, "*", "id", "1"]);
                redis.cli(&["XADD", key, "*", "id", "2"]);
            }
            let read = |consumer| {
                let group = ["XREADGROUP", "GROUP", "docent", consumer, "COUNT", "1"];
                redis.cli(&[&group[..], &["STREAMS", INBOX, ">"]].concat());
            };
            read("rag@lab");
            read("stranger");
            surveyor.once().await;
            let first = surveyor.seen().borrow().clone().unwrap();
            let mut expected = StreamView {
                key: INBOX.to_owned(),
                agent: Some(AgentName::Rag),
                entries: 2,
                pending: 2,
                consumers: 2,
                lag: Some(0),
                stuck: 2,
                strangers: vec!["stranger".to_owned()],
                standing: Duration::ZERO,
            };
            assert_eq!(first[0], expected);
            surveyor.stuck_after = Duration::from_secs(3600);
            surveyor.once().await;
            let second = surveyor.seen().borrow().clone().unwrap();
            expected.stuck = 0;
            assert_eq!(second[0], expected);
            let ingress = (second[1].agent, second[1].entries);
            assert_eq!(ingress, (None, 2));
            assert!(second[1].standing > first[1].standing);
            redis.cli(&["XTRIM", INGRESS, "MAXLEN", "1"]);
            surveyor.once().await;
            let third = surveyor.seen().borrow().clone().unwrap();
            assert!(third[1].standing < second[1].standing, "another is first");
            redis.cli(&["SET", "docent:store", "another"]);
            surveyor.keeper.give_up(Duration::ZERO);
            surveyor.once().await;
            assert_eq!(*surveyor.seen().borrow(), None, "not ours to look at");
            stop.cancel();
        };
        tokio::join!(task.run(stop.clone()), work);
    }
}
