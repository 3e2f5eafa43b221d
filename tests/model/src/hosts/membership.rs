//! Hosts come, renew their rows, are found dead, learn that they have ended, and take the lease.

use super::rules::{Claiming, Liveness};
use super::state::{DELIVERIES, Host, HostRow, InHand, Incarnation, Life, RowState, World};
use super::{Hosts, Out};
use crate::model::{Kind, Label};

impl Hosts {
    pub(super) fn membership(&self, world: &World, host: usize, steps: Out) {
        self.begins(world, host, steps);
        self.renews(world, host, steps);
        self.time_passes(world, host, steps);
        self.looks_at_its_clock(world, host, steps);
        self.ends_another(world, host, steps);
        self.learns_that_it_has_ended(world, host, steps);
        self.lease(world, host, steps);
    }

    /// A process begins: the successor of an earlier incarnation on its data_dir, or of a host of the same name that looks dead.
    fn begins(&self, world: &World, host: usize, steps: Out) {
        let other = 1 - host;
        let name_is_free = !self.0.same_name || world.database.rows[other].state != RowState::Fresh;
        if world.hosts[host].life != Life::Down || !name_is_free {
            return;
        }
        let mut after = *world;
        if self.0.same_name {
            let earlier = Incarnation {
                host: other as u8,
                number: after.database.rows[other].incarnation,
            };
            self.end(&mut after, earlier);
        }
        self.join(&mut after, host);
        let kind = if world.anybody_up() {
            Kind::Fault
        } else {
            Kind::Progress
        };
        steps.add(
            kind,
            Label::new("begins, a new incarnation").at(host),
            after,
        );
    }

    /// A new incarnation: the row's earlier one ends, with its holds and leases.
    pub(super) fn join(&self, world: &mut World, host: usize) {
        let earlier = Incarnation {
            host: host as u8,
            number: world.database.rows[host].incarnation,
        };
        self.end(world, earlier);
        self.forget(world, host);
        let incarnation = world.hosts[host].incarnation + 1;
        world.database.rows[host] = HostRow {
            incarnation,
            state: RowState::Fresh,
            renewing: false,
        };
        world.hosts[host] = Host {
            life: Life::Up,
            incarnation,
            trusts: true,
            connected: true,
            late: world.hosts[host].late,
            abandoned_read: world.hosts[host].abandoned_read,
            capture: world.hosts[host].capture,
            ..Host::default()
        };
    }

    fn end(&self, world: &mut World, incarnation: Incarnation) {
        for delivery in world.database.end(incarnation) {
            if self.rules().ended_hold_moves_cursor {
                world.cursors_back_to(delivery);
            }
        }
    }

    /// Table and outstanding entries are gone.
    pub(super) fn forget(&self, world: &mut World, host: usize) {
        world.redis.each(|entry| entry.in_table_of[host] = false);
        world.hosts[host].work = Default::default();
        self.relays_no_more(world, host);
    }

    /// It believes no longer to hold the lease; what was outstanding is forgotten.
    fn relays_no_more(&self, world: &mut World, host: usize) {
        world.redis.each(|entry| {
            entry.outstanding_for = entry.outstanding_for.filter(|of| *of != host as u8);
        });
        let mine = &mut world.hosts[host];
        mine.outstanding = Default::default();
        mine.passed = Default::default();
        mine.term = 0;
    }

    fn renews(&self, world: &World, host: usize, steps: Out) {
        let (mine, row) = (&world.hosts[host], &world.database.rows[host]);
        let own = row.incarnation == mine.incarnation && row.state != RowState::Ended;
        if row.renewing {
            let mut after = *world;
            after.database.rows[host].renewing = false;
            after.database.rows[host].state = RowState::Fresh;
            after.hosts[host].trusts |= own && mine.life == Life::Up && mine.connected;
            steps.add(
                Kind::Progress,
                Label::new("its renewal commits").at(host),
                after,
            );
            return;
        }
        let may_renew = match row.state {
            RowState::Fresh => true,
            RowState::Stale => self.rules().liveness != Liveness::WhileFreshAndNeverAgain,
            RowState::Absent | RowState::Ended => false,
        };
        if mine.life != Life::Up || !mine.connected || !own || !may_renew {
            return;
        }
        if row.state == RowState::Stale || !mine.trusts {
            let mut after = *world;
            after.database.rows[host].state = RowState::Fresh;
            after.hosts[host].trusts = true;
            steps.add(Kind::Progress, Label::new("renews its row").at(host), after);
        }
        if self.0.may.slow_renewal && world.faults_left > 0 && row.state == RowState::Fresh {
            let mut after = *world;
            after.faults_left -= 1;
            after.database.rows[host].renewing = true;
            steps.add(
                Kind::Fault,
                Label::new("FAULT its renewal is executed and takes long to commit").at(host),
                after,
            );
        }
    }

