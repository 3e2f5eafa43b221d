//! Who carries a fix out: self_healing asks, it does nothing to another agent itself.

use std::time::Duration;

use serde_json::json;

use crate::event::{AgentName, EventType, NewEvent, Subject};
use crate::health::Fix;
use crate::index::Searcher;
use crate::runtime::{Boxed, ScanDesk, SupervisorHandle};
use crate::store::Store;

/// Checks that are asked for in one transaction.
const CHECKS: usize = 100;

impl Fix {
    pub(super) const NAMES: [&'static str; 4] =
        ["restart_agent", "verify_index", "rescan", "check_documents"];

    /// Its name, as in issues and events.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Fix::RestartAgent(_) => "restart_agent",
            Fix::VerifyIndex => "verify_index",
            Fix::Rescan => "rescan",
            Fix::CheckDocuments(_) => "check_documents",
        }
    }

    /// Whether the first attempt waits for the backoff too: the supervisor has just tried its own.
    pub(super) const fn waits_first(&self) -> bool {
        matches!(self, Fix::RestartAgent(_))
    }

    /// How long it may take to be carried out.
    pub(super) const fn time_to_act(&self) -> Duration {
        match self {
            Fix::RestartAgent(_) | Fix::CheckDocuments(_) => Duration::from_secs(60),
            Fix::VerifyIndex => Duration::from_secs(10 * 60),
            Fix::Rescan => Duration::from_secs(30 * 60),
        }
    }

    /// How long after that the detector that found the issue may still see it.
    pub(super) const fn time_to_verify(&self) -> Duration {
        match self {
            Fix::RestartAgent(_) => Duration::from_secs(2 * 60),
            Fix::VerifyIndex | Fix::Rescan => Duration::from_secs(60),
            Fix::CheckDocuments(_) => Duration::from_secs(5 * 60),
        }
    }
}

pub(super) trait Hands: Send + Sync + 'static {
    /// Carries `fix` out because of `why`; gives what was done, or why it could not be.
    fn apply(&self, fix: &Fix, why: &str) -> Boxed<'static, Result<String, String>>;
}

/// The hands that reach the running process.
pub(super) struct LiveHands {
    pub(super) supervisor: SupervisorHandle,
    pub(super) desk: ScanDesk,
    pub(super) searcher: Searcher,
    pub(super) store: Store,
    pub(super) source: String,
}

impl Hands for LiveHands {
    fn apply(&self, fix: &Fix, why: &str) -> Boxed<'static, Result<String, String>> {
        match fix {
            Fix::RestartAgent(agent) => restart(self.supervisor.clone(), *agent, why.to_owned()),
            Fix::VerifyIndex => verify(self.searcher.clone()),
            Fix::Rescan => rescan(self.desk.clone()),
            Fix::CheckDocuments(files) => {
                let event = |file: &Subject| check_event(file, why, &self.source);
                check(self.store.clone(), files.iter().map(event).collect())
            }
        }
    }
}

fn restart(
    supervisor: SupervisorHandle,
    agent: AgentName,
    why: String,
) -> Boxed<'static, Result<String, String>> {
    Box::pin(async move {
        let asked = supervisor.restart(agent, &why).await;
        asked
            .map(|()| "restarted".to_owned())
            .map_err(|e| e.to_string())
    })
}

fn verify(searcher: Searcher) -> Boxed<'static, Result<String, String>> {
    Box::pin(async move {
        let (missing, surplus) = searcher.verify().await.map_err(|e| e.to_string())?;
        Ok(format!("{missing} chunks were missing, {surplus} surplus"))
    })
}

fn rescan(desk: ScanDesk) -> Boxed<'static, Result<String, String>> {
    Box::pin(async move {
        let number = desk.scans().ask();
        desk.scans().ended(number).await;
        Ok("scanned".to_owned())
    })
}

/// Publishes the events, some at a time.
fn check(store: Store, events: Vec<NewEvent>) -> Boxed<'static, Result<String, String>> {
    Box::pin(async move {
        for some in events.chunks(CHECKS) {
            let submitted = store.submit(Vec::new(), some.to_vec()).await;
            let pending = submitted.map_err(|e| e.to_string())?;
            pending.committed().await.map_err(|e| e.to_string())?;
        }
        Ok(format!("{} checks were requested", events.len()))
    })
}

/// Asks for the document of a file, and thereby for its chunks.
fn check_event(file: &Subject, why: &str, source: &str) -> NewEvent {
    let data = json!({"reason": why});
    NewEvent::root(
        EventType::DocumentCheckRequested,
        source,
        file.clone(),
        data,
    )
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::agents::self_healing::tests::Bench;

    #[test]
    fn a_rescan_is_done_when_a_scan_that_began_after_it_has_ended() {
        let desk = ScanDesk::default();
        let running = desk.scans().begin();
        let mut fix = rescan(desk.clone());
        assert_eq!((&mut fix).now_or_never(), None);
        desk.scans().end(running);
        assert_eq!((&mut fix).now_or_never(), None);
        assert!(desk.scans().is_asked());
        desk.scans().end(desk.scans().begin());
        assert_eq!(fix.now_or_never(), Some(Ok("scanned".to_owned())));
    }

    #[tokio::test]
    async fn every_file_that_differs_is_checked() {
        let bench = Bench::new();
        let files: Vec<Subject> = (0..=CHECKS)
            .map(|n| Subject::file("docs", format!("{n}.md").as_bytes()).unwrap())
            .collect();
        let event = |file: &Subject| check_event(file, "they differ", "me");
        check(bench.store.clone(), files.iter().map(event).collect())
            .await
            .unwrap();
        let mut asked = bench.events(Some(EventType::DocumentCheckRequested)).await;
        asked.reverse();
        let subjects: Vec<Subject> = asked.into_iter().map(|event| event.subject).collect();
        assert_eq!(subjects, files);
    }
}
