//! What happens to hosts and to the database.

use super::state::{DELIVERIES, Host, InHand, Life, Moving, RowState, Serial, Work, World};
use super::{LeaseHosts, Out};
use crate::model::{Kind, Label};

impl LeaseHosts {
    pub(super) fn faults(&self, world: &World, host: usize, steps: Out) {
        self.paused(world, host, steps);
        if !self.may_fail(world, host) || world.hosts[host].life == Life::Down {
            return;
        }
        let mut world = *world;
        world.faults_left -= 1;
        let may = &self.0.may;
        let up = world.hosts[host].life == Life::Up;
        if may.kill {
            let mut after = world;
            self.kill(&mut after, host);
            steps.add(Kind::Fault, Label::new("FAULT is killed").at(host), after);
        }
        if may.pause && up {
            let mut after = world;
            after.hosts[host].life = Life::Paused;
            steps.add(Kind::Fault, Label::new("FAULT is paused").at(host), after);
        }
        if may.cut {
            self.cut(&world, host, steps);
        }
        if may.replaced && up {
            let mut after = world;
            self.replace(&mut after.hosts[host]);
            let label = Label::new("FAULT its runner is replaced").at(host);
            steps.add(Kind::Fault, label, after);
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
        self.frozen_session_ends(world, host, steps);
    }

    fn kill(&self, world: &mut World, host: usize) {
        self.loses_sessions(world, host, true, true);
        let mine = world.hosts[host];
        world.hosts[host] = Host {
            incarnation: mine.incarnation,
            late: mine.late,
            ..Host::default()
        };
    }

    fn cut(&self, world: &World, host: usize, steps: Out) {
        let ways = [
            (true, false, "FAULT loses the session that renews its row"),
            (false, true, "FAULT loses the session of its writer"),
            (true, true, "FAULT loses its sessions with the database"),
        ];
        for (member, writer, what) in ways {
            let mine = &world.hosts[host];
            if (member && !mine.member) || (writer && !mine.writer) {
                continue;
            }
            let mut after = *world;
            self.loses_sessions(&mut after, host, member, writer);
            steps.add(Kind::Fault, Label::new(what).at(host), after);
        }
    }

    /// The sessions are gone, and with them every reply. What has the lock may still be committed.
    fn loses_sessions(&self, world: &mut World, host: usize, member: bool, writer: bool) {
        if let Some(lock) = &mut world.lock
            && usize::from(lock.host) == host
        {
            let of_writer = matches!(lock.what, Serial::Settle { .. });
            lock.orphaned |= if of_writer { writer } else { member };
        }
        let mine = &mut world.hosts[host];
        if member {
            mine.member = false;
            mine.moving = Moving::Idle;
        }
        if writer {
            mine.writer = false;
            for delivery in 0..DELIVERIES {
                let work = &mine.work[delivery];
                if work.in_hand == InHand::Taken && !self.rules().sends_after_lock {
                    mine.late[delivery] = Some(work.flight);
                }
            }
        }
    }

    /// The table of the runner is gone. What the writer has taken is waited for.
    fn replace(&self, mine: &mut Host) {
        for work in &mut mine.work {
            let with_writer = matches!(work.in_hand, InHand::Taken | InHand::Committed);
            if with_writer {
                work.used = false;
            } else {
                *work = Work::default();
            }
        }
        mine.passed = Default::default();
        mine.skipped = false;
    }

    pub(super) fn shared_faults(&self, world: &World, steps: Out) {
        for delivery in 0..DELIVERIES {
            if world.database.deliveries[delivery].waits {
                let mut after = *world;
                after.database.deliveries[delivery].waits = false;
                steps.add(Kind::Progress, Label::new("it is due").of(delivery), after);
            }
        }
        let may_keep = self.0.may.restore && !self.0.kept_at_first;
        if may_keep && world.snapshot.is_none() && world.faults_left > 0 {
            let mut after = *world;
            after.snapshot = Some(world.database);
            let label = Label::new("so far the database is kept, whatever happens");
            steps.add(Kind::Fault, label, after);
        }
        if world.faults_left == 0 {
            return;
        }
        let mut world = *world;
        world.faults_left -= 1;
        if self.0.may.restart {
            let mut after = world;
            self.database_ends(&mut after);
            let label = Label::new("FAULT the database restarts");
            steps.add(Kind::Fault, label, after);
        }
        if let Some(kept) = world.snapshot.filter(|_| self.0.may.restore) {
            let mut after = world;
            self.database_ends(&mut after);
            self.loses_commits(&mut after);
            after.database = kept;
            after.snapshot = None;
            for row in &mut after.database.rows {
                row.renewing = false;
                if row.state == RowState::Fresh && !self.0.hurries {
                    row.state = RowState::Stale;
                }
            }
            let label = Label::new("FAULT the database loses its last commits");
            steps.add(Kind::Fault, label, after);
        }
    }

    /// All sessions are gone, and all transactions with them.
    fn database_ends(&self, world: &mut World) {
        world.lock = None;
        for host in 0..world.hosts.len() {
            self.loses_sessions(world, host, true, true);
            world.hosts[host].late = Default::default();
            world.database.rows[host].renewing = false;
        }
    }

    fn loses_commits(&self, world: &mut World) {
        for host in &mut world.hosts {
            for work in &mut host.work {
                if work.in_hand == InHand::Committed {
                    work.in_hand = InHand::Taken;
                }
            }
        }
    }
}
