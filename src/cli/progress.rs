//! One line on a terminal's stderr that is rewritten while something takes long.

use std::future::Future;
use std::time::Duration;

use super::output::{Output, rewrite_line};
use super::text::{counted, number, plain};
use crate::http::wire::Status;
use crate::http::{Client, Target};

/// How often the line is rewritten.
const PERIOD: Duration = Duration::from_millis(250);

/// Waits for `work`; meanwhile a terminal shows what the daemon is at.
pub(super) async fn alongside<T>(
    output: &Output,
    client: &Client,
    work: impl Future<Output = T>,
) -> T {
    if !output.progress {
        return work.await;
    }
    let result = tokio::select! {
        result = work => result,
        never = show(client) => match never {},
    };
    rewrite_line("");
    result
}

async fn show(client: &Client) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(PERIOD).await;
        // A status that does not come leaves the line as it is; the work itself tells what is wrong.
        if let Ok(status) = client.get::<Status>(&Target::new("/status")).await {
            rewrite_line(&line(&status));
        }
    }
}

/// What the daemon is at.
pub(super) fn line(status: &Status) -> String {
    let scan = &status.scan;
    let mut parts = Vec::new();
    if let Some(collection) = &scan.scanning {
        parts.push(format!(
            "scanning {}: {} seen, {} to read",
            plain(collection),
            counted(scan.seen, "file", "files"),
            number(scan.changed)
        ));
    }
    if scan.marked > 0 {
        parts.push(format!(
            "{} to capture",
            counted(scan.marked, "file", "files")
        ));
    }
    for (agent, doing) in [("document_management", "to process"), ("rag", "to index")] {
        if let Some(owed) = status
            .agents
            .get(agent)
            .map(|a| a.owed)
            .filter(|owed| *owed > 0)
        {
            parts.push(format!("{} {doing}", number(owed)));
        }
    }
    if status.index.behind > 0 {
        parts.push(format!(
            "index {} behind",
            counted(status.index.behind, "change", "changes")
        ));
    }
    if let Some(why) = &scan.held {
        parts.push(format!("captures held: {}", plain(why)));
    }
    if parts.is_empty() {
        "nothing is pending".to_owned()
    } else {
        parts.join(" · ")
    }
}
