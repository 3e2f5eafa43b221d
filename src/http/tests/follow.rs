//! Clients that follow events.

use super::*;

#[tokio::test]
async fn whoever_follows_a_store_that_has_lost_commits_is_told_to_begin_again() {
    let daemon = Daemon::new();
    let client = async {
        let (stream, tail) = (Target::new("/stream"), Target::new("/tail"));
        let mut followed = daemon.client.lines(&stream).await.unwrap();
        let mut tailed = daemon.client.lines(&tail).await.unwrap();
        daemon.publish(EventType::FileChanged, "docs/a.md").await;
        let line = tailed.next().await.unwrap().expect("an event");
        assert!(String::from_utf8(line).unwrap().contains("docs/a.md"));
        let mut until = async |part: &str| loop {
            let line = followed.next().await.unwrap().expect("more lines");
            let line = String::from_utf8(line).unwrap();
            if line.contains(part) {
                return line;
            }
        };
        until("docs/a.md").await;
        daemon.state.store.lose_commits();
        until("event: end").await;
        let why = until("data: ").await;
        assert!(why.contains("has lost its newest events"), "{why}");
        assert!(tailed.next().await.is_err(), "it is cut off");
    };
    daemon.serving(client).await;
}
