//! The collections at work: those of the config, and those that only the manifest still knows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::beneath;
use super::collection::{Collection, WatchMode};
use super::options::WatchOptions;
use super::scope::Scope;
use crate::store::{Digest, LeaseTerm};

/// A collection at work.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) name: String,
    pub(super) root: PathBuf,
    pub(super) watch: WatchMode,
    /// Identifies the rules that make a file a secret by its content. When it changes, all files are read again.
    pub(super) judged_by: String,
    /// `None`: the collection is not in the config any more.
    pub(super) scope: Option<Scope>,
    /// What is captured is written under it, where several hosts may watch the collection.
    pub(super) lease: Option<LeaseTerm>,
}

/// The trees of the config, those of them that are `ours`, followed by those that only the manifest has files of.
pub(super) fn trees(
    options: &WatchOptions,
    ours: Option<&BTreeMap<String, LeaseTerm>>,
    deserted: Vec<String>,
) -> Result<Vec<Tree>, String> {
    let data_dir = beneath::open_root(&options.data_dir).map_err(|e| {
        format!(
            "cannot open the data_dir {}: {e}",
            options.data_dir.display()
        )
    })?;
    let data_dir = beneath::id(&data_dir).map_err(|e| std::io::Error::from(e).to_string())?;
    let mut trees = Vec::new();
    for collection in &options.collections {
        let lease = ours.map(|ours| ours.get(&collection.name));
        if lease == Some(None) {
            continue;
        }
        let scope = Scope::new(collection, &options.secrets, Some(data_dir));
        trees.push(Tree {
            name: collection.name.clone(),
            root: std::path::absolute(&collection.root).map_err(|e| e.to_string())?,
            watch: collection.watch,
            judged_by: judged_by(collection),
            scope: Some(scope.map_err(|e| e.to_string())?),
            lease: lease.flatten().cloned(),
        });
    }
    trees.extend(deserted.into_iter().map(|name| Tree {
        name,
        root: PathBuf::new(),
        watch: WatchMode::Auto,
        judged_by: String::new(),
        scope: None,
        lease: None,
    }));
    Ok(trees)
}

fn judged_by(collection: &Collection) -> String {
    /// Raised when `document` finds other private keys than before.
    const VERSION: u32 = 1;
    let rules = format!("{VERSION} {:?}", collection.allow_secrets);
    Digest::of(rules.as_bytes()).to_string()
}
