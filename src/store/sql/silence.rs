//! A server that neither answers nor hangs up: it stands still, or the network between is dark. One session of a host asks often
//! and waits for a short time only. If it hears nothing, all sessions of the host end at once, and none begins until it hears again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Whether the server is silent, as all sessions of a host know it.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Silence(Arc<watch::Sender<SilenceState>>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct SilenceState {
    /// How often it fell silent.
    times: u64,
    is_silent: bool,
}

impl Silence {
    /// Nothing was heard in time.
    fn begins(&self) {
        self.0.send_modify(|state| {
            state.times += 1;
            state.is_silent = true;
        });
    }

    /// Something was heard.
    fn ends(&self) {
        self.0
            .send_if_modified(|state| std::mem::replace(&mut state.is_silent, false));
    }
}

/// How a session waits for answers.
#[derive(Debug, Clone)]
pub(in crate::store) enum Patience {
    /// Until another session finds the server silent.
    Shared(Silence),
    /// For so long, and then the server counts as silent for all.
    Judging(Silence, Duration),
}

/// The patience of a session that has begun.
#[derive(Debug)]
pub(super) struct BegunPatience {
    silence: Silence,
    /// How long it waits itself.
    within: Option<Duration>,
    /// How often the server had fallen silent before.
    times: u64,
}

impl Patience {
    /// Begins a session; `None`: the server is silent.
    pub(super) fn begin(self) -> Option<BegunPatience> {
        let (silence, within) = match self {
            Patience::Shared(silence) => (silence, None),
            Patience::Judging(silence, within) => (silence, Some(within)),
        };
        let SilenceState { times, is_silent } = *silence.0.borrow();
        (within.is_some() || !is_silent).then_some(BegunPatience {
            silence,
            within,
            times,
        })
    }
}

impl BegunPatience {
    /// What was asked for; `None`: the server is silent, and the session has ended.
    pub(super) async fn answer<T>(&self, asked: impl Future<Output = T>) -> Option<T> {
        self.answer_within(self.within, asked).await
    }

    /// The same for what may take so long, whoever waits.
    pub(super) async fn answer_within<T>(
        &self,
        time: Option<Duration>,
        asked: impl Future<Output = T>,
    ) -> Option<T> {
        let mut state = self.silence.0.subscribe();
        if state.borrow().times != self.times {
            return None;
        }
        let late = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = asked => Some(answer),
            _ = state.wait_for(|state| state.times != self.times) => None,
            () = late => None,
        };
        match &answer {
            _ if self.within.is_none() => {}
            Some(_) => self.silence.ends(),
            None => self.silence.begins(),
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn one_that_hears_nothing_ends_all_and_none_begins_until_it_hears_again() {
        let silence = Silence::default();
        let shared = || Patience::Shared(silence.clone()).begin();
        let judging = || Patience::Judging(silence.clone(), Duration::from_millis(1)).begin();
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let (judge, waits, idle) = (judging().unwrap(), shared().unwrap(), shared().unwrap());
            assert_eq!(waits.answer(ready(1)).await, Some(1));
            let nothing = pending::<()>;
            let ended = tokio::join!(waits.answer(nothing()), judge.answer(nothing()));
            assert_eq!(ended, (None, None));
            assert!(shared().is_none());
            assert_eq!(judging().unwrap().answer(ready(2)).await, Some(2));
            assert_eq!(shared().unwrap().answer(ready(3)).await, Some(3));
            // What was sent on it may be lost.
            assert_eq!(idle.answer(ready(4)).await, None);
        });
    }
}
