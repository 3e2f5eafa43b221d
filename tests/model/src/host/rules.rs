//! The rules of one host: each is a switch, so that it can be taken away and the search shows what it is for.

/// What the rules say. `Rules::AS_THEY_HOLD` is how they hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// An outcome or failure is refused unless its delivery is owed.
    pub(crate) settles_only_what_is_owed: bool,
    /// A flight is settled once, and only while it is in the table.
    pub(crate) fence: bool,
    /// What a replaced runner has submitted and the writer has not taken is refused.
    pub(crate) refuses_what_was_not_taken: bool,
    /// What the writer had taken of a replaced runner is waited for.
    pub(crate) waits_for_what_was_taken: bool,
    /// A delivery leaves the table when its commit is reported, and holds its subject until then.
    pub(crate) subject_until_commit: bool,
    /// An offer starts the oldest of its subject that is owed and due.
    pub(crate) oldest_first: bool,
    /// What is paused holds its subject.
    pub(crate) paused_holds_subject: bool,
    /// An offer ends no pause.
    pub(crate) offer_ends_no_pause: bool,
    /// A copy is acknowledged only after the commit.
    pub(crate) acknowledges_after_commit: bool,
    /// Own pending entries are read again in every round …
    pub(crate) reads_pending_each_round: bool,
    /// … and before it judges.
    pub(crate) judges_after_pending: bool,
    /// A listed copy that never came was lost, and is carried again.
    pub(crate) judges: bool,
    /// An outstanding entry is judged only if its XADD's reply came before the round asked for the last id.
    pub(crate) lists_before_last_id: bool,
    /// When an outstanding entry ends without a commit, the cursor goes back.
    pub(crate) back_when_entry_ends: bool,
    /// A flight that the store could not commit is paused with its copies (else it leaves the table, and the cursor stays).
    pub(crate) unsettled_is_paused: bool,
    /// When the runner is replaced, the cursor begins anew.
    pub(crate) back_when_replaced: bool,
    /// When the carrier changes, the cursor begins anew.
    pub(crate) back_at_switch: bool,
    /// When a dead delivery is replayed, the cursor goes back.
    pub(crate) back_at_replay: bool,
    /// Whatever leaves the table makes the carrier look at the next of its subject.
    pub(crate) asks_for_next: bool,
}

impl Rules {
    pub(crate) const AS_THEY_HOLD: Rules = Rules {
        settles_only_what_is_owed: true,
        fence: true,
        refuses_what_was_not_taken: true,
        waits_for_what_was_taken: true,
        subject_until_commit: true,
        oldest_first: true,
        paused_holds_subject: true,
        offer_ends_no_pause: true,
        acknowledges_after_commit: true,
        reads_pending_each_round: true,
        judges_after_pending: true,
        judges: true,
        lists_before_last_id: true,
        back_when_entry_ends: true,
        unsettled_is_paused: true,
        back_when_replaced: true,
        back_at_switch: true,
        back_at_replay: true,
        asks_for_next: true,
    };

    /// The rules as they hold, but for what `change` does to them.
    pub(crate) fn but(change: fn(&mut Rules)) -> Self {
        let mut rules = Rules::AS_THEY_HOLD;
        change(&mut rules);
        rules
    }
}

/// What may go wrong: the sum is bounded by [`Setting::faults`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) kill: bool,
    /// A handler makes no progress and is stopped; its outcome may still come.
    pub(crate) stall: bool,
    pub(crate) replaced: bool,
    /// The store cannot commit: its disk is full.
    pub(crate) unsettled: bool,
    /// An XADD that is not executed, or whose reply is lost.
    pub(crate) relay_wire: bool,
    /// A read whose reply is lost; one that is given up and lives on in Redis.
    pub(crate) reader_wire: bool,
    /// An acknowledgement that is not executed.
    pub(crate) lost_acknowledgement: bool,
    pub(crate) flush: bool,
    /// An undelivered entry is deleted, a pending one is acknowledged by others.
    pub(crate) meddling: bool,
    /// A copy from before is there again, undelivered or pending: Redis was restored, or executed an XADD late.
    pub(crate) old_copies: bool,
}

impl Faults {
    pub(crate) const NONE: Faults = Faults {
        kill: false,
        stall: false,
        replaced: false,
        unsettled: false,
        relay_wire: false,
        reader_wire: false,
        lost_acknowledgement: false,
        flush: false,
        meddling: false,
        old_copies: false,
    };
}

/// One run of the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) rules: Rules,
    pub(crate) may: Faults,
    pub(crate) faults: u8,
    /// The subject of each delivery, in ledger order.
    pub(crate) subjects: &'static [u8],
    pub(crate) permits: usize,
    pub(crate) transient: bool,
    pub(crate) permanent: bool,
    /// So often a handler ends *unavailable*.
    pub(crate) unavailable: u8,
    /// So often the carrier changes.
    pub(crate) switches: u8,
    /// So often a dead delivery is replayed.
    pub(crate) replays: u8,
}

impl Setting {
    /// No fault, and nothing that fails.
    pub(crate) const QUIET: Setting = Setting {
        rules: Rules::AS_THEY_HOLD,
        may: Faults::NONE,
        faults: 0,
        subjects: &[0, 0],
        permits: 2,
        transient: false,
        permanent: false,
        unavailable: 0,
        switches: 0,
        replays: 0,
    };
}
