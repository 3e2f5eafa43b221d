//! Several hosts on one database and one Redis: take and settle, freshness, leases and terms, relay by slots, and entries that
//! are judged by the group. The deliveries are those of one agent and one subject, because nothing is shared beyond a subject.

mod capture;
mod carrier;
mod database;
mod faults;
mod membership;
mod redis_faults;
mod rules;
mod state;
mod table;

pub(crate) use rules::{Captures, Claiming, Faults, Judging, Liveness, OwnHolds, Rules, Setting};
use state::{
    DELIVERIES, Delivery, DeliveryState, HOSTS, Host, HostRow, InHand, Incarnation, Life,
    Outstanding, RowState, World,
};

use crate::model::{Broken, Model, Steps};

/// The model of several hosts under one setting.
pub(crate) struct Hosts(pub(crate) Setting);

type Out<'a> = &'a mut Steps<World>;

impl Model for Hosts {
    type State = World;

    fn first(&self) -> World {
        let mut world = World {
            faults_left: self.0.faults,
            switches_left: self.0.switches,
            unavailable_left: self.0.unavailable,
            edits_left: self.0.edits,
            ..World::default()
        };
        for (number, delivery) in world.database.deliveries.iter_mut().enumerate() {
            delivery.attempts = u8::from(number == 0 && self.0.attempted);
            if number >= self.0.deliveries {
                *delivery = Delivery {
                    state: DeliveryState::Done,
                    ..Delivery::default()
                };
            }
        }
        let started = if self.0.same_name { 1 } else { HOSTS };
        for host in 0..started {
            world.database.rows[host] = HostRow {
                incarnation: 1,
                state: RowState::Fresh,
                renewing: false,
            };
            world.hosts[host] = Host {
                life: Life::Up,
                incarnation: 1,
                trusts: true,
                connected: true,
                ..Host::default()
            };
        }
        world
    }

    fn steps(&self, world: &World, steps: Out) {
        for host in 0..HOSTS {
            self.membership(world, host, steps);
            self.table(world, host, steps);
            self.carrier(world, host, steps);
            self.captures(world, host, steps);
            self.faults(world, host, steps);
            self.redis_faults(world, host, steps);
        }
        self.shared_faults(world, steps);
        for step in steps.iter_mut() {
            self.advance_cursors(&mut step.after);
            step.after.redis.sort();
            step.broken = step.broken.or(self.overlap(&step.after));
        }
    }

    fn at_rest(&self, world: &World) -> bool {
        let up = |host: &&Host| host.life == Life::Up;
        let idle = |host: &Host| host.work.iter().all(|work| work.in_hand == InHand::No);
        let settled = |delivery: &Delivery| !delivery.owed() && delivery.holder.is_none();
        world.database.deliveries.iter().all(settled)
            && (world.embedded || world.redis.entries.iter().all(Option::is_none))
            && world.hosts.iter().any(|host| up(&host))
            && world.hosts.iter().filter(up).all(idle)
            && world.database.manifest == world.file
    }
}

impl Hosts {
    fn rules(&self) -> &rules::Rules {
        &self.0.rules
    }

    /// The consumer of a host, by the host's name.
    fn consumer(&self, host: usize) -> u8 {
        if self.0.same_name { 0 } else { host as u8 }
    }

    /// The cursor passes at once all that it may pass: the worst case.
    fn advance_cursors(&self, world: &mut World) {
        for host in 0..HOSTS {
            for delivery in 0..DELIVERIES {
                let mine = &world.hosts[host];
                let passes = !world.database.deliveries[delivery].owed()
                    || world.database.is_held(self.rules(), delivery)
                    || (!world.embedded && mine.outstanding[delivery] != Outstanding::No)
                    || mine.work[delivery].in_hand != InHand::No;
                let term = mine.term;
                let passes = passes && mine.connected;
                let passed = &mut world.hosts[host].passed[delivery];
                *passed = term > 0 && (*passed || passes);
            }
        }
    }

    /// Two of one subject are held, or handled by hosts that have looked at their clocks.
    fn overlap(&self, world: &World) -> Option<Broken> {
        let running = |host: &Host| {
            let works = host.work.iter();
            works.filter(|work| work.in_hand == InHand::Running).count()
        };
        let handled: usize = world
            .hosts
            .iter()
            .filter(|host| host.life == Life::Up)
            .map(running)
            .sum();
        // After a database has lost a take, its flight is refused, and it runs until then.
        let counts = !self.0.may.restore;
        let overlap = world.database.held(self.rules()) > 1 || (counts && handled > 1);
        Broken::Overlap.when(overlap)
    }
}

impl World {
    fn incarnation(&self, host: usize) -> Incarnation {
        Incarnation {
            host: host as u8,
            number: self.hosts[host].incarnation,
        }
    }

    /// It knows that it lives: what a host does by itself.
    fn works(&self, host: usize) -> bool {
        let host = &self.hosts[host];
        host.life == Life::Up && host.trusts
    }

    /// The same, or it goes on after a pause with what it knew before.
    fn goes_on(&self, host: usize) -> bool {
        let host = &self.hosts[host];
        host.trusts && matches!(host.life, Life::Up | Life::Woken)
    }

    fn anybody_up(&self) -> bool {
        self.hosts.iter().any(|host| host.life == Life::Up)
    }

    /// All cursors go back to a delivery.
    fn cursors_back_to(&mut self, delivery: usize) {
        for host in &mut self.hosts {
            host.passed[delivery] = false;
        }
    }
}
