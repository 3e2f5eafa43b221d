//! The store's writer: it takes what was submitted, once, and commits it.

use super::state::{Delivery, DeliveryState, Ending, InHand, Outstanding, World};
use super::{OneHost, Out};
use crate::model::{Broken, Kind, Label};

impl OneHost {
    pub(super) fn writer(&self, world: &World, delivery: usize, steps: Out) {
        match world.table[delivery].in_hand {
            InHand::Submitted => {
                let mut after = *world;
                let work = &mut after.table[delivery];
                work.in_hand = InHand::Taken;
                if self.rules().fence {
                    // The fence of this flight is taken now: what its stopped handler still submits is refused.
                    work.leftover = work.leftover.filter(|leftover| leftover.taken);
                }
                let label = Label::new("the writer takes what was submitted").of(delivery);
                steps.add(Kind::Progress, label, after);
            }
            InHand::Taken => self.commits(world, delivery, steps),
            _ => {}
        }
        self.leftover(world, delivery, steps);
        if world.ledger[delivery].waits {
            let mut after = *world;
            after.ledger[delivery].waits = false;
            steps.add(Kind::Progress, Label::new("it is due").of(delivery), after);
        }
    }

    fn commits(&self, world: &World, delivery: usize, steps: Out) {
        let work = &world.table[delivery];
        let mut after = *world;
        let broken = self.settle(&mut after, delivery, work.ending, work.began);
        self.leave(&mut after, delivery);
        let label = Label::new("the commit is reported, it leaves the table").of(delivery);
        steps.add_checked(Kind::Progress, label, after, broken);
        if self.0.may.unsettled && world.faults_left > 0 {
            let mut after = *world;
            after.faults_left -= 1;
            if self.rules().unsettled_is_paused {
                let work = &mut after.table[delivery];
                work.in_hand = InHand::Paused;
                work.began = 0;
            } else {
                self.drop_from_table(&mut after, delivery);
            }
            let label = Label::new("FAULT the store cannot commit it");
            steps.add(Kind::Fault, label.of(delivery), after);
        }
    }

    /// An outcome of a handler that was stopped, or whose runner was replaced.
    fn leftover(&self, world: &World, delivery: usize, steps: Out) {
        let Some(leftover) = world.table[delivery].leftover else {
            return;
        };
        let mut after = *world;
        after.table[delivery].leftover = None;
        let label = Label::new("a stopped handler never submits its outcome").of(delivery);
        steps.add(Kind::Progress, label, after);
        let first = world.table[delivery].in_hand == InHand::Submitted;
        if self.rules().fence && !leftover.taken && !first {
            return;
        }
        let broken = self.settle(&mut after, delivery, Ending::Outcome, leftover.began);
        let label = Label::new("the outcome of a stopped handler is committed").of(delivery);
        steps.add_checked(Kind::Fault, label, after, broken);
    }

    /// One transaction: refused whole unless the delivery is owed.
    fn settle(
        &self,
        world: &mut World,
        delivery: usize,
        ending: Ending,
        began: u8,
    ) -> Option<Broken> {
        let owed = world.ledger[delivery].owed();
        if self.rules().settles_only_what_is_owed && !owed {
            return None;
        }
        world.outstanding[delivery] = Outstanding::No;
        let stale = began < self.effects(world, delivery);
        let overtaken = !world.ledger[delivery].replayed
            && self.peers(delivery).any(|peer| {
                let older = &world.ledger[peer];
                peer < delivery && older.owed() && older.attempts == 0 && !older.replayed
            });
        let settled = &mut world.ledger[delivery];
        match ending {
            Ending::Outcome => {
                settled.state = DeliveryState::Done;
                settled.effects += 1;
                let twice = settled.effects > 1;
                Broken::EffectTwice
                    .when(twice)
                    .or(Broken::SettledAgain.when(!owed))
                    .or(Broken::Order.when(overtaken))
                    .or(Broken::StaleEffect.when(stale))
            }
            Ending::Transient | Ending::Permanent => {
                settled.fail(ending == Ending::Permanent);
                Broken::SettledAgain.when(!owed)
            }
        }
    }
}

impl Delivery {
    /// One attempt more; the second that fails is the last.
    fn fail(&mut self, permanent: bool) {
        self.attempts += 1;
        if permanent || self.attempts > 1 {
            self.state = DeliveryState::Dead;
        } else {
            self.waits = true;
        }
    }
}
