//! Whether the pages of a file are intact.

use rusqlite::Connection;

/// The first fault that SQLite's quick check finds, on one line; `None`: the pages are intact. Reads the whole file.
pub(in crate::store) fn fault(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then(|| {
        // A line of its own names the database, and there is only one.
        let lines = verdict.lines().filter(|line| !line.starts_with("***"));
        lines.collect::<Vec<_>>().join(", ")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let connection = Connection::open(&path).unwrap();
        let filled = "CREATE TABLE t (a TEXT); INSERT INTO t VALUES (hex(zeroblob(20000)));";
        connection.execute_batch(filled).unwrap();
        assert_eq!(fault(&connection).unwrap(), None);
        drop(connection);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..4200].fill(7);
        std::fs::write(&path, bytes).unwrap();
        let told = fault(&Connection::open(&path).unwrap()).unwrap().unwrap();
        assert!(told.len() > 10 && !told.contains(['\n', '*']), "{told}");
    }
}
