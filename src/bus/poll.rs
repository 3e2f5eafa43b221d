//! When a reader last polled, for whoever watches that it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::awake;

/// In the place of a moment: nothing need be polled.
const EXEMPT: u64 = u64::MAX;

/// When a reader's last poll ended, whatever it brought: one that its own deadline ended counts. The reader marks it; it is
/// exempt while its stream does not carry, and while the table has no room for more. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LastPoll {
    longest: Duration,
    epoch: Instant,
    last: Arc<AtomicU64>,
}

impl LastPoll {
    /// Of a reader that has not begun, and is exempt until it does. Its own deadline ends a poll after `longest`.
    pub fn new(longest: Duration) -> Self {
        LastPoll {
            longest,
            epoch: awake::now(),
            last: Arc::new(AtomicU64::new(EXEMPT)),
        }
    }

    /// How long one poll may take.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// How long ago the last poll ended; zero while the reader is exempt.
    pub fn idle(&self) -> Duration {
        match self.last.load(Ordering::SeqCst) {
            EXEMPT => Duration::ZERO,
            last => awake::since(self.epoch).saturating_sub(Duration::from_millis(last)),
        }
    }

    /// A poll has ended just now.
    pub fn polled(&self) {
        self.last.store(self.now(), Ordering::SeqCst);
    }

    /// Nothing need be polled.
    pub fn exempt(&self) {
        self.last.store(EXEMPT, Ordering::SeqCst);
    }

    /// From now on it must poll, if it was exempt.
    pub fn resume(&self) {
        let exchange = (Ordering::SeqCst, Ordering::SeqCst);
        self.last
            .compare_exchange(EXEMPT, self.now(), exchange.0, exchange.1)
            .ok();
    }

    /// A reader that has not polled for so long.
    #[cfg(test)]
    pub(crate) fn stood_still(time: Duration) -> Self {
        LastPoll {
            longest: Duration::ZERO,
            epoch: Instant::now().checked_sub(time).unwrap(),
            last: Arc::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(awake::since(self.epoch).as_millis()).unwrap_or(EXEMPT - 1)
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bus::redis::testing::TestRedis;
    use crate::bus::redis::{Inbox, Link, LinkState};
    use crate::bus::{Carrier, CopyId, Hunger, TableView};
    use crate::event::{AgentName, Seq, Subject};
    use crate::store::{Options, RetryPolicy, Store};

    #[test]
    fn a_reader_is_idle_since_its_last_poll_and_not_while_it_is_exempt() {
        let minute = Duration::from_secs(60);
        let poll = LastPoll::stood_still(minute);
        assert!(poll.idle() >= minute);
        poll.resume();
        assert!(poll.idle() >= minute, "it had to poll already");
        poll.polled();
        assert!(poll.idle() < minute);
        let poll = LastPoll::stood_still(minute);
        poll.exempt();
        assert_eq!(poll.idle(), Duration::ZERO);
        poll.resume();
        assert!(poll.idle() < minute, "it must poll from now on");
    }

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
    async fn drive(inbox: &mut Inbox, room: usize, what: &str, done: impl Fn() -> bool) {
        let hunger = Hunger { permits: 1, room };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < deadline, "not within 30 s: {what}");
            if room > 0 {
                inbox.offer(&Empty, hunger).await.unwrap();
            }
            tokio::select! {
                () = inbox.woken(hunger) => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    #[tokio::test]
    async fn a_reader_polls_while_redis_carries_and_is_exempt_without_room_or_redis() {
        let redis = TestRedis::start();
        let folder = tempfile::tempdir().unwrap();
        let backoff_max = Duration::from_secs(1);
        let options = Options {
            retry: RetryPolicy {
                max_retries: 0,
                backoff_min: backoff_max,
                backoff_max,
            },
            event_size: 65536,
            ledger_keep: Duration::from_secs(3600),
            ledger_keep_events: 100,
            versions: 1,
            agents: vec![AgentName::Rag],
        };
        let (store, _closer) = Store::open(folder.path(), options).unwrap();
        let (link, task) = Link::new(redis.settings(), store);
        let stop = CancellationToken::new();
        let work = async {
            let mut inbox = Inbox::new(link.clone(), AgentName::Rag);
            let poll = inbox.last_poll();
            let exempt = || poll.last.load(Ordering::SeqCst) == EXEMPT;
            assert!(exempt(), "nothing was asked of it yet");
            assert!(matches!(link.first_verdict().await, LinkState::Up { .. }));
            drive(&mut inbox, 1, "it must poll", || !exempt()).await;
            for _ in 0..3 {
                let before = poll.last.load(Ordering::SeqCst);
                let again = || !exempt() && poll.last.load(Ordering::SeqCst) > before;
                drive(&mut inbox, 1, "it polls again", again).await;
            }
            drive(&mut inbox, 0, "there is no room", exempt).await;
            drive(&mut inbox, 1, "there is room again", || !exempt()).await;
            redis.cli(&["SHUTDOWN", "NOSAVE"]);
            drive(&mut inbox, 1, "Redis is away", exempt).await;
            stop.cancel();
        };
        tokio::join!(task.run(stop.clone()), work);
    }
}
