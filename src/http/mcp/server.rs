//! The server: from a call to the daemon's answer.

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, JsonObject, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Resource, ResourceContents, ResourceTemplate, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::client::{ClientError, Target};
use super::super::wire::{CiteItem, ProblemKind, SearchAnswer, Status};
use super::answers::{self, ToolAnswer};
use super::ask::{self, AnswerRoom, Ask, PATIENCE};
use super::tools::{
    CiteArguments, HITS, HITS_MAX, ReadArguments, SearchArguments, StatusArguments, definitions,
};
use super::uri;

/// Bytes of a query, of a reference, and of what narrows a search.
const TEXT_MAX: usize = 4096;

/// Lines and bytes of what one call of `read` gives.
const READ_ROOM: AnswerRoom = AnswerRoom {
    lines: 400,
    bytes: 24 * 1024,
};

/// Lines and bytes of a resource.
const RESOURCE_ROOM: AnswerRoom = AnswerRoom {
    lines: 10_000,
    bytes: 256 * 1024,
};

/// Quotes of one call of `cite`.
const ITEMS_MAX: usize = 1000;

/// Documents of one page of the list of resources.
const PAGE: usize = 100;

/// The version of the protocol that added links to resources; clients of older ones refuse an answer that has some.
const LINKS_SINCE: &str = "2025-06-18";

/// What a client may show its model once.
const INSTRUCTIONS: &str = "docent keeps local documents and code indexed. Search before reading files; read a hit's place for more of it; cite a quote before you rely on it.";

/// The server. It keeps nothing between two calls.
#[derive(Debug, Clone)]
pub(crate) struct Server<A> {
    asking: A,
}

/// An answer, or in one sentence why there is none.
type Called = Result<ToolAnswer, String>;

impl<A: Ask> Server<A> {
    pub(crate) fn new(asking: A) -> Self {
        Server { asking }
    }

    /// None: there is no such tool.
    async fn call(&self, name: &str, arguments: JsonObject) -> Result<Option<ToolAnswer>, String> {
        Ok(Some(match name {
            "search" => self.search(parsed(arguments)?).await?,
            "read" => self.read(parsed(arguments)?).await?,
            "cite" => self.cite(parsed(arguments)?).await?,
            "status" => {
                let StatusArguments {} = parsed(arguments)?;
                self.status().await?
            }
            _ => return Ok(None),
        }))
    }

    async fn search(&self, arguments: SearchArguments) -> Called {
        for (name, text) in texts(&arguments) {
            bounded(name, text)?;
        }
        let limit = arguments.limit.unwrap_or(HITS);
        if !(1..=HITS_MAX).contains(&limit) {
            return Err(format!("limit {limit} is not from 1 to {HITS_MAX}"));
        }
        let begin = match arguments.cursor.as_deref().map(str::parse::<usize>) {
            None => 0,
            Some(Ok(begin)) if begin < HITS_MAX => begin,
            Some(_) => return Err("cursor is not from a search; leave it out".to_owned()),
        };
        let end = (begin + limit).min(HITS_MAX);
        // One more tells whether there is more.
        let asked = (end + 1).min(HITS_MAX);
        let structured = ask::get(&self.asking, &target(&arguments, asked)).await;
        let mut structured: Value = structured.map_err(|error| self.asking.sentence(error))?;
        let more = paged(&mut structured, begin..end);
        if more {
            structured["nextCursor"] = json!(end.to_string());
        }
        let answer: SearchAnswer = understood(&structured)?;
        let mut text = answers::search(&arguments.query, &answer);
        if more {
            text.push_str(&format!("\nmore hits: cursor \"{end}\""));
        }
        let links = answer.hits.iter().map(answers::link).collect();
        let missing = answer.missing;
        Ok(ToolAnswer::new(text, structured)
            .links(links)
            .missing(missing))
    }

    async fn read(&self, arguments: ReadArguments) -> Called {
        bounded("ref", &arguments.reference)?;
        let reference = uri::reference(&arguments.reference)?;
        let read = ask::read(&self.asking, &reference, READ_ROOM).await;
        let answer = read.map_err(|error| self.asking.sentence(error))?;
        let structured = serde_json::to_value(&answer).map_err(|e| e.to_string())?;
        let text = answers::read(&answer);
        Ok(ToolAnswer::new(text, structured).missing(answer.missing))
    }

