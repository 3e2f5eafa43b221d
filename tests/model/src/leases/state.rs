//! The state of the model of hosts whose lease is the hold: one database and two hosts.

/// Hosts, each on a data_dir of its own.
pub(super) const HOSTS: usize = 2;
/// Deliveries of one agent, all of one subject, in ledger order.
pub(super) const DELIVERIES: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct World {
    pub(super) database: Database,
    /// What a restore brings back.
    pub(super) snapshot: Option<Database>,
    /// Who has the lock of the commits, and what for.
    pub(super) lock: Option<Lock>,
    pub(super) hosts: [Host; HOSTS],
    pub(super) faults_left: u8,
    pub(super) unavailable_left: u8,
    /// So often a host is still to want to give the lease up.
    pub(super) moves_left: u8,
}

// ---- what stands in PostgreSQL

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Database {
    pub(super) deliveries: [Delivery; DELIVERIES],
    pub(super) rows: [HostRow; HOSTS],
    /// An incarnation that its successor did not end.
    pub(super) left_behind: [HostRow; HOSTS],
    pub(super) lease: Lease,
    /// How often the lease was moved; counted only where a rule asks for it.
    pub(super) transfers: u8,
    /// The batches of each host in which something was settled; counted only where commits may be lost.
    pub(super) batches: [u8; HOSTS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum DeliveryState {
    #[default]
    Owed,
    Done,
    Dead,
}

/// One incarnation of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Incarnation {
    pub(super) host: u8,
    pub(super) number: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Delivery {
    pub(super) state: DeliveryState,
    pub(super) attempts: u8,
    /// Its backoff is not over.
    pub(super) waits: bool,
    /// How often its effect was applied.
    pub(super) effects: u8,
}

impl Delivery {
    pub(super) fn owed(&self) -> bool {
        self.state == DeliveryState::Owed
    }

    pub(super) fn due(&self) -> bool {
        self.owed() && !self.waits
    }
}

/// `renewed_at` of a host's row, as the database's clock sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum RowState {
    #[default]
    Absent,
    Fresh,
    /// Not renewed for 10 s.
    Stale,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct HostRow {
    pub(super) incarnation: u8,
    pub(super) state: RowState,
    /// A renewal was executed while the row was fresh, and its commit is on its way: nobody sees it yet.
    pub(super) renewing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Lease {
    pub(super) holder: Option<Incarnation>,
    pub(super) term: u8,
}

/// A transaction that has locked the head: all others wait for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lock {
    pub(super) host: u8,
    pub(super) what: Serial,
    /// Its session is lost for the host. Whether it commits shows later.
    pub(super) orphaned: bool,
}

/// What a serial transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Serial {
    Settle {
        delivery: u8,
        flight: Flight,
        /// What the writer found when it had the lock.
        accepted: bool,
    },
    Give {
        from: u8,
    },
}

// ---- what a host has in memory

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Life {
    #[default]
    Down,
    Up,
    Paused,
    /// It goes on after a pause and has not looked at its clock yet.
    Woken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Host {
    pub(super) life: Life,
    pub(super) incarnation: u8,
    /// By its own clock its row is fresh.
    pub(super) trusts: bool,
    /// The session that renews the row and moves leases.
    pub(super) member: bool,
    /// The session of the writer.
    pub(super) writer: bool,
    /// The same, as far as it knows.
    pub(super) batches: u8,
    pub(super) moving: Moving,
    /// The term under which it believes to hold the lease; 0: it does not.
    pub(super) term: u8,
    /// The lease is to be given up: nothing of it begins.
    pub(super) leaving: bool,
    /// What its writer knows of its leases, and of when.
    pub(super) known: Known,
    /// The order of the carrier is to go back to the beginning.
    pub(super) rewind: bool,
    /// The cursor of the order has passed it.
    pub(super) passed: [bool; DELIVERIES],
    /// Something was passed because another of its subject was in the table.
    pub(super) skipped: bool,
    pub(super) work: [Work; DELIVERIES],
    /// What an earlier session of it may still execute, where batches do not wait for the lock.
    pub(super) late: [Option<Flight>; DELIVERIES],
}

/// Where the membership is with the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Moving {
    #[default]
    Idle,
    /// The row is trusted again, and that is told when the leases are seen to.
    Regained,
    /// It has seen that the lease is free.
    WantsToTake,
    /// It has let go of the lease in memory.
    WantsToGive,
    /// Its transaction, which gives it up, has the lock.
    Gives,
}

/// The leases as the writer read them last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Known {
    pub(super) transfers: u8,
    pub(super) from: u8,
    pub(super) term: u8,
}

/// What the table of a host says of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum InHand {
    #[default]
    No,
    Queued,
    /// The ledger was asked, and it is the one that comes next.
    Offered,
    /// Something was unavailable: it waits, and holds its subject.
    Paused,
    Running,
    /// Handed to the writer, which has not taken it.
    Submitted,
    /// It is in the batch that is being written.
    Taken,
    /// That batch is in the store; the reply is on its way.
    Committed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Work {
    pub(super) in_hand: InHand,
    pub(super) flight: Flight,
    /// The runner has it: the lease is not given up before it has ended.
    pub(super) used: bool,
}

/// What a flight was begun under, and what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Flight {
    /// The incarnation of its host.
    pub(super) from: u8,
    pub(super) term: u8,
    pub(super) failed: bool,
    /// How many effects of its subject had been applied when its handler began.
    pub(super) began: u8,
}
