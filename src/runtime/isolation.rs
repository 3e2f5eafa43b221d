//! Handling a delivery with nothing else in flight: one during which docent has crashed before.

use std::sync::Arc;

use tokio::sync::watch;

/// What is in flight in this process, over all agents. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Isolation {
    traffic: Arc<watch::Sender<Traffic>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Traffic {
    /// Deliveries in flight.
    in_flight: usize,
    /// An agent handles a delivery alone, or waits to. Nothing else begins meanwhile.
    is_closed: bool,
}

/// A delivery in flight. Dropped when it is not any more.
#[derive(Debug)]
pub(super) struct Presence {
    isolation: Isolation,
    /// It is in flight alone: nothing else begins until this is dropped too.
    _turn: Option<AloneTurn>,
}

/// An agent's turn to handle a delivery alone, from when it waits for that until it is dropped.
#[derive(Debug)]
pub(super) struct AloneTurn {
    isolation: Isolation,
}

impl Isolation {
    /// Tells when what may begin has changed.
    pub(super) fn subscribe(&self) -> IsolationWatch {
        IsolationWatch(self.traffic.subscribe())
    }

    /// Whether nothing may begin.
    pub(super) fn is_closed(&self) -> bool {
        self.traffic.borrow().is_closed
    }

    /// One more delivery is in flight. `None`: nothing may begin.
    pub(super) fn enter(&self) -> Option<Presence> {
        let entered = self.enter_if(|traffic| !traffic.is_closed);
        entered.then(|| Presence {
            isolation: self.clone(),
            _turn: None,
        })
    }

    /// The turn to handle a delivery alone. `None`: another agent has it.
    pub(super) fn turn(&self) -> Option<AloneTurn> {
        let is_ours = self
            .traffic
            .send_if_modified(|traffic| !std::mem::replace(&mut traffic.is_closed, true));
        is_ours.then(|| AloneTurn {
            isolation: self.clone(),
        })
    }

    fn enter_if(&self, may: impl FnOnce(&Traffic) -> bool) -> bool {
        let mut entered = false;
        // Nobody waits for there to be more in flight.
        self.traffic.send_if_modified(|traffic| {
            entered = may(traffic);
            traffic.in_flight += usize::from(entered);
            false
        });
        entered
    }
}

impl AloneTurn {
    /// The delivery that is handled alone is in flight. Gives the turn back if another one still is.
    pub(super) fn enter(self) -> Result<Presence, AloneTurn> {
        let isolation = self.isolation.clone();
        match isolation.enter_if(|traffic| traffic.in_flight == 0) {
            true => Ok(Presence {
                isolation,
                _turn: Some(self),
            }),
            false => Err(self),
        }
    }
}

impl Drop for AloneTurn {
    fn drop(&mut self) {
        self.isolation
            .traffic
            .send_modify(|traffic| traffic.is_closed = false);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.isolation.traffic.send_if_modified(|traffic| {
            traffic.in_flight -= 1;
            traffic.in_flight == 0 && traffic.is_closed
        });
    }
}

/// Tells one agent when what may begin has changed.
pub(super) struct IsolationWatch(watch::Receiver<Traffic>);

impl IsolationWatch {
    /// Waits for the next change.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_is_handled_alone_when_all_others_have_ended() {
        let isolation = Isolation::default();
        let mut watch = isolation.subscribe();
        let others = [isolation.enter().unwrap(), isolation.enter().unwrap()];
        let turn = isolation.turn().unwrap();
        assert!(isolation.turn().is_none());
        assert!(isolation.is_closed() && isolation.enter().is_none());
        watch.changed().await;
        let turn = turn.enter().unwrap_err();
        drop(others);
        watch.changed().await;
        let alone = turn.enter().unwrap();
        assert!(isolation.turn().is_none() && isolation.enter().is_none());
        drop(alone);
        watch.changed().await;
        assert!(!isolation.is_closed());
        let (first, second) = (isolation.enter(), isolation.turn());
        assert!(first.is_some() && second.unwrap().enter().is_err());
        assert!(isolation.enter().is_some());
    }

    #[tokio::test]
    async fn what_comes_and_goes_otherwise_wakes_nobody() {
        let isolation = Isolation::default();
        let mut watch = isolation.subscribe();
        drop([isolation.enter(), isolation.enter()]);
        let changed = tokio::time::timeout(Duration::from_millis(1), watch.changed());
        assert!(changed.await.is_err());
    }
}
