//! The embedded carrier: owed, due deliveries in ledger order whose subject is free, straight from the ledger.

use std::collections::HashSet;
use std::time::Duration;

use super::order::{Judged, LedgerOrder};
use super::{Boxed, Carrier, CopyId, Demand, Left, Offer, TableView};
use crate::event::{AgentName, Seq, Subject};
use crate::store::{OwedRow, ReadError, Store};

/// The embedded bus of one agent. The subjects that its order remembers are held by something in the table, so there are never
/// more of them than the capacity of the table.
pub struct Embedded {
    order: LedgerOrder,
}

impl Embedded {
    /// A carrier that has passed nothing yet.
    pub fn new(store: Store, agent: AgentName, backoff_max: Duration) -> Self {
        Embedded {
            order: LedgerOrder::new(store, agent, backoff_max, 1),
        }
    }
}

impl Carrier for Embedded {
    fn woken(&mut self, demand: Demand) -> Boxed<'_, ()> {
        Box::pin(async move {
            if demand.permits.min(demand.capacity) == 0 {
                return std::future::pending().await;
            }
            self.order.woken().await;
        })
    }

    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        demand: Demand,
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
            let capacity = demand.permits.min(demand.capacity);
            let rows = self.order.next(capacity, &mut judge).await?;
            let offer = |row: OwedRow| Offer {
                seq: row.seq,
                subject: Some(row.subject),
                copy: None,
            };
            Ok(rows.into_iter().map(offer).collect())
        })
    }

    fn left(&mut self, seq: Seq, subject: Option<&Subject>, how: Left) {
        if how == Left::Refused {
            self.order.back_to(seq);
        }
        if let Some(subject) = subject
            && how != Left::Unknown
        {
            self.order.left(subject);
        }
    }

    fn acknowledge(&mut self, _copies: Vec<CopyId>) {}

    fn close(&mut self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}
