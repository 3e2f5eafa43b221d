//! The rules that are tried: each is a switch, so that it can be taken away and the search shows what it is for.

/// What the rules say. `Rules::AS_THEY_HOLD` is how they hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) ends: Ends,
    /// A host that no longer trusts its row starts no handler and stops those that run.
    pub(crate) stops_without_trust: bool,
    pub(crate) settles: Settles,
    /// A settlement is refused unless its delivery is owed.
    pub(crate) settles_only_what_is_owed: bool,
    /// What is settled is sent when the lock was given. So a session that was lost has it, or sends nothing any more.
    pub(crate) sends_after_lock: bool,
    /// What became of the batch of a lost session is asked until the database has answered.
    pub(crate) finds_out_its_batch: bool,
    /// A session that stands still between lock and commit is ended by the database.
    pub(crate) frozen_session_ends: bool,
    pub(crate) gives_up: GivesUp,
    /// A successor ends the incarnation before it.
    pub(crate) successor_ends: bool,
    /// A lease is taken only for an incarnation that has not ended.
    pub(crate) only_living_take: bool,
    /// A new session reads its host's leases when the one before it has ended.
    pub(crate) waits_for_earlier_session: bool,
    /// When the lease is gained, everything that is owed is looked at anew …
    pub(crate) anew_when_gained: bool,
    /// … also where that shows while other leases are moved …
    pub(crate) anew_when_gained_while_moving: bool,
    /// … when trust is regained …
    pub(crate) anew_when_trusted: bool,
    /// … also where what follows the renewal fails …
    pub(crate) anew_when_trusted_and_failing: bool,
    /// … and when a lease that was to be given up stays.
    pub(crate) anew_when_it_stays: bool,
    /// A look from the beginning that fails is made again.
    pub(crate) failed_look_is_made_again: bool,
    /// A writer whose session is new looks for the last batch that it has committed. If it is not there, the database has lost
    /// commits: the incarnation is over, and the host joins anew.
    pub(crate) compares_batches: bool,
    pub(crate) terms: Terms,
}

/// How a host ends, and its lease becomes free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// A lease is free while the row of its holder is not fresh.
    ByClock,
    /// A transaction that finds the row stale, and locks it, writes that the incarnation has ended.
    ByWrite,
}

/// What a settlement names, so that one of an earlier holder is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settles {
    Anything,
    Term,
    Holder,
    HolderAndTerm,
}

/// When a lease may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivesUp {
    Always,
    /// No handler runs. What was submitted does not count.
    WhenNothingRuns,
    WhenNothingIsInFlight,
}

/// How the writer knows the terms of its host's leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terms {
    /// It reads them again when another number of transfers was counted.
    ByNumberOfTransfers,
    /// The same, and when its session is new.
    ByNumberInSession,
    /// They are those of the store.
    Read,
}

impl Rules {
    pub(crate) const AS_THEY_HOLD: Rules = Rules {
        ends: Ends::ByWrite,
        stops_without_trust: true,
        settles: Settles::HolderAndTerm,
        settles_only_what_is_owed: true,
        sends_after_lock: true,
        finds_out_its_batch: true,
        frozen_session_ends: true,
        gives_up: GivesUp::WhenNothingIsInFlight,
        successor_ends: true,
        only_living_take: true,
        waits_for_earlier_session: true,
        anew_when_gained: true,
        anew_when_gained_while_moving: true,
        anew_when_trusted: true,
        anew_when_trusted_and_failing: true,
        anew_when_it_stays: true,
        failed_look_is_made_again: true,
        compares_batches: true,
        terms: Terms::Read,
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
    /// A host loses one of its sessions with the database, or both. What has the lock is committed late, or never.
    pub(crate) cut: bool,
    /// The database restarts: all hosts lose their sessions.
    pub(crate) restart: bool,
    /// The database loses its last commits.
    pub(crate) restore: bool,
    /// A renewal takes longer to commit than its row stays fresh.
    pub(crate) slow_renewal: bool,
    /// A runner is replaced: its table is gone, and what it has submitted is refused unless the writer has taken it.
    pub(crate) replaced: bool,
    /// A host cannot read what is owed.
    pub(crate) failed_look: bool,
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
        failed_look: false,
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
    /// So often a host wants to give the lease up, because another one has joined.
    pub(crate) moves: u8,
    /// What a restore brings back is the beginning.
    pub(crate) kept_at_first: bool,
    /// Whoever was killed is started again, and no row becomes stale: nothing may wait for that.
    pub(crate) hurries: bool,
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
        moves: 0,
        kept_at_first: false,
        hurries: false,
    };
}
