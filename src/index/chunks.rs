//! What is kept in memory of each chunk: whose it is, where it begins, its vector, and where its postings are.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

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

/// A document that has chunks.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) document: DocumentId,
    pub(super) collection: Arc<str>,
    pub(super) path: Arc<[u8]>,
    /// What its path says of it.
    pub(super) place: Place,
    /// The numbers of its chunks.
    chunks: Vec<u64>,
}

impl Owner {
    /// `before`: the owner before it. Mostly it is of the same collection, whose name then stands in one place: who compares the
    /// names of all owners has it at hand.
    fn of(replacement: &Replacement, before: Option<&Self>) -> Self {
        let before = before.map(|before| &before.collection);
        let same = before.filter(|name| **name == replacement.collection);
        Self {
            document: replacement.document,
            collection: Arc::clone(same.unwrap_or(&replacement.collection)),
            path: Arc::clone(&replacement.path),
            place: Place::of(&replacement.path),
            chunks: Vec::new(),
        }
    }
}

/// A chunk without its text and vector.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u64,
    /// Where its document stands among the owners.
    pub(super) owner: u32,
    pub(super) first_line: u32,
    /// `None` only until the keyword index that has it is placed.
    pub(super) address: Option<Address>,
}

/// All chunks, in slots without gaps; the vector of a chunk is in the slot of the same number. Their documents, the owners, are
/// without gaps too.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    slots: Vec<Slot>,
    vectors: Vectors,
    owners: Vec<Owner>,
    by_number: HashMap<u64, u32>,
    by_document: HashMap<DocumentId, u32>,
    /// Made when it is asked for, and gone with the next change.
    by_address: OnceLock<OwnersByAddress>,
}

impl Chunks {
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    pub(super) fn owners(&self) -> &[Owner] {
        &self.owners
    }

    /// The document of a chunk.
    pub(super) fn owner(&self, slot: &Slot) -> &Owner {
        &self.owners[slot.owner as usize]
    }

    /// The owner of what is at each address.
    pub(super) fn owners_by_address(&self) -> &OwnersByAddress {
        self.by_address
            .get_or_init(|| OwnersByAddress::of(&self.slots))
    }

    /// The slot of the chunk `number`.
    pub(super) fn slot(&self, number: u64) -> Option<usize> {
        self.by_number.get(&number).map(|&slot| slot as usize)
    }

    /// Replaces the chunks of one document.
    pub(super) fn replace(&mut self, replacement: &Replacement) {
        self.by_address.take();
        if let Some(owner) = self.by_document.remove(&replacement.document) {
            self.remove(owner);
        }
        for chunk in &replacement.chunks {
            self.push(replacement, chunk, None);
        }
    }

    /// Adds a chunk of the document `known` that the keyword index has at `address`.
    pub(super) fn load(&mut self, known: &Replacement, chunk: &ChunkRow, address: Address) {
        self.by_address.take();
        self.push(known, chunk, Some(address));
    }

