//! What happens to the process and to Redis.

use super::state::{DELIVERIES, Ending, InHand, Leftover, Outstanding, Reader, Redis, World};
use super::{OneHost, Out};
use crate::model::{Kind, Label};

impl OneHost {
    pub(super) fn faults(&self, world: &World, steps: Out) {
        self.abandoned_read(world, steps);
        if world.faults_left == 0 {
            return;
        }
        let mut world = *world;
        world.faults_left -= 1;
        let may = &self.0.may;
        if may.kill {
            let after = World {
                table: Default::default(),
                outstanding: Default::default(),
                passed: Default::default(),
                reader: Reader::Away,
                may_carry: false,
                abandoned_read: world.abandoned_read || world.reader == Reader::New,
                redis: unseen(world.redis),
                ..world
            };
            steps.add(
                Kind::Fault,
                Label::new("FAULT docent is killed and starts"),
                after,
            );
        }
        if may.replaced {
            let mut after = world;
            self.replace(&mut after);
            steps.add(
                Kind::Fault,
                Label::new("FAULT the runner is replaced"),
                after,
            );
        }
        if may.flush && world.redis != Redis::default() {
            let mut after = world;
            after.redis = Redis::default();
            after.abandoned_read = false;
            after.redis_lost = true;
            steps.add(Kind::Fault, Label::new("FAULT Redis is flushed"), after);
        }
        for delivery in (0..self.0.subjects.len()).filter(|_| may.old_copies) {
            self.old_copy(&world, delivery, steps);
        }
        for place in (0..world.redis.entries.len()).filter(|_| may.meddling) {
            if world.redis.entries[place].is_some() {
                let mut after = world;
                after.redis.remove(place);
                after.redis_lost = true;
                let label = Label::new("FAULT others delete or acknowledge an entry");
                steps.add(Kind::Fault, label, after);
            }
        }
    }

    fn old_copy(&self, world: &World, delivery: usize, steps: Out) {
        for pending in [false, true] {
            let mut after = *world;
            if let Some(place) = after.redis.add(delivery) {
                if let Some(entry) = &mut after.redis.entries[place] {
                    entry.pending = pending;
                }
                let what = if pending {
                    "FAULT a copy from before is pending again"
                } else {
                    "FAULT a copy from before is undelivered again"
                };
                steps.add(Kind::Fault, Label::new(what).of(delivery), after);
            }
        }
    }

    fn abandoned_read(&self, world: &World, steps: Out) {
        if !world.abandoned_read || world.embedded {
            return;
        }
        let mut after = *world;
        after.abandoned_read = false;
        steps.add(Kind::Progress, Label::new("the abandoned read ends"), after);
        if let Some(place) = world.redis.find(|entry| !entry.pending) {
            if let Some(entry) = &mut after.redis.entries[place] {
                entry.pending = true;
            }
            let label = Label::new("the abandoned read takes an entry, unseen");
            steps.add(Kind::Fault, label, after);
        }
    }

    /// Table and outstanding entries are gone. What the writer has taken stays in the new table, without copies.
    fn replace(&self, world: &mut World) {
        world.redis = unseen(world.redis);
        world.reader = Reader::Away;
        world.may_carry = false;
        for delivery in 0..DELIVERIES {
            world.outstanding[delivery] = Outstanding::No;
            let work = &mut world.table[delivery];
            let taken = work.in_hand == InHand::Taken;
            if taken && self.rules().waits_for_what_was_taken {
                work.leftover = None;
                continue;
            }
            let lives_on = taken
                || match work.in_hand {
                    InHand::Submitted => !self.rules().refuses_what_was_not_taken,
                    InHand::Running => !self.rules().fence,
                    _ => false,
                };
            let outcome = work.in_hand == InHand::Running || work.ending == Ending::Outcome;
            *work = super::state::Work {
                leftover: (lives_on && outcome).then_some(Leftover {
                    began: work.began,
                    taken: true,
                }),
                ..Default::default()
            };
        }
        if self.rules().back_when_replaced {
            world.passed = Default::default();
        }
    }
}

/// What nobody here knows of any more; acknowledgements that were on the way are lost.
fn unseen(mut redis: Redis) -> Redis {
    redis.each(|entry| {
        entry.in_table = false;
        entry.acknowledged = false;
        entry.in_round = false;
    });
    redis
}
