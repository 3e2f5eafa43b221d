//! What is kept in memory of each chunk: whose it is, where it begins, its vector, and where its postings are.

use std::collections::HashMap;
use std::sync::Arc;

use super::place::Place;
use super::vector::Vectors;
use super::{DocumentId, Replacement};
use crate::embed::Quantised;
use crate::store::ChunkRow;

/// Where the keyword index has a chunk: a place in the table of segments, and the number in that segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) segment: u32,
    pub(super) doc: u32,
}

/// The document of a chunk.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) document: DocumentId,
    pub(super) collection: Arc<str>,
    pub(super) path: Arc<[u8]>,
    /// What its path says of it.
    pub(super) place: Place,
}

impl Owner {
    fn of(replacement: &Replacement) -> Self {
        Self {
            document: replacement.document,
            collection: Arc::clone(&replacement.collection),
            path: Arc::clone(&replacement.path),
            place: Place::of(&replacement.path),
        }
    }
}

/// A chunk without its text and vector.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) owner: Arc<Owner>,
    pub(super) first_line: u32,
    /// `None` only until the keyword index that has it is placed.
    pub(super) address: Option<Address>,
}

/// All chunks, in slots without gaps; the vector of a chunk is in the slot of the same number.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    slots: Vec<Slot>,
    vectors: Vectors,
    by_number: HashMap<u64, u32>,
    by_document: HashMap<DocumentId, Vec<u64>>,
}

impl Chunks {
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    /// The slot of the chunk `number`.
    pub(super) fn slot(&self, number: u64) -> Option<usize> {
        self.by_number.get(&number).map(|&slot| slot as usize)
    }

    /// Replaces the chunks of one document.
    pub(super) fn replace(&mut self, replacement: &Replacement) {
        for number in self
            .by_document
            .remove(&replacement.document)
            .unwrap_or_default()
        {
            self.remove(number);
        }
        let owner = Arc::new(Owner::of(replacement));
        for chunk in &replacement.chunks {
            self.push(chunk, Arc::clone(&owner), None);
        }
    }

    /// Adds a chunk that the keyword index has at `address`. `owner` is that of the chunk added before, which
    /// is used again if it is the same: chunks of one document come one after the other.
    pub(super) fn load(
        &mut self,
        known: &Replacement,
        chunk: &ChunkRow,
        address: Address,
        owner: Option<&Arc<Owner>>,
    ) -> Arc<Owner> {
        let owner = match owner {
            Some(owner) if owner.document == known.document => Arc::clone(owner),
            _ => Arc::new(Owner::of(known)),
        };
        self.push(chunk, Arc::clone(&owner), Some(address));
        owner
    }

    /// Notes where the keyword index has the chunk `number`, if there is one.
    pub(super) fn place(&mut self, number: u64, address: Address) {
        if let Some(&slot) = self.by_number.get(&number) {
            self.slots[slot as usize].address = Some(address);
        }
    }

    /// Gives back memory after many chunks were removed.
    pub(super) fn trim(&mut self) {
        self.vectors.trim();
        let used = self.slots.len().max(1024);
        if self.slots.capacity() > 2 * used {
            self.slots.shrink_to(used);
            self.by_number.shrink_to(used);
        }
    }

    fn push(&mut self, chunk: &ChunkRow, owner: Arc<Owner>, address: Option<Address>) {
        let numbers = self.by_document.entry(owner.document).or_default();
        numbers.push(chunk.number);
        // The keyword index counts chunks in 32 bits too, and would have refused before.
        self.by_number.insert(chunk.number, self.slots.len() as u32);
        self.slots.push(Slot {
            number: chunk.number,
            owner,
            first_line: chunk.first_line,
            address,
        });
        let stored = chunk.vector.as_deref();
        let vector = stored.and_then(|bytes| Quantised::from_bytes(bytes).ok());
        self.vectors.push(vector.as_ref());
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

    use super::super::testing::{chunk, replacement};
    use super::*;

    #[test]
    fn slots_stay_without_gaps_and_numbers_find_them() {
        let mut chunks = Chunks::default();
        chunks.replace(&replacement(1, [chunk(10), chunk(11), chunk(12)]));
        chunks.replace(&replacement(2, [chunk(20)]));
        chunks.replace(&replacement(1, [chunk(11), chunk(13)]));
        let mut numbers: Vec<u64> = chunks.slots().iter().map(|slot| slot.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [11, 13, 20]);
        for number in numbers {
            let slot = chunks.slot(number).unwrap();
            assert_eq!(chunks.slots()[slot].number, number);
        }
        assert_eq!(chunks.slot(10), None);
        chunks.replace(&replacement(1, []));
        chunks.replace(&replacement(3, []));
        assert_eq!(chunks.slots().len(), 1);
        assert_eq!(
            chunks.by_document.len(),
            1,
            "a document without chunks takes no memory"
        );
    }

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_last(changes in prop::collection::vec((0..8_u8, 0..5_u64), 0..60)) {
            let mut chunks = Chunks::default();
            let mut model: HashMap<u8, Vec<u64>> = HashMap::new();
            for (step, (document, count)) in changes.into_iter().enumerate() {
                let numbers: Vec<u64> = (0..count).map(|i| step as u64 * 10 + i).collect();
                chunks.replace(&replacement(document, numbers.iter().map(|&n| chunk(n))));
                model.insert(document, numbers);
            }
            prop_assert_eq!(chunks.slots().len(), model.values().map(Vec::len).sum::<usize>());
            prop_assert_eq!(chunks.by_number.len(), chunks.slots().len());
            for (document, numbers) in model {
                for number in numbers {
                    let slot = &chunks.slots()[chunks.slot(number).unwrap()];
                    prop_assert_eq!(slot.number, number);
                    prop_assert_eq!(slot.owner.document[0], document);
                }
            }
        }
    }
}
