//! Collections with their files.

use std::collections::BTreeMap;

use super::super::figures::FileCounts;
use super::super::status::FileTotals;
use super::super::wire::{CollectionOverview, CollectionView, ListedState, RejectionReason};
use crate::store::RejectionCount;

/// Reasons that are told of each collection.
pub(super) const REASONS: usize = 5;

/// Characters of a reason.
const REASON_MAX: usize = 200;

/// The files of all collections together.
pub(super) fn totals(counted: &FileCounts) -> FileTotals {
    let mut states = BTreeMap::<ListedState, u64>::new();
    for (state, files) in counted.files.values().flatten() {
        *states.entry(*state).or_default() += files;
    }
    FileTotals {
        documents: states.get(&ListedState::Stored).copied().unwrap_or(0),
        files: states.values().sum(),
        states,
        chunks: counted.chunks,
    }
}

/// Each collection with its files, and why some of them are rejected.
pub(super) fn with_files(
    collections: &[CollectionView],
    counted: &FileCounts,
    rejections: &[RejectionCount],
) -> Vec<CollectionOverview> {
    let with_files = |collection: &CollectionView| {
        let states = counted.files.get(&collection.name);
        let states = states.cloned().unwrap_or_default();
        let reasons = rejections.iter();
        let reasons = reasons.filter(|one| one.collection == collection.name);
        CollectionOverview {
            files: states.values().sum(),
            states: states
                .into_iter()
                .map(|(s, files)| (s.into(), files))
                .collect(),
            rejections: reasons
                .map(|one| RejectionReason {
                    reason: one.reason.chars().take(REASON_MAX).collect(),
                    files: one.files,
                })
                .collect(),
            collection: collection.clone(),
        }
    };
    collections.iter().map(with_files).collect()
}
