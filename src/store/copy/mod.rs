//! Copies a whole store into an empty one, on either engine.
//!
//! The copy has an id of its own and remembers whose copy it is, so that it may take over that store's namespace on Redis. All
//! rows are read back and compared before the copy counts; then the source is marked as moved, and can no longer be opened.
//! If the copying ends before that, the source is as it was.

mod error;
mod rows;
mod side;

pub(crate) use error::CopyError;
pub(crate) use side::StorePlace;

use serde::Serialize;

use super::{StoreIdentity, audit, schema};
use side::{Side, Target};

/// A table that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CopiedTable {
    pub(crate) name: &'static str,
    pub(crate) rows: u64,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CopySummary {
    pub(crate) tables: Vec<CopiedTable>,
    /// The number of the newest record of the audit log.
    pub(crate) audit_number: u64,
    /// Its hash.
    pub(crate) audit_hash: String,
}

/// Copies the store. `progress` is told the table and how many of its rows are copied.
/// It waits for disks and servers; it needs a runtime around it, on a thread that may block.
///
/// # Errors
/// See [`CopyError`]. If it was interrupted after the copy was complete and before the source was marked, it may be repeated: it
/// then compares the two, and marks the source.
pub(crate) fn copy(
    from: &StorePlace,
    to: &StorePlace,
    mut progress: impl FnMut(&'static str, u64),
) -> Result<CopySummary, CopyError> {
    let source = Side::source(from)?;
    let identity = StoreIdentity::read(&source.connection).map_err(source.failed("read"))?;
    let target = Target::open(to, identity.id())?;
    source.begin()?;
    target.begin(&identity.into_sources())?;
    let mut tables = Vec::new();
    for table in schema::TABLES {
        let told = |rows| progress(table, rows);
        let read = match target.is_complete() {
            false => rows::copy(&source.connection, &target.side().connection, table, told),
            true => rows::sum(&source.connection, table),
        };
        let read = read.map_err(|source| CopyError::Table { table, source })?;
        let written = rows::sum(&target.side().connection, table);
        if read != written.map_err(target.side().failed("read back"))? {
            return Err(CopyError::Differs(table));
        }
        tables.push(CopiedTable {
            name: table,
            rows: read.rows(),
        });
    }
    let head = audit::counters(&source.connection).map_err(source.failed("read"))?;
    target.finish()?;
    source.mark_moved(&to.shown())?;
    Ok(CopySummary {
        tables,
        audit_number: head.audit_n,
        audit_hash: head.audit_hash,
    })
}
