//! The document beside the routes, and as it is served.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::super::openapi::Document;
use super::super::router::{described, registered};
use super::Daemon;
use crate::http::Target;

fn document() -> Value {
    Document::of(described()).parsed()
}

/// Every operation, by its method and path.
fn operations(document: &Value) -> BTreeMap<(String, String), &Value> {
    let paths = document["paths"].as_object().unwrap().iter();
    let each = paths.flat_map(|(path, item)| {
        let verbs = item.as_object().unwrap().iter();
        verbs.map(move |(verb, operation)| ((verb.to_uppercase(), path.clone()), operation))
    });
    each.collect()
}

#[test]
fn every_route_is_in_the_document_and_nothing_else_is() {
    let document = document();
    let documented: BTreeSet<_> = operations(&document).into_keys().collect();
    let routes = registered().into_iter();
    let served: BTreeSet<_> = routes
        .map(|route| (route.method.to_string(), format!("/api/v1{}", route.path)))
        .collect();
    assert_eq!(documented, served);
    assert!(served.len() > 25, "{}", served.len());
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
}

#[test]
fn every_operation_says_what_it_takes_and_how_it_ends() {
    let document = document();
    let mut ids = BTreeSet::new();
    for ((method, path), operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].to_string()), "{what}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{what}");
        let answers = operation["responses"].as_object().unwrap();
        let (good, bad): (Vec<_>, Vec<_>) = answers
            .iter()
            .partition(|(status, _)| status.starts_with('2'));
        assert_eq!(good.len(), 1, "{what}");
        for (status, answer) in bad {
            let schema = &answer["content"]["application/problem+json"]["schema"];
            assert_eq!(
                schema["$ref"], "#/components/schemas/Problem",
                "{what} {status}"
            );
        }
        for status in ["401", "403", "500", "503"] {
            assert!(answers.contains_key(status), "{what} {status}");
        }
        let parameters = operation["parameters"].as_array();
        let in_path = parameters
            .into_iter()
            .flatten()
            .filter(|p| p["in"] == "path");
        assert_eq!(in_path.count(), path.matches('{').count(), "{what}");
    }
}

/// Every reference of a document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| match value.as_str() {
            Some(reference) if key == "$ref" => found.push(reference),
            _ => references(value, found),
        }),
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn closed_sets_are_listed_and_answers_may_have_more_fields() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let states = &schemas["AgentState"]["enum"];
    assert_eq!(states[4], "parked", "{states}");
    assert_eq!(schemas["Envelope"]["properties"]["data"]["type"], "object");
    for name in ["Status", "SearchAnswer", "Envelope", "Problem"] {
        let schema = &schemas[name];
        assert!(
            schema.is_object() && schema.get("additionalProperties").is_none(),
            "{name}"
        );
    }
    for name in ["Submission", "CiteRequest", "NewToken"] {
        assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            let target = Target::new("/openapi.json");
            let served: Value = daemon.client.get(&target).await.unwrap();
            assert_eq!(served, document());
        })
        .await;
}

#[tokio::test]
async fn what_a_path_cannot_name_is_a_problem_like_any_other() {
    let daemon = Daemon::new();
    daemon
        .serving(async {
            for path in ["/api/v1/events/%FF", "/api/v1/dead/%C3%28"] {
                let answer = daemon.raw(Method::GET, path, Bytes::new()).await;
                assert_eq!(answer.status(), 400, "{path}");
                let kind = &answer.headers()["content-type"];
                assert_eq!(kind, "application/problem+json", "{path}");
            }
        })
        .await;
}

#[test]
fn a_parameter_has_a_type_of_its_own_and_its_bounds() {
    let document = document();
    let of = |path: &str, name: &str| {
        let parameters = document["paths"][path]["get"]["parameters"].as_array();
        let found = parameters.unwrap().iter().find(|p| p["name"] == name);
        found.unwrap().clone()
    };
    let limit = of("/api/v1/search", "limit");
    assert_eq!(
        (&limit["required"], &limit["schema"]["type"]),
        (&json!(false), &json!("integer"))
    );
    assert_eq!(
        (&limit["schema"]["minimum"], &limit["schema"]["maximum"]),
        (&json!(1), &json!(100))
    );
    assert_eq!(of("/api/v1/search", "q")["required"], true);
    assert_eq!(of("/api/v1/search", "path")["schema"]["type"], "array");
    assert_eq!(of("/api/v1/read", "ref")["in"], "query");
    let states = of("/api/v1/documents", "state");
    assert!(
        states["schema"].to_string().contains("withheld"),
        "{states}"
    );
    assert_eq!(of("/api/v1/stream", "Last-Event-ID")["in"], "header");
    let agents = of("/api/v1/dead/{id}", "agent");
    assert_eq!(
        (&agents["required"], &agents["schema"]["enum"][2]),
        (&json!(false), &json!("rag"))
    );
}
