//! How the process is told to stop: signals, the levels of urgency, the deadline.

use std::time::Duration;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::event::awake;

/// How urgently a run is to end. Levels only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Run,
    /// Take nothing new; finish what is pending.
    Drain,
    /// Half of the time is over: what is queued is given back, only what is in flight is finished.
    GiveBack,
    /// The time is over: end now, what is unfinished is still owed.
    Abandon,
}

/// The switch that raises the level.
#[derive(Debug)]
pub struct StopSwitch(watch::Sender<Level>);

/// What is told to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Level>);

/// A switch and what it tells.
pub fn stop_pair() -> (StopSwitch, Stop) {
    let (sender, receiver) = watch::channel(Level::Run);
    (StopSwitch(sender), Stop(receiver))
}

impl StopSwitch {
    /// Raises the level; a lower one changes nothing.
    pub fn raise(&self, level: Level) {
        self.0.send_if_modified(|now| {
            let higher = level > *now;
            *now = level.max(*now);
            higher
        });
    }

    /// What this switch tells.
    pub fn stop(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Stop {
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Nothing new is to be taken.
    pub fn draining(&self) -> bool {
        self.level() >= Level::Drain
    }

    /// What is queued is to be given back.
    pub fn giving_back(&self) -> bool {
        self.level() >= Level::GiveBack
    }

    /// The time is over.
    pub fn abandoned(&self) -> bool {
        self.level() >= Level::Abandon
    }

    /// Waits until the level is higher than now. May be dropped at any moment.
    pub async fn changed(&self) {
        let now = self.level();
        self.reached_above(now).await;
    }

    /// Waits until the level is at least `level`.
    pub async fn reached(&self, level: Level) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|now| *now >= level).await.is_err() {
            // The switch is gone, so nobody will ever raise it.
            std::future::pending::<()>().await;
        }
    }

    async fn reached_above(&self, level: Level) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|now| *now > level).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Something from outside that the process reacts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Terminate,
    Reload,
}

/// The signals of this process. Must be made inside a tokio runtime.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn signals() -> std::io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGHUP])
}

/// Turns signals into levels: the first one drains, with a deadline; a second one ends it. Gives true if the drain was cut
/// short. Ends when `ended` is cancelled: the process has nothing left to stop.
pub(crate) async fn conduct(
    mut requests: impl futures_util::Stream<Item = Request> + Unpin,
    switch: &StopSwitch,
    timeout: Duration,
    ended: CancellationToken,
) -> bool {
    loop {
        tokio::select! {
            request = requests.next() => match request {
                Some(Request::Terminate) => break,
                Some(Request::Reload) => {
                    tracing::warn!("SIGHUP has no effect: docent does not reload its config; restart it to apply changes");
                }
                None => {
                    ended.cancelled().await;
                    return false;
                }
            },
            () = ended.cancelled() => return false,
        }
    }
    tracing::info!(name: "docent.stopping", timeout = ?timeout, "stopping: finishing what is pending; a second signal stops at once");
    switch.raise(Level::Drain);
    let (half, whole) = (awake::sleep(timeout / 2), awake::sleep(timeout));
    let mut halfway = false;
    tokio::pin!(half, whole);
    loop {
        tokio::select! {
            () = ended.cancelled() => return false,
            () = &mut half, if !halfway => {
                halfway = true;
                switch.raise(Level::GiveBack);
            }
            () = &mut whole => {
                tracing::warn!("the time to stop is over; unfinished work stays owed");
                switch.raise(Level::Abandon);
                ended.cancelled().await;
                return true;
            }
            Some(request) = requests.next() => if request == Request::Terminate {
                tracing::warn!("a second signal: stopping at once; unfinished work stays owed");
                switch.raise(Level::Abandon);
                ended.cancelled().await;
                return true;
            },
        }
    }
}

/// The request that a signal makes.
pub(crate) fn request(signal: i32) -> Request {
    if signal == SIGHUP {
        Request::Reload
    } else {
        Request::Terminate
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_abandons() {
        let (switch, stop) = stop_pair();
        let ended = CancellationToken::new();
        let requests = stream::iter([Request::Reload, Request::Terminate, Request::Terminate])
            .chain(stream::pending());
        let conductor = conduct(requests, &switch, Duration::from_secs(3600), ended.clone());
        let watcher = async {
            stop.reached(Level::Abandon).await;
            ended.cancel();
        };
        let (forced, ()) = tokio::join!(conductor, watcher);
        assert!(forced);
        assert!(stop.abandoned());
    }

    #[tokio::test]
    async fn a_drain_that_ends_in_time_is_not_forced() {
        let (switch, stop) = stop_pair();
        let ended = CancellationToken::new();
        let requests = stream::iter([Request::Terminate]).chain(stream::pending());
        let conductor = conduct(requests, &switch, Duration::from_secs(3600), ended.clone());
        let watcher = async {
            stop.reached(Level::Drain).await;
            ended.cancel();
        };
        let (forced, ()) = tokio::join!(conductor, watcher);
        assert!(!forced);
        assert_eq!(stop.level(), Level::Drain);
    }

    #[tokio::test]
    async fn levels_only_rise_and_the_deadline_abandons() {
        let (switch, stop) = stop_pair();
        switch.raise(Level::GiveBack);
        switch.raise(Level::Drain);
        assert_eq!(stop.level(), Level::GiveBack);
        let ended = CancellationToken::new();
        let requests = stream::iter([Request::Terminate]).chain(stream::pending());
        let conductor = conduct(requests, &switch, Duration::from_millis(20), ended.clone());
        let watcher = async {
            stop.reached(Level::Abandon).await;
            ended.cancel();
        };
        assert!(tokio::join!(conductor, watcher).0);
    }
}
