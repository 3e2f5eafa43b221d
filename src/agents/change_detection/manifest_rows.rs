//! The manifest rows below a directory, in the order of their paths.

use std::collections::VecDeque;

use super::paths;
use super::pulse::Halt;
use crate::store::{ManifestRow, Store};

/// Rows read in one go.
const PAGE: usize = 512;

/// Reads the rows page by page.
pub(super) struct ManifestRows {
    store: Store,
    collection: String,
    prefix: Vec<u8>,
    after: Vec<u8>,
    page: VecDeque<ManifestRow>,
    /// There are none after the page.
    last: bool,
}

impl ManifestRows {
    /// The rows below `base`; empty: all rows.
    pub(super) fn new(store: &Store, collection: &str, base: &[u8]) -> Self {
        let prefix = paths::below(base);
        ManifestRows {
            store: store.clone(),
            collection: collection.to_owned(),
            after: prefix.clone(),
            prefix,
            page: VecDeque::new(),
            last: false,
        }
    }

    /// The rows that come next; empty: there are no more.
    pub(super) async fn peek_page(&mut self) -> Result<&VecDeque<ManifestRow>, Halt> {
        if self.page.is_empty() && !self.last {
            let rows = self
                .store
                .manifest_rows(&self.collection, &self.after, PAGE)
                .await?;
            self.last = rows.len() < PAGE;
            for row in rows {
                if !row.path.starts_with(&self.prefix) {
                    self.last = true;
                    break;
                }
                self.after.clone_from(&row.path);
                self.page.push_back(row);
            }
        }
        Ok(&self.page)
    }

    /// The next row, if its path is as wanted.
    pub(super) async fn next_if(
        &mut self,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<ManifestRow>, Halt> {
        self.peek_page().await?;
        Ok(self.page.pop_front_if(|row| wanted(&row.path)))
    }
}
