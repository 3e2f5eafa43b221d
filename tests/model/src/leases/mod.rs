//! Several hosts on one database, with the embedded carrier: whoever holds the lease of a slot handles what is owed of its subjects.
//! There is one lease, and the deliveries are those of one agent and one subject, because nothing is shared beyond a slot.

mod commits;
mod faults;
mod membership;
mod moves;
mod order;
mod rules;
mod runner;
mod state;

pub(crate) use rules::{Ends, Faults, GivesUp, Rules, Setting, Settles, Terms};
use state::{
    DELIVERIES, Delivery, DeliveryState, HOSTS, Host, HostRow, InHand, Incarnation, Life, RowState,
    World,
};

use crate::model::{Broken, Model, Steps};

/// The model of hosts whose lease is the hold, under one setting.
pub(crate) struct LeaseHosts(pub(crate) Setting);

type Out<'a> = &'a mut Steps<World>;

impl Model for LeaseHosts {
    type State = World;

    fn first(&self) -> World {
        let mut world = World {
            faults_left: self.0.faults,
            unavailable_left: self.0.unavailable,
            moves_left: self.0.moves,
            ..World::default()
        };
        for (number, delivery) in world.database.deliveries.iter_mut().enumerate() {
            delivery.attempts = u8::from(number == 0 && self.0.attempted);
            if number >= self.0.deliveries {
                delivery.state = DeliveryState::Done;
            }
        }
        for host in 0..HOSTS {
            world.database.rows[host] = HostRow {
                incarnation: 1,
                state: RowState::Fresh,
                renewing: false,
            };
            world.hosts[host] = Host {
                life: Life::Up,
                incarnation: 1,
                trusts: true,
                member: true,
                writer: true,
                ..Host::default()
            };
        }
        if self.0.kept_at_first {
            world.snapshot = Some(world.database);
        }
        world
    }

    fn steps(&self, world: &World, steps: Out) {
        for host in 0..HOSTS {
            self.membership(world, host, steps);
            self.moves(world, host, steps);
            self.order(world, host, steps);
            self.runner(world, host, steps);
            self.writer(world, host, steps);
            self.faults(world, host, steps);
        }
        self.lock_ends(world, steps);
        self.shared_faults(world, steps);
        for step in steps.iter_mut() {
            self.advance_cursors(&mut step.after);
            if step.after.faults_left == 0 {
                // Nothing can bring it back.
                step.after.snapshot = None;
            }
            step.broken = step.broken.or(self.overlap(&step.after));
        }
    }

    fn at_rest(&self, world: &World) -> bool {
        let up = |host: &&Host| host.life == Life::Up;
        let idle = |host: &Host| host.work.iter().all(|work| work.in_hand == InHand::No);
        !world.database.deliveries.iter().any(Delivery::owed)
            && world.lock.is_none()
            && world.hosts.iter().any(|host| up(&host))
            && world.hosts.iter().filter(up).all(idle)
    }
}

impl LeaseHosts {
    fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Handlers of two hosts that have looked at their clocks run at the same time.
    fn overlap(&self, world: &World) -> Option<Broken> {
        let running = |host: &Host| {
            let works = host.work.iter();
            works.filter(|work| work.in_hand == InHand::Running).count()
        };
        let up = world.hosts.iter().filter(|host| host.life == Life::Up);
        let handled: usize = up.map(running).sum();
        // After a database has lost a lease, what was begun under it is refused, and it runs until then.
        Broken::Overlap.when(handled > 1 && !self.0.may.restore)
    }

    /// Whether a fault may happen at this host. Hosts are alike, so the first fault is at the first of them.
    fn may_fail(&self, world: &World, host: usize) -> bool {
        world.faults_left > 0 && (host == 0 || world.faults_left < self.0.faults)
    }

    /// Whether something of the lease may begin on this host, by what it knows.
    fn is_open(&self, host: &Host) -> bool {
        host.term > 0 && !host.leaving && (host.trusts || !self.rules().stops_without_trust)
    }

    /// Whether a flight may still be submitted, by what its host knows.
    fn is_current(&self, host: &Host, delivery: usize) -> bool {
        let flight = &host.work[delivery].flight;
        host.term == flight.term
            && host.incarnation == flight.from
            && (host.trusts || !self.rules().stops_without_trust)
    }
}

impl World {
    fn incarnation(&self, host: usize) -> Incarnation {
        Incarnation {
            host: host as u8,
            number: self.hosts[host].incarnation,
        }
    }

    /// It does something, perhaps with what it knew before a pause.
    fn acts(&self, host: usize) -> bool {
        matches!(self.hosts[host].life, Life::Up | Life::Woken)
    }

    fn anybody_up(&self) -> bool {
        self.hosts.iter().any(|host| host.life == Life::Up)
    }

    /// Whether a transaction of this host that was lost for it may still commit.
    fn has_orphan(&self, host: usize, is: fn(&state::Serial) -> bool) -> bool {
        self.lock
            .is_some_and(|lock| usize::from(lock.host) == host && lock.orphaned && is(&lock.what))
    }
}

impl Host {
    /// The runner has nothing of the subject in hand.
    fn table_is_empty(&self) -> bool {
        (0..DELIVERIES).all(|delivery| self.work[delivery].in_hand == InHand::No)
    }
}
