//! The writer, and what the database does: transactions of all hosts are serial, because each begins by locking one row.

use super::rules::{Ends, Rules, Settles, Terms};
use super::state::{
    DELIVERIES, Database, DeliveryState, Flight, Host, InHand, Incarnation, Known, Lease, Life,
    Lock, Moving, RowState, Serial, World,
};
use super::{LeaseHosts, Out};
use crate::model::{Broken, Kind, Label};

impl LeaseHosts {
    pub(super) fn writer(&self, world: &World, host: usize, steps: Out) {
        for delivery in 0..DELIVERIES {
            if world.hosts[host].work[delivery].in_hand == InHand::Submitted {
                self.takes(world, host, delivery, steps);
            }
            self.in_one_piece(world, host, delivery, steps);
            self.late(world, host, delivery, steps);
        }
        self.writer_connects(world, host, steps);
    }

    /// The writer takes what was submitted, and has the lock when the database has answered.
    fn takes(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        if !world.acts(host) || !world.hosts[host].writer || world.lock.is_some() {
            return;
        }
        let mut after = *world;
        if !self.rules().sends_after_lock {
            after.hosts[host].work[delivery].in_hand = InHand::Taken;
            let label = Label::new("sends its batch in one piece");
            steps.add(Kind::Progress, label.at(host).of(delivery), after);
            return;
        }
        let flight = world.hosts[host].work[delivery].flight;
        let accepted = self.allows(&mut after, host, flight);
        after.hosts[host].work[delivery].in_hand = InHand::Taken;
        after.lock = Some(Lock {
            host: host as u8,
            what: Serial::Settle {
                delivery: delivery as u8,
                flight,
                accepted,
            },
            orphaned: false,
        });
        let label = Label::new("its batch has the lock").at(host).of(delivery);
        steps.add(Kind::Progress, label, after);
    }

    /// Whether what was begun under a lease may be written, as the writer of the host finds.
    fn allows(&self, world: &mut World, host: usize, flight: Flight) -> bool {
        let lease = world.database.holder_and_term(self.rules());
        let me = world.incarnation(host);
        let of_flight = Incarnation {
            number: flight.from,
            ..me
        };
        match self.rules().settles {
            Settles::Anything => true,
            Settles::Term => lease.term == flight.term,
            Settles::Holder => lease.holder == Some(of_flight),
            Settles::HolderAndTerm => {
                let mine = if lease.holder == Some(me) {
                    lease.term
                } else {
                    0
                };
                let term = self.known_term(world, host, mine);
                me == of_flight && term == flight.term
            }
        }
    }

    /// The term of the host's lease, as its writer knows it.
    fn known_term(&self, world: &mut World, host: usize, in_store: u8) -> u8 {
        if self.rules().terms == Terms::Read {
            return in_store;
        }
        let mine = &mut world.hosts[host];
        let transfers = world.database.transfers;
        if (mine.known.transfers, mine.known.from) != (transfers, mine.incarnation) {
            mine.known = Known {
                transfers,
                from: mine.incarnation,
                term: in_store,
            };
        }
        mine.known.term
    }

    /// The transaction that has the lock commits, or is rolled back where its session is lost.
    pub(super) fn lock_ends(&self, world: &World, steps: Out) {
        let Some(lock) = world.lock else { return };
        let host = usize::from(lock.host);
        if !lock.orphaned && !world.acts(host) {
            return;
        }
        let mut after = *world;
        after.lock = None;
        if lock.orphaned {
            let label = Label::new("what has the lock in its lost session is rolled back");
            steps.add(Kind::Progress, label.at(host), after);
        }
        let broken = self.commit(&mut after, host, &lock);
        let label = Label::new(match (lock.what, lock.orphaned) {
            (Serial::Settle { accepted: true, .. }, false) => "its batch is committed",
            (Serial::Settle { .. }, false) => "its batch is committed, and it is refused",
            (Serial::Give { .. }, false) => "gives the lease up",
            (Serial::Settle { .. }, true) => "the batch of its lost session is committed late",
            (Serial::Give { .. }, true) => "its lost session gives the lease up late",
        });
        steps.add_checked(Kind::Progress, label.at(host), after, broken);
    }

