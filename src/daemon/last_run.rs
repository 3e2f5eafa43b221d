//! Whether the run before this one came to its end: it stands in the store from the start of a run to its end.

use std::time::Duration;

use crate::event::{AgentName, Millis, awake};
use crate::store::{Effect, Store, WriteError};

/// The name under which the store remembers when the run of this host began that has not ended.
fn name(store: &Store, instance: &str) -> String {
    match store.leases().are_shared() {
        false => "run_began_at".to_owned(),
        true => format!("run_began_at@{instance}"),
    }
}

/// How long the note may take at the end, where the store cannot be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says in the log whether the last run did not come to its end, and what is owed since. A store that cannot be read or
/// written says so elsewhere.
pub(super) async fn begins(store: &Store, instance: &str) {
    let name = name(store, instance);
    if let Ok(Some(began_at)) = store.remembered(&name).await {
        let counts = AgentName::ALL.iter().map(|agent| store.counts(*agent));
        let owed: i64 = counts.map(|counts| counts.owed).sum();
        tracing::info!(
            began_at,
            owed,
            "the last run did not end cleanly (kill -9, a crash or a power failure); committed work is kept, and pending work continues"
        );
    }
    let value = Millis::now().to_string();
    if let Err(error) = note(store, Effect::Remember { name, value }).await {
        tracing::debug!(%error, "that this run has begun could not be noted");
    }
}

/// The run comes to its end.
pub(super) async fn ends(store: &Store, instance: &str) {
    let name = name(store, instance);
    let noting = async {
        let Ok(Some(value)) = store.remembered(&name).await else {
            return;
        };
        if let Err(error) = note(store, Effect::Forget { name, value }).await {
            tracing::debug!(%error, "that this run has ended could not be noted");
        }
    };
    if awake::timeout(PATIENCE, noting).await.is_err() {
        tracing::debug!("that this run has ended could not be noted in time");
    }
}

async fn note(store: &Store, effect: Effect) -> Result<(), WriteError> {
    let submitted = store.submit(vec![effect], Vec::new()).await?;
    submitted.committed().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{RetryPolicy, StoreOptions};

    #[tokio::test]
    async fn it_stands_in_the_store_from_its_start_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            retry: RetryPolicy {
                max_retries: 0,
                backoff_min: PATIENCE,
                backoff_max: PATIENCE,
            },
            event_size: 1024,
            ledger_keep: PATIENCE,
            ledger_keep_events: 1,
            versions: 1,
            agents: AgentName::ALL.to_vec(),
        };
        let (store, closer) = Store::open(folder.path(), options).unwrap();
        let noted = || store.remembered("run_began_at");
        assert_eq!(noted().await, Ok(None));
        begins(&store, "here").await;
        assert!(noted().await.unwrap().is_some());
        ends(&store, "here").await;
        assert_eq!(noted().await, Ok(None));
        drop(store);
        assert!(closer.close());
    }
}