    /// A host's trust ends before its row is stale, unless its clock was not looked at.
    fn time_passes(&self, world: &World, host: usize, steps: Out) {
        let (mine, row) = (&world.hosts[host], &world.database.rows[host]);
        if mine.life == Life::Up && mine.trusts && (!mine.connected || row.renewing) {
            let mut after = *world;
            self.trust_ends(&mut after, host);
            steps.add(
                Kind::Progress,
                Label::new("no longer trusts its row, and stops its handlers").at(host),
                after,
            );
        }
        if row.state == RowState::Fresh && !(mine.life == Life::Up && mine.trusts) {
            let mut after = *world;
            after.database.rows[host].state = RowState::Stale;
            steps.add(
                Kind::Progress,
                Label::new("its row has become stale").at(host),
                after,
            );
        }
    }

    fn trust_ends(&self, world: &mut World, host: usize) {
        let mine = &mut world.hosts[host];
        mine.trusts = false;
        if self.rules().stops_without_trust {
            for work in &mut mine.work {
                if work.in_hand == InHand::Running {
                    work.in_hand = InHand::Queued;
                    work.token = 0;
                    work.began = 0;
                }
            }
        }
    }

    fn looks_at_its_clock(&self, world: &World, host: usize, steps: Out) {
        if world.hosts[host].life != Life::Woken {
            return;
        }
        let mut after = *world;
        after.hosts[host].life = Life::Up;
        if world.database.rows[host].state != RowState::Fresh {
            self.trust_ends(&mut after, host);
        }
        steps.add(
            Kind::Progress,
            Label::new("looks at its clock after the pause").at(host),
            after,
        );
    }

    /// A batch that finds another host's row stale, and locks it, ends that incarnation.
    fn ends_another(&self, world: &World, host: usize, steps: Out) {
        let other = 1 - host;
        let row = &world.database.rows[other];
        let own = &world.database.rows[host];
        let renews =
            own.state == RowState::Fresh && own.incarnation == world.hosts[host].incarnation;
        let finds = renews && row.state == RowState::Stale && !row.renewing;
        if self.rules().liveness != Liveness::UntilEnded
            || !finds
            || !world.works(host)
            || !world.hosts[host].connected
        {
            return;
        }
        let mut after = *world;
        let incarnation = Incarnation {
            host: other as u8,
            number: row.incarnation,
        };
        self.end(&mut after, incarnation);
        if self.rules().claiming == Claiming::Once && !self.0.same_name {
            let dead = self.consumer(other);
            after.redis.retain(|entry| entry.pending_on != Some(dead));
        }
        steps.add(
            Kind::Progress,
            Label::new("finds the other host's row stale and ends it").at(host),
            after,
        );
    }

    /// Where another process has its name it stops; else it goes on as a new incarnation.
    fn learns_that_it_has_ended(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        if !self.has_ended(world, host)
            || !mine.connected
            || !matches!(mine.life, Life::Up | Life::Woken)
        {
            return;
        }
        let mut after = *world;
        let succeeded = self.0.same_name
            && matches!(
                world.database.rows[1 - host].state,
                RowState::Fresh | RowState::Stale
            );
        if succeeded {
            self.forget(&mut after, host);
            after.hosts[host] = Host {
                incarnation: mine.incarnation,
                late: mine.late,
                capture: mine.capture,
                ..Host::default()
            };
            let label = Label::new("learns that it has a successor, and stops").at(host);
            steps.add(Kind::Progress, label, after);
        } else {
            self.join(&mut after, host);
            let label = Label::new("learns that it has ended, and joins anew").at(host);
            steps.add(Kind::Progress, label, after);
        }
    }

    /// What the database says to whatever it sends.
    pub(super) fn has_ended(&self, world: &World, host: usize) -> bool {
        let row = &world.database.rows[host];
        let ended = match row.state {
            RowState::Ended | RowState::Absent => true,
            RowState::Stale => self.rules().liveness == Liveness::WhileFreshAndNeverAgain,
            RowState::Fresh => false,
        };
        ended || row.incarnation != world.hosts[host].incarnation
    }

    fn lease(&self, world: &World, host: usize, steps: Out) {
        let (mine, holder) = (
            &world.hosts[host],
            world.database.lease_holder(self.rules()),
        );
        let me = world.incarnation(host);
        if !world.works(host) || !mine.connected {
            return;
        }
        if holder.is_none() && world.database.is_valid(self.rules(), me) {
            let mut after = *world;
            after.database.lease.holder = Some(me);
            after.database.lease.term += 1;
            after.hosts[host].term = after.database.lease.term;
            after.hosts[host].passed = [false; DELIVERIES];
            steps.add(
                Kind::Progress,
                Label::new("takes the lease").at(host),
                after,
            );
        }
        if holder.is_some_and(|holder| holder != me) && mine.term > 0 {
            let mut after = *world;
            self.relays_no_more(&mut after, host);
            let label = Label::new("learns that its lease has passed on").at(host);
            steps.add(Kind::Progress, label, after);
        }
        if holder == Some(me) && world.switches_left > 0 {
            let mut after = *world;
            after.switches_left -= 1;
            after.database.lease.holder = None;
            self.relays_no_more(&mut after, host);
            steps.add(
                Kind::Fault,
                Label::new("gives the lease up").at(host),
                after,
            );
        }
    }
}
