//! The entry in a file of TOML.

use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::{NAME, Start};

/// `text` with the entry below `key`.
pub(super) fn with_entry(text: &str, key: &str, start: &Start) -> Result<String, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|e: toml_edit::TomlError| e.to_string())?;
    let mut bare = Table::new();
    bare.set_implicit(true);
    let servers = document.entry(key).or_insert(Item::Table(bare));
    let servers = servers
        .as_table_like_mut()
        .ok_or_else(|| format!("{key} is not a table"))?;
    if !servers.contains_key(NAME) {
        servers.insert(NAME, Item::Table(Table::new()));
    }
    let entry = servers
        .get_mut(NAME)
        .and_then(Item::as_table_like_mut)
        .ok_or_else(|| format!("{key}.{NAME} is not a table"))?;
    let arguments: Array = start.arguments.iter().collect();
    for (name, wanted) in [
        ("command", value(&start.command)),
        ("args", value(arguments)),
    ] {
        let same = entry.get(name).is_some_and(|item| {
            let text = |item: &Item| item.to_string().trim().to_owned();
            text(item) == text(&wanted)
        });
        if !same {
            entry.insert(name, wanted);
        }
    }
    Ok(document.to_string())
}
