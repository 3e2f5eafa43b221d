//! Judges what several hosts have done by what they left behind: published ids, the audit log, the effects and the log of the agent
//! `test`, and what is still owed.

use std::collections::HashMap;

use crate::work::Line;

/// What a run left behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// The ids that publishers were given.
    pub(crate) published: Vec<String>,
    /// The events of the audit log, in its order.
    pub(crate) audited: Vec<String>,
    /// Those of them that are work: each has an effect in the end.
    pub(crate) works: Vec<String>,
    /// How often the effect of each `test.work` is in the store.
    pub(crate) effects: HashMap<String, usize>,
    /// The log of the agent `test` of each host.
    pub(crate) lines: Vec<Vec<Line>>,
    /// When each host was gone or stood still: from then on what it had under way is lost.
    pub(crate) gone: Vec<Vec<u128>>,
    /// Deliveries that nobody has handled.
    pub(crate) owed: u64,
}

/// What is wrong with a run; nothing may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Published, and not in the audit log, or work without an effect.
    pub(crate) lost: Vec<String>,
    /// In the audit log, or applied, more than once.
    pub(crate) twice: Vec<String>,
    /// Two of one subject that were handled at once.
    pub(crate) overlaps: Vec<String>,
    /// Still owed though there is time.
    pub(crate) stranded: u64,
}

/// From when to when a handler ran whose host was there.
struct Flight<'a> {
    host: usize,
    line: &'a Line,
    until: u128,
}

impl Evidence {
    pub(crate) fn judge(&self) -> Verdict {
        let mut records: HashMap<&str, usize> = HashMap::new();
        for event in &self.audited {
            *records.entry(event).or_default() += 1;
        }
        let lost = self
            .published
            .iter()
            .filter(|id| !records.contains_key(id.as_str()))
            .map(|id| format!("{id} is not in the audit log"));
        let without = self
            .works
            .iter()
            .filter(|id| !self.effects.contains_key(*id))
            .map(|id| format!("{id} has no effect"));
        let twice = records
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(id, count)| format!("{id} is {count} times in the audit log"));
        let effects = self
            .effects
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(id, count)| format!("{id} was applied {count} times"));
        Verdict {
            lost: lost.chain(without).collect(),
            twice: twice.chain(effects).collect(),
            overlaps: self.overlaps(),
            stranded: self.owed,
        }
    }

    fn overlaps(&self) -> Vec<String> {
        let mut subjects: HashMap<&str, Vec<Flight<'_>>> = HashMap::new();
        for (host, lines) in self.lines.iter().enumerate() {
            for line in lines.iter().filter(|line| line.start) {
                let Some(until) = self.until(host, lines, line) else {
                    continue;
                };
                let flight = Flight { host, line, until };
                subjects.entry(&line.subject).or_default().push(flight);
            }
        }
        let mut overlaps = Vec::new();
        for flights in subjects.values_mut() {
            flights.sort_by_key(|flight| flight.line.nanos);
            for pair in flights.windows(2) {
                let [one, two] = pair else { continue };
                if two.line.nanos < one.until {
                    overlaps.push(format!(
                        "{}: host {} handles {}, and host {} handles {}",
                        one.line.subject, one.host, one.line.event, two.host, two.line.event
                    ));
                }
            }
        }
        overlaps
    }

    /// When the handler that began with this line was over, or its host was gone; `None`: it still runs.
    fn until(&self, host: usize, lines: &[Line], began: &Line) -> Option<u128> {
        let end = lines.iter().find(|line| {
            !line.start
                && line.event == began.event
                && line.attempt == began.attempt
                && line.run == began.run
                && line.nanos >= began.nanos
        });
        let gone = self.gone.get(host).into_iter().flatten();
        let gone = gone.copied().filter(|at| *at >= began.nanos).min();
        end.map(|line| line.nanos).into_iter().chain(gone).min()
    }
}

/// Two hosts that have handled three events of one subject in turn.
fn well_done() -> Evidence {
    let line = |start, event: &str, nanos| Line {
        start,
        left: false,
        event: event.to_owned(),
        subject: "work/1".to_owned(),
        attempt: 1,
        run: 1,
        nanos,
    };
    let events = ["a", "b", "c"].map(str::to_owned);
    Evidence {
        published: events.to_vec(),
        audited: events.to_vec(),
        works: events.to_vec(),
        effects: events.iter().map(|event| (event.clone(), 1)).collect(),
        lines: vec![
            vec![
                line(true, "a", 10),
                line(false, "a", 20),
                line(true, "c", 50),
                line(false, "c", 60),
            ],
            vec![line(true, "b", 30), line(false, "b", 40)],
        ],
        gone: vec![Vec::new(), Vec::new()],
        owed: 0,
    }
}

#[test]
fn what_was_done_well_is_found_well_and_each_planted_fault_is_found() {
    assert_eq!(well_done().judge(), Verdict::default());
    let planted = |plant: fn(&mut Evidence)| {
        let mut evidence = well_done();
        plant(&mut evidence);
        evidence.judge()
    };
    let lost = planted(|run| run.audited.truncate(2));
    assert_eq!(lost.lost, ["c is not in the audit log"]);
    let lost = planted(|run| run.effects.retain(|event, _| event != "b"));
    assert_eq!(lost.lost, ["b has no effect"]);
    let lost = planted(|run| {
        run.effects.remove("c");
        run.lines[0].retain(|line| line.event != "c");
    });
    assert_eq!(lost.lost, ["c has no effect"], "settled, and never handled");
    let twice = planted(|run| run.audited.push("a".to_owned()));
    assert_eq!(twice.twice, ["a is 2 times in the audit log"]);
    let twice = planted(|run| run.effects.values_mut().for_each(|count| *count = 2));
    assert_eq!(twice.twice.len(), 3);
    let overlap = planted(|run| run.lines[1][0].nanos = 15);
    assert_eq!(
        overlap.overlaps,
        ["work/1: host 0 handles a, and host 1 handles b"]
    );
    assert_eq!(planted(|run| run.owed = 3).stranded, 3);
}

#[test]
fn what_a_host_does_after_it_was_gone_is_no_overlap() {
    let mut evidence = well_done();
    // It stood still while it handled `a`, and another host handled `b` meanwhile.
    evidence.lines[0][1].nanos = 45;
    assert_eq!(evidence.judge().overlaps.len(), 1);
    evidence.gone[0].push(15);
    assert_eq!(evidence.judge().overlaps, Vec::<String>::new());
}
