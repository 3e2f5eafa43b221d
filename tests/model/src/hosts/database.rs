//! What the database does: every function here is one member of a batch, and batches of all hosts are serial.

use super::rules::{Liveness, Rules};
use super::state::{
    DELIVERIES, Database, Delivery, DeliveryState, HOSTS, Incarnation, RowState, Settlement,
};
use crate::model::Broken;

/// What became of a settlement.
pub(super) struct Settled {
    pub(super) accepted: bool,
    pub(super) broken: Option<Broken>,
}

impl Database {
    /// Whether holds and leases of this incarnation are valid.
    pub(super) fn is_valid(&self, rules: &Rules, incarnation: Incarnation) -> bool {
        let row = &self.rows[incarnation.host as usize];
        let alive = match rules.liveness {
            Liveness::UntilEnded => matches!(row.state, RowState::Fresh | RowState::Stale),
            Liveness::WhileFresh | Liveness::WhileFreshAndNeverAgain => {
                row.state == RowState::Fresh
            }
        };
        row.incarnation == incarnation.number && alive
    }

    pub(super) fn holder(&self, rules: &Rules, delivery: usize) -> Option<Incarnation> {
        let holder = self.deliveries[delivery].holder;
        holder.filter(|holder| self.is_valid(rules, *holder))
    }

    pub(super) fn is_held(&self, rules: &Rules, delivery: usize) -> bool {
        self.holder(rules, delivery).is_some()
    }

    pub(super) fn held(&self, rules: &Rules) -> usize {
        let held = |delivery: &usize| self.is_held(rules, *delivery);
        (0..DELIVERIES).filter(held).count()
    }

    /// Effects of the subject that were applied.
    pub(super) fn effects(&self) -> u8 {
        self.deliveries.iter().map(|d| d.effects).sum()
    }

    /// A take: sets holder and token where the delivery may be handled. False: refused.
    pub(super) fn take(&mut self, rules: &Rules, delivery: usize, by: Incarnation) -> bool {
        let ready = |d: &Delivery| d.owed() && !d.waits;
        let older_first = self.deliveries[..delivery]
            .iter()
            .any(|older| older.owed() && older.attempts == 0);
        let refused = !self.is_valid(rules, by)
            || !ready(&self.deliveries[delivery])
            || self.is_held(rules, delivery)
            || (rules.take_asks_for_subject && self.held(rules) > 0)
            || (rules.take_asks_for_older && older_first);
        if !refused {
            let taken = &mut self.deliveries[delivery];
            taken.holder = Some(by);
            taken.token += 1;
        }
        !refused
    }

    /// An outcome or a failure: applied whole, or refused whole.
    pub(super) fn settle(
        &mut self,
        rules: &Rules,
        delivery: usize,
        host: usize,
        settlement: Settlement,
    ) -> Settled {
        let by = Incarnation {
            host: host as u8,
            number: settlement.from,
        };
        let stale = settlement.began < self.effects();
        let overtaken = self.deliveries[..delivery]
            .iter()
            .any(|older| older.owed() && older.attempts == 0);
        let current = self.holder(rules, delivery) == Some(by)
            && (!rules.settle_asks_for_token
                || self.deliveries[delivery].token == settlement.token);
        let settled = &mut self.deliveries[delivery];
        if rules.settle_asks_for_holder && !(current && settled.owed()) {
            if !rules.refused_changes_nothing {
                settled.state = DeliveryState::Done;
            }
            let lost = settled.state == DeliveryState::Done && settled.effects == 0;
            return Settled {
                accepted: false,
                broken: Broken::Lost.when(lost),
            };
        }
        settled.holder = None;
        if settlement.failed {
            settled.fail();
            return Settled {
                accepted: true,
                broken: None,
            };
        }
        settled.state = DeliveryState::Done;
        settled.effects += 1;
        let twice = settled.effects > 1;
        let broken = Broken::EffectTwice
            .when(twice)
            .or(Broken::StaleEffect.when(stale))
            .or(Broken::Order.when(overtaken));
        Settled {
            accepted: true,
            broken,
        }
    }

    /// Ends an incarnation, with its holds and its lease. Gives the deliveries that it held.
    pub(super) fn end(&mut self, incarnation: Incarnation) -> Vec<usize> {
        let row = &mut self.rows[incarnation.host as usize];
        if row.incarnation == incarnation.number {
            row.state = RowState::Ended;
            row.renewing = false;
        }
        if self.lease.holder == Some(incarnation) {
            self.lease.holder = None;
        }
        let mut freed = Vec::new();
        for (number, delivery) in self.deliveries.iter_mut().enumerate() {
            if delivery.holder == Some(incarnation) {
                delivery.holder = None;
                freed.push(number);
            }
        }
        freed
    }

    /// The lease's holder, if it is valid.
    pub(super) fn lease_holder(&self, rules: &Rules) -> Option<Incarnation> {
        self.lease
            .holder
            .filter(|holder| self.is_valid(rules, *holder))
    }

    /// Whether the consumer with this name belongs to a host that lives.
    pub(super) fn consumer_lives(&self, rules: &Rules, same_name: bool, consumer: u8) -> bool {
        (0..HOSTS)
            .filter(|host| same_name || *host == usize::from(consumer))
            .any(|host| {
                let number = self.rows[host].incarnation;
                let host = host as u8;
                self.is_valid(rules, Incarnation { host, number })
            })
    }
}

impl Delivery {
    /// One attempt more; the second that fails is the last.
    fn fail(&mut self) {
        self.attempts += 1;
        if self.attempts > 1 {
            self.state = DeliveryState::Dead;
        } else {
            self.waits = true;
        }
    }
}
