//! The rules that are tried: each is a switch, so that it can be taken away and the search shows what it is for.

/// What the rules say. `Rules::AS_THEY_HOLD` is how they hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) liveness: Liveness,
    /// A take is refused while another delivery of the subject is held.
    pub(crate) take_asks_for_subject: bool,
    /// … or while an older one of the subject was never attempted.
    pub(crate) take_asks_for_older: bool,
    /// An outcome or failure is refused unless its delivery is owed and held by its sender …
    pub(crate) settle_asks_for_holder: bool,
    /// … with the token of that take.
    pub(crate) settle_asks_for_token: bool,
    /// A refused settlement changes nothing (else it calls the delivery done).
    pub(crate) refused_changes_nothing: bool,
    /// A host that no longer trusts its row starts no handler and stops those that run.
    pub(crate) stops_without_trust: bool,
    pub(crate) own_holds: OwnHolds,
    /// The relay carries nothing of a subject of which its own table has something.
    pub(crate) relay_looks_in_table: bool,
    pub(crate) judging: Judging,
    pub(crate) claiming: Claiming,
    /// A hold that ends without a settlement makes every cursor go back to its delivery.
    pub(crate) ended_hold_moves_cursor: bool,
    /// A host whose session is new compares batch ids, and joins anew if the database has lost commits.
    pub(crate) compares_batches: bool,
    pub(crate) captures: Captures,
}

/// When holds and leases of a host end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// They are valid while its row is fresh.
    WhileFresh,
    /// The same, and a renewal that finds the row stale is refused.
    WhileFreshAndNeverAgain,
    /// Until a batch that finds the row stale, and locks it, writes that the incarnation has ended.
    UntilEnded,
}

/// When a host releases holds of its own that its table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnHolds {
    Never,
    /// Once, when it has a new session.
    AtReconnect,
    /// With every renewal.
    Always,
    /// The same, and a take whose reply has not come does not count as in the table.
    AlsoWhileTaking,
}

/// How the relay finds that an outstanding entry must be carried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judging {
    Never,
    /// Redis, by the pending list of the host itself; then the delivery.
    OwnPending,
    /// Redis, by the group; then whether this delivery is held, settled or not due.
    GroupThenDelivery,
    /// Redis, by the group; then whether it is settled or not due, or any delivery of its subject is held.
    GroupThenSubject,
}

/// Who acknowledges what is pending on the consumer of a host that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claiming {
    Never,
    /// Somebody, once, when the host is ended.
    Once,
    /// Whoever holds the slot, as often as it finds something.
    Always,
}

/// What a capture names, so that one of an earlier holder is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Captures {
    Nothing,
    Term,
    HolderAndTerm,
}

impl Rules {
    pub(crate) const AS_THEY_HOLD: Rules = Rules {
        liveness: Liveness::UntilEnded,
        take_asks_for_subject: true,
        take_asks_for_older: true,
        settle_asks_for_holder: true,
        settle_asks_for_token: true,
        refused_changes_nothing: true,
        stops_without_trust: true,
        own_holds: OwnHolds::Always,
        relay_looks_in_table: true,
        judging: Judging::GroupThenSubject,
        claiming: Claiming::Always,
        ended_hold_moves_cursor: true,
        compares_batches: true,
        captures: Captures::HolderAndTerm,
    };

    /// The rules as they hold, but for what `change` does to them.
    pub(crate) fn but(change: fn(&mut Rules)) -> Self {
        let mut rules = Rules::AS_THEY_HOLD;
        change(&mut rules);
        rules
    }
}

/// What may go wrong, besides that hosts may be slow: the sum is bounded by [`Setting::faults`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) kill: bool,
    pub(crate) pause: bool,
    /// A host loses its session with the database; what was on the wire is lost, executed late, or its reply is lost.
    pub(crate) cut: bool,
    /// The database restarts: all hosts lose their sessions.
    pub(crate) restart: bool,
    /// The database loses its last commits.
    pub(crate) restore: bool,
    /// A renewal takes longer to commit than its row stays fresh.
    pub(crate) slow_renewal: bool,
    /// A runner is replaced: its table is gone, and what it has submitted is refused unless the writer has taken it.
    pub(crate) replaced: bool,
    /// An XADD of unknown outcome, a read whose reply is lost, an acknowledgement that is not executed.
    pub(crate) redis_wire: bool,
    /// A copy of anything is executed late.
    pub(crate) late_copy: bool,
    pub(crate) flush: bool,
}

impl Faults {
    pub(crate) const NONE: Faults = Faults {
        kill: false,
        pause: false,
        cut: false,
        restart: false,
        restore: false,
        slow_renewal: false,
        replaced: false,
        redis_wire: false,
        late_copy: false,
        flush: false,
    };
}

/// One run of the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) rules: Rules,
    pub(crate) may: Faults,
    pub(crate) faults: u8,
    /// Deliveries that are owed at the beginning.
    pub(crate) deliveries: usize,
    /// The oldest was attempted once already, so that the next may overtake it.
    pub(crate) attempted: bool,
    /// Handlers may fail.
    pub(crate) failures: bool,
    /// So often a handler ends *unavailable*.
    pub(crate) unavailable: u8,
    pub(crate) permits: usize,
    /// So often Redis goes away or comes back.
    pub(crate) switches: u8,
    /// So often the watched file changes; 0: no file is watched.
    pub(crate) edits: u8,
    /// Both processes have the same instance name; the second begins when the first looks dead.
    pub(crate) same_name: bool,
}

impl Setting {
    /// No fault, and nothing that fails.
    pub(crate) const QUIET: Setting = Setting {
        rules: Rules::AS_THEY_HOLD,
        may: Faults::NONE,
        faults: 0,
        deliveries: 2,
        attempted: false,
        failures: false,
        unavailable: 0,
        permits: 1,
        switches: 0,
        edits: 0,
        same_name: false,
    };
}
