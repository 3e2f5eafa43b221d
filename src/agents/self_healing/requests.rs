//! What handlers ask of the duties, and what the duties tell each other: flags, so that any number of requests is one.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, watch};

/// Shared by one run's handlers and duties.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Something may have changed: look.
    pub(super) probe: Notify,
    /// There is something for the keeper.
    pub(super) keeper: Notify,
    whole: AtomicBool,
    maintenance: AtomicBool,
    check: AtomicBool,
    integrity: watch::Sender<Option<Option<String>>>,
}

impl Requests {
    /// Asks for a look at all files in the next round.
    pub(super) fn want_whole(&self) {
        self.whole.store(true, Ordering::SeqCst);
    }

    /// Whether that was asked for since the last call.
    pub(super) fn take_whole(&self) -> bool {
        self.whole.swap(false, Ordering::SeqCst)
    }

    /// Asks for maintenance: pruning by retention, then a check of the store.
    pub(super) fn want_maintenance(&self) {
        self.maintenance.store(true, Ordering::SeqCst);
        self.keeper.notify_one();
    }

    /// Whether that was asked for since the last call.
    pub(super) fn take_maintenance(&self) -> bool {
        self.maintenance.swap(false, Ordering::SeqCst)
    }

    /// Maintenance that was taken failed: it is asked for still, and nobody is woken for it.
    pub(super) fn put_back_maintenance(&self) {
        self.maintenance.store(true, Ordering::SeqCst);
    }

    /// Asks for a check of the store alone.
    pub(super) fn want_check(&self) {
        self.check.store(true, Ordering::SeqCst);
        self.keeper.notify_one();
    }

    /// Whether that was asked for since the last call.
    pub(super) fn take_check(&self) -> bool {
        self.check.swap(false, Ordering::SeqCst)
    }

    /// The last verdict on the store's pages in this run; the inner `None`: they are intact.
    pub(super) fn integrity(&self) -> Option<Option<String>> {
        self.integrity.borrow().clone()
    }

    pub(super) fn judge_integrity(&self, fault: Option<String>) {
        self.integrity.send_replace(Some(fault));
        self.probe.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn any_number_of_requests_is_one_and_what_failed_wakes_nobody() {
        let requests = Requests::default();
        requests.want_maintenance();
        requests.want_maintenance();
        assert!(requests.keeper.notified().now_or_never().is_some());
        assert!(requests.take_maintenance());
        assert!(!requests.take_maintenance());
        requests.put_back_maintenance();
        assert!(requests.keeper.notified().now_or_never().is_none());
        assert!(requests.take_maintenance());
    }
}
