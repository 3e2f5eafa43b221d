//! A watched file under a lease: what is captured is read first and committed later, perhaps when the lease has passed on.

use super::rules::Captures;
use super::state::{Capture, World};
use super::{Hosts, Out};
use crate::model::{Broken, Kind, Label};

impl Hosts {
    pub(super) fn captures(&self, world: &World, host: usize, steps: Out) {
        if world.edits_left > 0 && host == 0 {
            let mut after = *world;
            after.edits_left -= 1;
            after.file += 1;
            steps.add(Kind::Fault, Label::new("the file changes"), after);
        }
        let mine = &world.hosts[host];
        if mine.term > 0 && mine.capture.is_none() && world.goes_on(host) && mine.connected {
            let changed = world.file != world.database.manifest;
            if changed {
                let mut after = *world;
                after.hosts[host].capture = Some(Capture {
                    content: world.file,
                    term: mine.term,
                    from: mine.incarnation,
                });
                let label = Label::new("reads the file and submits the capture").at(host);
                steps.add(Kind::Progress, label, after);
            }
        }
        if let Some(capture) = mine.capture {
            self.commit(world, host, capture, steps);
        }
    }

    fn commit(&self, world: &World, host: usize, capture: Capture, steps: Out) {
        let mut after = *world;
        after.hosts[host].capture = None;
        let lease = &world.database.lease;
        let holder = world.database.lease_holder(self.rules());
        let own = holder.is_some_and(|holder| {
            usize::from(holder.host) == host && holder.number == capture.from
        });
        let accepted = match self.rules().captures {
            Captures::Nothing => true,
            Captures::Term => lease.term == capture.term,
            Captures::HolderAndTerm => own && lease.term == capture.term,
        };
        if !accepted {
            let label = Label::new("its capture is refused").at(host);
            steps.add(Kind::Progress, label, after);
            return;
        }
        let older = capture.content < world.database.manifest;
        after.database.manifest = capture.content;
        let label = Label::new("its capture is committed").at(host);
        let broken = Broken::OlderCapture.when(older);
        steps.add_checked(Kind::Progress, label, after, broken);
    }
}
