//! What the scheduler remembers of its jobs.
//!
//! Two write to one row: the clock, which plans and runs what is due, and the handlers, which run or pause a job on request.
//! So no change puts a row back that somebody else has changed meanwhile: the clock's is refused unless the row is still
//! the one that it planned from, and the handlers' touch their own columns alone.

use super::sql::{self, Connection, Optional, Row, params};
use serde::{Deserialize, Serialize};

use super::{ReadError, Store, WriteError, decode};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    pub name: String,
    /// The schedule that `next_at` was computed from, with its time zone; empty: the clock has not seen the job yet.
    pub schedule: String,
    /// Paused by an operator.
    pub paused: bool,
    /// When it is due next, milliseconds since 1970.
    pub next_at: Option<i64>,
    /// When it ran last.
    pub last_at: Option<i64>,
    /// The event that its last run published.
    pub last_event: Option<String>,
    /// How many runs were missed and left out since it was first seen.
    pub missed: u64,
}

/// A change of a job's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobChange {
    Planned(Box<JobPlanned>),
    /// It ran because somebody asked.
    Ran {
        name: String,
        /// When, milliseconds since 1970.
        at: i64,
        /// The event that the run published.
        event: String,
    },
    /// An operator paused it or lets it run again.
    Paused {
        name: String,
        /// Which of the two.
        paused: bool,
    },
}

/// What the clock made of a row. The transaction is refused unless the row is still `seen`, so a run that is due is
/// published with the row that says so, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlanned {
    /// The row as it was read; `None`: there was none.
    pub seen: Option<JobState>,
    /// The row as it shall be.
    pub next: JobState,
}

const COLUMNS: &str = "name, schedule, paused, next_at, last_at, last_event, missed";

pub(super) fn apply(connection: &Connection, change: &JobChange) -> Result<(), WriteError> {
    match change {
        JobChange::Planned(planned) => plan(connection, planned),
        JobChange::Ran { name, at, event } => {
            connection
                .prepare_cached(
                    "INSERT INTO job (name, schedule, last_at, last_event) VALUES (?1, '', ?2, ?3)
                     ON CONFLICT (name) DO UPDATE SET last_at = excluded.last_at, last_event = excluded.last_event",
                )?
                .execute(params![name, at, event])?;
            Ok(())
        }
        JobChange::Paused { name, paused } => {
            connection
                .prepare_cached(
                    "INSERT INTO job (name, schedule, paused) VALUES (?1, '', ?2)
                     ON CONFLICT (name) DO UPDATE SET paused = excluded.paused",
                )?
                .execute(params![name, paused])?;
            Ok(())
        }
    }
}

fn plan(connection: &Connection, planned: &JobPlanned) -> Result<(), WriteError> {
    let JobPlanned { seen, next } = planned;
    let standing = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM job WHERE name = ?1"))?
        .query_row([&next.name], job)
        .optional()?;
    if standing != *seen {
        return Err(WriteError::Invalid(format!(
            "the job {} changed since the clock looked at it",
            next.name
        )));
    }
    connection
        .prepare_cached(
            "INSERT INTO job (name, schedule, paused, next_at, last_at, last_event, missed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, paused = excluded.paused, next_at = excluded.next_at,
               last_at = excluded.last_at, last_event = excluded.last_event, missed = excluded.missed",
        )?
        .execute(params![
            next.name,
            next.schedule,
            next.paused,
            next.next_at,
            next.last_at,
            next.last_event,
            next.missed
        ])?;
    Ok(())
}

fn job(row: &Row<'_>) -> sql::Result<JobState> {
    decode::of("job", |row| {
        Ok(JobState {
            name: row.get(0)?,
            schedule: row.get(1)?,
            paused: row.get(2)?,
            next_at: row.get(3)?,
            last_at: row.get(4)?,
            last_event: row.get(5)?,
            missed: row.get(6)?,
        })
    })(row)
}

impl Store {
    /// All jobs that were ever seen, by name.
    pub async fn jobs(&self) -> Result<Vec<JobState>, ReadError> {
        self.read("jobs", |connection| {
            connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM job ORDER BY name"))?
                .query_map([], job)?
                .collect()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    fn connection() -> Connection {
        let connection = Connection::Sqlite(rusqlite::Connection::open_in_memory().unwrap());
        schema::migrate(&connection, 0).unwrap();
        connection
    }

    fn row(connection: &Connection) -> JobState {
        let sql = format!("SELECT {COLUMNS} FROM job WHERE name = 'a'");
        connection.query_row(&sql, [], job).unwrap()
    }

    fn planned(seen: Option<JobState>, next_at: i64) -> JobChange {
        let next = JobState {
            name: "a".to_owned(),
            schedule: "* * * * * UTC".to_owned(),
            paused: false,
            next_at: Some(next_at),
            last_at: None,
            last_event: None,
            missed: 0,
        };
        JobChange::Planned(Box::new(JobPlanned { seen, next }))
    }

    #[test]
    fn the_clock_is_refused_when_somebody_else_changed_the_row() {
        let connection = connection();
        apply(&connection, &planned(None, 10)).unwrap();
        let seen = row(&connection);
        let pause = JobChange::Paused {
            name: "a".to_owned(),
            paused: true,
        };
        apply(&connection, &pause).unwrap();
        let refused = apply(&connection, &planned(Some(seen), 20)).unwrap_err();
        assert!(matches!(refused, WriteError::Invalid(_)));
        assert!(matches!(
            apply(&connection, &planned(None, 20)),
            Err(WriteError::Invalid(_))
        ));
        assert_eq!(
            (row(&connection).next_at, row(&connection).paused),
            (Some(10), true)
        );
        let seen = row(&connection);
        apply(&connection, &planned(Some(seen), 20)).unwrap();
        assert_eq!(row(&connection).next_at, Some(20));
    }

    #[test]
    fn a_handler_touches_its_own_columns_alone() {
        let connection = connection();
        let ran = |at| JobChange::Ran {
            name: "a".to_owned(),
            at,
            event: format!("event {at}"),
        };
        apply(&connection, &ran(5)).unwrap();
        assert_eq!(
            (row(&connection).schedule.as_str(), row(&connection).next_at),
            ("", None)
        );
        let seen = row(&connection);
        apply(&connection, &planned(Some(seen), 10)).unwrap();
        apply(&connection, &ran(7)).unwrap();
        let row = row(&connection);
        assert_eq!((row.next_at, row.last_at), (Some(10), Some(7)));
        assert_eq!(row.last_event.as_deref(), Some("event 7"));
    }
}
