//! What the carriers do with what is owed: the embedded one offers it, the relay sends copies of it to Redis.

use super::state::{InHand, Outstanding, World};
use super::{OneHost, Out};
use crate::model::{Broken, Kind, Label};

/// Copies that may be outstanding at once.
const WINDOW: usize = 2;

impl OneHost {
    pub(super) fn carrier(&self, world: &World, steps: Out) {
        if world.embedded {
            self.embedded(world, steps);
        } else {
            self.relay(world, steps);
        }
        self.switch_and_replay(world, steps);
    }

    /// First attempts are looked for from the cursor upwards, retries by their moment.
    fn next(&self, world: &World, skips: impl Fn(usize) -> bool) -> Option<usize> {
        (0..self.0.subjects.len()).find(|number| {
            let delivery = &world.ledger[*number];
            delivery.due()
                && world.table[*number].in_hand == InHand::No
                && (delivery.attempts > 0 || !world.passed[*number])
                && !skips(*number)
        })
    }

    fn embedded(&self, world: &World, steps: Out) {
        if !self.may_start(world) || !self.has_capacity(world) {
            return;
        }
        let busy = |delivery| self.subject_is_held(world, delivery);
        if let Some(delivery) = self.next(world, busy) {
            let answered = self.offer(world, delivery, None);
            let label = Label::new("the embedded carrier offers it").of(delivery);
            steps.add_checked(Kind::Progress, label, answered.world, answered.broken);
        }
    }

    fn relay(&self, world: &World, steps: Out) {
        for delivery in 0..self.0.subjects.len() {
            self.reply(world, delivery, steps);
        }
        let out = world.outstanding.iter();
        let one_is_sent = world.outstanding.contains(&Outstanding::Sent);
        if !world.may_carry
            || one_is_sent
            || out.filter(|o| **o != Outstanding::No).count() >= WINDOW
        {
            return;
        }
        let carried = |delivery: usize| world.outstanding[delivery] != Outstanding::No;
        let Some(delivery) = self.next(world, carried) else {
            return;
        };
        let mut after = *world;
        let room = after.redis.add(delivery).is_some();
        after.outstanding[delivery] = Outstanding::Sent;
        let label = Label::new("the relay carries it").of(delivery);
        let broken = Broken::CarriedForever.when(!room);
        steps.add_checked(Kind::Carry, label, after, broken);
        if self.0.may.relay_wire && world.faults_left > 0 {
            let mut after = *world;
            after.faults_left -= 1;
            after.passed[delivery] = true;
            self.entry_ends(&mut after, delivery);
            let label = Label::new("FAULT its XADD is not executed").of(delivery);
            steps.add(Kind::Fault, label, after);
        }
    }

    /// The reply of an XADD.
    fn reply(&self, world: &World, delivery: usize, steps: Out) {
        if world.outstanding[delivery] != Outstanding::Sent {
            return;
        }
        let mut after = *world;
        after.outstanding[delivery] = Outstanding::Replied;
        let label = Label::new("the relay has the reply").of(delivery);
        steps.add(Kind::Progress, label, after);
        if self.0.may.relay_wire && world.faults_left > 0 {
            let mut after = *world;
            after.faults_left -= 1;
            self.entry_ends(&mut after, delivery);
            let label = Label::new("FAULT the reply of its XADD is lost").of(delivery);
            steps.add(Kind::Fault, label, after);
        }
    }

    /// An outstanding entry ends without a commit.
    pub(super) fn entry_ends(&self, world: &mut World, delivery: usize) {
        world.outstanding[delivery] = Outstanding::No;
        if self.rules().back_when_entry_ends {
            world.passed[delivery] = false;
        }
    }

    fn switch_and_replay(&self, world: &World, steps: Out) {
        if world.switches_left > 0 {
            let mut after = *world;
            after.switches_left -= 1;
            after.embedded = !world.embedded;
            if self.rules().back_at_switch {
                after.passed = Default::default();
            }
            let what = if after.embedded {
                "Redis goes away: the embedded carrier carries"
            } else {
                "Redis comes back"
            };
            steps.add(Kind::Fault, Label::new(what), after);
        }
        for delivery in 0..self.0.subjects.len() {
            if world.replays_left == 0 || !world.ledger[delivery].is_dead() {
                continue;
            }
            let mut after = *world;
            after.replays_left -= 1;
            after.ledger[delivery].replay();
            after.outstanding[delivery] = Outstanding::No;
            if self.rules().back_at_replay {
                after.passed[delivery] = false;
            }
            let label = Label::new("an operator replays it").of(delivery);
            steps.add(Kind::Fault, label, after);
        }
    }
}
