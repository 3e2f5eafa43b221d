//! What a person does about an issue of which nothing is known but its row.

use super::Detector;

impl Detector {
    /// What to do about what it finds, in a sentence.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Detector::AgentParked => {
                "fix the cause in the log, then run `docent agent restart NAME@INSTANCE`"
            }
            Detector::AgentUnavailable => "restore what the agent needs; it continues by itself",
            Detector::StoreReplaced => "put the same files back, or restart docent",
            Detector::StoreUnwritable => "free space, or repair the disk or database",
            Detector::Integrity => {
                "stop docent, then restore a backup of the store, or move store.db away with its -wal file (with PostgreSQL: name an empty database): docent then reads all documents again"
            }
            Detector::AuditBroken => {
                "find out what changed the store, and restore a backup of it if you have one; check again with `docent audit verify`"
            }
            Detector::CommitsLost => "check `docent token list`; publish missing events again",
            Detector::IndexDrift => "docent rebuilds it; `docent health` shows the progress",
            Detector::IndexStopped => {
                "free space if the disk is full, or repair the disk; the index continues by itself"
            }
            Detector::IndexUnready => "wait: search answers as far as the index is complete",
            Detector::Disk => "free space; docent continues to take in files by itself",
            Detector::CapturesHeld => {
                "free space, or repair what the issue names; docent continues to take in files by itself"
            }
            Detector::RootAbsent => {
                "mount the root, put it back, let docent's user read it, or remove the collection from the config"
            }
            Detector::RemovalsHeld => {
                "put the original root back, or accept what is there now: `docent scan COLLECTION --accept-removals`"
            }
            Detector::DeadLetters => {
                "see `docent dead list`, fix the cause, and run `docent dead replay ID`"
            }
            Detector::RedisAway => {
                "start or repair Redis, or write [bus] mode = \"embedded\" if docent should not use it"
            }
            Detector::AgentRestarts => "fix the cause of its last restarts, which the log names",
            Detector::OldestOwed => {
                "find the agent that is behind with `docent agent list`, and read its lines in the log"
            }
            Detector::LogHeld => {
                "end the program that reads the store: `fuser -v` on store.db lists who has it open"
            }
            Detector::IndexBehind => "wait; if it stays, look at the load of disk and CPU",
            Detector::DirectoriesUnlisted => {
                "let docent's user read the directories in the issue, or add them to `exclude`"
            }
            Detector::IgnoreRules => "correct the file of ignore rules that the issue names",
            Detector::ScanOverdue => {
                "run `docent scan`, and look for a slow or hanging file system"
            }
            Detector::FileDrift => {
                "wait: docent checks the documents again; if it returns, check the disk"
            }
            Detector::RedisReconnects => {
                "read in the log of Redis whether it restarts, runs out of memory, or closes connections"
            }
            Detector::RedisStrangers => {
                "give the other program a consumer group of its own, or a second docent a [redis] namespace of its own"
            }
            Detector::RedisStuck => {
                "run `docent agent restart NAME`, which reads that inbox again, and look for a program that changes docent's streams"
            }
            Detector::RedisInbox => "find the program that writes to docent's streams, and stop it",
            Detector::RedisIngress => {
                "check with `docent status` whether the disk is full, and read in the log what is wrong with Redis"
            }
            Detector::AlertUndelivered => {
                "fix the cause in the error; the issue closes when the receiver accepts the next message of this alert"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::word::Word;

    #[test]
    fn each_kind_of_issue_has_a_remedy_and_stands_in_the_documentation_with_what_to_do() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
        let page = fs::read_to_string(page).unwrap();
        for detector in Detector::ALL {
            assert!(detector.remedy().len() > 20, "{detector:?}");
            let name = format!("| `{}`", detector.as_str());
            let row = page.lines().find(|line| line.starts_with(&name));
            let row = row.unwrap_or_else(|| panic!("{name} is not in docs/troubleshooting.md"));
            let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
            assert!(cells.len() == 3 && cells[2].len() > 5, "{row}");
        }
    }
}