    /// Notes where the keyword index has the chunk `number`, if there is one.
    pub(super) fn place(&mut self, number: u64, address: Address) {
        self.by_address.take();
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
            self.owners.shrink_to_fit();
            self.by_document.shrink_to_fit();
        }
    }

    fn push(&mut self, document: &Replacement, chunk: &ChunkRow, address: Option<Address>) {
        // The keyword index counts chunks in 32 bits too, and would have refused before; there are no more owners than chunks.
        let slot = self.slots.len() as u32;
        let next = self.owners.len() as u32;
        let owner = *self.by_document.entry(document.document).or_insert(next);
        if owner == next {
            let owner = Owner::of(document, self.owners.last());
            self.owners.push(owner);
        }
        self.owners[owner as usize].chunks.push(chunk.number);
        self.by_number.insert(chunk.number, slot);
        self.slots.push(Slot {
            number: chunk.number,
            owner,
            first_line: chunk.first_line,
            address,
        });
        let stored = chunk.vector.as_deref();
        let vector = stored.and_then(Quantised::from_bytes);
        self.vectors.push(vector.as_ref());
    }

    /// Removes an owner with its chunks; the last one takes its place.
    fn remove(&mut self, owner: u32) {
        let removed = self.owners.swap_remove(owner as usize);
        if let Some(moved) = self.owners.get(owner as usize) {
            self.by_document.insert(moved.document, owner);
            for slot in moved.chunks.iter().filter_map(|n| self.by_number.get(n)) {
                self.slots[*slot as usize].owner = owner;
            }
        }
        for number in removed.chunks {
            self.remove_chunk(number);
        }
    }

    fn remove_chunk(&mut self, number: u64) {
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

/// The owners of the chunks by their addresses.
#[derive(Debug)]
pub(super) struct OwnersByAddress {
    by_place: Vec<Vec<u32>>,
}

impl OwnersByAddress {
    /// In the place of the owner of a chunk that is deleted or not known.
    const NONE: u32 = u32::MAX;

    fn of(slots: &[Slot]) -> Self {
        let mut by_place: Vec<Vec<u32>> = Vec::new();
        for slot in slots {
            let Some(Address { segment, doc }) = slot.address else {
                continue;
            };
            let (segment, doc) = (segment as usize, doc as usize);
            if by_place.len() <= segment {
                by_place.resize_with(segment + 1, Vec::new);
            }
            let owners = &mut by_place[segment];
            if owners.len() <= doc {
                owners.resize(doc + 1, Self::NONE);
            }
            owners[doc] = slot.owner;
        }
        Self { by_place }
    }

    /// The owner of the chunk at `address`, if it is known.
    pub(super) fn at(&self, address: Address) -> Option<u32> {
        let owners = self.by_place.get(address.segment as usize)?;
        let owner = *owners.get(address.doc as usize)?;
        (owner != Self::NONE).then_some(owner)
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
        assert_eq!(chunks.owners().len(), 1);
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
            let with_chunks = model.values().filter(|numbers| !numbers.is_empty()).count();
            prop_assert_eq!(chunks.owners().len(), with_chunks);
            prop_assert_eq!(chunks.by_document.len(), with_chunks);
            for (document, numbers) in model {
                for number in numbers {
                    let slot = &chunks.slots()[chunks.slot(number).unwrap()];
                    prop_assert_eq!(slot.number, number);
                    prop_assert_eq!(chunks.owner(slot).document[0], document);
                }
            }
        }
    }

    #[test]
    fn an_address_tells_the_owner_of_what_is_there_now() {
        let at = |segment, doc| Address { segment, doc };
        let mut chunks = Chunks::default();
        chunks.replace(&replacement(1, [chunk(10), chunk(11)]));
        chunks.replace(&replacement(2, [chunk(20)]));
        for (number, address) in [(10, at(0, 3)), (11, at(2, 0)), (20, at(0, 1))] {
            chunks.place(number, address);
        }
        let document = |chunks: &Chunks, address| {
            let owner = chunks.owners_by_address().at(address)?;
            Some(chunks.owners()[owner as usize].document[0])
        };
        assert_eq!(document(&chunks, at(0, 3)), Some(1));
        assert_eq!(document(&chunks, at(2, 0)), Some(1));
        assert_eq!(document(&chunks, at(0, 1)), Some(2));
        for nothing in [at(0, 0), at(0, 4), at(1, 0), at(3, 0)] {
            assert_eq!(document(&chunks, nothing), None);
        }
        chunks.replace(&replacement(1, [chunk(12)]));
        chunks.place(12, at(1, 0));
        assert_eq!(document(&chunks, at(0, 3)), None);
        assert_eq!(document(&chunks, at(1, 0)), Some(1));
        assert_eq!(document(&chunks, at(0, 1)), Some(2));
    }
}
