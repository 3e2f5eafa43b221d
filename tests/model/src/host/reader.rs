//! The reader, in rounds: it lists what is outstanding, asks for the last id, reads what is new up to there, reads what is pending
//! on its own consumer, and judges.

use super::state::{DELIVERIES, Delivery, DeliveryState, Outstanding, Reader, World};
use super::{OneHost, Out};
use crate::model::{Broken, Kind, Label};

impl OneHost {
    pub(super) fn reader(&self, world: &World, steps: Out) {
        if world.embedded {
            return;
        }
        self.acknowledgements(world, steps);
        match world.reader {
            Reader::Away => {
                let mut after = *world;
                after.reader = Reader::FirstPending;
                steps.add(Kind::Progress, Label::new("the reader connects"), after);
            }
            Reader::Begin => {
                let mut after = *world;
                self.begin(&mut after);
                let label =
                    Label::new("a round lists what is outstanding, and asks for the last id");
                steps.add(Kind::Progress, label, after);
            }
            Reader::New => self.reads_new(world, steps),
            Reader::FirstPending | Reader::Pending => self.reads_pending(world, steps),
            Reader::Judge => self.judges(world, steps),
        }
        self.reply_is_lost(world, steps);
    }

    fn begin(&self, world: &mut World) {
        for delivery in 0..DELIVERIES {
            let in_hand = world.table[delivery].in_hand != super::InHand::No;
            let listed = match world.outstanding[delivery] {
                Outstanding::Replied | Outstanding::Listed => true,
                // What is sent by now and has no reply may have an id above the last one that was asked for.
                Outstanding::Sent => !self.rules().lists_before_last_id,
                Outstanding::No => false,
            };
            if listed && !in_hand {
                world.outstanding[delivery] = Outstanding::Listed;
            }
        }
        world
            .redis
            .each(|entry| entry.in_round = self.rules().lists_before_last_id);
        world.reader = Reader::New;
    }

    /// Until nothing up to the last id is undelivered. A read that comes back empty is the same.
    fn reads_new(&self, world: &World, steps: Out) {
        let next = world.redis.find(|entry| !entry.pending);
        let more = world.redis.find(|entry| !entry.pending && entry.in_round);
        if more.is_none() {
            let mut after = *world;
            after.redis.each(|entry| entry.in_round = false);
            after.reader = self.after_new();
            let label = Label::new("the reader has read past the last id");
            steps.add(Kind::Progress, label, after);
        }
        if let Some(place) = next.filter(|_| self.has_capacity(world)) {
            self.offers(world, place, "the reader reads and offers it", steps);
        }
    }

    fn after_new(&self) -> Reader {
        if self.rules().reads_pending_each_round && self.rules().judges_after_pending {
            Reader::Pending
        } else {
            Reader::Judge
        }
    }

    /// From the first to the last. What is in hand needs not be read.
    fn reads_pending(&self, world: &World, steps: Out) {
        let unseen =
            |entry: &super::state::Entry| entry.pending && !entry.in_table && !entry.acknowledged;
        match world.redis.find(unseen) {
            None => {
                let mut after = *world;
                after.reader = match world.reader {
                    Reader::Pending if self.rules().judges_after_pending => Reader::Judge,
                    _ => Reader::Begin,
                };
                let label = Label::new("the reader has read all that is pending");
                steps.add(Kind::Progress, label, after);
            }
            Some(place) if self.has_capacity(world) => {
                self.offers(
                    world,
                    place,
                    "the reader reads what is pending and offers it",
                    steps,
                );
            }
            Some(_) => {}
        }
    }

    fn offers(&self, world: &World, place: usize, what: &'static str, steps: Out) {
        let Some(entry) = world.redis.entries[place] else {
            return;
        };
        let delivery = usize::from(entry.delivery);
        let answered = self.offer(world, delivery, Some(place));
        let label = Label::new(what).of(delivery);
        steps.add_checked(Kind::Progress, label, answered.world, answered.broken);
    }

    /// What was listed, never came and is still outstanding was lost by Redis.
    fn judges(&self, world: &World, steps: Out) {
        let mut after = *world;
        let mut broken = None;
        for delivery in 0..DELIVERIES {
            if world.outstanding[delivery] == Outstanding::Listed && self.rules().judges {
                self.entry_ends(&mut after, delivery);
                if !world.redis_lost {
                    broken = Some(Broken::CountedAsLost);
                }
            }
        }
        after.may_carry = true;
        after.reader = if self.rules().judges_after_pending {
            Reader::Begin
        } else {
            Reader::Pending
        };
        let label = Label::new("the round ends: what never came was lost by Redis");
        steps.add_checked(Kind::Progress, label, after, broken);
    }

    fn acknowledgements(&self, world: &World, steps: Out) {
        let Some(place) = world.redis.find(|entry| entry.acknowledged) else {
            return;
        };
        let mut after = *world;
        after.redis.remove(place);
        let label = Label::new("an acknowledgement is executed");
        steps.add(Kind::Progress, label, after);
        if self.0.may.lost_acknowledgement && world.faults_left > 0 {
            let mut after = *world;
            after.faults_left -= 1;
            if let Some(entry) = &mut after.redis.entries[place] {
                entry.acknowledged = false;
            }
            let label = Label::new("FAULT an acknowledgement is lost");
            steps.add(Kind::Fault, label, after);
        }
    }

    /// The connection is given up, and begins anew with what is pending.
    fn reply_is_lost(&self, world: &World, steps: Out) {
        let reads = matches!(world.reader, Reader::New);
        if !self.0.may.reader_wire || world.faults_left == 0 || !reads {
            return;
        }
        let mut away = *world;
        away.faults_left -= 1;
        away.reader = Reader::Away;
        away.redis.each(|entry| entry.in_round = false);
        if let Some(place) = world.redis.find(|entry| !entry.pending) {
            let mut after = away;
            if let Some(entry) = &mut after.redis.entries[place] {
                entry.pending = true;
            }
            let label = Label::new("FAULT the reply of a read is lost");
            steps.add(Kind::Fault, label, after);
        }
        away.abandoned_read = true;
        let label = Label::new("FAULT a blocked read is given up, and lives on in Redis");
        steps.add(Kind::Fault, label, away);
    }
}

impl Delivery {
    pub(super) fn is_dead(&self) -> bool {
        self.state == DeliveryState::Dead
    }

    pub(super) fn replay(&mut self) {
        self.state = DeliveryState::Owed;
        self.attempts = 0;
        self.waits = false;
        self.replayed = true;
    }
}
