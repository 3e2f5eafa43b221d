//! The direct carrier: owed, due deliveries in ledger order whose subject is free, straight from the ledger.

use std::collections::HashSet;
use std::time::Duration;

use super::order::{Judged, Order};
use super::{Boxed, Carrier, CopyId, Hunger, Left, Offer, TableView};
use crate::event::{AgentName, Seq, Subject};
use crate::store::{OwedRow, ReadError, Store};

/// The embedded bus of one agent. The subjects that its order remembers are held by something in the table, so there are never
/// more of them than the table has room.
pub struct Direct {
    order: Order,
}

impl Direct {
    /// A carrier that has passed nothing yet.
    pub fn new(store: Store, agent: AgentName, backoff_max: Duration) -> Self {
        Direct {
            order: Order::new(store, agent, backoff_max, 1),
        }
    }
}

impl Carrier for Direct {
    fn woken(&mut self, hunger: Hunger) -> Boxed<'_, ()> {
        Box::pin(async move {
            if hunger.permits.min(hunger.room) == 0 {
                return std::future::pending().await;
            }
            self.order.woken().await;
        })
    }

    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        hunger: Hunger,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>> {
        Box::pin(async move {
            let (mut seqs, mut subjects) = (HashSet::new(), HashSet::new());
            let mut judge = |row: &OwedRow| {
                if table.contains(row.seq) || seqs.contains(&row.seq) {
                    Judged::InHand
                } else if table.holds(&row.subject) || subjects.contains(&row.subject) {
                    Judged::Waits
                } else {
                    seqs.insert(row.seq);
                    subjects.insert(row.subject.clone());
                    Judged::Take
                }
            };
            let room = hunger.permits.min(hunger.room);
            let rows = self.order.next(room, &mut judge).await?;
            let offer = |row: OwedRow| Offer {
                seq: row.seq,
                subject: Some(row.subject),
                copy: None,
            };
            Ok(rows.into_iter().map(offer).collect())
        })
    }

    fn left(&mut self, _seq: Seq, subject: Option<&Subject>, _how: Left) {
        if let Some(subject) = subject {
            self.order.left(subject);
        }
    }

    fn acknowledge(&mut self, _copies: Vec<CopyId>) {}

    fn close(&mut self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}
