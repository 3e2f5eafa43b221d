//! One look for all who look.

use futures_util::future::join_all;

use super::*;
use crate::http::wire::{FigureHistory, Overview, Status};

/// The next event of a stream: its name, and its data.
async fn next_event(lines: &mut LineStream) -> (String, String) {
    let (mut name, mut data) = (String::new(), String::new());
    loop {
        let line = lines.next().await.unwrap().expect("an event");
        let line = String::from_utf8(line).unwrap();
        match line.split_once(": ") {
            Some(("event", text)) => name = text.to_owned(),
            Some(("data", text)) => data = text.to_owned(),
            _ if line.is_empty() && !name.is_empty() => return (name, data),
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_overview_has_the_numbers_of_the_status_and_what_became_of_a_delivery() {
    let daemon = Daemon::new();
    let event = daemon
        .publish(EventType::FileChanged, "docs/walrus.md")
        .await;
    let agent = AgentName::DocumentManagement;
    daemon.fails(&event, agent, "the walrus bit").await;
    daemon
        .serving(async {
            let status: Status = daemon.get("/status").await;
            let overview: Overview = daemon.get("/overview").await;
            assert_eq!(overview.status.bus, status.bus);
            assert_eq!(overview.status.wrong, status.wrong);
            assert_eq!(overview.dead.total, 1);
            let group = &overview.dead.groups[0];
            assert_eq!(group.error, "the walrus bit");
            assert_eq!(group.event, event.id.to_string());
            let names: Vec<&str> = overview.agents.iter().map(|a| a.name.as_str()).collect();
            let all: Vec<&str> = AgentName::ALL.iter().map(|a| a.as_str()).collect();
            assert_eq!(names, all);
            let agent = &overview.agents[agent.index()];
            assert_eq!(agent.agent, status.agents[&agent.name]);
            assert!(agent.last_progress_at.is_some());
            let audit = &overview.agents[AgentName::LoggingAudit.index()];
            let first = audit.oldest.first().expect("it owes the event");
            assert_eq!(first.subject, "docs/walrus.md");
            assert_eq!(audit.last_progress_at, None);
            assert_eq!(overview.freshness.measured, None, "nothing was measured");
            assert_eq!(overview.redis, None, "the config does not use it");
            assert!(overview.summary.text.contains("degraded"));
            assert!(overview.summary.remedy.is_some());
        })
        .await;
}

#[tokio::test]
async fn all_who_look_at_once_share_one_look() {
    let daemon = Daemon::new();
    let overviews = &daemon.state.overviews;
    let seen = join_all((0..50).map(|_| overviews.now())).await;
    let first = seen[0].as_ref().unwrap();
    for one in &seen {
        assert!(Arc::ptr_eq(one.as_ref().unwrap(), first));
    }
    let json = first.json();
    let same = seen[49].as_ref().unwrap().json();
    assert_eq!(json.as_ptr(), same.as_ptr(), "it was written once");
    assert!(!overviews.is_wanted(), "nobody looks any more");
}

#[tokio::test]
async fn a_stream_begins_with_both_tells_what_changes_and_says_that_it_ends() {
    let daemon = Daemon::new();
    let server = daemon.server().await;
    let client = async {
        let target = Target::new("/overview/stream");
        let mut lines = daemon.client.lines(&target).await.unwrap();
        let (name, data) = next_event(&mut lines).await;
        assert_eq!(name, "history");
        let history: FigureHistory = serde_json::from_str(&data).unwrap();
        assert_eq!(history.hour.figures["pending"], [Some(0.0)]);
        assert_eq!(history.hour.figures["documents"], [Some(0.0)]);
        assert_eq!(history.hour.figures["searches_per_min"], [None]);
        let (name, data) = next_event(&mut lines).await;
        assert_eq!(name, "overview");
        let overview: Overview = serde_json::from_str(&data).unwrap();
        assert_eq!(overview.status.bus.owed, 0);
        daemon.publish(EventType::FileChanged, "docs/a.md").await;
        loop {
            let (name, data) = next_event(&mut lines).await;
            let overview = (name == "overview").then(|| serde_json::from_str(&data));
            let overview: Option<Overview> = overview.transpose().unwrap();
            if overview.is_some_and(|overview| overview.freshness.pending == 1) {
                break;
            }
        }
        daemon.state.stop.cancel();
        while next_event(&mut lines).await.0 != "end" {}
        assert_eq!(lines.next().await.unwrap(), None);
    };
    timeout(Duration::from_secs(30), async {
        tokio::join!(server, client)
    })
    .await
    .expect("both end");
}
