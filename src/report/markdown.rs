//! A report for people.

use super::{Causes, Report, ReportSpan, Sizes};

/// Characters with a meaning in Markdown; what is quoted comes from outside.
const SPECIAL: &[char] = &['\\', '`', '*', '_', '<', '>', '[', ']', '|', '#', '&'];

/// One of the sizes.
type SizeOf = fn(&Sizes) -> Option<u64>;

impl Report {
    /// The report in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "# docent: report of the period {}\n\nFrom {} to {}, written {} by {}.\n",
            self.period, self.span.from, self.span.to, self.written_at, self.instance
        );
        self.events(&mut text);
        self.failures(&mut text);
        self.speed(&mut text);
        self.fixes(&mut text);
        self.growth(&mut text);
        text.push_str("\n## Audit log\n\n");
        match &self.audit_head {
            Some((n, hash)) => text.push_str(&format!(
                "The newest record is number {n}, with the hash `{hash}`.\n"
            )),
            None => text.push_str("There are no records.\n"),
        }
        text
    }

    fn events(&self, text: &mut String) {
        text.push_str("\n## Events\n\n");
        text.push_str(&covers("the audit log", self.audited));
        if !self.events.is_empty() {
            text.push_str("\n| type | count |\n|---|---:|\n");
        }
        for (kind, count) in &self.events {
            text.push_str(&format!("| {} | {count} |\n", escaped(kind)));
        }
    }

    fn failures(&self, text: &mut String) {
        text.push_str("\n## Dead letters\n\n");
        text.push_str(&covers("the audit log", self.audited));
        causes(&self.dead, "No delivery failed for good.", text);
        text.push_str("\nEntries of other programs that could not be published are not among these: `docent dead list` has them.\n");
        text.push_str("\n## Failed attempts\n\n");
        text.push_str(&covers("the ledger", self.ledger));
        causes(&self.failed, "No attempt failed.", text);
    }

    fn speed(&self, text: &mut String) {
        text.push_str("\n## Agents, the slowest first\n\nFrom publishing an event to the end of its handling. ");
        text.push_str(&covers("the ledger", self.ledger));
        if !self.agents.is_empty() {
            text.push_str("\n| agent | events | mean | longest |\n|---|---:|---:|---:|\n");
        }
        for agent in &self.agents {
            let (name, done) = (escaped(&agent.agent), agent.done);
            text.push_str(&format!(
                "| {name} | {done} | {} ms | {} ms |\n",
                agent.mean_ms, agent.max_ms
            ));
        }
        text.push_str(
            "\n## Freshness\n\nFrom capturing a change to its chunks being in the store. ",
        );
        text.push_str(&covers("the ledger", self.ledger));
        match &self.freshness {
            None => text.push_str("\nNo change was completed.\n"),
            Some(f) => text.push_str(&format!(
                "\n{} changes: half within {} ms, 90 % within {} ms, 99 % within {} ms, all within {} ms.\n",
                f.changes, f.p50_ms, f.p90_ms, f.p99_ms, f.max_ms
            )),
        }
    }

    fn fixes(&self, text: &mut String) {
        text.push_str("\n## Fixes\n\n");
        text.push_str(&covers("the audit log", self.audited));
        if self.fixes.is_empty() {
            text.push_str("\nNo fix was tried.\n");
            return;
        }
        text.push_str("\n| fix | verified | issue came again | failed |\n|---|---:|---:|---:|\n");
        for fix in &self.fixes {
            let (name, applied) = (escaped(&fix.fix), fix.applied);
            text.push_str(&format!(
                "| {name} | {applied} | {} | {} |\n",
                fix.came_again, fix.failed
            ));
        }
    }

    fn growth(&self, text: &mut String) {
        text.push_str("\n## What grew\n\n");
        let then = match &self.previous {
            None => {
                text.push_str("There is no earlier report to compare with.\n");
                None
            }
            Some((name, at, sizes)) => {
                text.push_str(&format!("Compared with {} of {at}.\n", escaped(name)));
                Some(sizes)
            }
        };
        text.push_str("\n| what | now | change |\n|---|---:|---:|\n");
        let rows: [(&str, SizeOf); 3] = [
            ("documents", |s| Some(s.documents)),
            ("chunks", |s| Some(s.chunks)),
            ("bytes of the store", |s| s.store_bytes),
        ];
        for (what, size) in rows {
            let now = size(&self.sizes);
            let change = match (now, then.and_then(size)) {
                (Some(now), Some(then)) => format!("{:+}", i128::from(now) - i128::from(then)),
                _ => "not known".to_owned(),
            };
            let now = now.map_or("not known".to_owned(), |now| now.to_string());
            text.push_str(&format!("| {what} | {now} | {change} |\n"));
        }
    }
}

/// Which span figures cover, as a sentence.
fn covers(what: &str, span: Option<ReportSpan>) -> String {
    match span {
        Some(span) => format!("Covered by {what}: {} to {}.\n", span.from, span.to),
        None => format!("Nothing from this period is left in {what}.\n"),
    }
}

fn causes(causes: &Causes, none: &str, text: &mut String) {
    if causes.causes.is_empty() && causes.others == 0 {
        text.push_str(&format!("\n{none}\n"));
        return;
    }
    text.push_str("\n| agent | last error | deliveries |\n|---|---|---:|\n");
    for cause in &causes.causes {
        let (agent, error) = (escaped(&cause.agent), escaped(&cause.error));
        text.push_str(&format!("| {agent} | {error} | {} |\n", cause.count));
    }
    if causes.others > 0 {
        text.push_str(&format!("| | other errors | {} |\n", causes.others));
    }
}

/// A text from outside on one line, without a meaning in Markdown.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if SPECIAL.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(if c.is_control() { ' ' } else { c });
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_stays_in_its_cell() {
        assert_eq!(escaped("a|b\n<c> `d`"), "a\\|b \\<c\\> \\`d\\`");
    }
}
