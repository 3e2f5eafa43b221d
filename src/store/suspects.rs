//! Suspects: deliveries that were being handled when docent crashed. One of them may be the cause, so each is handled alone from
//! then on, and not at all any more once docent has crashed on it too often.

use super::recorder::Crash;
use super::sql::{self, Connection, params};

/// Crashes of docent while a delivery was handled, after which it is not handled any more. All but the first happened while
/// nothing else was in flight.
const CRASHES_MAX: u32 = 3;

/// Runs that ended while a delivery was handled, after which it is not handled any more, if it is not known that docent was to
/// blame: whoever kills docent again and again means no delivery by it.
const ENDS_MAX: u32 = 10;

/// Runs that ended so, from which on a delivery is handled alone.
const ENDS_ALONE: u32 = 2;

/// What is held against a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suspicion {
    /// How often docent crashed while it was handled.
    pub(super) crashes: u32,
    /// How often docent was killed meanwhile, for whatever reason.
    pub(super) kills: u32,
}

impl Suspicion {
    /// How many runs of docent ended while it was handled.
    pub(crate) fn ends(self) -> u32 {
        self.crashes.saturating_add(self.kills)
    }

    /// Whether nothing else may be in flight while it is handled.
    pub(crate) fn is_alone(self) -> bool {
        !self.is_guilty() && (self.crashes > 0 || self.kills >= ENDS_ALONE)
    }

    fn is_guilty(self) -> bool {
        self.crashes >= CRASHES_MAX || self.ends() >= ENDS_MAX
    }

    /// Why it is not handled any more, if it is not.
    pub(crate) fn verdict(self) -> Option<String> {
        self.is_guilty().then(|| {
            let (crashes, ends) = (self.crashes, self.ends());
            format!("docent ended {ends} times while this was handled, {crashes} of them by a crash of its own; it is not tried again")
        })
    }
}

/// What the columns `crashes` and `kills` of an outer join say, from this column on.
pub(super) fn suspicion(row: &sql::Row<'_>, column: usize) -> sql::Result<Suspicion> {
    let count = |column| Ok::<_, sql::Error>(row.get::<Option<u32>>(column)?.unwrap_or(0));
    Ok(Suspicion {
        crashes: count(column)?,
        kills: count(column + 1)?,
    })
}

/// Counts a crash against what was being handled and is still owed, once for each run, within a transaction.
pub(super) fn count(connection: &Connection, crash: &Crash) -> sql::Result<()> {
    let is_crash = crash.cause.is_crash();
    for flight in &crash.flights {
        connection
            .prepare_cached(
                "INSERT INTO suspect (event, agent, crashes, kills, run)
                 SELECT e.id, d.agent, ?3, ?4, ?5 FROM event e JOIN delivery d ON d.event = e.seq
                 WHERE e.id = ?1 AND d.agent = ?2 AND d.state = 'owed'
                 ON CONFLICT (event, agent) DO UPDATE SET crashes = suspect.crashes + excluded.crashes,
                     kills = suspect.kills + excluded.kills, run = excluded.run
                 WHERE suspect.run <> excluded.run",
            )?
            .execute(params![
                flight.event,
                flight.agent,
                u32::from(is_crash),
                u32::from(!is_crash),
                crash.run,
            ])?;
    }
    // Those that were settled since.
    connection
        .execute(
            "DELETE FROM suspect WHERE NOT EXISTS (
               SELECT 1 FROM event e JOIN delivery d ON d.event = e.seq
               WHERE e.id = suspect.event AND d.agent = suspect.agent AND d.state = 'owed')",
            [],
        )
        .map(drop)
}

/// The same, in a transaction of its own.
pub(super) fn count_alone(connection: &Connection, crash: &Crash) -> sql::Result<()> {
    connection.execute_batch("BEGIN")?;
    let counted = count(connection, crash).and_then(|()| connection.execute_batch("COMMIT"));
    if counted.is_err() {
        connection.undo("ROLLBACK")?;
    }
    counted
}
