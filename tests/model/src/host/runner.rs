//! The runner: it answers offers, handles, and leaves the table when the commit is reported.

use super::state::{DELIVERIES, Ending, InHand, Leftover, Outstanding, Work, World};
use super::{OneHost, Out};
use crate::model::{Broken, Kind, Label};

/// What an offer leads to.
pub(super) struct Answered {
    pub(super) world: World,
    pub(super) broken: Option<Broken>,
}

impl OneHost {
    pub(super) fn runner(&self, world: &World, delivery: usize, steps: Out) {
        match world.table[delivery].in_hand {
            InHand::Queued => self.answers_again(world, delivery, steps),
            InHand::Paused => {
                let mut after = *world;
                after.table[delivery].in_hand = InHand::Queued;
                let label = Label::new("the pause is over").of(delivery);
                steps.add(Kind::Progress, label, after);
            }
            InHand::Running => self.handler_ends(world, delivery, steps),
            InHand::No | InHand::Submitted | InHand::Taken => {}
        }
    }

    /// Permits, and places for unsettled flights.
    pub(super) fn may_start(&self, world: &World) -> bool {
        let count = |wanted: fn(&Work) -> bool| world.table.iter().filter(|w| wanted(w)).count();
        count(|work| work.in_hand == InHand::Running) < self.0.permits
            && count(Work::flies) <= self.0.permits
    }

    pub(super) fn has_capacity(&self, world: &World) -> bool {
        let in_hand = world.table.iter().filter(|w| w.in_hand != InHand::No);
        in_hand.count() <= self.0.permits
    }

    /// A carrier offers a delivery; `copy` is the place of its entry. The table is looked at first, then the ledger.
    pub(super) fn offer(&self, world: &World, delivery: usize, copy: Option<usize>) -> Answered {
        let mut after = *world;
        if after.outstanding[delivery] == Outstanding::Listed {
            after.outstanding[delivery] = Outstanding::Replied;
        }
        let row = &world.ledger[delivery];
        if let Some(entry) = copy.and_then(|place| after.redis.entries[place].as_mut()) {
            entry.pending = true;
            entry.in_table = true;
        }
        let mut broken = None;
        if world.table[delivery].in_hand != InHand::No {
            // In hand already: it only gains a copy.
        } else if !row.due() {
            self.acknowledge(&mut after, delivery);
        } else if self.subject_is_held(world, delivery) || !self.may_start(world) {
            after.table[delivery].in_hand = InHand::Queued;
        } else {
            let first = self.first_of_subject(world, delivery);
            if world.table[first].in_hand == InHand::Paused {
                broken = Some(Broken::PauseCut);
            }
            after.table[delivery].in_hand = InHand::Queued;
            self.start(&mut after, first);
        }
        Answered {
            world: after,
            broken,
        }
    }

    /// The oldest of its subject that is owed and due, offered or not.
    fn first_of_subject(&self, world: &World, delivery: usize) -> usize {
        if !self.rules().oldest_first {
            return delivery;
        }
        let passed_over = |peer: usize| match world.table[peer].in_hand {
            InHand::Paused => self.rules().offer_ends_no_pause,
            in_hand => !matches!(in_hand, InHand::No | InHand::Queued),
        };
        self.peers(delivery)
            .filter(|peer| *peer < delivery && world.ledger[*peer].due() && !passed_over(*peer))
            .min()
            .unwrap_or(delivery)
    }

    fn start(&self, world: &mut World, delivery: usize) {
        let began = self.effects(world, delivery);
        let work = &mut world.table[delivery];
        work.in_hand = InHand::Running;
        work.began = began;
        if world.outstanding[delivery] == Outstanding::Listed {
            world.outstanding[delivery] = Outstanding::Replied;
        }
    }

    /// Whatever is queued is answered anew when its subject is free and there is a permit, the oldest first.
    fn answers_again(&self, world: &World, delivery: usize, steps: Out) {
        let older = self
            .peers(delivery)
            .any(|peer| peer < delivery && world.table[peer].in_hand == InHand::Queued);
        if older || self.subject_is_held(world, delivery) || !self.may_start(world) {
            return;
        }
        let mut after = *world;
        after.table[delivery].in_hand = InHand::No;
        let mut answered = self.offer(&after, delivery, None);
        if answered.world.table[delivery].in_hand == InHand::No {
            self.leave(&mut answered.world, delivery);
        }
        let label = Label::new("the runner answers what is queued").of(delivery);
        steps.add_checked(Kind::Progress, label, answered.world, answered.broken);
    }

    fn handler_ends(&self, world: &World, delivery: usize, steps: Out) {
        let mut ways = vec![(
            Ending::Outcome,
            "the handler ends, its outcome is submitted",
        )];
        if self.0.transient {
            ways.push((Ending::Transient, "the handler fails, it is submitted"));
        }
        if self.0.permanent {
            ways.push((
                Ending::Permanent,
                "the handler fails for good, it is submitted",
            ));
        }
        for (ending, what) in ways {
            let mut after = *world;
            after.table[delivery].in_hand = InHand::Submitted;
            after.table[delivery].ending = ending;
            if !self.rules().acknowledges_after_commit {
                self.acknowledge(&mut after, delivery);
            }
            steps.add(Kind::Progress, Label::new(what).of(delivery), after);
        }
        if world.unavailable_left > 0 {
            let mut after = *world;
            after.unavailable_left -= 1;
            after.table[delivery].in_hand = InHand::Paused;
            after.table[delivery].began = 0;
            let label = Label::new("the handler ends unavailable").of(delivery);
            steps.add(Kind::Fault, label, after);
        }
        if self.0.may.stall && world.faults_left > 0 && world.table[delivery].leftover.is_none() {
            let mut after = *world;
            after.faults_left -= 1;
            let work = &mut after.table[delivery];
            work.in_hand = InHand::Submitted;
            work.ending = Ending::Transient;
            work.leftover = Some(Leftover {
                began: work.began,
                taken: false,
            });
            let label = Label::new("FAULT the handler stalls: stopped, its failure is submitted");
            steps.add(Kind::Fault, label.of(delivery), after);
        }
    }

    /// The copies in the table are acknowledged.
    pub(super) fn acknowledge(&self, world: &mut World, delivery: usize) {
        world.redis.each(|entry| {
            if usize::from(entry.delivery) == delivery && entry.in_table {
                entry.in_table = false;
                entry.acknowledged = true;
            }
        });
    }

    /// Leaves the table with its copies; then these are acknowledged, and the carrier looks at the next of its subject.
    pub(super) fn leave(&self, world: &mut World, delivery: usize) {
        self.acknowledge(world, delivery);
        self.drop_from_table(world, delivery);
    }

    /// Leaves the table; its copies stay pending.
    pub(super) fn drop_from_table(&self, world: &mut World, delivery: usize) {
        world.redis.each(|entry| {
            if usize::from(entry.delivery) == delivery {
                entry.in_table = false;
            }
        });
        let leftover = world.table[delivery].leftover;
        world.table[delivery] = Work {
            leftover,
            ..Work::default()
        };
        if !self.rules().asks_for_next {
            return;
        }
        let next = (0..DELIVERIES).find(|next| {
            self.subject(*next) == self.subject(delivery)
                && world.ledger[*next].owed()
                && world.table[*next].in_hand == InHand::No
        });
        if let Some(next) = next.filter(|next| *next != delivery) {
            world.passed[next] = false;
        }
    }
}
