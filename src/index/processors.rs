//! Whether a processor is idle that can help a search: told by how many threads search.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The processors of this machine, as far as searches use them.
#[derive(Debug)]
pub(super) struct Processors {
    count: usize,
    busy: AtomicUsize,
}

impl Processors {
    /// All that this process may use.
    pub(super) fn of_machine() -> Self {
        Self::new(thread::available_parallelism().map_or(1, usize::from))
    }

    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            busy: AtomicUsize::new(0),
        }
    }

    /// The processor of whoever asks, idle or not.
    pub(super) fn take(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// Another one, if it is idle.
    fn take_idle(&self) -> Option<Busy<'_>> {
        let idle = |busy: usize| (busy < self.count).then_some(busy + 1);
        let taken = self
            .busy
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, idle);
        taken.ok().map(|_| Busy(self))
    }

    /// Does `work` and, where a processor is idle, `help` beside it on a thread that has ended when this returns. Where none is
    /// idle nobody helps: `work` must do whatever is not done yet.
    ///
    /// # Panics
    /// One of them does.
    #[expect(
        clippy::disallowed_methods,
        reason = "one thread at a time for each idle processor, joined here"
    )]
    pub(super) fn helped<T, H: Send>(
        &self,
        help: impl FnOnce() -> H + Send,
        work: impl FnOnce() -> T,
    ) -> (T, Option<H>) {
        let Some(idle) = self.take_idle() else {
            return (work(), None);
        };
        thread::scope(|scope| {
            let helper = thread::Builder::new().name("search-helper".to_owned());
            let helper = helper.spawn_scoped(scope, move || {
                let _idle = idle;
                help()
            });
            let done = work();
            // Where no thread can be had, nobody helps.
            let helped = helper.ok().map(|helper| helper.join());
            match helped.transpose() {
                Ok(helped) => (done, helped),
                Err(panic) => resume_unwind(panic),
            }
        })
    }
}

/// A processor that a search uses.
pub(super) struct Busy<'a>(&'a Processors);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn is_helped(processors: &Processors) -> bool {
        let (done, helped) = processors.helped(|| 2, || 1);
        assert_eq!((done, helped.unwrap_or(2)), (1, 2));
        helped.is_some()
    }

    #[test]
    fn nobody_helps_where_every_processor_is_busy() {
        let processors = Processors::new(2);
        let first = processors.take();
        assert!(is_helped(&processors));
        let second = processors.take();
        assert!(!is_helped(&processors));
        let third = processors.take();
        drop(second);
        assert!(!is_helped(&processors));
        drop(third);
        assert!(
            is_helped(&processors),
            "a helper that has ended is not busy"
        );
        drop(first);
        assert_eq!(processors.busy.into_inner(), 0);
    }

    #[test]
    fn a_panic_of_either_is_one_of_both_and_nobody_stays_busy() {
        let processors = Processors::new(2);
        let panicked = |help: fn(), work: fn()| {
            let helped = AssertUnwindSafe(|| processors.helped(help, work));
            catch_unwind(helped).is_err()
        };
        assert!(panicked(|| panic!("helping"), || ()));
        assert!(panicked(|| (), || panic!("working")));
        assert!(!panicked(|| (), || ()));
        assert_eq!(processors.busy.into_inner(), 0);
    }
}
