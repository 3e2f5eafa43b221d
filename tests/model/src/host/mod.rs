//! One host: the ledger, the runner and its table, the writer's fence, the two carriers, and rounds over Redis. The deliveries are
//! those of one agent.

mod carrier;
mod faults;
mod reader;
mod rules;
mod runner;
mod state;
mod writer;

pub(crate) use rules::{Faults, Rules, Setting};
use state::{DELIVERIES, Delivery, DeliveryState, InHand, Outstanding, Reader, World};

use crate::model::{Broken, Model, Steps};

/// The model of one host under one setting.
pub(crate) struct OneHost(pub(crate) Setting);

type Out<'a> = &'a mut Steps<World>;

impl Model for OneHost {
    type State = World;

    fn first(&self) -> World {
        let mut world = World {
            faults_left: self.0.faults,
            switches_left: self.0.switches,
            replays_left: self.0.replays,
            unavailable_left: self.0.unavailable,
            ..World::default()
        };
        for unused in &mut world.ledger[self.0.subjects.len()..] {
            unused.state = DeliveryState::Done;
        }
        world
    }

    fn steps(&self, world: &World, steps: Out) {
        for delivery in 0..self.0.subjects.len() {
            self.runner(world, delivery, steps);
            self.writer(world, delivery, steps);
        }
        self.carrier(world, steps);
        self.reader(world, steps);
        self.faults(world, steps);
        for step in steps.iter_mut() {
            self.advance_cursor(&mut step.after);
            step.broken = step.broken.or(self.overlap(&step.after));
        }
    }

    fn at_rest(&self, world: &World) -> bool {
        let settled = |delivery: &Delivery| !delivery.owed();
        let clean = world.embedded
            || (world.redis.entries.iter().all(Option::is_none) && world.reader != Reader::Away);
        world.ledger.iter().all(settled)
            && clean
            && world
                .table
                .iter()
                .all(|work| work.in_hand == InHand::No && work.leftover.is_none())
    }
}

impl OneHost {
    fn rules(&self) -> &Rules {
        &self.0.rules
    }

    fn subject(&self, delivery: usize) -> Option<u8> {
        self.0.subjects.get(delivery).copied()
    }

    /// The others of its subject, in ledger order.
    fn peers(&self, delivery: usize) -> impl Iterator<Item = usize> + '_ {
        let subject = self.subject(delivery);
        (0..self.0.subjects.len())
            .filter(move |peer| *peer != delivery && self.subject(*peer) == subject)
    }

    /// Something of its subject is in flight or paused.
    fn subject_is_held(&self, world: &World, delivery: usize) -> bool {
        self.peers(delivery).any(|peer| {
            let work = &world.table[peer];
            match work.in_hand {
                InHand::Paused => self.rules().paused_holds_subject,
                InHand::Submitted | InHand::Taken => self.rules().subject_until_commit,
                _ => work.holds_subject(),
            }
        })
    }

    /// Effects of its subject that were applied.
    fn effects(&self, world: &World, delivery: usize) -> u8 {
        let own = world.ledger[delivery].effects;
        own + self
            .peers(delivery)
            .map(|peer| world.ledger[peer].effects)
            .sum::<u8>()
    }

    /// The cursor passes at once all that it may pass: the worst case.
    fn advance_cursor(&self, world: &mut World) {
        for delivery in 0..self.0.subjects.len() {
            let passes = !world.ledger[delivery].owed()
                || world.table[delivery].in_hand != InHand::No
                || (world.embedded && self.subject_is_held(world, delivery))
                || (!world.embedded && world.outstanding[delivery] != Outstanding::No);
            world.passed[delivery] |= passes;
        }
    }

    /// Two flights of one subject.
    fn overlap(&self, world: &World) -> Option<Broken> {
        let flies = |delivery: usize| {
            let work = &world.table[delivery];
            let counts = self.rules().subject_until_commit || work.in_hand == InHand::Running;
            work.flies() && counts
        };
        let both = |delivery: usize| flies(delivery) && self.peers(delivery).any(flies);
        Broken::Overlap.when((0..DELIVERIES).any(both))
    }
}
