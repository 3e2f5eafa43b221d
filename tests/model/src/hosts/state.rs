//! The state of the model of several hosts: one database, one Redis, two hosts.

/// Processes. Where a run says so, both have the same instance name.
pub(super) const HOSTS: usize = 2;
/// Deliveries of one agent, all of one subject, in ledger order.
pub(super) const DELIVERIES: usize = 2;
/// Copies in Redis at once; more of them means that they pile up.
const ENTRIES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct World {
    pub(super) database: Database,
    /// What a restore brings back.
    pub(super) snapshot: Option<Database>,
    pub(super) redis: Redis,
    pub(super) hosts: [Host; HOSTS],
    /// Redis is away: whoever holds the slot handles by itself.
    pub(super) embedded: bool,
    /// The newest content of the file on disk.
    pub(super) file: u8,
    pub(super) faults_left: u8,
    pub(super) switches_left: u8,
    pub(super) unavailable_left: u8,
    pub(super) edits_left: u8,
}

// ---- what stands in PostgreSQL

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Database {
    pub(super) deliveries: [Delivery; DELIVERIES],
    pub(super) rows: [HostRow; HOSTS],
    pub(super) lease: Lease,
    /// The content of the file that the manifest has.
    pub(super) manifest: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum DeliveryState {
    #[default]
    Owed,
    Done,
    Dead,
}

/// One incarnation of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    pub(super) holder: Option<Incarnation>,
    pub(super) token: u8,
    /// How often its effect was applied.
    pub(super) effects: u8,
}

impl Delivery {
    pub(super) fn owed(&self) -> bool {
        self.state == DeliveryState::Owed
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

// ---- what stands in Redis

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Redis {
    /// In a fixed order, so that equal contents are equal states: any undelivered entry may be read next.
    pub(super) entries: [Option<Entry>; ENTRIES],
}

/// A copy of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(super) delivery: u8,
    /// The consumer on which it is pending; none: the group has not delivered it.
    pub(super) pending_on: Option<u8>,
    /// For which host it is outstanding: the one that carried it and has its id.
    pub(super) outstanding_for: Option<u8>,
    /// Which hosts have it in their tables.
    pub(super) in_table_of: [bool; HOSTS],
}

impl Redis {
    /// False: there is no place for one more.
    pub(super) fn add(&mut self, entry: Entry) -> bool {
        let Some(place) = self.entries.iter_mut().find(|place| place.is_none()) else {
            return false;
        };
        *place = Some(entry);
        true
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        for place in &mut self.entries {
            *place = place.filter(&keep);
        }
    }

    pub(super) fn each(&mut self, mut change: impl FnMut(&mut Entry)) {
        self.entries.iter_mut().flatten().for_each(&mut change);
    }

    /// Largest first, empty places last.
    pub(super) fn sort(&mut self) {
        self.entries.sort_unstable_by(|a, b| b.cmp(a));
    }
}

// ---- what a host has in memory

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Life {
    #[default]
    Down,
    Up,
    /// Stopped by a signal, or its machine frozen. What is on the wire goes on without it.
    Paused,
    /// It goes on after a pause with what it knew before, and has not looked at its clock yet.
    Woken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Host {
    pub(super) life: Life,
    pub(super) incarnation: u8,
    /// By its own clock its row is fresh.
    pub(super) trusts: bool,
    /// It has a session with the database.
    pub(super) connected: bool,
    /// It has to compare its position with the database's batches: the session is a new one.
    pub(super) compares: bool,
    /// The term of the lease that it believes to hold; 0: it does not.
    pub(super) term: u8,
    pub(super) work: [Work; DELIVERIES],
    pub(super) outstanding: [Outstanding; DELIVERIES],
    /// The cursor has passed it.
    pub(super) passed: [bool; DELIVERIES],
    /// What an earlier session of it may still execute.
    pub(super) late: [Option<Message>; DELIVERIES],
    /// A blocked read that was given up and lives on in Redis.
    pub(super) abandoned_read: bool,
    /// The content of the file that it has read and not yet captured.
    pub(super) capture: Option<Capture>,
}

/// What the table of a host says of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum InHand {
    #[default]
    No,
    Queued,
    /// The same, and it waits because something was unavailable.
    Paused,
    /// A take was handed to the writer.
    Taking,
    Running,
    /// Its outcome or failure was handed to the writer.
    Submitted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Work {
    pub(super) in_hand: InHand,
    pub(super) wire: Wire,
    /// The token of the take that was granted.
    pub(super) token: u8,
    pub(super) failed: bool,
    /// How many effects of its subject had been applied when its handler began.
    pub(super) began: u8,
}

/// Where the message of a take or settlement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Wire {
    #[default]
    Empty,
    Sent,
    /// Committed; the reply is on its way.
    Granted,
    Refused,
}

/// A take or a settlement as the writer executes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Take { from: u8 },
    Settle(Settlement),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Settlement {
    pub(super) from: u8,
    pub(super) token: u8,
    pub(super) failed: bool,
    pub(super) began: u8,
}

/// What the relay of a host knows of the copy that it has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Outstanding {
    #[default]
    No,
    Yes,
    /// Redis was asked, and the entry is neither undelivered nor pending on anybody; the ledger is asked next.
    NotInRedis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Capture {
    pub(super) content: u8,
    pub(super) term: u8,
    pub(super) from: u8,
}
