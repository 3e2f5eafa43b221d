//! The vectors of all chunks side by side, and the exact scan over them.

use crate::embed::{DIMENSIONS, Quantised};

/// Vectors that are compared in one go.
const BLOCK: usize = 1024;
/// Values whose products are summed side by side.
const LANES: usize = 16;

/// Vectors in slots 0, 1, 2, … without gaps. A slot may be without a vector: then its scale is 0.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    values: Vec<[i8; DIMENSIONS]>,
    scales: Vec<f32>,
}

impl Vectors {
    /// Adds a slot at the end.
    pub(super) fn push(&mut self, vector: Option<&Quantised>) {
        if self.values.len() == self.values.capacity() {
            // By an eighth instead of double: this is nearly all the memory that a chunk takes.
            let more = (self.values.len() / 8).max(1024);
            self.values.reserve_exact(more);
            self.scales.reserve_exact(more);
        }
        match vector {
            Some(vector) => {
                self.values.push(vector.values);
                self.scales.push(vector.scale);
            }
            None => {
                self.values.push([0; DIMENSIONS]);
                self.scales.push(0.0);
            }
        }
    }

    /// Removes a slot; the last one takes its place.
    pub(super) fn swap_remove(&mut self, slot: usize) {
        self.values.swap_remove(slot);
        self.scales.swap_remove(slot);
    }

    /// Gives back memory when more than half of it is unused.
    pub(super) fn trim(&mut self) {
        let used = self.values.len().max(1024);
        if self.values.capacity() > 2 * used {
            self.values.shrink_to(used);
            self.scales.shrink_to(used);
        }
    }

    /// The cosine of the query and the chunk in `slot`; `None` if the chunk has no vector.
    pub(super) fn cosine(&self, query: &Quantised, slot: usize) -> Option<f32> {
        self.scaled(query, slot, dot(&widened(query), &self.values[slot]))
    }

    /// Hands to `take` the cosine of the query and every chunk that has a vector and whose slot `passes`, with its slot, in the
    /// order of the slots.
    pub(super) fn each_cosine(
        &self,
        query: &Quantised,
        passes: impl Fn(usize) -> bool,
        mut take: impl FnMut(usize, f32),
    ) {
        let widened = widened(query);
        let mut dots = [0; BLOCK];
        for (block, values) in self.values.chunks(BLOCK).enumerate() {
            let slots = block * BLOCK..block * BLOCK + values.len();
            // Most of a scan is reading the values.
            if !slots.clone().any(&passes) {
                continue;
            }
            let dots = &mut dots[..values.len()];
            fill(&widened, values, dots);
            for (slot, &dot) in slots.zip(dots.iter()) {
                if passes(slot)
                    && let Some(cosine) = self.scaled(query, slot, dot)
                {
                    take(slot, cosine);
                }
            }
        }
    }

    fn scaled(&self, query: &Quantised, slot: usize, dot: i32) -> Option<f32> {
        let scale = self.scales[slot];
        // A dot product is less than 2^24 and so exact in an f32.
        (scale != 0.0).then_some(dot as f32 * query.scale * scale)
    }
}

/// The query's values in 16 bits: so products are summed in pairs by one instruction.
fn widened(query: &Quantised) -> [i16; DIMENSIONS] {
    query.values.map(i16::from)
}

/// The dot product of two vectors; exact, so the order of summing leaves no trace.
#[inline(always)]
fn dot(query: &[i16; DIMENSIONS], values: &[i8; DIMENSIONS]) -> i32 {
    // One sum for each lane: of a single one the compiler takes half a register at a time.
    let mut sums = [0; LANES];
    let rows = query.chunks_exact(LANES).zip(values.chunks_exact(LANES));
    for (query, values) in rows {
        for ((sum, &x), &y) in sums.iter_mut().zip(query).zip(values) {
            *sum += i32::from(x) * i32::from(y);
        }
    }
    sums.iter().sum()
}

