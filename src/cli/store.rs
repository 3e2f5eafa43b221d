//! `docent store copy`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::{Context, runtime};
use super::output::{Output, rewrite_line};
use super::table::{Table, numeric, word};
use super::text::{counted, number};
use crate::config::StoreTls;
use crate::daemon::{DatabaseAccess, StoreCopy, copy_store};
use crate::error::{Exit, Fatal};

/// The verbs of `store`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Copy the whole store into an empty PostgreSQL database, or from a database into a folder
    ///
    /// No docent may use either of them. Every row is read back and compared; then the source is marked as moved, and docent
    /// does not start on it any more.
    Copy {
        /// Where to: the URL of a database without its password, or a folder
        #[arg(long, value_name = "URL|FOLDER")]
        to: String,
        /// The file with the password of the database
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Connect without TLS, over a network that you trust; else --ca-file may name the authorities to trust
        #[arg(long)]
        no_tls: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `store copy --json`
#[derive(Serialize)]
struct Moved<'a, T> {
    from: &'a str,
    to: &'a str,
    #[serde(flatten)]
    copied: &'a T,
}

pub(super) fn run(context: &mut Context, arguments: Arguments) -> Result<Exit, Fatal> {
    let Verb::Copy {
        to,
        password_file,
        no_tls,
        json,
    } = arguments.verb;
    let config = context.config()?.config;
    let access = DatabaseAccess {
        url: &to,
        password_file: password_file.as_deref(),
        ca_file: context.ca_file(),
        tls: match no_tls {
            true => StoreTls::Disable,
            false => StoreTls::VerifyFull,
        },
    };
    let runtime = runtime()?;
    let copied = {
        // The store looks at sockets with it, and has runtimes of its own for its sessions.
        let _entered = runtime.enter();
        copy_store(&config, &access, |table, rows| {
            show(&context.out, table, rows)
        })
    };
    if context.out.progress {
        rewrite_line("");
    }
    let copied = copied?;
    match json {
        true => context.out.json(&Moved {
            from: &copied.from,
            to: &copied.to,
            copied: &copied.summary,
        })?,
        false => print(context, &copied)?,
    }
    Ok(Exit::Clean)
}

fn show(out: &Output, table: &str, rows: u64) {
    if out.progress {
        let rows = counted(rows, "row", "rows");
        rewrite_line(&format!("copying {table}: {rows}"));
    }
}

fn print(context: &mut Context, copied: &StoreCopy) -> Result<(), Fatal> {
    let StoreCopy { from, to, summary } = copied;
    let mut table = Table::new(&[word("TABLE"), numeric("ROWS")]);
    for copied in &summary.tables {
        table.row(vec![copied.name.into(), number(copied.rows).into()]);
    }
    let text = table.render(context.out.style);
    context.out.text(&text)?;
    context.out.line(&format!(
        "All rows are equal. The audit log ends with record {}, {}.",
        number(summary.audit_number),
        summary.audit_hash
    ))?;
    context.out.line(&format!("{from} was moved to {to}."))?;
    let key = if to.contains("://") {
        "[store] url"
    } else {
        "[store] url to \"\" and data_dir"
    };
    context.out.line(&format!(
        "Set {key} to where the store is now, then start docent. It first builds its search index again."
    ))
}
