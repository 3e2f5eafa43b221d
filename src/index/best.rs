//! The best hundred of many scored things, with what ties.

use std::cmp::Ordering;

/// How many are wanted.
pub(super) const WANTED: usize = 100;
/// How many are kept at most when others tie with the hundredth.
const WANTED_WITH_TIES: usize = 200;
/// How many are collected before the worse ones are dropped.
const COLLECTED: usize = 1000;

/// Collects the best [`WANTED`] by score and what ties with the last of them, [`WANTED_WITH_TIES`] at most.
/// Which of more than that many tied ones are kept depends on the order in which they come.
pub(super) struct Best<T> {
    kept: Vec<(f64, T)>,
    /// What scores less cannot be among the best any more.
    least: f64,
}

impl<T> Best<T> {
    pub(super) fn new() -> Self {
        Self {
            kept: Vec::new(),
            least: f64::NEG_INFINITY,
        }
    }

    /// Whether what has this score may be among the best.
    #[inline]
    pub(super) fn wants(&self, score: f64) -> bool {
        score >= self.least
    }

    /// Takes note of `item`.
    #[inline]
    pub(super) fn push(&mut self, score: f64, item: T) {
        if !self.wants(score) {
            return;
        }
        self.kept.push((score, item));
        if self.kept.len() >= COLLECTED {
            self.drop_the_worse();
        }
    }

    /// The best, in no particular order.
    pub(super) fn into_items(mut self) -> impl Iterator<Item = T> {
        self.drop_the_worse();
        self.kept.into_iter().map(|(_, item)| item)
    }

    fn drop_the_worse(&mut self) {
        if self.kept.len() <= WANTED {
            return;
        }
        let (_, last_wanted, _) = self
            .kept
            .select_nth_unstable_by(WANTED - 1, |a, b| b.0.total_cmp(&a.0));
        let least = last_wanted.0;
        self.least = least;
        let better = self.kept[..WANTED].iter().filter(|k| k.0 > least).count();
        let mut ties = WANTED_WITH_TIES - better;
        self.kept
            .retain(|(score, _)| match score.total_cmp(&least) {
                Ordering::Greater => true,
                Ordering::Less => false,
                Ordering::Equal => {
                    let room = ties > 0;
                    ties -= usize::from(room);
                    room
                }
            });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(scores: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut best = Best::new();
        for score in scores {
            best.push(score, score);
        }
        let mut items: Vec<f64> = best.into_items().collect();
        items.sort_by(|a, b| b.total_cmp(a));
        items
    }

    #[test]
    fn ties_with_the_hundredth_are_kept_up_to_two_hundred() {
        assert_eq!(best((0..50).map(f64::from)).len(), 50);
        assert_eq!(best((0..5000).map(f64::from)).len(), 100);
        assert_eq!(best(vec![1.0; 150]).len(), 150);
        let many = best((0..5000).map(|i| if i % 50 == 7 { 2.0 } else { 1.0 }));
        assert_eq!(
            many.len(),
            100,
            "a hundred above the ties need none of them"
        );
        let many = best((0..4000).map(|i| if i % 50 == 7 { 2.0 } else { 1.0 }));
        assert_eq!((many.len(), many[79], many[80]), (200, 2.0, 1.0));
    }

    proptest! {
        #[test]
        fn it_is_what_sorting_gives(scores in prop::collection::vec(0..60_u8, 0..4000)) {
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let mut sorted = scores.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            if let Some(&hundredth) = sorted.get(WANTED - 1) {
                sorted.retain(|&score| score >= hundredth);
            }
            sorted.truncate(WANTED_WITH_TIES);
            prop_assert_eq!(best(scores), sorted);
        }
    }
}
