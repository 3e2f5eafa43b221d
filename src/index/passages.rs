//! What is kept in memory of each passage: whose it is, where it begins, its vector, and where its postings are.

use std::collections::HashMap;
use std::sync::Arc;

use super::vector::Vectors;
use super::{DocumentId, Known, Replacement};
use crate::embed::Quantised;

/// Where the keyword index has a passage: a place in the table of segments, and the number in that segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) segment: u32,
    pub(super) doc: u32,
}

/// The document of a passage.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) document: DocumentId,
    pub(super) collection: Arc<str>,
    pub(super) path: Arc<[u8]>,
}

/// A passage without its text and vector.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) owner: Arc<Owner>,
    pub(super) first_line: u32,
    /// `None` only until the keyword index that has it is placed.
    pub(super) address: Option<Address>,
}

/// All passages, in slots without gaps; the vector of a passage is in the slot of the same number.
#[derive(Debug, Default)]
pub(super) struct Passages {
    slots: Vec<Slot>,
    vectors: Vectors,
    by_number: HashMap<u64, u32>,
    by_document: HashMap<DocumentId, Vec<u64>>,
}

impl Passages {
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    /// The slot of the passage `number`.
    pub(super) fn slot(&self, number: u64) -> Option<usize> {
        self.by_number.get(&number).map(|&slot| slot as usize)
    }

    /// Replaces the passages of one document.
    pub(super) fn replace(&mut self, replacement: &Replacement) {
        for number in self
            .by_document
            .remove(&replacement.document)
            .unwrap_or_default()
        {
            self.remove(number);
        }
        let owner = Arc::new(Owner {
            document: replacement.document,
            collection: Arc::clone(&replacement.collection),
            path: Arc::clone(&replacement.path),
        });
        for passage in &replacement.passages {
            let slot = Slot {
                number: passage.number,
                owner: Arc::clone(&owner),
                first_line: passage.first_line,
                address: None,
            };
            self.push(slot, passage.vector.as_ref());
        }
    }

    /// Adds a passage that the keyword index has at `address`. `owner` is that of the passage added before, which
    /// is used again if it is the same: passages of one document come one after the other.
    pub(super) fn load(
        &mut self,
        known: &Known,
        address: Address,
        owner: Option<&Arc<Owner>>,
    ) -> Arc<Owner> {
        let owner = match owner {
            Some(owner) if owner.document == known.document => Arc::clone(owner),
            _ => Arc::new(Owner {
                document: known.document,
                collection: Arc::clone(&known.collection),
                path: Arc::clone(&known.path),
            }),
        };
        let slot = Slot {
            number: known.number,
            owner: Arc::clone(&owner),
            first_line: known.first_line,
            address: Some(address),
        };
        self.push(slot, known.vector.as_ref());
        owner
    }

    /// Notes where the keyword index has the passage `number`, if there is one.
    pub(super) fn place(&mut self, number: u64, address: Address) {
        if let Some(&slot) = self.by_number.get(&number) {
            self.slots[slot as usize].address = Some(address);
        }
    }

    /// Gives back memory after many passages were removed.
    pub(super) fn trim(&mut self) {
        self.vectors.trim();
        let used = self.slots.len().max(1024);
        if self.slots.capacity() > 2 * used {
            self.slots.shrink_to(used);
            self.by_number.shrink_to(used);
        }
    }

    fn push(&mut self, slot: Slot, vector: Option<&Quantised>) {
        let numbers = self.by_document.entry(slot.owner.document).or_default();
        numbers.push(slot.number);
        // The keyword index counts passages in 32 bits too, and would have refused before.
        self.by_number.insert(slot.number, self.slots.len() as u32);
        self.slots.push(slot);
        self.vectors.push(vector);
    }

    fn remove(&mut self, number: u64) {
        let Some(slot) = self.by_number.remove(&number) else {
            return;
        };
        self.slots.swap_remove(slot as usize);
        self.vectors.swap_remove(slot as usize);
        if let Some(moved) = self.slots.get(slot as usize) {
            self.by_number.insert(moved.number, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{passage, replacement};
    use super::*;

    #[test]
    fn slots_stay_without_gaps_and_numbers_find_them() {
        let mut passages = Passages::default();
        passages.replace(&replacement(1, [passage(10), passage(11), passage(12)]));
        passages.replace(&replacement(2, [passage(20)]));
        passages.replace(&replacement(1, [passage(11), passage(13)]));
        let mut numbers: Vec<u64> = passages.slots().iter().map(|slot| slot.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [11, 13, 20]);
        for number in numbers {
            let slot = passages.slot(number).unwrap();
            assert_eq!(passages.slots()[slot].number, number);
        }
        assert_eq!(passages.slot(10), None);
        passages.replace(&replacement(1, []));
        passages.replace(&replacement(3, []));
        assert_eq!(passages.slots().len(), 1);
        assert_eq!(
            passages.by_document.len(),
            1,
            "a document without passages takes no memory"
        );
    }

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_last(changes in prop::collection::vec((0..8_u8, 0..5_u64), 0..60)) {
            let mut passages = Passages::default();
            let mut model: HashMap<u8, Vec<u64>> = HashMap::new();
            for (step, (document, count)) in changes.into_iter().enumerate() {
                let numbers: Vec<u64> = (0..count).map(|i| step as u64 * 10 + i).collect();
                passages.replace(&replacement(document, numbers.iter().map(|&n| passage(n))));
                model.insert(document, numbers);
            }
            prop_assert_eq!(passages.slots().len(), model.values().map(Vec::len).sum::<usize>());
            prop_assert_eq!(passages.by_number.len(), passages.slots().len());
            for (document, numbers) in model {
                for number in numbers {
                    let slot = &passages.slots()[passages.slot(number).unwrap()];
                    prop_assert_eq!(slot.number, number);
                    prop_assert_eq!(slot.owner.document[0], document);
                }
            }
        }
    }
}
