//! The table of a host: queued, offered, running, submitted. One of a subject at a time, the oldest first.

use super::state::{DELIVERIES, Flight, InHand, Life, Serial, Work, World};
use super::{LeaseHosts, Out};
use crate::model::{Kind, Label};

impl LeaseHosts {
    pub(super) fn runner(&self, world: &World, host: usize, steps: Out) {
        if !world.acts(host) {
            return;
        }
        for delivery in 0..DELIVERIES {
            match world.hosts[host].work[delivery].in_hand {
                InHand::Queued => self.answers_again(world, host, delivery, steps),
                InHand::Offered => self.answers(world, host, delivery, steps),
                InHand::Paused => {
                    let mut after = *world;
                    after.hosts[host].work[delivery].in_hand = InHand::Queued;
                    let label = Label::new("the pause is over").at(host).of(delivery);
                    steps.add(Kind::Progress, label, after);
                }
                InHand::Running => self.handler_ends(world, host, delivery, steps),
                InHand::Submitted => self.cannot_be_written(world, host, delivery, steps),
                InHand::Taken => self.gives_up_asking(world, host, delivery, steps),
                InHand::Committed => self.hears(world, host, delivery, steps),
                InHand::No => {}
            }
        }
    }

    /// The ledger is asked again when the subject is free.
    fn answers_again(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let mine = &world.hosts[host];
        let first = mine.work.iter().position(|w| w.in_hand != InHand::No);
        let subject_is_free = mine
            .work
            .iter()
            .all(|w| matches!(w.in_hand, InHand::No | InHand::Queued));
        if mine.life != Life::Up || first != Some(delivery) || !subject_is_free {
            return;
        }
        let mut after = *world;
        let rows = &world.database.deliveries;
        let label = if rows[delivery].due() {
            let oldest = (0..DELIVERIES).find(|d| rows[*d].due());
            after.hosts[host].work[oldest.unwrap_or(delivery)].in_hand = InHand::Offered;
            Label::new("asks again for what is queued")
        } else {
            self.leave(&mut after.hosts[host], delivery);
            Label::new("sees that what is queued is not due")
        };
        steps.add(Kind::Progress, label.at(host).of(delivery), after);
    }

    /// Starts it if the slot is this host's, and else passes it over.
    fn answers(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let mut after = *world;
        let mine = &mut after.hosts[host];
        let label = if self.is_open(mine) {
            mine.work[delivery] = Work {
                in_hand: InHand::Running,
                used: true,
                flight: Flight {
                    from: mine.incarnation,
                    term: mine.term,
                    failed: false,
                    began: world.database.effects(),
                },
            };
            Label::new("its handler begins")
        } else {
            self.leave(mine, delivery);
            Label::new("passes it over: the slot is not its own")
        };
        steps.add(Kind::Progress, label.at(host).of(delivery), after);
    }

    fn handler_ends(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let label = |what| Label::new(what).at(host).of(delivery);
        if !self.is_current(&world.hosts[host], delivery) {
            let mut after = *world;
            self.leave(&mut after.hosts[host], delivery);
            let what = "its handler is stopped, the slot is not its own any more";
            steps.add(Kind::Progress, label(what), after);
            return;
        }
        let mut ways = vec![(false, "the handler ends, its outcome is submitted")];
        if self.0.failures {
            ways.push((true, "the handler fails, its failure is submitted"));
        }
        for (failed, what) in ways {
            let mut after = *world;
            let work = &mut after.hosts[host].work[delivery];
            work.in_hand = InHand::Submitted;
            work.flight.failed = failed;
            steps.add(Kind::Progress, label(what), after);
        }
        if world.unavailable_left > 0 {
            let mut after = *world;
            after.unavailable_left -= 1;
            pause(&mut after, host, delivery);
            let what = "the handler ends unavailable";
            steps.add(Kind::Fault, label(what), after);
        }
    }

    /// Without a session the writer says so, and the flight is over.
    fn cannot_be_written(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        if world.hosts[host].writer {
            return;
        }
        let mut after = *world;
        pause(&mut after, host, delivery);
        let label = Label::new("what it submitted cannot be written, and waits");
        steps.add(Kind::Progress, label.at(host).of(delivery), after);
    }

    /// It does not wait for ever for an earlier session that has the lock.
    fn gives_up_asking(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let waits = world.has_orphan(host, |what| matches!(what, Serial::Settle { .. }));
        if world.hosts[host].writer || !waits || self.rules().finds_out_its_batch {
            return;
        }
        let mut after = *world;
        self.is_not_written(&mut after, host, delivery);
        let label = Label::new("cannot find out whether its batch was committed");
        steps.add(Kind::Progress, label.at(host).of(delivery), after);
    }

    fn hears(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        if !world.hosts[host].writer {
            return;
        }
        let mut after = *world;
        after.hosts[host].batches = world.database.batches[host];
        self.leave(&mut after.hosts[host], delivery);
        let label = Label::new("hears how its batch ended")
            .at(host)
            .of(delivery);
        steps.add(Kind::Progress, label, after);
    }

    /// What became of the batch of a session that was lost.
    pub(super) fn is_not_written(&self, world: &mut World, host: usize, delivery: usize) {
        if world.hosts[host].work[delivery].used {
            pause(world, host, delivery);
        } else {
            // Its runner was replaced: the next one waited for this, and begins now.
            self.leave(&mut world.hosts[host], delivery);
            world.hosts[host].passed = Default::default();
        }
    }
}

/// It goes back to queued and holds its subject. It uses the lease no more.
fn pause(world: &mut World, host: usize, delivery: usize) {
    world.hosts[host].work[delivery] = Work {
        in_hand: InHand::Paused,
        ..Work::default()
    };
}
