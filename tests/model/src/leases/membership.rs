//! Hosts come, renew their rows, are found gone, and learn that they have ended.

use super::rules::Ends;
use super::state::{Host, HostRow, InHand, Incarnation, Life, Moving, RowState, Serial, World};
use super::{LeaseHosts, Out};
use crate::model::{Kind, Label};

impl LeaseHosts {
    pub(super) fn membership(&self, world: &World, host: usize, steps: Out) {
        self.begins(world, host, steps);
        self.member_connects(world, host, steps);
        self.renews(world, host, steps);
        self.learns_that_it_has_ended(world, host, steps);
        self.ends_others(world, host, steps);
        self.looks_at_its_clock(world, host, steps);
        self.time_passes(world, host, steps);
    }

    /// A process begins on the same data_dir: the successor of the incarnation before.
    fn begins(&self, world: &World, host: usize, steps: Out) {
        if world.hosts[host].life != Life::Down || world.lock.is_some() {
            return;
        }
        let mut after = *world;
        self.join(&mut after, host);
        after.hosts[host].work = Default::default();
        after.hosts[host].batches = world.database.batches[host];
        let depends = self.0.hurries || !world.anybody_up();
        let kind = if depends { Kind::Progress } else { Kind::Fault };
        let label = Label::new("begins, a new incarnation").at(host);
        steps.add(kind, label, after);
    }

    /// A new incarnation, which holds nothing. What the runner has in hand stays there, and is not current any more.
    fn join(&self, world: &mut World, host: usize) {
        let mine = world.hosts[host];
        let earlier = world.database.rows[host];
        if matches!(earlier.state, RowState::Fresh | RowState::Stale) {
            if self.rules().successor_ends || mine.life != Life::Down {
                self.end(world, host, earlier.incarnation);
            } else {
                world.database.left_behind[host] = earlier;
            }
        }
        let incarnation = mine.incarnation + 1;
        world.database.rows[host] = HostRow {
            incarnation,
            state: RowState::Fresh,
            renewing: false,
        };
        world.hosts[host] = Host {
            life: Life::Up,
            incarnation,
            trusts: true,
            member: true,
            writer: true,
            rewind: true,
            passed: mine.passed,
            skipped: mine.skipped,
            work: mine.work,
            late: mine.late,
            batches: mine.batches,
            ..Host::default()
        };
        self.asks_for_its_batch(world, host);
    }

    fn end(&self, world: &mut World, host: usize, number: u8) {
        let database = &mut world.database;
        for row in [&mut database.rows[host], &mut database.left_behind[host]] {
            if row.incarnation == number {
                row.state = RowState::Ended;
                row.renewing = false;
            }
        }
        let ended = Incarnation {
            host: host as u8,
            number,
        };
        if database.lease.holder == Some(ended) {
            database.lease.holder = None;
        }
        self.transferred(database);
    }

    fn member_connects(&self, world: &World, host: usize, steps: Out) {
        let is_move = |what: &Serial| !matches!(what, Serial::Settle { .. });
        let waits = world.has_orphan(host, is_move) && self.rules().waits_for_earlier_session;
        if world.hosts[host].member || !world.acts(host) || waits {
            return;
        }
        let mut after = *world;
        after.hosts[host].member = true;
        let label = Label::new("has a new session to renew its row").at(host);
        steps.add(Kind::Progress, label, after);
    }

    fn renews(&self, world: &World, host: usize, steps: Out) {
        let (mine, row) = (&world.hosts[host], &world.database.rows[host]);
        if row.renewing {
            let mut after = *world;
            after.database.rows[host].renewing = false;
            after.database.rows[host].state = RowState::Fresh;
            if !self.has_ended(world, host) && mine.life == Life::Up && mine.member {
                self.trusts(&mut after.hosts[host]);
            }
            let label = Label::new("its renewal commits").at(host);
            steps.add(Kind::Progress, label, after);
            return;
        }
        let idle = mine.moving == Moving::Idle && mine.life == Life::Up;
        if !idle || !mine.member || self.has_ended(world, host) {
            return;
        }
        if row.state == RowState::Stale || !mine.trusts {
            let mut after = *world;
            after.database.rows[host].state = RowState::Fresh;
            self.trusts(&mut after.hosts[host]);
            let label = Label::new("renews its row").at(host);
            steps.add(Kind::Progress, label, after);
        }
        if self.0.may.slow_renewal && self.may_fail(world, host) && row.state == RowState::Fresh {
            let mut after = *world;
            after.faults_left -= 1;
            after.database.rows[host].renewing = true;
            let what = "FAULT its renewal is executed and takes long to commit";
            steps.add(Kind::Fault, Label::new(what).at(host), after);
        }
    }

