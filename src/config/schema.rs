//! The table of keys as a JSON Schema, so that editors complete and check a config.

use super::keys::Config;
use super::shape::Shape;
use super::table::{Key, Keys as _, Node};
use super::units;
use serde_json::{Map, Value, json};

/// The schema of a config file, of JSON Schema's draft 2020-12.
pub(crate) fn schema() -> Value {
    let mut schema = Map::new();
    let dialect = "https://json-schema.org/draft/2020-12/schema";
    schema.insert("$schema".to_owned(), json!(dialect));
    schema.insert("title".to_owned(), json!("The config of docent"));
    schema.append(&mut table(Config::KEYS, &[]));
    Value::Object(schema)
}

fn table(keys: &'static [Key], own: &[(&str, &str)]) -> Map<String, Value> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for key in keys {
        let mut property = match &key.node {
            Node::Value { shape, default } => {
                let own = own.iter().find(|(name, _)| *name == key.name);
                let default = own.map(|(_, text)| *text).or(*default);
                if default.is_none() {
                    required.push(key.name);
                }
                value(shape, key.sentence(), default)
            }
            Node::Table {
                keys, list: true, ..
            } => object([
                ("description", json!(key.sentence())),
                ("type", json!("array")),
                ("items", Value::Object(table(keys, &[]))),
            ]),
            Node::Table { keys, defaults, .. } => {
                let mut inner = object([("description", json!(key.sentence()))]);
                inner.append(&mut table(keys, defaults));
                inner
            }
        };
        properties.insert(
            key.name.to_owned(),
            Value::Object(std::mem::take(&mut property)),
        );
    }
    let mut table = object([
        ("type", json!("object")),
        ("properties", Value::Object(properties)),
        ("additionalProperties", json!(false)),
    ]);
    if !required.is_empty() {
        table.insert("required".to_owned(), json!(required));
    }
    table
}

fn value(shape: &Shape, sentence: String, default: Option<&str>) -> Map<String, Value> {
    let range = match shape {
        Shape::Time(min, max) | Shape::Size(min, max) => {
            let ends = [*min, *max].map(|end| shape.written(end).replace('"', ""));
            format!(" From {} to {}.", ends[0], ends[1])
        }
        _ => String::new(),
    };
    let mut value = object([("description", json!(sentence + &range))]);
    value.append(&mut shape_of(shape));
    let default: Option<toml::Value> = default.and_then(|text| text.parse().ok());
    if let Some(default) = default {
        value.insert("default".to_owned(), json!(default));
    }
    value
}

fn shape_of(shape: &Shape) -> Map<String, Value> {
    let text = ("type", json!("string"));
    match shape {
        Shape::Text(_) | Shape::Webhook(_) => object([text]),
        Shape::Name(characters, shortest, longest) => {
            // A hyphen at the end of a class stands for itself.
            let class = characters.replace(' ', "");
            let pattern = format!("^[{class}]{{{shortest},{longest}}}$");
            object([text, ("pattern", json!(pattern))])
        }
        Shape::Count(min, max) => object([
            ("type", json!("integer")),
            ("minimum", json!(min)),
            ("maximum", json!(max)),
        ]),
        Shape::Switch => object([("type", json!("boolean"))]),
        Shape::Choice(words) => object([("enum", json!(words))]),
        Shape::Time(..) => object([text, ("pattern", json!(units::TIME.pattern()))]),
        Shape::Size(..) => object([text, ("pattern", json!(units::SIZE.pattern()))]),
        Shape::Limit => object([("type", json!(["string", "number"]))]),
        Shape::List(item) => object([
            ("type", json!("array")),
            ("items", Value::Object(shape_of(item))),
        ]),
    }
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    let entries = entries.into_iter();
    entries
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key_path;

    fn at<'s>(schema: &'s Value, key: &str) -> &'s Value {
        key.split('.').fold(schema, |schema, name| {
            let table = schema.get("items").unwrap_or(schema);
            &table["properties"][name]
        })
    }

    #[test]
    fn every_key_has_its_type_its_default_and_what_it_does() {
        let schema = schema();
        for key in key_path::all() {
            let found = at(&schema, &key);
            let described = found["description"].as_str().unwrap_or_default();
            assert!(!described.is_empty(), "{key}: {found}");
            let shaped = found.get("type").or(found.get("enum"));
            assert!(shaped.is_some(), "{key}: {found}");
            let required = [
                "collection.name",
                "collection.path",
                "alert.name",
                "alert.when",
            ];
            let has_default = found.get("default").is_some();
            assert_ne!(has_default, required.contains(&key.as_str()), "{key}");
        }
        assert_eq!(at(&schema, "redis.max_retries")["maximum"], 100);
        assert_eq!(at(&schema, "agents.scheduler.concurrency")["default"], 1);
        assert_eq!(at(&schema, "bus.mode")["enum"][0], "auto");
        let pattern = &at(&schema, "watch.debounce")["pattern"];
        assert_eq!(pattern, "^[0-9]+(ms|s|min|h|d)$");
        let pattern = &at(&schema, "redis.group")["pattern"];
        assert_eq!(pattern, "^[A-Za-z0-9_.:-]{1,64}$");
        let items = &schema["properties"]["collection"]["items"];
        assert_eq!(items["required"], json!(["name", "path"]));
        assert_eq!(items["additionalProperties"], false);
    }
}
