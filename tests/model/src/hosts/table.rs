//! What a host has in hand: queued, taken, running, submitted; and the holds that it releases.

use super::rules::OwnHolds;
use super::state::{DELIVERIES, InHand, Incarnation, Life, Message, Settlement, Wire, Work, World};
use super::{Hosts, Out};
use crate::model::{Broken, Kind, Label};

impl Hosts {
    pub(super) fn table(&self, world: &World, host: usize, steps: Out) {
        for delivery in 0..DELIVERIES {
            self.hands_in_a_take(world, host, delivery, steps);
            self.writer(world, host, delivery, steps);
            self.hears(world, host, delivery, steps);
            self.handler_ends(world, host, delivery, steps);
            self.releases(world, host, delivery, steps);
        }
        self.reconnects(world, host, steps);
    }

    /// The oldest that is queued, when there is a permit and nothing of the subject is in flight or paused here.
    fn hands_in_a_take(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let mine = &world.hosts[host];
        let oldest = mine.work.iter().position(|w| w.in_hand == InHand::Queued);
        let subject_free = mine
            .work
            .iter()
            .all(|w| matches!(w.in_hand, InHand::No | InHand::Queued));
        if oldest != Some(delivery)
            || !subject_free
            || !mine.connected
            || !world.goes_on(host)
            || self.free_permits(world, host) == 0
        {
            return;
        }
        let mut after = *world;
        after.hosts[host].work[delivery] = Work {
            in_hand: InHand::Taking,
            wire: Wire::Sent,
            ..Work::default()
        };
        steps.add(
            Kind::Progress,
            Label::new("hands in a take").at(host).of(delivery),
            after,
        );
    }

    pub(super) fn free_permits(&self, world: &World, host: usize) -> usize {
        let works = world.hosts[host].work.iter();
        let used = works.filter(|work| matches!(work.in_hand, InHand::Taking | InHand::Running));
        self.0.permits.saturating_sub(used.count())
    }

    /// The database executes what is on the wire, whatever the host does meanwhile.
    fn writer(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let work = &world.hosts[host].work[delivery];
        if work.wire == Wire::Sent
            && let Some(message) = message(world, host, delivery)
        {
            let mut after = *world;
            let (granted, broken) = self.execute(&mut after, host, delivery, message);
            let work = &mut after.hosts[host].work[delivery];
            work.wire = if granted {
                Wire::Granted
            } else {
                Wire::Refused
            };
            if granted && work.in_hand == InHand::Taking {
                work.token = after.database.deliveries[delivery].token;
            }
            let label = Label::new(match (message, granted) {
                (Message::Take { .. }, true) => "its take is granted",
                (Message::Take { .. }, false) => "its take is refused",
                (Message::Settle(_), true) => "what it submitted is committed",
                (Message::Settle(_), false) => "what it submitted is refused",
            });
            steps.add_checked(Kind::Progress, label.at(host).of(delivery), after, broken);
        }
        if let Some(message) = world.hosts[host].late[delivery] {
            let mut after = *world;
            after.hosts[host].late[delivery] = None;
            let label = Label::new("what an earlier session of it sent is never executed");
            steps.add(Kind::Progress, label.at(host).of(delivery), after);
            let (_, broken) = self.execute(&mut after, host, delivery, message);
            let label = Label::new("what an earlier session of it sent is executed late");
            steps.add_checked(Kind::Fault, label.at(host).of(delivery), after, broken);
        }
    }

    fn execute(
        &self,
        world: &mut World,
        host: usize,
        delivery: usize,
        message: Message,
    ) -> (bool, Option<Broken>) {
        match message {
            Message::Take { from } => {
                let by = Incarnation {
                    host: host as u8,
                    number: from,
                };
                (world.database.take(self.rules(), delivery, by), None)
            }
            Message::Settle(settlement) => {
                let settled = world
                    .database
                    .settle(self.rules(), delivery, host, settlement);
                (settled.accepted, settled.broken)
            }
        }
    }

    /// The reply of a take or a settlement.
    fn hears(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let mine = &world.hosts[host];
        let work = &mine.work[delivery];
        if !matches!(work.wire, Wire::Granted | Wire::Refused)
            || !mine.connected
            || !matches!(mine.life, Life::Up | Life::Woken)
        {
            return;
        }
        let mut after = *world;
        if work.in_hand == InHand::Taking && work.wire == Wire::Granted {
            let may_start = !self.rules().stops_without_trust || world.goes_on(host);
            let work = &mut after.hosts[host].work[delivery];
            work.wire = Wire::Empty;
            work.began = world.database.effects();
            work.in_hand = InHand::Running;
            if !may_start {
                *work = Work {
                    in_hand: InHand::Queued,
                    ..Work::default()
                };
            }
            let label = Label::new("hears that it holds it").at(host).of(delivery);
            steps.add(Kind::Progress, label, after);
            return;
        }
        if self.has_ended(world, host) {
            // The refusal says so, and that comes first: it joins anew.
            return;
        }
        self.leave(&mut after, host, delivery);
        let label = Label::new("hears the reply, and acknowledges its copies");
        steps.add(Kind::Progress, label.at(host).of(delivery), after);
        if self.0.may.redis_wire && world.faults_left > 0 {
            let mut after = *world;
            after.faults_left -= 1;
            self.drop_from_table(&mut after, host, delivery);
            let label = Label::new("FAULT hears the reply, and the acknowledgement is lost");
            steps.add(Kind::Fault, label.at(host).of(delivery), after);
        }
    }

