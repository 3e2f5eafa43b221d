//! How an owed delivery reaches a host: the slot's holder carries copies into Redis, or handles by itself while Redis is away.

use super::rules::{Claiming, Judging};
use super::state::{DELIVERIES, Database, Entry, HOSTS, InHand, Outstanding, Work, World};
use super::{Hosts, Out};
use crate::model::{Broken, Kind, Label};

impl Hosts {
    pub(super) fn carrier(&self, world: &World, host: usize, steps: Out) {
        if world.embedded {
            self.embedded(world, host, steps);
            return;
        }
        self.relay(world, host, steps);
        for delivery in 0..DELIVERIES {
            self.judge(world, host, delivery, steps);
        }
        self.reader(world, host, steps);
        self.claim(world, host, steps);
    }

    /// The oldest that is owed and due and that the cursor has not passed. Retries have no cursor.
    fn next(&self, world: &World, host: usize, taken: impl Fn(usize) -> bool) -> Option<usize> {
        let mine = &world.hosts[host];
        (0..DELIVERIES).find(|number| {
            let delivery = &world.database.deliveries[*number];
            delivery.owed()
                && !delivery.waits
                && !taken(*number)
                && (delivery.attempts > 0 || !mine.passed[*number])
        })
    }

    /// Whether the ledger shows that somebody is at work on it, or, by the rule that holds, on anything of its subject.
    fn is_busy(&self, database: &Database, delivery: usize) -> bool {
        match self.rules().judging {
            Judging::GroupThenSubject => database.held(self.rules()) > 0,
            _ => database.is_held(self.rules(), delivery),
        }
    }

    /// One copy of a subject at a time.
    fn relay(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        let in_table = mine.work.iter().any(|work| work.in_hand != InHand::No);
        let one_is_out = mine.outstanding.iter().any(|o| *o != Outstanding::No)
            || (in_table && self.rules().relay_looks_in_table);
        if mine.term == 0 || !world.goes_on(host) || !mine.connected || one_is_out {
            return;
        }
        let busy = |delivery| self.is_busy(&world.database, delivery);
        let Some(delivery) = self.next(world, host, busy) else {
            return;
        };
        let mut after = *world;
        after.redis.each(|entry| {
            if usize::from(entry.delivery) == delivery {
                entry.outstanding_for = entry.outstanding_for.filter(|of| *of != host as u8);
            }
        });
        let mut entry = Entry {
            delivery: delivery as u8,
            pending_on: None,
            outstanding_for: Some(host as u8),
            in_table_of: [false; HOSTS],
        };
        let mut unknown = after;
        let room = after.redis.add(entry);
        after.hosts[host].outstanding[delivery] = Outstanding::Yes;
        let label = Label::new("carries it").at(host).of(delivery);
        let broken = Broken::CarriedForever.when(!room);
        steps.add_checked(Kind::Carry, label, after, broken);
        if self.0.may.redis_wire && world.faults_left > 0 {
            entry.outstanding_for = None;
            unknown.faults_left -= 1;
            if unknown.redis.add(entry) {
                let label = Label::new("FAULT carries it, and the reply is lost");
                steps.add(Kind::Fault, label.at(host).of(delivery), unknown);
            }
        }
    }

    /// First Redis is asked, then the ledger.
    fn judge(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let state = world.hosts[host].outstanding[delivery];
        if state == Outstanding::No || !world.works(host) {
            return;
        }
        let row = &world.database.deliveries[delivery];
        let connected = world.hosts[host].connected;
        let mut after = *world;
        let mine = &mut after.hosts[host];
        let (next, what) = if connected && (!row.owed() || row.waits) {
            (Outstanding::No, "sees that its copy is settled")
        } else if self.rules().judging == Judging::Never {
            return;
        } else if state == Outstanding::NotInRedis {
            if !connected {
                return;
            } else if self.is_busy(&world.database, delivery) {
                (Outstanding::Yes, "sees that somebody is at work on it")
            } else {
                mine.passed[delivery] = false;
                (
                    Outstanding::No,
                    "sees that nobody has it: it is carried again",
                )
            }
        } else if self.is_in_redis(world, host, delivery) {
            return;
        } else {
            (
                Outstanding::NotInRedis,
                "finds that its copy is not in Redis any more",
            )
        };
        mine.outstanding[delivery] = next;
        steps.add(
            Kind::Progress,
            Label::new(what).at(host).of(delivery),
            after,
        );
    }

    fn is_in_redis(&self, world: &World, host: usize, delivery: usize) -> bool {
        let own = self.consumer(host);
        world.redis.entries.iter().flatten().any(|entry| {
            usize::from(entry.delivery) == delivery
                && entry.outstanding_for == Some(host as u8)
                && (self.rules().judging != Judging::OwnPending
                    || entry.pending_on.is_none_or(|consumer| consumer == own))
        })
    }

    /// Reads `>` for permits that are free, and what is pending on its own consumer.
    fn reader(&self, world: &World, host: usize, steps: Out) {
        // Without a session nothing could be taken, and others wait for what it reads.
        if !world.works(host) || !world.hosts[host].connected {
            return;
        }
        let own = self.consumer(host);
        let queued = world.hosts[host].work.iter();
        let queued = queued.filter(|w| w.in_hand == InHand::Queued).count();
        // One that has ended and has not heard of it yet goes on for a moment only: it hears of it with its next renewal.
        let kind = if self.has_ended(world, host) {
            Kind::Fault
        } else {
            Kind::Progress
        };
        let reads_new = self.free_permits(world, host) > queued;
        for (place, entry) in world.redis.entries.iter().enumerate() {
            let Some(entry) = entry else { continue };
            let what = match entry.pending_on {
                None if reads_new => "reads a copy",
                Some(consumer) if consumer == own && !entry.in_table_of[host] => {
                    "reads what is pending on its consumer"
                }
                _ => continue,
            };
            let delivery = usize::from(entry.delivery);
            let mut after = *world;
            if let Some(entry) = &mut after.redis.entries[place] {
                entry.pending_on = Some(own);
                entry.in_table_of[host] = true;
            }
            let work = &mut after.hosts[host].work[delivery];
            if work.in_hand == InHand::No {
                *work = Work {
                    in_hand: InHand::Queued,
                    ..Work::default()
                };
            }
            steps.add(kind, Label::new(what).at(host).of(delivery), after);
        }
    }

    /// The slot's holder acknowledges what is pending on consumers of hosts that have ended.
    fn claim(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        if self.rules().claiming != Claiming::Always
            || mine.term == 0
            || !world.works(host)
            || !mine.connected
        {
            return;
        }
        let mut after = *world;
        after.redis.retain(|entry| {
            entry.pending_on.is_none_or(|consumer| {
                let same_name = self.0.same_name;
                world
                    .database
                    .consumer_lives(self.rules(), same_name, consumer)
            })
        });
        if after.redis != world.redis {
            let label = Label::new("acknowledges what is pending on a host that has ended");
            steps.add(Kind::Progress, label.at(host), after);
        }
    }

    /// The slot's holder offers to its own table.
    fn embedded(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        if mine.term == 0 || !world.works(host) || self.free_permits(world, host) == 0 {
            return;
        }
        let taken = |delivery: usize| {
            mine.work[delivery].in_hand != InHand::No || self.is_busy(&world.database, delivery)
        };
        if let Some(delivery) = self.next(world, host, taken) {
            let mut after = *world;
            after.hosts[host].work[delivery].in_hand = InHand::Queued;
            let label = Label::new("takes it into its own table")
                .at(host)
                .of(delivery);
            steps.add(Kind::Progress, label, after);
        }
    }
}