    /// A renewal is reported. Trust that was lost is regained.
    fn trusts(&self, mine: &mut Host) {
        if std::mem::replace(&mut mine.trusts, true) || !self.rules().anew_when_trusted {
            return;
        }
        if self.rules().anew_when_trusted_and_failing {
            mine.rewind = true;
        } else {
            mine.moving = Moving::Regained;
        }
    }

    /// Whether a renewal would say that it has ended.
    pub(super) fn has_ended(&self, world: &World, host: usize) -> bool {
        let row = &world.database.rows[host];
        row.incarnation != world.hosts[host].incarnation
            || matches!(row.state, RowState::Ended | RowState::Absent)
    }

    fn learns_that_it_has_ended(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        let renews = mine.member && mine.moving == Moving::Idle && mine.life == Life::Up;
        if !renews || !self.has_ended(world, host) || world.lock.is_some() {
            return;
        }
        let mut after = *world;
        let writer = mine.writer;
        let taken = mine.work;
        self.join(&mut after, host);
        after.hosts[host].writer = writer;
        if !writer {
            after.hosts[host].work = taken;
        }
        let label = Label::new("learns that it has ended, and joins anew").at(host);
        steps.add(Kind::Progress, label, after);
    }

    /// A serial transaction that finds the row of another incarnation stale, and locks it, ends that.
    fn ends_others(&self, world: &World, host: usize, steps: Out) {
        let (mine, own) = (&world.hosts[host], &world.database.rows[host]);
        let renews = own.state == RowState::Fresh && own.incarnation == mine.incarnation;
        let idle = mine.member && mine.moving == Moving::Idle && mine.life == Life::Up;
        if self.rules().ends != Ends::ByWrite
            || !renews
            || !idle
            || !mine.trusts
            || world.lock.is_some()
        {
            return;
        }
        let database = &world.database;
        let other = 1 - host;
        let gone = [
            (other, &database.rows[other]),
            (other, &database.left_behind[other]),
            (host, &database.left_behind[host]),
        ];
        for (of, row) in gone {
            if row.state == RowState::Stale && !row.renewing {
                let mut after = *world;
                self.end(&mut after, of, row.incarnation);
                let label = Label::new("finds a row stale and ends that incarnation").at(host);
                steps.add(Kind::Progress, label, after);
            }
        }
    }

    fn looks_at_its_clock(&self, world: &World, host: usize, steps: Out) {
        if world.hosts[host].life != Life::Woken {
            return;
        }
        let mut after = *world;
        after.hosts[host].life = Life::Up;
        if world.database.rows[host].state != RowState::Fresh || self.has_ended(world, host) {
            self.trust_ends(&mut after, host);
        }
        let label = Label::new("looks at its clock after the pause").at(host);
        steps.add(Kind::Progress, label, after);
    }

    /// A host's trust ends before its row is stale, unless its clock was not looked at.
    fn time_passes(&self, world: &World, host: usize, steps: Out) {
        let (mine, row) = (&world.hosts[host], &world.database.rows[host]);
        if mine.life == Life::Up && mine.trusts && (!mine.member || row.renewing) {
            let mut after = *world;
            self.trust_ends(&mut after, host);
            let label = Label::new("no longer trusts its row, and stops its handlers").at(host);
            steps.add(Kind::Progress, label, after);
        }
        if self.0.hurries {
            return;
        }
        let label = Label::new("its row has become stale").at(host);
        if row.state == RowState::Fresh && !(mine.life == Life::Up && mine.trusts) {
            let mut after = *world;
            after.database.rows[host].state = RowState::Stale;
            steps.add(Kind::Progress, label, after);
        }
        if world.database.left_behind[host].state == RowState::Fresh {
            let mut after = *world;
            after.database.left_behind[host].state = RowState::Stale;
            steps.add(Kind::Progress, label, after);
        }
    }

    fn trust_ends(&self, world: &mut World, host: usize) {
        let mine = &mut world.hosts[host];
        mine.trusts = false;
        if !self.rules().stops_without_trust {
            return;
        }
        for delivery in 0..mine.work.len() {
            if mine.work[delivery].in_hand == InHand::Running {
                self.leave(mine, delivery);
            }
        }
    }
}