    /// Leaves the table with its copies, which are acknowledged.
    pub(super) fn leave(&self, world: &mut World, host: usize, delivery: usize) {
        world
            .redis
            .retain(|entry| usize::from(entry.delivery) != delivery || !entry.in_table_of[host]);
        self.drop_from_table(world, host, delivery);
    }

    /// Leaves the table; its copies stay pending.
    pub(super) fn drop_from_table(&self, world: &mut World, host: usize, delivery: usize) {
        world.redis.each(|entry| {
            if usize::from(entry.delivery) == delivery {
                entry.in_table_of[host] = false;
            }
        });
        world.hosts[host].work[delivery] = Work::default();
        world.hosts[host].passed[delivery] = false;
    }

    fn handler_ends(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let mine = &world.hosts[host];
        if mine.work[delivery].in_hand == InHand::Paused && mine.life == Life::Up {
            let mut after = *world;
            after.hosts[host].work[delivery].in_hand = InHand::Queued;
            let label = Label::new("the pause is over").at(host).of(delivery);
            steps.add(Kind::Progress, label, after);
        }
        let alive = matches!(mine.life, Life::Up | Life::Woken);
        if mine.work[delivery].in_hand != InHand::Running || !alive {
            return;
        }
        if mine.connected {
            let mut ways = vec![(false, "the handler ends, its outcome is submitted")];
            if self.0.failures {
                ways.push((true, "the handler fails, its failure is submitted"));
            }
            for (failed, what) in ways {
                let mut after = *world;
                let work = &mut after.hosts[host].work[delivery];
                work.in_hand = InHand::Submitted;
                work.wire = Wire::Sent;
                work.failed = failed;
                steps.add(
                    Kind::Progress,
                    Label::new(what).at(host).of(delivery),
                    after,
                );
            }
        }
        if world.unavailable_left > 0 {
            let mut after = *world;
            after.unavailable_left -= 1;
            after.hosts[host].work[delivery] = Work {
                in_hand: InHand::Paused,
                ..Work::default()
            };
            let label = Label::new("the handler ends unavailable")
                .at(host)
                .of(delivery);
            steps.add(Kind::Fault, label, after);
        }
    }

    /// A hold of this incarnation that its table does not have.
    fn releases(&self, world: &World, host: usize, delivery: usize, steps: Out) {
        let looks = matches!(
            self.rules().own_holds,
            OwnHolds::Always | OwnHolds::AlsoWhileTaking
        );
        if !looks || !world.works(host) || !world.hosts[host].connected {
            return;
        }
        let mut after = *world;
        if self.release(&mut after, host, delivery) {
            let label = Label::new("releases a hold that its table does not have");
            steps.add(Kind::Progress, label.at(host).of(delivery), after);
        }
    }

    fn release(&self, world: &mut World, host: usize, delivery: usize) -> bool {
        let me = world.incarnation(host);
        let work = &world.hosts[host].work[delivery];
        let held = &mut world.database.deliveries[delivery];
        let in_table = match work.in_hand {
            InHand::No | InHand::Queued | InHand::Paused => false,
            InHand::Taking => self.rules().own_holds != OwnHolds::AlsoWhileTaking,
            InHand::Running | InHand::Submitted => work.token == held.token,
        };
        if held.holder != Some(me) || in_table {
            return false;
        }
        held.holder = None;
        if self.rules().ended_hold_moves_cursor {
            world.cursors_back_to(delivery);
        }
        true
    }

    /// A new session: what became of the last batch is read from the database, under the head's lock.
    fn reconnects(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        if mine.connected || !matches!(mine.life, Life::Up | Life::Woken) {
            return;
        }
        let mut after = *world;
        if mine.compares && self.rules().compares_batches {
            self.join(&mut after, host);
            let label = Label::new("sees that commits were lost, and joins anew").at(host);
            steps.add(Kind::Progress, label, after);
            return;
        }
        after.hosts[host].connected = true;
        for delivery in 0..DELIVERIES {
            let work = &mut after.hosts[host].work[delivery];
            let row = &world.database.deliveries[delivery];
            let own = row.holder == Some(world.incarnation(host)) && row.token == work.token;
            match work.in_hand {
                InHand::Taking => {
                    *work = Work {
                        in_hand: InHand::Queued,
                        ..Work::default()
                    };
                }
                InHand::Submitted if own && row.owed() => work.wire = Wire::Sent,
                InHand::Submitted => self.leave(&mut after, host, delivery),
                _ => {}
            }
            if self.rules().own_holds == OwnHolds::AtReconnect {
                self.release(&mut after, host, delivery);
            }
        }
        after.hosts[host].compares = false;
        steps.add(
            Kind::Progress,
            Label::new("has a new session with the database").at(host),
            after,
        );
    }
}

/// What the host has on the wire about a delivery.
pub(super) fn message(world: &World, host: usize, delivery: usize) -> Option<Message> {
    let work = &world.hosts[host].work[delivery];
    let from = world.hosts[host].incarnation;
    match work.in_hand {
        InHand::Taking => Some(Message::Take { from }),
        InHand::Submitted => Some(Message::Settle(Settlement {
            from,
            token: work.token,
            failed: work.failed,
            began: work.began,
        })),
        _ => None,
    }
}
