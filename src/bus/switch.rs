//! The carrier that a runner has: Redis while it can carry, else embedded, decided again all the time.
//!
//! Nothing is copied at a switch. What Redis still holds meets the table or a settled delivery when it comes back, in the first
//! round, before anything is relayed; so switching to and fro cannot pile up copies.

use std::time::Duration;

use super::redis::{Inbox, Link, LinkState};
use super::{Boxed, Carrier, CopyId, Demand, Embedded, Left, Offer, PollWatch, TableView};
use crate::event::{AgentName, Seq, Subject};
use crate::store::{ReadError, Store};

/// What an agent's config says of its carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CarrierChoice {
    /// Redis while it can carry, else embedded.
    Auto,
    /// Redis alone: while it cannot carry, nothing is offered.
    Redis,
    Embedded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Active {
    Redis,
    Embedded,
}

impl Active {
    /// As it stands in `status`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Active::Redis => "redis",
            Active::Embedded => "embedded",
        }
    }
}

/// What carries by this choice, while the link is in this state.
pub(crate) fn active(choice: CarrierChoice, link: Option<&LinkState>) -> Active {
    match (choice, link) {
        (CarrierChoice::Redis, _) | (CarrierChoice::Auto, Some(LinkState::Up { .. })) => {
            Active::Redis
        }
        _ => Active::Embedded,
    }
}

/// One agent's carrier, whichever it is at the moment.
pub(crate) struct Switch {
    choice: CarrierChoice,
    link: Option<Link>,
    inbox: Option<Inbox>,
    embedded: Option<Embedded>,
    make_embedded: Box<dyn Fn() -> Embedded + Send>,
}

impl Switch {
    /// The carrier of `agent`. Without a link it is the embedded one.
    pub(crate) fn new(
        choice: CarrierChoice,
        link: Option<Link>,
        store: Store,
        agent: AgentName,
        backoff_max: Duration,
    ) -> Self {
        let inbox = match choice {
            CarrierChoice::Embedded => None,
            _ => link.clone().map(|link| Inbox::new(link, agent)),
        };
        Switch {
            choice,
            link,
            inbox,
            embedded: None,
            make_embedded: Box::new(move || Embedded::new(store.clone(), agent, backoff_max)),
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
                self.embedded = None;
                inbox
            }
            (_, inbox) => {
                if self.embedded.is_none()
                    && let Some(inbox) = inbox
                {
                    inbox.suspend();
                }
                self.embedded.get_or_insert_with(|| (self.make_embedded)())
            }
        }
    }
}

impl Carrier for Switch {
    fn woken(&mut self, demand: Demand) -> Boxed<'_, ()> {
        let mut state = self.link.as_ref().map(Link::state);
        let carrier = self.carrier();
        Box::pin(async move {
            match &mut state {
                None => carrier.woken(demand).await,
                Some(state) => tokio::select! {
                    () = carrier.woken(demand) => {}
                    // The carrier may be another one now. A link whose task has ended changes no more.
                    changed = state.changed() => if changed.is_err() { std::future::pending().await },
                },
            }
        })
    }

    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        demand: Demand,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>> {
        self.carrier().offer(table, demand)
    }

    fn left(&mut self, seq: Seq, subject: Option<&Subject>, how: Left) {
        // An outstanding entry ends with the commit, whoever carried it.
        if let Some(inbox) = &mut self.inbox {
            inbox.left(seq, subject, how);
        }
        if let Some(embedded) = &mut self.embedded {
            embedded.left(seq, subject, how);
        }
    }

    fn acknowledge(&mut self, copies: Vec<CopyId>) {
        if let Some(inbox) = &mut self.inbox {
            inbox.acknowledge(copies);
        }
    }

    fn poll_watch(&self) -> Option<PollWatch> {
        self.inbox.as_ref().map(Inbox::poll_watch)
    }

    fn close(&mut self) -> Boxed<'_, ()> {
        self.carrier().close()
    }
}
