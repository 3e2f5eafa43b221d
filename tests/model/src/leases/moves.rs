//! How a host sees to the lease: learns whether it holds it, takes it when nobody does, and gives it up.

use super::rules::GivesUp;
use super::state::{Host, InHand, Life, Lock, Moving, Serial, World};
use super::{LeaseHosts, Out};
use crate::model::{Kind, Label};

impl LeaseHosts {
    pub(super) fn moves(&self, world: &World, host: usize, steps: Out) {
        if !world.acts(host) || !world.hosts[host].member {
            return;
        }
        match world.hosts[host].moving {
            Moving::Idle | Moving::Regained => {
                self.sees_to_it(world, host, steps);
                self.gives_up(world, host, steps);
            }
            Moving::WantsToTake => {
                if world.lock.is_none() {
                    let mut after = *world;
                    after.hosts[host].moving = Moving::Idle;
                    self.take(&mut after.database, world.incarnation(host));
                    let label = Label::new("takes the lease, if nobody has it").at(host);
                    steps.add(Kind::Progress, label, after);
                }
            }
            Moving::WantsToGive => self.gives(world, host, steps),
            Moving::Gives => {}
        }
    }

    fn gives(&self, world: &World, host: usize, steps: Out) {
        if world.lock.is_some() {
            return;
        }
        let mut after = *world;
        after.hosts[host].moving = Moving::Gives;
        after.lock = Some(Lock {
            host: host as u8,
            what: Serial::Give {
                from: world.hosts[host].incarnation,
            },
            orphaned: false,
        });
        let label = Label::new("has the lock to give the lease up").at(host);
        steps.add(Kind::Progress, label, after);
    }

    /// After each renewal it reads what it holds. What the store says counts.
    fn sees_to_it(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        if !mine.trusts {
            return;
        }
        let lease = world.database.holder_and_term(self.rules());
        let holds = lease.holder == Some(world.incarnation(host));
        let term = if holds { lease.term } else { 0 };
        let regained = mine.moving == Moving::Regained;
        let mut after = *world;
        let seen = &mut after.hosts[host];
        seen.moving = Moving::Idle;
        seen.rewind |= regained;
        let gained = set(seen, term);
        if lease.holder.is_none() {
            after.hosts[host].moving = Moving::WantsToTake;
            let label = Label::new("sees that nobody has the lease").at(host);
            steps.add(Kind::Progress, label, after);
            return;
        }
        let untold = after;
        after.hosts[host].rewind |= gained && self.rules().anew_when_gained;
        if after != *world {
            let label = Label::new("sees what it holds").at(host);
            steps.add(Kind::Progress, label, after);
        }
        if gained && !self.rules().anew_when_gained_while_moving {
            let label = Label::new("sees what it holds, while it moves other leases").at(host);
            steps.add(Kind::Fault, label, untold);
        }
    }

    /// Another host has joined, and is to have the lease.
    fn gives_up(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        if mine.term == 0 || mine.moving != Moving::Idle || mine.life != Life::Up || !mine.trusts {
            return;
        }
        if !mine.leaving {
            if world.moves_left > 0 {
                let mut after = *world;
                after.moves_left -= 1;
                after.hosts[host].leaving = true;
                let label = Label::new("is to give the lease up: nothing of it begins").at(host);
                steps.add(Kind::Fault, label, after);
            }
            return;
        }
        if self.may_go(mine) {
            let mut after = *world;
            set(&mut after.hosts[host], 0);
            after.hosts[host].moving = Moving::WantsToGive;
            let label = Label::new("lets go of the lease").at(host);
            steps.add(Kind::Progress, label, after);
        }
        let mut after = *world;
        after.hosts[host].leaving = false;
        after.hosts[host].rewind |= self.rules().anew_when_it_stays;
        let label = Label::new("keeps the lease after all, the other host is gone").at(host);
        steps.add(Kind::Fault, label, after);
    }

    fn may_go(&self, mine: &Host) -> bool {
        mine.work.iter().all(|work| match self.rules().gives_up {
            GivesUp::Always => true,
            GivesUp::WhenNothingRuns => work.in_hand != InHand::Running,
            GivesUp::WhenNothingIsInFlight => !work.used,
        })
    }
}

/// What the host holds, as far as it knows. True: under this term it did not hold the lease before.
fn set(mine: &mut Host, term: u8) -> bool {
    let before = std::mem::replace(&mut mine.term, term);
    if term == 0 {
        mine.leaving = false;
    }
    term != 0 && term != before
}
