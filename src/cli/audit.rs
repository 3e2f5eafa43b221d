//! `docent audit list|verify`

use clap::{Args, Subcommand};

use super::context::{Context, block_on};
use super::table::{Cell, Table, numeric, text as texts, word};
use super::text::{Style, clock, counted, plain};
use crate::error::{Exit, Fatal};
use crate::http::wire::{AuditRecord, AuditVerdict};
use crate::http::{ClientError, Target};

/// Digits of a hash that are shown.
const HASH: usize = 12;

/// The verbs of `audit`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print all records, oldest first
    List {
        /// Print each record as stored, with its hash as the last key
        #[arg(long)]
        json: bool,
    },
    /// Verify the hash chain; exits 0 if it is intact, 65 if it is broken
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    match arguments.verb {
        Verb::List { json } => list(context, json),
        Verb::Verify { json } => verify(context, json),
    }
}

fn list(context: &mut Context, json: bool) -> Result<Exit, Fatal> {
    let client = context.client()?;
    block_on(async {
        let mut lines = client.lines(&Target::new("/audit")).await?;
        let mut table = Table::new(&[
            numeric("N"),
            word("TIME"),
            word("TYPE"),
            texts("SUBJECT"),
            word("HASH"),
        ]);
        while let Some(line) = lines.next().await? {
            if json {
                // Byte for byte, or the hash would not fit.
                context.out.write(&line)?;
                context.out.write(b"\n")?;
                continue;
            }
            let record = serde_json::from_slice(&line)
                .map_err(|e| ClientError::Unexpected(e.to_string()))?;
            table.row(cells(&record));
            table.print_batch(&mut context.out)?;
        }
        table.print(&mut context.out)?;
        Ok(Exit::Clean)
    })
}

/// What a person sees of a record. Its data may be anything, and is not read.
fn cells(record: &AuditRecord) -> Vec<Cell> {
    let hash: String = record.hash.chars().take(HASH).collect();
    vec![
        record.n.to_string().into(),
        Cell::painted(clock(&record.time), Style::dim),
        Cell::painted(&record.kind, Style::bold),
        Cell::painted(&record.subject, Style::place),
        Cell::painted(hash, Style::dim),
    ]
}

fn verify(context: &mut Context, json: bool) -> Result<Exit, Fatal> {
    // Every record is read and hashed: it takes as long as the log is.
    let verdict: AuditVerdict = context.get_slowly(&Target::new("/audit/verify"))?;
    let text = |_| format!("{}\n", sentence(&verdict));
    context.out.answer(json, &verdict, text)?;
    Ok(if verdict.intact {
        Exit::Clean
    } else {
        Exit::Data
    })
}

fn sentence(verdict: &AuditVerdict) -> String {
    match (verdict.intact, verdict.broken_at) {
        (true, _) => {
            let records = counted(verdict.records.unwrap_or(0), "record", "records");
            let head = verdict.head.as_ref();
            let head = head.map(|head| format!("; record {} has the hash {}", head.n, head.hash));
            format!("the chain is intact: {records}{}", head.unwrap_or_default())
        }
        (false, Some(n)) => format!(
            "the chain is broken at record {n}: {}",
            plain(verdict.why.as_deref().unwrap_or("no reason given"))
        ),
        (false, None) => format!(
            "the chain is broken: {}",
            plain(verdict.why.as_deref().unwrap_or("no reason given"))
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::wire::AuditHead;

    #[test]
    fn a_verdict_names_the_first_record_that_does_not_fit() {
        let mut verdict = AuditVerdict {
            head: Some(AuditHead {
                n: 1200,
                hash: "ab".to_owned(),
            }),
            intact: true,
            records: Some(1200),
            broken_at: None,
            why: None,
        };
        assert_eq!(
            sentence(&verdict),
            "the chain is intact: 1,200 records; record 1200 has the hash ab"
        );
        (verdict.intact, verdict.broken_at, verdict.why) =
            (false, Some(7), Some("record 7 is missing".to_owned()));
        assert_eq!(
            sentence(&verdict),
            "the chain is broken at record 7: record 7 is missing"
        );
    }

    #[test]
    fn a_record_is_a_row() {
        let record = json!({"n": 7, "type": "scan.requested", "subject": "docs", "time": "x", "hash": "0123456789abcdef"});
        let record = serde_json::from_value(record).unwrap();
        let mut table = Table::new(&[numeric("N"), word("T"), word("K"), texts("S"), word("H")]);
        table.row(cells(&record));
        assert_eq!(
            table.render(Style::new(false)).lines().nth(1),
            Some("7  x  scan.requested  docs  0123456789ab")
        );
    }
}
