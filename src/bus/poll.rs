//! The heartbeat of a reader: a beat whenever a poll has ended.

use std::time::Duration;

use crate::event::Heartbeat;

/// Watches the polls of a reader. A poll that its own deadline ended counts: a frozen Redis must not get docent killed. The
/// reader is exempt while its stream does not carry, and while the table has no capacity left. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PollWatch {
    /// Beats when a poll has ended.
    pub heartbeat: Heartbeat,
    /// How long one poll may take: then its own deadline ends it.
    pub longest: Duration,
}

impl PollWatch {
    /// Watches a reader that has not begun, and is exempt until it does.
    pub fn new(longest: Duration) -> Self {
        let heartbeat = Heartbeat::default();
        heartbeat.exempt();
        PollWatch { heartbeat, longest }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bus::redis::testing::TestRedis;
    use crate::bus::redis::{Inbox, Link, LinkState};
    use crate::bus::{Carrier, CopyId, Demand, TableView};
    use crate::event::{AgentName, Seq, Subject};
    use crate::store::{Store, StoreOptions};

    /// A table with nothing in it.
    struct Empty;

    impl TableView for Empty {
        fn contains(&self, _: Seq) -> bool {
            false
        }
        fn holds(&self, _: &Subject) -> bool {
            false
        }
        fn has_copy(&self, _: &CopyId) -> bool {
            false
        }
    }

    /// Drives the reader as a runner does until `done`.
    async fn drive(inbox: &mut Inbox, capacity: usize, what: &str, done: impl Fn() -> bool) {
        let demand = Demand {
            permits: 1,
            capacity,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < deadline, "not within 30 s: {what}");
            if capacity > 0 {
                inbox.offer(&Empty, demand).await.unwrap();
            }
            tokio::select! {
                () = inbox.woken(demand) => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    #[tokio::test]
    async fn a_reader_polls_while_redis_carries_and_is_exempt_without_capacity_or_redis() {
        let redis = TestRedis::start();
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            agents: vec![AgentName::Rag],
            ..crate::store::tests::options()
        };
        let (store, _closer) = Store::open(folder.path(), options).unwrap();
        let (link, task) = Link::new(redis.settings(), store);
        let stop = CancellationToken::new();
        let work = async {
            let mut inbox = Inbox::new(link.clone(), AgentName::Rag);
            let poll = inbox.poll_watch().heartbeat;
            let exempt = || poll.is_exempt();
            assert!(exempt(), "nothing was asked of it yet");
            assert!(matches!(link.first_verdict().await, LinkState::Up { .. }));
            drive(&mut inbox, 1, "it must poll", || !exempt()).await;
            for _ in 0..3 {
                let before = poll.idle();
                tokio::time::sleep(Duration::from_millis(5)).await;
                let again = || !exempt() && poll.idle() <= before;
                drive(&mut inbox, 1, "it polls again", again).await;
            }
            drive(&mut inbox, 0, "there is no capacity", exempt).await;
            drive(&mut inbox, 1, "there is capacity again", || !exempt()).await;
            redis.cli(&["SHUTDOWN", "NOSAVE"]);
            drive(&mut inbox, 1, "Redis is away", exempt).await;
            stop.cancel();
        };
        tokio::join!(task.run(stop.clone()), work);
    }
}
