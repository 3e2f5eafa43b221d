//! Connections that have yet to ask for something. Where there is no place for another one, the one that has kept docent waiting
//! longest gives its own up: who asks at once does not notice those who never do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Connections that are remembered before those that were heard, or are gone, are forgotten.
const REMEMBERED: usize = 2048;

/// A connection whose first request is awaited.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    heard: AtomicBool,
    cut: CancellationToken,
}

impl Awaited {
    /// It has asked for something.
    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Waits until it is to give up its place.
    pub(super) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Whether its connection is there and has not asked for anything.
    fn is_waiting(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 && !self.heard.load(Ordering::Relaxed)
    }
}

/// All of them, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Unheard(VecDeque<Arc<Awaited>>);

impl Unheard {
    pub(super) fn enter(&mut self) -> Arc<Awaited> {
        if self.0.len() >= REMEMBERED {
            self.0.retain(Awaited::is_waiting);
        }
        let awaited = Arc::new(Awaited::default());
        self.0.push_back(awaited.clone());
        awaited
    }

    /// Has the oldest one give up its place; false: none is waiting.
    pub(super) fn cut_oldest(&mut self) -> bool {
        while let Some(oldest) = self.0.pop_front() {
            if oldest.is_waiting() {
                oldest.cut.cancel();
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_was_not_heard_gives_up_its_place() {
        let mut unheard = Unheard::default();
        let [gone, heard, first, second] = [(); 4].map(|()| unheard.enter());
        drop(gone);
        heard.heard();
        assert!(unheard.cut_oldest());
        let cut = [&heard, &first, &second].map(|a| a.cut.is_cancelled());
        assert_eq!(cut, [false, true, false]);
        second.heard();
        assert!(!unheard.cut_oldest());
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut unheard = Unheard::default();
        let waiting = unheard.enter();
        for _ in 0..3 * REMEMBERED {
            unheard.enter();
        }
        assert!(unheard.0.len() <= REMEMBERED);
        assert!(unheard.cut_oldest() && waiting.cut.is_cancelled());
    }
}
