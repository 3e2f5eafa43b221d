//! The reader's rounds, as a state machine without I/O and without a clock of its own.
//!
//! A round (1) lists what is outstanding and not in hand, and *then* asks for the stream's last id; (2) reads `>` until a read comes
//! back empty or has passed that id; (3) *then* reads what is pending on its own consumer; (4) judges: what was listed and never
//! came was lost by Redis. On every new connection it begins with what is pending, so that nothing from before is missed.
//! Nothing here is a guess: no timeout decides that a copy is lost.

use std::time::Duration;

use tokio::time::Instant;

use super::outstanding::EntryKey;
use super::reply::StreamId;

/// Pending entries asked for at once.
pub(super) const PAGE: usize = 200;

/// What the reader does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it waits for a reply, or for capacity.
    Wait,
    /// List what is outstanding, give it to [`Round::begun`], and ask for the stream's last id.
    Begin,
    /// Read `>`, as much as there is capacity for.
    Read,
    /// Ask for the page of own pending entries after this id.
    AskPending(Option<StreamId>),
    /// Read these pending entries.
    Fetch(Vec<StreamId>),
    /// The round has ended: judge what was listed, if anything was.
    Judge(Option<Vec<EntryKey>>),
}

#[derive(Debug)]
enum RoundPhase {
    Held,
    Begin,
    AwaitLastId,
    New,
    AwaitRead,
    Pending {
        after: Option<StreamId>,
    },
    AwaitPending,
    Fetch {
        ids: Vec<StreamId>,
        more: Option<StreamId>,
    },
    AwaitFetched {
        rest: Vec<StreamId>,
        more: Option<StreamId>,
    },
    Judge,
}

/// Where the reader of one connection is.
#[derive(Debug)]
pub(super) struct Round {
    block_time: Duration,
    phase: RoundPhase,
    listed: Option<Vec<EntryKey>>,
    /// The stream's last id when this round began.
    until: StreamId,
    /// Everything up to `until` was read.
    passed: bool,
    /// The largest id read from `>` on this connection.
    read_up_to: StreamId,
    ended_at: Option<Instant>,
    rounds: u64,
}

impl Round {
    /// The reader of a new connection.
    pub(super) fn new(block_time: Duration) -> Self {
        Round {
            block_time,
            phase: RoundPhase::Pending { after: None },
            listed: None,
            until: StreamId::default(),
            passed: false,
            read_up_to: StreamId::default(),
            ended_at: None,
            rounds: 0,
        }
    }

    /// Whether a whole round has ended on this connection: only then may anything be carried.
    pub(super) fn one_has_ended(&self) -> bool {
        self.rounds > 0
    }

    /// Whether a read of `>` is under way.
    pub(super) fn reading(&self) -> bool {
        matches!(self.phase, RoundPhase::AwaitRead)
    }

    /// What to do now, with so much capacity left in the table. `in_hand` says of a pending entry that it need not be read.
    pub(super) fn next(
        &mut self,
        now: Instant,
        capacity: usize,
        in_hand: impl Fn(StreamId) -> bool,
    ) -> Next {
        loop {
            match &mut self.phase {
                RoundPhase::AwaitLastId
                | RoundPhase::AwaitRead
                | RoundPhase::AwaitPending
                | RoundPhase::Held
                | RoundPhase::AwaitFetched { .. } => return Next::Wait,
                RoundPhase::Begin => {
                    self.phase = RoundPhase::AwaitLastId;
                    return Next::Begin;
                }
                RoundPhase::New => {
                    if self.passed && self.may_end(now) {
                        self.phase = RoundPhase::Pending { after: None };
                        continue;
                    }
                    if capacity == 0 {
                        return Next::Wait;
                    }
                    self.phase = RoundPhase::AwaitRead;
                    return Next::Read;
                }
                RoundPhase::Pending { after } => {
                    let after = *after;
                    self.phase = RoundPhase::AwaitPending;
                    return Next::AskPending(after);
                }
                RoundPhase::Fetch { ids, more } => {
                    ids.retain(|id| !in_hand(*id));
                    if ids.is_empty() {
                        self.phase = match more.take() {
                            Some(id) => RoundPhase::Pending { after: Some(id) },
                            None => RoundPhase::Judge,
                        };
                        continue;
                    }
                    if capacity == 0 {
                        return Next::Wait;
                    }
                    let rest = ids.split_off(capacity.min(ids.len()));
                    let (now, more) = (std::mem::take(ids), more.take());
                    self.phase = RoundPhase::AwaitFetched { rest, more };
                    return Next::Fetch(now);
                }
                RoundPhase::Judge => {
                    self.phase = RoundPhase::Begin;
                    let listed = self.listed.take();
                    if listed.is_some() {
                        self.rounds += 1;
                        self.ended_at = Some(now);
                    }
                    return Next::Judge(listed);
                }
            }
        }
    }

    /// A round ends at most every `block_time`; the first one as soon as it can.
    fn may_end(&self, now: Instant) -> bool {
        self.ended_at
            .is_none_or(|ended| now.duration_since(ended) >= self.block_time)
    }

