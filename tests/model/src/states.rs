//! The states that were seen, each once, with the one from which it was first reached.

use std::hash::{Hash, Hasher};

const NONE: u32 = u32::MAX;

pub(crate) struct States<S> {
    states: Vec<S>,
    /// The state before it on the shortest way from the first.
    before: Vec<u32>,
    /// A hash table of numbers of states; its length is a power of two.
    slots: Vec<u32>,
}

impl<S: Copy + Eq + Hash> States<S> {
    pub(crate) fn new() -> Self {
        States {
            states: Vec::new(),
            before: Vec::new(),
            slots: vec![NONE; 1 << 16],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    pub(crate) fn get(&self, number: u32) -> &S {
        &self.states[number as usize]
    }

    /// The number of `state`, a new one if it was not seen before.
    pub(crate) fn add(&mut self, state: S, before: Option<u32>) -> u32 {
        if self.states.len() * 3 > self.slots.len() * 2 {
            self.grow();
        }
        let slot = self.slot(&state);
        if self.slots[slot] != NONE {
            return self.slots[slot];
        }
        let number = self.states.len() as u32;
        self.slots[slot] = number;
        self.states.push(state);
        self.before.push(before.unwrap_or(NONE));
        number
    }

    /// The numbers of the states on the shortest way from the first to this one.
    pub(crate) fn path(&self, to: u32) -> Vec<u32> {
        let mut path = vec![to];
        let mut at = to;
        while self.before[at as usize] != NONE {
            at = self.before[at as usize];
            path.push(at);
        }
        path.reverse();
        path
    }

    /// Where `state` stands in the table, or would stand.
    fn slot(&self, state: &S) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash(state) as usize & mask;
        while self.slots[slot] != NONE && self.states[self.slots[slot] as usize] != *state {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![NONE; self.slots.len() * 2];
        for number in 0..self.states.len() {
            let slot = self.slot(&self.states[number]);
            self.slots[slot] = number as u32;
        }
    }
}

fn hash<S: Hash>(state: &S) -> u64 {
    let mut hasher = QuickHasher(0);
    state.hash(&mut hasher);
    hasher.finish()
}

/// A hash that is quick on small values. Equal states are compared whole, so it need not be a good one.
struct QuickHasher(u64);

impl QuickHasher {
    fn mix(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        let folded = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        folded ^ (folded >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value as u64);
    }
}
