//! What happens to Redis and on the way to it.

use super::state::{DELIVERIES, Entry, HOSTS, Life, Redis, World};
use super::{Hosts, Out};
use crate::model::{Kind, Label};

impl Hosts {
    pub(super) fn redis_faults(&self, world: &World, host: usize, steps: Out) {
        if world.embedded {
            return;
        }
        self.abandoned_read(world, host, steps);
        if world.faults_left == 0 {
            return;
        }
        let mut world = *world;
        world.faults_left -= 1;
        if self.0.may.redis_wire && world.hosts[host].life == Life::Up {
            let label = Label::new("FAULT a copy is read for it, and the reply is lost").at(host);
            self.read_unseen(&world, host, label, steps);
        }
        if host > 0 {
            return;
        }
        if self.0.may.flush && world.redis != Redis::default() {
            let mut after = world;
            after.redis = Redis::default();
            steps.add(Kind::Fault, Label::new("FAULT Redis is flushed"), after);
        }
        for delivery in (0..DELIVERIES).filter(|_| self.0.may.late_copy) {
            let mut after = world;
            let added = after.redis.add(Entry {
                delivery: delivery as u8,
                pending_on: None,
                outstanding_for: None,
                in_table_of: [false; HOSTS],
            });
            if added {
                let label = Label::new("FAULT a copy that was sent long ago arrives");
                steps.add(Kind::Fault, label.of(delivery), after);
            }
        }
    }

    fn abandoned_read(&self, world: &World, host: usize, steps: Out) {
        if !world.hosts[host].abandoned_read {
            return;
        }
        let mut after = *world;
        after.hosts[host].abandoned_read = false;
        let label = Label::new("the blocked read of it ends").at(host);
        steps.add(Kind::Progress, label, after);
        let label = Label::new("the blocked read of it takes a copy").at(host);
        self.read_unseen(&after, host, label, steps);
    }

    /// An entry becomes pending on its consumer, and no table has it.
    fn read_unseen(&self, world: &World, host: usize, label: Label, steps: Out) {
        for (place, entry) in world.redis.entries.iter().enumerate() {
            if let Some(entry) = entry.filter(|entry| entry.pending_on.is_none()) {
                let mut after = *world;
                after.redis.entries[place] = Some(Entry {
                    pending_on: Some(self.consumer(host)),
                    ..entry
                });
                let label = label.of(usize::from(entry.delivery));
                steps.add(Kind::Fault, label, after);
            }
        }
    }
}
