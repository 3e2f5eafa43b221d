//! The state of the model of one host: its store, its runner and carrier, and one Redis.

pub(super) const DELIVERIES: usize = 3;
/// Copies in Redis at once; more of them means that they pile up.
const ENTRIES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct World {
    pub(super) ledger: [Delivery; DELIVERIES],
    pub(super) redis: Redis,
    pub(super) table: [Work; DELIVERIES],
    pub(super) outstanding: [Outstanding; DELIVERIES],
    /// The cursor of the carrier has passed it.
    pub(super) passed: [bool; DELIVERIES],
    pub(super) reader: Reader,
    /// The first round of this connection has ended, so the relay may carry.
    pub(super) may_carry: bool,
    /// A blocked read that was given up and lives on in Redis.
    pub(super) abandoned_read: bool,
    /// Redis is away: the embedded carrier offers.
    pub(super) embedded: bool,
    /// Redis lost something, or others meddled with it.
    pub(super) redis_lost: bool,
    pub(super) faults_left: u8,
    pub(super) switches_left: u8,
    pub(super) replays_left: u8,
    pub(super) unavailable_left: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum DeliveryState {
    #[default]
    Owed,
    Done,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Delivery {
    pub(super) state: DeliveryState,
    pub(super) attempts: u8,
    /// Its backoff is not over.
    pub(super) waits: bool,
    pub(super) effects: u8,
    /// It was dead and an operator replayed it: its order is not promised.
    pub(super) replayed: bool,
}

impl Delivery {
    pub(super) fn owed(&self) -> bool {
        self.state == DeliveryState::Owed
    }

    pub(super) fn due(&self) -> bool {
        self.owed() && !self.waits
    }
}

/// The agent's stream, oldest entry first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Redis {
    pub(super) entries: [Option<Entry>; ENTRIES],
}

/// A copy, with all that anybody knows of its id: so no ids are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(super) delivery: u8,
    /// The group has delivered it to our consumer.
    pub(super) pending: bool,
    /// The runner's table has it among the copies of its delivery.
    pub(super) in_table: bool,
    /// Its acknowledgement is on the way.
    pub(super) acknowledged: bool,
    /// Its id is not above the one that the round asked for.
    pub(super) in_round: bool,
}

impl Redis {
    /// Gives its place; none: there is no place for one more.
    pub(super) fn add(&mut self, delivery: usize) -> Option<usize> {
        let place = self.entries.iter().position(Option::is_none)?;
        self.entries[place] = Some(Entry {
            delivery: delivery as u8,
            pending: false,
            in_table: false,
            acknowledged: false,
            in_round: false,
        });
        Some(place)
    }

    /// The place of the first entry that `wanted` takes.
    pub(super) fn find(&self, wanted: impl Fn(&Entry) -> bool) -> Option<usize> {
        self.entries
            .iter()
            .position(|place| place.is_some_and(|entry| wanted(&entry)))
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.entries[place..].rotate_left(1);
        self.entries[ENTRIES - 1] = None;
    }

    pub(super) fn each(&mut self, change: impl FnMut(&mut Entry)) {
        self.entries.iter_mut().flatten().for_each(change);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum InHand {
    #[default]
    No,
    Queued,
    Paused,
    Running,
    /// Handed to the writer, which has not taken it.
    Submitted,
    /// The writer has taken it: it is in the batch that is being written.
    Taken,
}

/// What a flight hands to the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Ending {
    #[default]
    Outcome,
    Transient,
    Permanent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Work {
    pub(super) in_hand: InHand,
    pub(super) ending: Ending,
    /// How many effects of its subject had been applied when its handler began.
    pub(super) began: u8,
    /// A handler that was stopped, or whose runner was replaced, may still submit an outcome that began then.
    pub(super) leftover: Option<Leftover>,
}

impl Work {
    pub(super) fn flies(&self) -> bool {
        matches!(
            self.in_hand,
            InHand::Running | InHand::Submitted | InHand::Taken
        )
    }

    /// In flight or paused.
    pub(super) fn holds_subject(&self) -> bool {
        self.flies() || self.in_hand == InHand::Paused
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Leftover {
    pub(super) began: u8,
    /// The writer had taken it, so it is written whatever the table says.
    pub(super) taken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Outstanding {
    #[default]
    No,
    /// The XADD was executed, and its reply is on the way.
    Sent,
    Replied,
    /// The round has listed it, and its copy has not come since.
    Listed,
}

/// What the reader does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Reader {
    /// It has no connection.
    #[default]
    Away,
    /// Its own pending entries, before the first round.
    FirstPending,
    Begin,
    /// Entries that the group has not delivered.
    New,
    Pending,
    Judge,
}
