//! The vectors of all chunks side by side, and the exact scan over them.

use crate::embed::{DIMENSIONS, Quantised};

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

    /// The cosine of the query and every chunk that has a vector, with its slot.
    pub(super) fn cosines(&self, query: &Quantised) -> impl Iterator<Item = (usize, f32)> {
        dots(&widened(query), &self.values)
            .into_iter()
            .enumerate()
            .filter_map(move |(slot, dot)| Some((slot, self.scaled(query, slot, dot)?)))
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
    query
        .iter()
        .zip(values)
        .map(|(&x, &y)| i32::from(x) * i32::from(y))
        .sum()
}

/// The dot product of `query` with each of `values`, by the widest instructions of this processor.
fn dots(query: &[i16; DIMENSIONS], values: &[[i8; DIMENSIONS]]) -> Vec<i32> {
    let mut dots = vec![0; values.len()];
    fearless_simd::dispatch!(fearless_simd::Level::new(), _level => scan(query, values, &mut dots));
    dots
}

/// Compiled once for each set of instructions: inlined into the dispatch, so that it may use them.
#[inline(always)]
fn scan(query: &[i16; DIMENSIONS], values: &[[i8; DIMENSIONS]], dots: &mut [i32]) {
    for (result, values) in dots.iter_mut().zip(values) {
        *result = dot(query, values);
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
        let scanned: Vec<(usize, f32)> = vectors.cosines(&query).collect();
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
