//! The order of the embedded carrier: a cursor over what is owed, which passes what another host handles.

use super::state::{DELIVERIES, Host, InHand, Life, World};
use super::{LeaseHosts, Out};
use crate::model::{Kind, Label};

impl LeaseHosts {
    pub(super) fn order(&self, world: &World, host: usize, steps: Out) {
        if world.hosts[host].life != Life::Up {
            return;
        }
        if world.hosts[host].rewind {
            self.looks_from_the_beginning(world, host, steps);
        }
        self.offers(world, host, steps);
    }

    fn looks_from_the_beginning(&self, world: &World, host: usize, steps: Out) {
        let mut after = *world;
        after.hosts[host].rewind = false;
        after.hosts[host].passed = Default::default();
        let label = Label::new("looks at everything that is owed, from the beginning").at(host);
        steps.add(Kind::Progress, label, after);
        if self.0.may.failed_look && self.may_fail(world, host) {
            let mut after = *world;
            after.faults_left -= 1;
            after.hosts[host].rewind = self.rules().failed_look_is_made_again;
            let label = Label::new("FAULT its look from the beginning fails").at(host);
            steps.add(Kind::Fault, label, after);
        }
    }

    /// One that the cursor has not passed, or a retry, which has no cursor. An older one that is due goes first, passed or not.
    fn offers(&self, world: &World, host: usize, steps: Out) {
        let mine = &world.hosts[host];
        if !self.is_open(mine) || !mine.table_is_empty() {
            return;
        }
        let rows = &world.database.deliveries;
        let offered =
            (0..DELIVERIES).find(|d| rows[*d].due() && (rows[*d].attempts > 0 || !mine.passed[*d]));
        let Some(offered) = offered else { return };
        let oldest = (0..DELIVERIES).find(|d| rows[*d].due()).unwrap_or(offered);
        let mut after = *world;
        after.hosts[host].work[offered].in_hand = InHand::Queued;
        after.hosts[host].work[oldest].in_hand = InHand::Offered;
        let label = Label::new("is offered it").at(host).of(oldest);
        steps.add(Kind::Progress, label, after);
    }

    /// The cursor passes at once all that it may pass: the worst case. What it passes while the lease is not held it does not
    /// remember.
    pub(super) fn advance_cursors(&self, world: &mut World) {
        for host in &mut world.hosts {
            if host.life != Life::Up {
                continue;
            }
            let is_open = self.is_open(host);
            for delivery in 0..DELIVERIES {
                let in_hand = !host.table_is_empty();
                let owed = world.database.deliveries[delivery].owed();
                if !host.passed[delivery] && (!owed || !is_open || in_hand) {
                    host.passed[delivery] = true;
                    host.skipped |= owed && is_open;
                }
            }
        }
    }

    /// Leaves the table. What was passed because of it is looked at again.
    pub(super) fn leave(&self, host: &mut Host, delivery: usize) {
        host.work[delivery] = Default::default();
        if std::mem::take(&mut host.skipped) {
            host.passed = Default::default();
        }
    }
}