/// Puts the dot product of `query` with each of `values` into `dots`, by the widest instructions of this processor.
fn fill(query: &[i16; DIMENSIONS], values: &[[i8; DIMENSIONS]], dots: &mut [i32]) {
    fearless_simd::dispatch!(fearless_simd::Level::new(), _level => scan(query, values, dots));
}

/// Compiled once for each set of instructions: inlined into the dispatch, so that it may use them.
#[inline(always)]
fn scan(query: &[i16; DIMENSIONS], values: &[[i8; DIMENSIONS]], dots: &mut [i32]) {
    // Memory takes longer than the sums. Of two rows apart from each other it gives more at a time than of one.
    let half = values.len() / 2;
    let (near, far) = values.split_at(half);
    let (near_dots, far_dots) = dots.split_at_mut(half);
    let dots = near_dots.iter_mut().zip(far_dots.iter_mut());
    for ((near, far), (near_dot, far_dot)) in near.iter().zip(far).zip(dots) {
        *near_dot = dot(query, near);
        *far_dot = dot(query, far);
    }
    if let (Some(dot_of_last), Some(last)) = (far_dots.get_mut(half), far.get(half)) {
        *dot_of_last = dot(query, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(seed: i32) -> Quantised {
        let mut values = [0; DIMENSIONS];
        for (i, value) in values.iter_mut().enumerate() {
            *value = ((seed * 31 + i as i32 * 17) % 255 - 127) as i8;
        }
        Quantised {
            values,
            scale: 0.01,
        }
    }

    #[test]
    fn the_scan_gives_each_chunk_the_cosine_it_has_alone() {
        let mut vectors = Vectors::default();
        for seed in 0..50 {
            vectors.push((seed % 7 != 0).then(|| vector(seed)).as_ref());
        }
        vectors.swap_remove(3);
        let query = vector(1000);
        let mut scanned: Vec<(usize, f32)> = Vec::new();
        vectors.each_cosine(
            &query,
            |_| true,
            |slot, cosine| scanned.push((slot, cosine)),
        );
        let alone: Vec<(usize, f32)> = (0..49)
            .filter_map(|slot| Some((slot, vectors.cosine(&query, slot)?)))
            .collect();
        assert_eq!(scanned, alone);
        assert_eq!(
            alone.len(),
            41,
            "one in seven has no vector, and then no cosine"
        );
        assert!(!alone.iter().any(|&(slot, _)| slot == 0));
    }

    #[test]
    fn of_many_blocks_only_what_passes_is_handed_out() {
        let mut vectors = Vectors::default();
        for seed in 0..3 * BLOCK as i32 + 5 {
            vectors.push(Some(&vector(seed)));
        }
        let query = vector(1000);
        // Nothing of the second block.
        let passes = |slot: usize| slot / BLOCK != 1 && slot.is_multiple_of(3);
        let mut scanned: Vec<(usize, f32)> = Vec::new();
        vectors.each_cosine(&query, passes, |slot, cosine| scanned.push((slot, cosine)));
        let alone = (0..3 * BLOCK + 5).filter(|slot| passes(*slot));
        let alone = alone.map(|slot| (slot, vectors.cosine(&query, slot).unwrap()));
        assert_eq!(scanned, alone.collect::<Vec<_>>());
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        assert_eq!(
            dot(&[-128; DIMENSIONS], &[-128; DIMENSIONS]),
            256 * 128 * 128
        );
        assert_eq!(
            dot(&[-128; DIMENSIONS], &[127; DIMENSIONS]),
            -256 * 128 * 127
        );
    }

    #[test]
    fn memory_follows_the_number_of_chunks() {
        let mut vectors = Vectors::default();
        for seed in 0..10_000 {
            vectors.push(Some(&vector(seed)));
        }
        assert!(vectors.values.capacity() <= 11_500);
        while vectors.values.len() > 10 {
            vectors.swap_remove(0);
        }
        vectors.trim();
        assert!(vectors.values.capacity() <= 2048);
    }
}
