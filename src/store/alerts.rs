//! How the rules of alerts stand, and what is still to be said of them to others.
//!
//! A notification stands here from the transaction that raises or ends its alert until its receiver has taken it, so it is
//! sent at least once, always under the same id.

use super::sql::{self, Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::decode::stored_as_text;
use super::health::Severity;
use super::{ReadError, Store, WriteError, decode};
use crate::event::Millis;

/// Notifications that wait, at most: beyond that the oldest are dropped.
const NOTIFICATIONS_MAX: usize = 1000;

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertStage {
    /// It is not so. The row is kept for the cooldown.
    Quiet,
    /// It is so, and not for long enough yet.
    Pending,
    /// Its alert was raised.
    Raised,
}

stored_as_text! { AlertStage, "stage of an alert":
    Quiet = "quiet",
    Pending = "pending",
    Raised = "raised",
}

/// A rule that is not simply quiet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRow {
    pub rule: String,
    pub stage: AlertStage,
    /// Since when it is so, milliseconds since 1970; where it is quiet, since when it was.
    pub since: i64,
    /// When the last alert ended.
    pub cleared_at: Option<i64>,
    /// What was found when the alert was raised, as JSON.
    pub value: String,
    /// What is right, as JSON.
    pub limit: String,
    pub severity: Severity,
}

/// Something that is to be said to the receiver of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The id of the event that it tells of, the same on every attempt.
    pub id: String,
    pub rule: String,
    /// What is sent, one JSON object.
    pub body: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it is tried next.
    pub due_at: i64,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// A change of an alert or of what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertChange {
    /// The rule stands like this from now on.
    Stands(AlertRow),
    /// There is nothing to remember of the rule any more.
    Forgotten { rule: String },
    /// This is to be sent.
    Queued(Notification),
    /// It was taken; those of the same rule that were given up before count no more.
    Sent { id: String },
    /// An attempt failed. Without a next one it is given up.
    Failed {
        id: String,
        error: String,
        due_at: Option<i64>,
    },
    /// Nothing of this rule is sent any more: it has no receiver.
    Unsent { rule: String },
}

/// What of a rule could not be said in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    pub rule: String,
    pub count: u64,
    /// When the newest of them was given up.
    pub since: Millis,
    /// Why its last attempt failed.
    pub error: String,
}

pub(super) fn apply(
    connection: &Connection,
    change: &AlertChange,
    batch: &mut Batch,
) -> Result<(), WriteError> {
    let execute = |sql: &str, params: &[&dyn sql::ToSql]| -> Result<(), WriteError> {
        connection.prepare_cached(sql)?.execute(params)?;
        Ok(())
    };
    match change {
        AlertChange::Stands(row) => execute(
            "INSERT INTO alert (rule, stage, since, cleared_at, value, bound, severity) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (rule) DO UPDATE SET stage = excluded.stage, since = excluded.since, cleared_at = excluded.cleared_at,
               value = excluded.value, bound = excluded.bound, severity = excluded.severity",
            params![row.rule, row.stage, row.since, row.cleared_at, row.value, row.limit, row.severity],
        ),
        AlertChange::Forgotten { rule } => {
            execute("DELETE FROM alert WHERE rule = ?1", params![rule])
        }
        AlertChange::Queued(notification) => queue(connection, notification, batch),
        AlertChange::Sent { id } => {
            execute(
                "DELETE FROM notification WHERE given_up_at IS NOT NULL
                   AND rule = (SELECT rule FROM notification WHERE id = ?1)",
                params![id],
            )?;
            execute("DELETE FROM notification WHERE id = ?1", params![id])
        }
        AlertChange::Failed { id, error, due_at } => execute(
            "UPDATE notification SET attempts = attempts + 1, error = ?2, due_at = COALESCE(?3, due_at),
               given_up_at = CASE WHEN ?3 IS NULL THEN CAST(?4 AS BIGINT) END WHERE id = ?1",
            params![id, error, due_at, batch.now],
        ),
        AlertChange::Unsent { rule } => {
            execute("DELETE FROM notification WHERE rule = ?1", params![rule])
        }
    }
}

/// Adds a notification. Of too many the oldest are dropped, and that is said.
fn queue(
    connection: &Connection,
    notification: &Notification,
    batch: &mut Batch,
) -> Result<(), WriteError> {
    connection
        .prepare_cached(
            "INSERT INTO notification (id, rule, body, created_at, attempts, due_at, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            notification.id,
            notification.rule,
            notification.body,
            notification.created_at,
            notification.attempts,
            notification.due_at,
            notification.error
        ])?;
    let dropped = connection
        .prepare_cached(
            "DELETE FROM notification WHERE n IN (SELECT n FROM notification ORDER BY n DESC LIMIT 9223372036854775807 OFFSET ?1)",
        )?
        .execute([NOTIFICATIONS_MAX])?;
    if dropped > 0 {
        batch.dropped += dropped as u64;
        tracing::warn!(
            dropped,
            limit = NOTIFICATIONS_MAX,
            "too many notifications of alerts wait; the oldest were dropped"
        );
    }
    Ok(())
}

/// Forgets what was given up before `before`.
pub(super) fn prune(connection: &Connection, before: Millis) -> Result<usize, WriteError> {
    Ok(connection
        .prepare_cached("DELETE FROM notification WHERE given_up_at < ?1")?
        .execute([before])?)
}

