//! The carrier that a runner has: Redis while it can carry, else direct, decided again all the time.
//!
//! Nothing is copied at a switch. What Redis still holds meets the table or a settled delivery when it comes back, in the first
//! round, before anything is relayed; so switching to and fro cannot pile up copies.

use std::time::Duration;

use super::redis::{Inbox, Link, LinkState};
use super::{Boxed, Carrier, CopyId, Direct, Hunger, LastPoll, Left, Offer, TableView};
use crate::event::{AgentName, Seq, Subject};
use crate::store::{ReadError, Store};

/// What an agent's config says of its carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Redis while it can carry, else direct.
    Auto,
    /// Redis alone: while it cannot carry, nothing is offered.
    Redis,
    /// Direct alone.
    Embedded,
}

/// What carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Active {
    /// Redis Streams.
    Redis,
    /// The ledger itself.
    Embedded,
}

impl Active {
    /// As it stands in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Active::Redis => "redis",
            Active::Embedded => "embedded",
        }
    }
}

/// What carries by this choice, while the link is in this state.
pub fn active(choice: Choice, link: Option<&LinkState>) -> Active {
    match (choice, link) {
        (Choice::Redis, _) | (Choice::Auto, Some(LinkState::Up { .. })) => Active::Redis,
        _ => Active::Embedded,
    }
}

/// One agent's carrier, whichever it is at the moment.
pub struct Switch {
    choice: Choice,
    link: Option<Link>,
    inbox: Option<Inbox>,
    direct: Option<Direct>,
    make_direct: Box<dyn Fn() -> Direct + Send>,
}

impl Switch {
    /// The carrier of `agent`. Without a link it is the direct one.
    pub fn new(
        choice: Choice,
        link: Option<Link>,
        (store, agent, backoff_max): (Store, AgentName, Duration),
    ) -> Self {
        let inbox = match choice {
            Choice::Embedded => None,
            _ => link.clone().map(|link| Inbox::new(link, agent)),
        };
        Switch {
            choice,
            link,
            inbox,
            direct: None,
            make_direct: Box::new(move || Direct::new(store.clone(), agent, backoff_max)),
        }
    }

    fn active(&self) -> Active {
        if self.inbox.is_none() {
            return Active::Embedded;
        }
        let state = self.link.as_ref().map(|link| link.state().borrow().clone());
        active(self.choice, state.as_ref())
    }

    /// The carrier that carries now; at a switch the other one is given up.
    fn carrier(&mut self) -> &mut dyn Carrier {
        match (self.active(), &mut self.inbox) {
            (Active::Redis, Some(inbox)) => {
                self.direct = None;
                inbox
            }
            (_, inbox) => {
                if self.direct.is_none()
                    && let Some(inbox) = inbox
                {
                    inbox.suspend();
                }
                self.direct.get_or_insert_with(|| (self.make_direct)())
            }
        }
    }
}

impl Carrier for Switch {
    fn woken(&mut self, hunger: Hunger) -> Boxed<'_, ()> {
        let mut state = self.link.as_ref().map(Link::state);
        let carrier = self.carrier();
        Box::pin(async move {
            match &mut state {
                None => carrier.woken(hunger).await,
                Some(state) => tokio::select! {
                    () = carrier.woken(hunger) => {}
                    // The carrier may be another one now. A link whose task has ended changes no more.
                    changed = state.changed() => if changed.is_err() { std::future::pending().await },
                },
            }
        })
    }

    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        hunger: Hunger,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>> {
        self.carrier().offer(table, hunger)
    }

    fn left(&mut self, seq: Seq, subject: Option<&Subject>, how: Left) {
        // What is noted on Redis ends with the commit, whoever carried it.
        if let Some(inbox) = &mut self.inbox {
            inbox.left(seq, subject, how);
        }
        if let Some(direct) = &mut self.direct {
            direct.left(seq, subject, how);
        }
    }

    fn acknowledge(&mut self, copies: Vec<CopyId>) {
        if let Some(inbox) = &mut self.inbox {
            inbox.acknowledge(copies);
        }
    }

    fn last_poll(&self) -> Option<LastPoll> {
        self.inbox.as_ref().map(Inbox::last_poll)
    }

    fn close(&mut self) -> Boxed<'_, ()> {
        self.carrier().close()
    }
}