    async fn cite(&self, arguments: CiteArguments) -> Called {
        let one = arguments.items.is_none();
        let mut items = match (arguments.reference, arguments.quote, arguments.items) {
            (Some(reference), Some(quote), None) => vec![CiteItem { reference, quote }],
            (None, None, Some(items)) => items,
            _ => return Err("cite takes ref and quote, or items: [{ref, quote}]".to_owned()),
        };
        if items.len() > ITEMS_MAX {
            let count = items.len();
            return Err(format!(
                "{count} items are more than {ITEMS_MAX}; send fewer at once"
            ));
        }
        for item in &mut items {
            bounded("ref", &item.reference)?;
            item.reference = uri::reference(&item.reference)?;
        }
        let answer = ask::cite(&self.asking, items).await?;
        let structured = match answer.results.first() {
            Some(result) if one => serde_json::to_value(result),
            _ => serde_json::to_value(&answer),
        };
        let structured = structured.map_err(|e| e.to_string())?;
        let text = answers::cite(&answer);
        Ok(ToolAnswer::new(text, structured).missing(answer.missing))
    }

    async fn status(&self) -> Called {
        let structured = ask::get(&self.asking, &Target::new("/status")).await;
        let structured: Value = structured.map_err(|error| self.asking.sentence(error))?;
        let status: Status = understood(&structured)?;
        Ok(ToolAnswer::new(answers::status(&status), structured))
    }

    async fn resource(&self, uri: &str) -> Result<ReadResourceResult, ErrorData> {
        let shown = answers::short(uri);
        let absent = |why: String| ErrorData::resource_not_found(why, Some(json!({"uri": &shown})));
        let reference = uri::reference(uri).map_err(absent)?;
        bounded("uri", &reference).map_err(absent)?;
        let answer = match ask::read(&self.asking, &reference, RESOURCE_ROOM).await {
            Ok(answer) => answer,
            Err(error) => {
                let known = matches!(&error, ClientError::Problem(p) if p.is(ProblemKind::NotFound) || p.is(ProblemKind::BadRequest));
                let why = self.asking.sentence(error);
                return Err(if known {
                    absent(why)
                } else {
                    ErrorData::internal_error(why, None)
                });
            }
        };
        let mut text = answer.text.clone();
        for line in answer.notes().into_iter().chain(answer.missing) {
            text.push_str(&format!("\n[{line}]"));
        }
        let contents =
            ResourceContents::text(text, uri).with_mime_type(answers::mime(&answer.path));
        Ok(ReadResourceResult::new(vec![contents]))
    }

    async fn resources(&self, cursor: Option<&str>) -> Result<ListResourcesResult, ErrorData> {
        if let Some(cursor) = cursor {
            let wrong = |why: String| ErrorData::invalid_params(why, None);
            bounded("cursor", cursor).map_err(wrong)?;
            if !cursor.contains('/') {
                return Err(wrong("cursor is not from a list; leave it out".to_owned()));
            }
        }
        let documents = ask::documents(&self.asking, cursor, PAGE + 1).await;
        let mut documents = documents.map_err(|why| ErrorData::internal_error(why, None))?;
        let more = documents.len() > PAGE;
        documents.truncate(PAGE);
        let last = documents.last().filter(|_| more);
        let next = last.map(|last| format!("{}/{}", last.collection, last.path));
        let resources = documents.into_iter().map(|document| {
            let uri = uri::of(&document.collection, &document.path, None);
            let name = format!("{}/{}", document.collection, document.path);
            let mut resource =
                Resource::new(uri, name).with_mime_type(answers::mime(&document.path));
            resource.title = document.title;
            resource
        });
        let mut result = ListResourcesResult::with_all_items(resources.collect());
        result.next_cursor = next;
        Ok(result)
    }
}

/// Arguments as a tool takes them.
fn parsed<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, String> {
    serde_json::from_value(Value::Object(arguments)).map_err(|e| {
        let why = e.to_string();
        format!("the arguments are wrong: {}", answers::short(&why))
    })
}

/// An answer of the daemon as this program knows it.
fn understood<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|e| {
        format!(
            "cannot read docent's answer: {e}; are the daemon and this command of the same version?"
        )
    })
}

/// What a search is narrowed by, and the query itself.
fn texts(arguments: &SearchArguments) -> Vec<(&'static str, &str)> {
    let optional = [
        ("collection", &arguments.collection),
        ("kind", &arguments.kind),
        ("language", &arguments.language),
        ("since", &arguments.since),
    ];
    let mut texts = vec![("query", arguments.query.as_str())];
    texts.extend(
        optional
            .iter()
            .filter_map(|(name, text)| Some((*name, text.as_deref()?))),
    );
    let paths = arguments.path.iter().flatten();
    texts.extend(paths.map(|glob| ("path", glob.as_str())));
    texts
}

/// That a text is not longer than it may be, and is text.
fn bounded(name: &str, text: &str) -> Result<(), String> {
    if text.len() > TEXT_MAX {
        let bytes = text.len();
        return Err(format!(
            "{name} has {bytes} bytes, more than {TEXT_MAX}; write less"
        ));
    }
    let control = |c: &char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    match text.chars().find(control) {
        Some(c) => {
            let code = u32::from(c);
            Err(format!(
                "{name} has the control character U+{code:04X}; leave it out"
            ))
        }
        None => Ok(()),
    }
}

