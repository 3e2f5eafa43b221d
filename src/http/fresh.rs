//! Searches and reads that wait: what was on disk when they came is in their answer, or the answer says that it may not be.
//!
//! They do not have everything scanned, as `wait` does. A marker among the notifications tells how far these have come, and
//! what was noticed before it is followed to the index. Then the files that the answer shows are compared with the disk, and
//! those that changed without a notification, or since, are waited for too.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::State;
use super::access::Caller;
use super::elsewhere::{scan_elsewhere, watched_elsewhere};
use super::freshness::freshness;
use super::params::duration;
use super::problem::stopping;
use super::wait::{GivenUp, NEEDED, given_up, searchable};
use super::wire::Problem;
use crate::config::format_duration;
use crate::event::Millis;
use crate::runtime::{AgentState, RootReport, RootState};

/// The longest that a request waits for what is on disk.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How often searches that wait have another host scan what it watches, at most.
const ELSEWHERE_AGAIN: Duration = Duration::from_secs(10);

/// How often an answer is made anew because a file that it shows has changed.
const AGAIN_MAX: usize = 3;

/// How long a request waits, and what it did not wait for.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Until when, if it is to wait at all.
    until: Option<Instant>,
    length: Duration,
    asked_at: Millis,
    again: usize,
    missing: Option<String>,
    /// The collections that the answer may speak of, if not of all.
    limit: Option<Vec<String>>,
}

impl Waiting {
    /// What the parameter `wait` of this caller says.
    pub(super) fn of(wait: Option<&str>, caller: &Caller) -> Result<Self, Problem> {
        let length = wait
            .map(|text| duration("wait", text, WAIT_MAX))
            .transpose()?;
        Ok(Waiting {
            until: length.map(|length| Instant::now() + length),
            length: length.unwrap_or_default(),
            asked_at: Millis::now(),
            again: 0,
            missing: None,
            limit: caller.limit().map(<[String]>::to_vec),
        })
    }

    /// Waits until what is on disk is searchable, as far as it is noticed.
    pub(super) async fn wait(&mut self, state: &State) {
        let Some(until) = self.until else {
            return;
        };
        for agent in NEEDED {
            let is = state.board.agent(agent).state;
            if matches!(is, AgentState::Off | AgentState::Parked) {
                self.missing = Some(format!("the agent {agent} is {}", is.as_str()));
                return;
            }
        }
        let elsewhere = self.elsewhere(state);
        let noticed = async {
            noticed_searchable(state, &elsewhere).await?;
            given_up(state, self.limit.as_deref()).await
        };
        let waited = tokio::select! {
            waited = timeout_at(until, noticed) => waited,
            () = state.stopping() => Ok(Err(stopping())),
        };
        self.missing = match waited {
            Ok(Ok(given_up)) => self
                .scanned_before(&elsewhere, state)
                .or_else(|| self.unwatched(state))
                .or_else(|| given_up.map(told)),
            Ok(Err(problem)) => Some(told(problem)),
            Err(_) => Some(self.pending(state).await),
        };
    }

    /// Whether the answer is to be made anew. `changed`: files that it shows as they were.
    pub(super) fn goes_on(&mut self, state: &State, changed: Vec<(String, Vec<u8>)>) -> bool {
        let (count, now) = (changed.len(), Instant::now());
        let may_wait = self.again < AGAIN_MAX && self.until.is_some_and(|until| now < until);
        if count > 0 && may_wait {
            self.again += 1;
            state.scans.hand_in(changed);
            return true;
        }
        if count > 0 {
            self.missing.get_or_insert_with(|| match count {
                1 => "1 file that is shown has changed since, or cannot be read now".to_owned(),
                _ => format!(
                    "{count} files that are shown have changed since, or cannot be read now"
                ),
            });
        }
        false
    }

    /// What was not waited for, in one sentence.
    pub(super) fn missing(self) -> Option<String> {
        self.missing
    }

    /// How long it was to wait, if that was not enough.
    pub(super) fn not_enough(&self) -> Option<String> {
        self.missing.as_ref().map(|_| format_duration(self.length))
    }

    /// How much is not searchable yet. Whoever may not know of all collections is not told how much there is in all of them.
    async fn pending(&self, state: &State) -> String {
        let pending = match self.limit {
            None => freshness(state).await.map_or(0, |fresh| fresh.pending),
            Some(_) => 0,
        };
        match pending {
            0 => "what changed just now may not be searchable yet".to_owned(),
            1 => "1 file is not searchable yet".to_owned(),
            pending => format!("{pending} files are not searchable yet"),
        }
    }

    /// The collections of the caller's that another host watches.
    fn elsewhere(&self, state: &State) -> Vec<String> {
        let mut elsewhere = watched_elsewhere(state);
        let limit = self.limit.as_ref();
        elsewhere.retain(|name| limit.is_none_or(|limit| limit.contains(name)));
        elsewhere
    }

    /// A collection that another host watches, and that was scanned before the request came.
    fn scanned_before(&self, elsewhere: &[String], state: &State) -> Option<String> {
        let scanned_at = |name: &String| state.memory.elsewhere.scanned_at(name);
        let is_old = |name: &&String| scanned_at(name) < Some(self.asked_at);
        let name = elsewhere.iter().find(is_old)?;
        let seconds = self.asked_at.since(scanned_at(name)?).as_secs();
        Some(format!(
            "another host watches {name}, and it was scanned for a search {seconds} s ago"
        ))
    }

    /// A collection of the caller's whose changes are not notified, and that was not walked since the request came.
    fn unwatched(&self, state: &State) -> Option<String> {
        let progress = state.scans.progress().borrow().clone();
        let is_old = |root: &&RootReport| {
            let walked = root.walked_at.unwrap_or(Millis(0));
            let limit = self.limit.as_ref();
            limit.is_none_or(|limit| limit.contains(&root.collection))
                && root.polled.is_some()
                && root.state == RootState::There
                && walked < self.asked_at
        };
        let root = progress.roots.iter().find(is_old)?;
        let seconds = self.asked_at.0.saturating_sub(root.walked_at?.0) / 1000;
        Some(format!(
            "changes in {} are not notified, and it was scanned {seconds} s ago",
            root.collection
        ))
    }
}

/// Waits until every change that was notified before this call is searchable. What another host watches is scanned, unless that was
/// done for a search a moment ago.
async fn noticed_searchable(state: &State, elsewhere: &[String]) -> Result<(), Problem> {
    let marker = state.scans.markers().ask();
    state.scans.markers().ended(marker).await;
    let (now, known) = (Millis::now(), &state.memory.elsewhere);
    let is_due = |name: &&String| {
        let last = known.scanned_at(name);
        last.is_none_or(|last| now.since(last) >= ELSEWHERE_AGAIN)
    };
    let due: Vec<String> = elsewhere.iter().filter(is_due).cloned().collect();
    scan_elsewhere(state, &due).await?;
    known.scanned(&due, now);
    searchable(state, GivenUp::IsPassed).await.map(drop)
}

fn told(problem: Problem) -> String {
    match problem.hint {
        Some(hint) => format!("{}; {hint}", problem.detail),
        None => problem.detail,
    }
}
