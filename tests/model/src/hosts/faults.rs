//! What happens to hosts and to the database.

use super::state::{DELIVERIES, Host, InHand, Life, RowState, Wire, World};
use super::table::message;
use super::{Hosts, Out};
use crate::model::{Kind, Label};

impl Hosts {
    pub(super) fn faults(&self, world: &World, host: usize, steps: Out) {
        self.paused(world, host, steps);
        if world.faults_left == 0 || world.hosts[host].life == Life::Down {
            return;
        }
        let mut world = *world;
        world.faults_left -= 1;
        let may = &self.0.may;
        if may.kill {
            self.kill(&world, host, steps);
        }
        if may.pause && world.hosts[host].life == Life::Up {
            for reads in [false, true] {
                let mut after = world;
                after.hosts[host].life = Life::Paused;
                after.hosts[host].abandoned_read |= reads;
                let what = if reads {
                    "FAULT is paused; Redis has a blocked read of it"
                } else {
                    "FAULT is paused"
                };
                steps.add(Kind::Fault, Label::new(what).at(host), after);
            }
        }
        if may.cut && world.hosts[host].connected {
            let mut after = world;
            cut(&mut after, host, true);
            let label = Label::new("FAULT loses its session with the database").at(host);
            steps.add(Kind::Fault, label, after);
        }
        if may.replaced && world.hosts[host].life == Life::Up {
            let mut after = world;
            self.replace(&mut after, host);
            steps.add(
                Kind::Fault,
                Label::new("FAULT its runner is replaced").at(host),
                after,
            );
        }
    }

    /// A paused host goes on at any moment; while nobody else is up, that is all that can happen.
    fn paused(&self, world: &World, host: usize, steps: Out) {
        if world.hosts[host].life != Life::Paused {
            return;
        }
        let mut after = *world;
        after.hosts[host].life = Life::Woken;
        let kind = if world.anybody_up() {
            Kind::Fault
        } else {
            Kind::Progress
        };
        steps.add(kind, Label::new("goes on after the pause").at(host), after);
        if world.hosts[host].connected {
            let mut after = *world;
            cut(&mut after, host, true);
            let label = Label::new("its session ends while it is paused").at(host);
            steps.add(Kind::Fault, label, after);
        }
    }

    fn kill(&self, world: &World, host: usize, steps: Out) {
        for reads in [false, true] {
            let mut after = *world;
            cut(&mut after, host, true);
            self.forget(&mut after, host);
            after.hosts[host] = Host {
                incarnation: world.hosts[host].incarnation,
                late: after.hosts[host].late,
                abandoned_read: reads || world.hosts[host].abandoned_read,
                ..Host::default()
            };
            let what = if reads {
                "FAULT is killed; a blocked read of it lives on in Redis"
            } else {
                "FAULT is killed"
            };
            steps.add(Kind::Fault, Label::new(what).at(host), after);
        }
    }

    /// Table and outstanding entries of the runner are gone; what the writer has is waited for.
    fn replace(&self, world: &mut World, host: usize) {
        for delivery in 0..DELIVERIES {
            let work = &world.hosts[host].work[delivery];
            let with_writer = work.wire != Wire::Empty && work.in_hand != InHand::No;
            if !with_writer {
                self.drop_from_table(world, host, delivery);
            }
        }
        world.redis.each(|entry| {
            entry.outstanding_for = entry.outstanding_for.filter(|of| *of != host as u8);
        });
        world.hosts[host].outstanding = Default::default();
        world.hosts[host].passed = Default::default();
    }

    pub(super) fn shared_faults(&self, world: &World, steps: Out) {
        let mut world = *world;
        if self.0.may.restore && world.snapshot.is_none() && world.faults_left > 0 {
            let mut after = world;
            after.snapshot = Some(world.database);
            let label = Label::new("so far the database is kept, whatever happens");
            steps.add(Kind::Fault, label, after);
        }
        if self.0.switches > 0 && world.switches_left > 0 {
            let mut after = world;
            after.switches_left -= 1;
            after.embedded = !world.embedded;
            for host in &mut after.hosts {
                host.passed = Default::default();
            }
            let what = if after.embedded {
                "Redis goes away"
            } else {
                "Redis comes back"
            };
            steps.add(Kind::Fault, Label::new(what), after);
        }
        for delivery in 0..DELIVERIES {
            if world.database.deliveries[delivery].waits {
                let mut after = world;
                after.database.deliveries[delivery].waits = false;
                steps.add(Kind::Progress, Label::new("it is due").of(delivery), after);
            }
        }
        if world.faults_left == 0 {
            return;
        }
        world.faults_left -= 1;
        if self.0.may.restart {
            let mut after = world;
            for host in 0..after.hosts.len() {
                cut(&mut after, host, false);
            }
            steps.add(
                Kind::Fault,
                Label::new("FAULT the database restarts"),
                after,
            );
        }
        if let Some(kept) = world.snapshot.filter(|_| self.0.may.restore) {
            let mut after = world;
            after.database = kept;
            after.snapshot = None;
            for row in &mut after.database.rows {
                row.renewing = false;
                if row.state == RowState::Fresh {
                    row.state = RowState::Stale;
                }
            }
            for host in 0..after.hosts.len() {
                cut(&mut after, host, false);
                after.hosts[host].compares = true;
            }
            let label = Label::new("FAULT the database loses its last commits");
            steps.add(Kind::Fault, label, after);
        }
    }
}

/// The session is gone, and with it every reply. What was on the wire may still be executed, unless the database ended too.
fn cut(world: &mut World, host: usize, late: bool) {
    for delivery in 0..DELIVERIES {
        let sent = world.hosts[host].work[delivery].wire == Wire::Sent;
        let message = message(world, host, delivery).filter(|_| sent && late);
        let mine = &mut world.hosts[host];
        mine.late[delivery] = message.or(mine.late[delivery].filter(|_| late));
        mine.work[delivery].wire = Wire::Empty;
    }
    world.hosts[host].connected = false;
}