/// What is asked of the daemon for the first `asked` hits.
fn target(arguments: &SearchArguments, asked: usize) -> Target {
    let mut target = Target::new("/search")
        .with("q", Some(&arguments.query))
        .with("limit", Some(&asked.to_string()))
        .with("collection", arguments.collection.as_deref())
        .with("kind", arguments.kind.as_deref())
        .with("language", arguments.language.as_deref())
        .with("since", arguments.since.as_deref())
        .with(
            "exact",
            arguments.exact.filter(|exact| *exact).map(|_| "true"),
        )
        .with("wait", Some(PATIENCE));
    for glob in arguments.path.iter().flatten() {
        target = target.with("path", Some(glob));
    }
    target
}

/// Keeps one page of the hits; says whether there are more.
fn paged(answer: &mut Value, page: std::ops::Range<usize>) -> bool {
    let listed = answer["listed"].as_u64().unwrap_or(0);
    let listed = usize::try_from(listed).unwrap_or(0);
    let Some(hits) = answer["hits"].as_array_mut() else {
        return false;
    };
    let more = hits.len() > page.end;
    hits.truncate(page.end);
    hits.drain(..page.start.min(hits.len()));
    let listed = listed.saturating_sub(page.start).min(hits.len());
    answer["listed"] = json!(listed);
    more
}

/// `links`: whether the client knows links to resources.
fn result(called: Called, links: bool) -> CallToolResult {
    match called {
        Ok(answer) if links => answer.into_result(),
        Ok(answer) => answer.links(Vec::new()).into_result(),
        Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
    }
}

impl<A: Ask> ServerHandler for Server<A> {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources();
        ServerConfig::new(capabilities.build())
            .with_server_info(Implementation::new("docent", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(definitions()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let called = tokio::select! {
            called = self.call(&request.name, arguments) => called,
            // Whoever asked is gone.
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("the request was given up", None));
            }
        };
        let Some(called) = called.transpose() else {
            let name = answers::short(&request.name);
            return Err(ErrorData::invalid_params(
                format!("there is no tool {name}"),
                None,
            ));
        };
        let version = context.protocol_version();
        let links = version.is_none_or(|version| version.as_str() >= LINKS_SINCE);
        Ok(result(called, links).into())
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|request| request.cursor);
        self.resources(cursor.as_deref()).await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new("docent://{collection}/{+path}", "document")
            .with_description(
                "A document as it is indexed; :FIRST-LAST behind the path for lines of it",
            );
        Ok(ListResourceTemplatesResult::with_all_items(vec![template]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.resource(&request.uri).await.map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_bounded_and_has_no_control_characters() {
        assert_eq!(bounded("query", "a\tb\r\nc"), Ok(()));
        let long = bounded("query", &"x ".repeat(500_000)).unwrap_err();
        assert_eq!(long, "query has 1000000 bytes, more than 4096; write less");
        let control = bounded("query", "a\u{0}b").unwrap_err();
        assert_eq!(
            control,
            "query has the control character U+0000; leave it out"
        );
    }

    #[test]
    fn pages_follow_each_other() {
        let answer = || json!({"hits": [0, 1, 2, 3, 4, 5], "listed": 3});
        let page = |range| {
            let mut answer = answer();
            let more = paged(&mut answer, range);
            (
                answer["hits"].to_string(),
                answer["listed"].as_u64().unwrap(),
                more,
            )
        };
        assert_eq!(page(0..2), ("[0,1]".to_owned(), 2, true));
        assert_eq!(page(2..4), ("[2,3]".to_owned(), 1, true));
        assert_eq!(page(4..6), ("[4,5]".to_owned(), 0, false));
        assert_eq!(page(6..8), ("[]".to_owned(), 0, false));
    }

    #[test]
    fn what_narrows_a_search_goes_to_the_daemon() {
        let arguments = json!({
            "query": "a b", "path": ["docs/*.md", "!x"], "exact": true, "since": "7d", "limit": 3
        });
        let arguments: SearchArguments = serde_json::from_value(arguments).unwrap();
        let expected = Target::new("/search")
            .with("q", Some("a b"))
            .with("limit", Some("4"))
            .with("since", Some("7d"))
            .with("exact", Some("true"))
            .with("wait", Some("2s"))
            .with("path", Some("docs/*.md"))
            .with("path", Some("!x"));
        assert_eq!(target(&arguments, 4), expected);
        let Value::Object(wrong) = json!({"query": "a", "limt": 3}) else {
            panic!("an object");
        };
        let why = parsed::<SearchArguments>(wrong).unwrap_err();
        assert!(why.contains("unknown field `limt`"), "{why}");
    }
}
