//! Copies a whole store into an empty one, on either engine.
//!
//! The copy has an id of its own and remembers whose copy it is, so that it may take over that store's namespace on Redis. All
//! rows are read back and compared before the copy counts.
//!
//! At no moment can both be opened. The copy is committed, but not to be used yet; then the source is marked as moved; then the
//! copy is finished. A copying that was interrupted is repeated: before the source was marked, it begins anew, as the source may
//! have gone on; after that, it finishes the copy.

mod error;
mod rows;
mod side;

pub(crate) use error::CopyError;
pub(crate) use side::StorePlace;

use serde::Serialize;

use super::{OpenError, StoreIdentity, audit, leases, schema};
use rows::TableSum;
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
/// See [`CopyError`]. It may be repeated.
pub(crate) fn copy(
    from: &StorePlace,
    to: &StorePlace,
    mut progress: impl FnMut(&'static str, u64),
) -> Result<CopySummary, CopyError> {
    let source = Side::source(from)?;
    let identity = StoreIdentity::read(&source.connection).map_err(source.failed("read"))?;
    source.begin()?;
    if let Some(moved_to) = source.moved_to()? {
        let target = Target::to_finish(to, identity.id())?;
        let target = target.ok_or_else(|| OpenError::Moved {
            place: from.shown(),
            to: moved_to,
        })?;
        let counted = summary(&source, |table| {
            rows::sum(&source.connection, table).map_err(source.failed("read"))
        })?;
        target.finish()?;
        return Ok(counted);
    }
    let target = Target::open(to, identity.id())?;
    // A host that was killed may have left some, and the copy has no row of it whose end would release them.
    leases::release_all(&source.connection).map_err(source.failed("release what was taken in"))?;
    target.begin(&identity.into_sources())?;
    let written = &target.side().connection;
    let copied = summary(&source, |table| {
        let told = |rows| progress(table, rows);
        let read = rows::copy(&source.connection, written, table, told)
            .map_err(|source| CopyError::Table { table, source })?;
        let found = rows::sum(written, table).map_err(target.side().failed("read back"))?;
        match read == found {
            true => Ok(read),
            false => Err(CopyError::Differs(table)),
        }
    })?;
    target.commit()?;
    source.mark_moved(&to.shown())?;
    target.finish()?;
    Ok(copied)
}

/// What is copied, with what `each` says of each table.
fn summary(
    source: &Side,
    mut each: impl FnMut(&'static str) -> Result<TableSum, CopyError>,
) -> Result<CopySummary, CopyError> {
    let mut tables = Vec::new();
    for &name in schema::TABLES {
        let rows = each(name)?.rows();
        tables.push(CopiedTable { name, rows });
    }
    let head = audit::counters(&source.connection).map_err(source.failed("read"))?;
    Ok(CopySummary {
        tables,
        audit_number: head.audit_n,
        audit_hash: head.audit_hash,
    })
}
