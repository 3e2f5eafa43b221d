//! What a person does about an issue of which nothing is known but its row.

use super::Detector;

impl Detector {
    /// What to do about what it finds, in a sentence.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Detector::AgentParked => {
                "mend the cause that the log names, then `docent agent restart NAME`"
            }
            Detector::AgentUnavailable => {
                "bring back what the agent lacks; it goes on by itself then"
            }
            Detector::StoreReplaced => "put the same files back, or restart docent",
            Detector::Integrity => {
                "stop docent, then restore a backup of store.db, or move it away with its -wal file: docent then reads all documents again"
            }
            Detector::IndexDrift => {
                "it is built anew from the store by itself; `docent health` tells how far that is"
            }
            Detector::IndexStopped => {
                "mend what the issue names, for example a full disk; it goes on by itself then"
            }
            Detector::IndexUnready => "wait: search answers as far as the index is complete",
            Detector::Disk => "free space; captures go on by themselves",
            Detector::CapturesHeld => "mend what the issue names; captures go on by themselves",
            Detector::RootAbsent => {
                "mount the root, put it back or let docent's user read it, or take the collection out of the config"
            }
            Detector::RemovalsHeld => {
                "bring the root back as it was, or accept what is there: `docent scan COLLECTION --accept-removals`"
            }
            Detector::DeadLetters => {
                "see `docent dead list`; when the cause is mended, `docent dead replay ID`"
            }
            Detector::RedisAway => {
                "start or mend Redis, or write [bus] mode = \"embedded\" if docent is not to use it"
            }
            Detector::AgentRestarts => "mend the cause that the log names for its last restarts",
            Detector::OldestOwed => {
                "see which agent is behind with `docent agent list`, and read its lines in the log"
            }
            Detector::LogHeld => {
                "end the program that reads the store: `fuser -v` on store.db lists who has it open"
            }
            Detector::IndexBehind => "wait; if it stays, look at the load of disk and CPU",
            Detector::DirectoriesUnlisted => {
                "let docent's user read what the issue names, or name it in `exclude`"
            }
            Detector::IgnoreRules => "mend the file of ignore rules that the issue names",
            Detector::ScanOverdue => {
                "run `docent scan`, and look for a file system that is slow or hangs"
            }
            Detector::FileDrift => {
                "wait: the documents are checked again by themselves; if it returns, check the disk"
            }
            Detector::RedisReconnects => {
                "see in the log of Redis whether it is restarted, short of memory, or closes connections"
            }
            Detector::RedisStrangers => {
                "give the other program a consumer group of its own, or a second docent a [redis] namespace of its own"
            }
            Detector::RedisStuck => {
                "run `docent agent restart NAME`, which reads that inbox anew; look for a program that changes docent's streams"
            }
            Detector::RedisInbox => "find the program that writes to docent's streams, and end it",
            Detector::RedisIngress => {
                "see whether the disk is full with `docent status`, and what the log says of Redis"
            }
            Detector::AlertUndelivered => {
                "mend what the error names; the issue closes with the next message of this alert that is taken"
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
