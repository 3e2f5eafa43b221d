//! The entry in a file of JSON, with or without comments.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};

use super::{NAME, Start};

/// What clients read: JSON with comments and commas at the end, and nothing looser.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// `text` with the entry below `key`.
pub(super) fn with_entry(
    text: &str,
    key: &str,
    fixed: &[(&str, &str)],
    start: &Start,
) -> Result<String, String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let root = CstRootNode::parse(text, &OPTIONS).map_err(|e| e.to_string())?;
    let object = root.object_value().ok_or("it is not an object")?;
    let servers = object
        .object_value_or_create(key)
        .ok_or_else(|| format!("{key} is not an object"))?;
    let entry = servers
        .object_value_or_create(NAME)
        .ok_or_else(|| format!("{key}.{NAME} is not an object"))?;
    let string = |text: &str| CstInputValue::String(text.to_owned());
    let arguments = start.arguments.iter().map(|text| string(text)).collect();
    let fixed = fixed.iter().map(|(name, value)| (*name, string(value)));
    let wanted = fixed.chain([
        ("command", string(&start.command)),
        ("args", CstInputValue::Array(arguments)),
    ]);
    for (name, value) in wanted {
        match entry.get(name) {
            Some(present) => present.set_value(value),
            None => drop(entry.append(name, value)),
        }
    }
    Ok(root.to_string())
}