    /// Nothing is read until [`Round::release`].
    pub(super) fn hold(&mut self) {
        self.phase = RoundPhase::Held;
    }

    /// Begins with what is pending.
    pub(super) fn release(&mut self) {
        if matches!(self.phase, RoundPhase::Held) {
            self.phase = RoundPhase::Pending { after: None };
        }
    }

    /// What was listed, before the last id is asked for.
    pub(super) fn begun(&mut self, listed: Vec<EntryKey>) {
        self.listed = Some(listed);
    }

    /// The stream's last id.
    pub(super) fn last_id(&mut self, id: StreamId) {
        if !matches!(self.phase, RoundPhase::AwaitLastId) {
            return;
        }
        self.until = id;
        self.passed = id <= self.read_up_to;
        self.phase = RoundPhase::New;
    }

    /// A read of `>` has ended; `last` is the largest id that it gave.
    pub(super) fn read(&mut self, last: Option<StreamId>) {
        if !self.reading() {
            return;
        }
        match last {
            None => self.passed = true,
            Some(id) => {
                self.read_up_to = self.read_up_to.max(id);
                self.passed |= id >= self.until;
            }
        }
        self.phase = RoundPhase::New;
    }

    /// A page of own pending entries.
    pub(super) fn pending(&mut self, ids: Vec<StreamId>) {
        if !matches!(self.phase, RoundPhase::AwaitPending) {
            return;
        }
        let more = (ids.len() >= PAGE).then(|| ids.last().copied()).flatten();
        self.phase = RoundPhase::Fetch { ids, more };
    }

    /// What [`Next::Fetch`] asked for was read.
    pub(super) fn fetched(&mut self) {
        if let RoundPhase::AwaitFetched { rest, more } = &mut self.phase {
            let (ids, more) = (std::mem::take(rest), more.take());
            self.phase = RoundPhase::Fetch { ids, more };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> StreamId {
        StreamId::parse(&format!("1-{n}")).unwrap()
    }

    /// A reader past its first look at what is pending.
    fn started() -> (Round, Instant) {
        let now = Instant::now();
        let mut round = Round::new(Duration::from_secs(1));
        assert_eq!(round.next(now, 9, |_| false), Next::AskPending(None));
        round.pending(Vec::new());
        assert_eq!(round.next(now, 9, |_| false), Next::Judge(None));
        assert!(!round.one_has_ended());
        (round, now)
    }

    #[test]
    fn it_begins_with_what_is_pending_and_carries_nothing_before_a_whole_round() {
        let (mut round, now) = started();
        assert_eq!(round.next(now, 9, |_| false), Next::Begin);
        round.begun(vec![]);
        round.last_id(id(0));
        assert_eq!(round.next(now, 9, |_| false), Next::Read);
        round.read(None);
        assert_eq!(round.next(now, 9, |_| false), Next::AskPending(None));
        round.pending(Vec::new());
        assert_eq!(round.next(now, 9, |_| false), Next::Judge(Some(vec![])));
        assert!(round.one_has_ended());
    }

    #[test]
    fn it_judges_only_after_it_has_read_past_the_last_id_and_then_what_is_pending() {
        let (mut round, now) = started();
        round.next(now, 9, |_| false);
        round.begun(vec![]);
        round.last_id(id(5));
        assert_eq!(round.next(now, 9, |_| false), Next::Read);
        round.read(Some(id(4)));
        assert_eq!(round.next(now, 9, |_| false), Next::Read);
        round.read(Some(id(5)));
        assert_eq!(round.next(now, 9, |_| false), Next::AskPending(None));
    }

    #[test]
    fn a_round_ends_at_most_every_block_time() {
        let (mut round, now) = started();
        round.ended_at = Some(now);
        round.next(now, 9, |_| false);
        round.begun(vec![]);
        round.last_id(id(0));
        round.next(now, 9, |_| false);
        round.read(None);
        assert_eq!(round.next(now, 9, |_| false), Next::Read);
        round.read(None);
        let later = now + Duration::from_secs(1);
        assert_eq!(round.next(later, 9, |_| false), Next::AskPending(None));
    }

    #[test]
    fn without_capacity_it_neither_reads_nor_fetches() {
        let (mut round, now) = started();
        round.next(now, 9, |_| false);
        round.begun(vec![]);
        round.last_id(id(5));
        assert_eq!(round.next(now, 0, |_| false), Next::Wait);
        round.phase = RoundPhase::AwaitPending;
        round.pending(vec![id(1), id(2)]);
        assert_eq!(round.next(now, 0, |_| false), Next::Wait);
        assert_eq!(round.next(now, 1, |_| false), Next::Fetch(vec![id(1)]));
        round.fetched();
        // What is in hand by now needs not be read.
        assert_eq!(
            round.next(now, 0, |entry| entry == id(2)),
            Next::Judge(Some(vec![]))
        );
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let (mut round, now) = started();
        round.phase = RoundPhase::AwaitPending;
        let page: Vec<StreamId> = (0..PAGE as u64).map(id).collect();
        let last = page.last().copied();
        round.pending(page);
        assert_eq!(round.next(now, 9, |_| true), Next::AskPending(last));
    }
}