    fn commit(&self, world: &mut World, host: usize, lock: &Lock) -> Option<Broken> {
        let by = |number| Incarnation {
            host: lock.host,
            number,
        };
        match lock.what {
            Serial::Settle {
                delivery,
                flight,
                accepted,
            } => {
                let delivery = usize::from(delivery);
                let work = &mut world.hosts[host].work[delivery];
                let replaced = work.in_hand == InHand::Taken && !work.used;
                if work.in_hand == InHand::Taken {
                    work.in_hand = InHand::Committed;
                }
                if accepted && self.0.may.restore {
                    world.database.batches[host] += 1;
                }
                let broken = if accepted {
                    world.database.settle(self.rules(), delivery, flight)
                } else {
                    None
                };
                if replaced {
                    self.is_not_written(world, host, delivery);
                }
                return broken;
            }
            Serial::Give { from } => {
                if world.database.lease.holder == Some(by(from)) {
                    world.database.lease.holder = None;
                }
                self.transferred(&mut world.database);
            }
        }
        if !lock.orphaned {
            world.hosts[host].moving = Moving::Idle;
        }
        None
    }

    /// Takes the lease if nobody has it. Every transfer raises the term.
    pub(super) fn take(&self, database: &mut Database, by: Incarnation) {
        let row = &database.rows[usize::from(by.host)];
        let lives = row.incarnation == by.number && row.state != RowState::Ended;
        let free = database.holder_and_term(self.rules()).holder.is_none();
        if free && (lives || !self.rules().only_living_take) {
            database.lease = Lease {
                holder: Some(by),
                term: database.lease.term + 1,
            };
            self.transferred(database);
        }
    }

    pub(super) fn transferred(&self, database: &mut Database) {
        if self.rules().terms != Terms::Read {
            database.transfers += 1;
        }
    }

    /// Where batches do not wait for the lock, one is executed whatever its host does meanwhile.
    fn in_one_piece(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let mine = &world.hosts[host];
        let taken = mine.work[delivery].in_hand == InHand::Taken;
        if self.rules().sends_after_lock || !taken || !mine.writer || world.lock.is_some() {
            return;
        }
        let mut after = *world;
        let flight = mine.work[delivery].flight;
        let lock = Lock {
            host: host as u8,
            what: Serial::Settle {
                delivery: delivery as u8,
                flight,
                accepted: self.allows(&mut after, host, flight),
            },
            orphaned: false,
        };
        let broken = self.commit(&mut after, host, &lock);
        let label = Label::new("its batch is executed").at(host).of(delivery);
        steps.add_checked(Kind::Progress, label, after, broken);
    }

    /// What a lost session sent before it had the lock.
    fn late(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let Some(flight) = world.hosts[host].late[delivery] else {
            return;
        };
        let mut after = *world;
        after.hosts[host].late[delivery] = None;
        let label = Label::new("what a lost session of it sent is never executed");
        steps.add(Kind::Progress, label.at(host).of(delivery), after);
        if world.lock.is_some() {
            return;
        }
        let broken = if self.allows(&mut after, host, flight) {
            after.database.settle(self.rules(), delivery, flight)
        } else {
            None
        };
        let label = Label::new("what a lost session of it sent is executed late");
        steps.add_checked(Kind::Fault, label.at(host).of(delivery), after, broken);
    }

