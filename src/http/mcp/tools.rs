//! The tools: what they are called, what they take, what they answer. Every word here costs tokens in each session.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::wire::CiteItem;

/// Hits of a search, unless it is said.
pub(super) const HITS: usize = 5;

/// The most hits that a search gives, with those of the pages before.
pub(super) const HITS_MAX: usize = 100;

/// The arguments of `search`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchArguments {
    pub(super) query: String,
    pub(super) limit: Option<usize>,
    pub(super) collection: Option<String>,
    pub(super) path: Option<Vec<String>>,
    pub(super) kind: Option<String>,
    pub(super) language: Option<String>,
    pub(super) since: Option<String>,
    pub(super) exact: Option<bool>,
    pub(super) cursor: Option<String>,
}

/// The arguments of `read`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadArguments {
    #[serde(rename = "ref")]
    pub(super) reference: String,
}

/// The arguments of `cite`: one quote, or several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CiteArguments {
    #[serde(rename = "ref")]
    pub(super) reference: Option<String>,
    pub(super) quote: Option<String>,
    pub(super) items: Option<Vec<CiteItem>>,
}

/// The arguments of `status`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusArguments {}

fn object(value: Value) -> Arc<JsonObject> {
    let Value::Object(object) = value else {
        return Arc::default();
    };
    Arc::new(object)
}

/// The definitions, in the order in which they are useful.
pub(super) fn definitions() -> Vec<Tool> {
    let reads = |name, description, input, output| {
        let annotations = ToolAnnotations::new().read_only(true).open_world(false);
        Tool::new(name, description, object(input))
            .with_raw_output_schema(object(output))
            .with_annotations(annotations)
    };
    vec![
        reads(
            "search",
            "Find text in the indexed files by words and meaning; \"a quoted phrase\" literally. Answers with places (path:first-last) and their lines.",
            search_input(),
            json!({"type": "object", "properties": {"hits": {"type": "array"}}, "required": ["hits"]}),
        ),
        reads(
            "read",
            "Read an indexed file, or lines of it.",
            json!({"type": "object", "properties": {"ref": reference()}, "required": ["ref"]}),
            json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}),
        ),
        reads(
            "cite",
            "Check quotes before citing them: ok, moved (new lines), changed (nearest text), gone, unknown. One ref and quote, or items.",
            cite_input(),
            json!({"type": "object"}),
        ),
        reads(
            "status",
            "Whether docent works, what is indexed, and what is pending.",
            json!({"type": "object", "properties": {}}),
            json!({"type": "object", "properties": {"state": {"type": "string"}}, "required": ["state"]}),
        ),
    ]
}

fn reference() -> Value {
    json!({"type": "string", "description": "COLLECTION/PATH[:FIRST[-LAST]]"})
}

fn search_input() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "limit": {"type": "integer", "minimum": 1, "maximum": HITS_MAX, "default": HITS},
            "collection": {"type": "string"},
            "path": {"type": "array", "items": {"type": "string"}, "description": "globs, !GLOB excludes"},
            "kind": text("markdown, text, code, json, yaml, toml"),
            "language": text("rust, python, …"),
            "since": text("changed since: 7d, 2026-01-31"),
            "exact": {"type": "boolean", "description": "quoted parts must occur"},
            "cursor": text("nextCursor, for more"),
        },
        "required": ["query"],
    })
}

fn cite_input() -> Value {
    let quote = json!({"type": "string"});
    let item = json!({
        "type": "object",
        "properties": {"ref": {"type": "string"}, "quote": quote},
        "required": ["ref", "quote"],
    });
    json!({
        "type": "object",
        "properties": {"ref": reference(), "quote": quote, "items": {"type": "array", "items": item}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_cost_under_600_tokens_together() {
        let mut tools = serde_json::to_value(definitions()).unwrap();
        for tool in tools.as_array_mut().unwrap() {
            tool.as_object_mut().unwrap().remove("outputSchema");
        }
        let bytes = json!({ "tools": tools }).to_string().len();
        assert!(bytes / 4 < 600, "{bytes} bytes");
    }

    #[test]
    fn every_tool_only_reads_and_takes_what_is_defined() {
        let tools = definitions();
        let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["search", "read", "cite", "status"]);
        for tool in &tools {
            let annotations = tool.annotations.as_ref().unwrap();
            assert_eq!(annotations.read_only_hint, Some(true));
        }
        let properties = |index: usize| {
            let schema = tools[index].input_schema["properties"].as_object().unwrap();
            schema.keys().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            properties(0),
            "query limit collection path kind language since exact cursor"
        );
        assert_eq!(properties(1), "ref");
        assert_eq!(properties(2), "ref quote items");
    }
}
