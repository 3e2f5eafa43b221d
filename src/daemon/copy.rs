//! Copies the store to another place, while no daemon runs on it.

use std::path::absolute;
use std::sync::Arc;

use super::database::{DatabaseAccess, database};
use crate::config::{Config, database_url};
use crate::error::{Exit, Fatal};
use crate::store::{CopyError, CopySummary, StorePlace, copy};

/// A copy that was made.
#[derive(Debug)]
pub(crate) struct StoreCopy {
    /// Where the store was.
    pub(crate) from: String,
    /// Where it is now.
    pub(crate) to: String,
    pub(crate) summary: CopySummary,
}

/// Copies the store that the config names. `to` is a database, or a folder where the store is a database now.
/// `progress` is told the table and how many of its rows are copied.
/// It needs a runtime around it, on a thread that may block.
pub(crate) fn copy_store(
    config: &Config,
    to: &DatabaseAccess<'_>,
    progress: impl FnMut(&'static str, u64),
) -> Result<StoreCopy, Fatal> {
    let from = match database(config).map_err(|error| Fatal::new(Exit::Config, error))? {
        Some(database) => StorePlace::Database(Arc::new(database)),
        None => StorePlace::Folder(config.data_dir.clone()),
    };
    let to = place(&from, to)?;
    let summary = copy(&from, &to, progress).map_err(|error| fatal(error, &from))?;
    Ok(StoreCopy {
        from: from.shown(),
        to: to.shown(),
        summary,
    })
}

/// Where the copy goes to.
fn place(from: &StorePlace, to: &DatabaseAccess<'_>) -> Result<StorePlace, Fatal> {
    let usage = |text: String| Fatal::new(Exit::Usage, text);
    if !to.url.contains("://") {
        return match from {
            // The source says for good where it was moved to.
            StorePlace::Database(_) => absolute(to.url)
                .map(StorePlace::Folder)
                .map_err(|error| usage(format!("--to {}: {error}", to.url))),
            StorePlace::Folder(_) => Err(usage(format!(
                "the store is in a file already, and --to names a folder, {}",
                to.url
            ))
            .hint("name a database, such as postgres://docent@db.example.org/docent")),
        };
    }
    database_url(to.url)
        .map_err(|reason| usage(format!("--to {}", reason.what)).hint(reason.remedy))?;
    let database = to.database();
    let database = database.map_err(|error| Fatal::new(Exit::Config, error))?;
    Ok(StorePlace::Database(Arc::new(database)))
}

fn fatal(error: CopyError, from: &StorePlace) -> Fatal {
    match error {
        CopyError::Open(error) => match (from, Fatal::from(error)) {
            // The flags name the database, and not the config.
            (StorePlace::Folder(_), fatal) if fatal.exit() == Exit::Unavailable => fatal.hint(
                "see that the server runs and lets docent in, or correct --to, --password-file, --ca-file or --no-tls",
            ),
            (_, fatal) => fatal,
        },
        CopyError::Absent(_) | CopyError::Occupied(_) | CopyError::Differs(_) => {
            Fatal::new(Exit::Data, error)
        }
        CopyError::Side { .. } | CopyError::Table { .. } | CopyError::File { .. } => {
            Fatal::new(Exit::Unavailable, error)
                .hint("nothing is lost; run the command again once the cause is gone")
        }
    }
}