    /// A new session of the writer: it asks what became of the last batch, when an earlier session has let go of the lock.
    fn writer_connects(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        let waits = world.has_orphan(host, |what| matches!(what, Serial::Settle { .. }));
        if mine.writer || !world.acts(host) || waits {
            return;
        }
        let mut after = *world;
        let lost = world.database.batches[host] < mine.batches;
        let seen = &mut after.hosts[host];
        seen.writer = true;
        if self.rules().terms == Terms::ByNumberInSession {
            seen.known = Known::default();
        }
        seen.batches = world.database.batches[host];
        let label = if lost && self.rules().compares_batches {
            begin_anew(seen);
            Label::new("its writer misses its last batch: nothing of before counts")
        } else {
            Label::new("its writer has a new session")
        };
        let label = label.at(host);
        self.asks_for_its_batch(&mut after, host);
        steps.add(Kind::Progress, label, after);
    }

    /// What was in a batch of an earlier session, and is not in the store, is over.
    pub(super) fn asks_for_its_batch(&self, world: &mut World, host: usize) {
        for delivery in 0..DELIVERIES {
            if world.hosts[host].work[delivery].in_hand == InHand::Taken {
                self.is_not_written(world, host, delivery);
            }
        }
    }

    /// A session that stands still with the lock is ended, and its transaction is rolled back.
    pub(super) fn frozen_session_ends(&self, world: &World, host: usize, steps: Out) {
        let Some(lock) = world.lock else { return };
        let frozen = usize::from(lock.host) == host && !lock.orphaned;
        if !frozen || world.hosts[host].life != Life::Paused || !self.rules().frozen_session_ends {
            return;
        }
        let mut after = *world;
        after.lock = None;
        let mine = &mut after.hosts[host];
        match lock.what {
            Serial::Settle { .. } => mine.writer = false,
            Serial::Give { .. } => {
                mine.member = false;
                mine.moving = Moving::Idle;
            }
        }
        let label = Label::new("its session stands still with the lock and is ended").at(host);
        steps.add(Kind::Progress, label, after);
    }
}

/// The incarnation is over. The database knows nothing of the next one, so the next renewal makes the host join.
fn begin_anew(mine: &mut Host) {
    mine.incarnation += 1;
    mine.trusts = false;
    mine.term = 0;
    mine.leaving = false;
    mine.moving = Moving::Idle;
    mine.rewind = true;
    for work in &mut mine.work {
        // What was read of the database as it was is read again.
        if work.in_hand == InHand::Offered {
            work.in_hand = InHand::Queued;
        }
    }
}

impl Database {
    /// The lease, with its holder if it has one.
    pub(super) fn holder_and_term(&self, rules: &Rules) -> Lease {
        let lives = |holder: &Incarnation| {
            let row = &self.rows[usize::from(holder.host)];
            let fresh = row.incarnation == holder.number && row.state == RowState::Fresh;
            rules.ends == Ends::ByWrite || fresh
        };
        Lease {
            holder: self.lease.holder.filter(lives),
            term: self.lease.term,
        }
    }

    /// Effects of the subject that were applied.
    pub(super) fn effects(&self) -> u8 {
        self.deliveries.iter().map(|d| d.effects).sum()
    }

    /// Applies an outcome or a failure whose lease was found in order.
    fn settle(&mut self, rules: &Rules, delivery: usize, flight: Flight) -> Option<Broken> {
        let owed = self.deliveries[delivery].owed();
        if rules.settles_only_what_is_owed && !owed {
            return None;
        }
        let stale = flight.began < self.effects();
        let overtaken = self.deliveries[..delivery]
            .iter()
            .any(|older| older.owed() && older.attempts == 0);
        let settled = &mut self.deliveries[delivery];
        if flight.failed {
            settled.attempts += 1;
            settled.waits = settled.attempts == 1;
            if settled.attempts > 1 {
                settled.state = DeliveryState::Dead;
            }
            return Broken::SettledAgain.when(!owed);
        }
        settled.state = DeliveryState::Done;
        settled.effects += 1;
        Broken::EffectTwice
            .when(settled.effects > 1)
            .or(Broken::SettledAgain.when(!owed))
            .or(Broken::StaleEffect.when(stale))
            .or(Broken::Order.when(overtaken))
    }
}