fn alert(row: &Row<'_>) -> sql::Result<AlertRow> {
    Ok(AlertRow {
        rule: row.get(0)?,
        stage: row.get(1)?,
        since: row.get(2)?,
        cleared_at: row.get(3)?,
        value: row.get(4)?,
        limit: row.get(5)?,
        severity: row.get(6)?,
    })
}

fn notification(row: &Row<'_>) -> sql::Result<Notification> {
    Ok(Notification {
        id: row.get(0)?,
        rule: row.get(1)?,
        body: row.get(2)?,
        created_at: row.get(3)?,
        attempts: row.get(4)?,
        due_at: row.get(5)?,
        error: row.get(6)?,
    })
}

fn undelivered(row: &Row<'_>) -> sql::Result<Undelivered> {
    Ok(Undelivered {
        rule: row.get(0)?,
        count: row.get(1)?,
        since: row.get(2)?,
        error: row.get(3)?,
    })
}

impl Store {
    /// Every rule that is not simply quiet, by name.
    pub async fn alerts(&self) -> Result<Vec<AlertRow>, ReadError> {
        self.read("alerts", |connection| {
            connection
                .prepare_cached("SELECT rule, stage, since, cleared_at, value, bound, severity FROM alert ORDER BY rule")?
                .query_map([], decode::of("alert", alert))?
                .collect()
        })
        .await
    }

    /// The oldest notification of each rule that is still to be sent: of one rule they go in order.
    pub async fn notifications(&self) -> Result<Vec<Notification>, ReadError> {
        self.read("notifications", |connection| {
            connection
                .prepare_cached(
                    "SELECT id, rule, body, created_at, attempts, due_at, error FROM notification
                     WHERE n IN (SELECT MIN(n) FROM notification WHERE given_up_at IS NULL GROUP BY rule) ORDER BY n",
                )?
                .query_map([], decode::of("notification", notification))?
                .collect()
        })
        .await
    }

    /// What could not be said in time, by rule.
    pub async fn undelivered(&self) -> Result<Vec<Undelivered>, ReadError> {
        self.read("notifications", |connection| {
            connection
                .prepare_cached(
                    "SELECT last.rule, each.undelivered, last.given_up_at, COALESCE(last.error, '') FROM notification last
                     JOIN (SELECT MAX(n) AS newest, COUNT(*) AS undelivered FROM notification
                           WHERE given_up_at IS NOT NULL GROUP BY rule) each ON each.newest = last.n
                     ORDER BY last.rule",
                )?
                .query_map([], decode::of("notification", undelivered))?
                .collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Counters;
    use super::*;
    use crate::store::schema;
    use crate::store::tests::options;

    fn batch() -> Batch {
        let mut batch = Batch::new(options(), Counters::default());
        batch.now = Millis(7);
        batch
    }

    fn connection() -> Connection {
        let connection = Connection::Sqlite(rusqlite::Connection::open_in_memory().unwrap());
        schema::migrate(&connection, 0).unwrap();
        connection
    }

    fn queued(id: usize, rule: &str) -> AlertChange {
        AlertChange::Queued(Notification {
            id: format!("id {id}"),
            rule: rule.to_owned(),
            body: "{}".to_owned(),
            created_at: 0,
            attempts: 0,
            due_at: 0,
            error: None,
        })
    }

    fn ids(connection: &Connection, condition: &str) -> Vec<String> {
        let sql = format!("SELECT id FROM notification WHERE {condition} ORDER BY n");
        let mut select = connection.prepare_cached(&sql).unwrap();
        let ids = select.query_map([], |row| row.get(0)).unwrap();
        ids.map(Result::unwrap).collect()
    }

    #[test]
    fn what_was_given_up_counts_until_another_of_its_rule_is_taken() {
        let connection = connection();
        let apply = |change| apply(&connection, &change, &mut batch()).unwrap();
        let failed = |id: &str, due_at| AlertChange::Failed {
            id: id.to_owned(),
            error: "refused".to_owned(),
            due_at,
        };
        for (id, rule) in [(1, "a"), (2, "a"), (3, "b")] {
            apply(queued(id, rule));
        }
        apply(failed("id 1", Some(50)));
        assert_eq!(ids(&connection, "due_at = 50 AND attempts = 1"), ["id 1"]);
        apply(failed("id 1", None));
        apply(failed("id 3", None));
        assert_eq!(ids(&connection, "given_up_at = 7"), ["id 1", "id 3"]);
        apply(AlertChange::Sent {
            id: "id 2".to_owned(),
        });
        assert_eq!(ids(&connection, "TRUE"), ["id 3"]);
        assert_eq!(prune(&connection, Millis(7)).unwrap(), 0);
        assert_eq!(prune(&connection, Millis(8)).unwrap(), 1);
    }

    #[test]
    fn of_too_many_the_oldest_are_dropped() {
        let connection = connection();
        let mut batch = batch();
        for id in 0..NOTIFICATIONS_MAX + 2 {
            apply(&connection, &queued(id, "a"), &mut batch).unwrap();
        }
        assert_eq!(batch.dropped, 2);
        let left = ids(&connection, "TRUE");
        assert_eq!(left.len(), NOTIFICATIONS_MAX);
        assert_eq!(left[0], "id 2");
    }
}
