//! Answers of one JSON object a line, made page by page while they are sent; and lines taken out of a body.

use std::future::Future;
use std::io;
use std::marker::PhantomData;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::{Map, Value};

use super::wire::{Problem, ProblemKind};
use crate::json;

/// Rows of one page, at most: the store bounds it by bytes too. One page is in memory at once.
pub(super) const PAGE: usize = 1000;

/// A value on one line.
pub(super) fn written(value: &impl Serialize) -> Result<String, Problem> {
    json::to_string(value)
        .map_err(|e| Problem::new(ProblemKind::Internal, format!("cannot write JSON: {e}")))
}

/// What a client that follows is sent first: how long it waits before it connects again.
pub(super) const GREETING: &str = "retry: 2000\n\n";

/// A server-sent event with a name.
pub(super) fn message(name: &str, data: &impl Serialize) -> Result<String, Problem> {
    Ok(format!("event: {name}\ndata: {}\n\n", written(data)?))
}

/// A value as the body of an answer.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match json::to_string(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "cannot write an answer as JSON");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Some of the lines of an answer, each one a `T`.
pub(super) struct Page<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Page {
            bytes: Vec::new(),
            of: PhantomData,
        }
    }
}

impl<T> Page<T> {
    /// Adds `value` as a line.
    pub(super) fn push(&mut self, value: &T) -> Result<(), Problem>
    where
        T: Serialize,
    {
        self.push_written(&written(value)?);
        Ok(())
    }

    /// Adds a value that is written already, on one line.
    pub(super) fn push_written(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.push(b'\n');
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<T> From<Page<T>> for Bytes {
    fn from(page: Page<T>) -> Self {
        page.bytes.into()
    }
}

/// An answer that is made while it is sent, and what it consists of.
macro_rules! answers {
    ($($(#[$about:meta])* $name:ident: $headers:expr;)*) => {$(
        $(#[$about])*
        pub(super) struct $name<T> {
            body: Body,
            of: PhantomData<fn() -> T>,
        }

        impl<T> $name<T> {
            pub(super) fn new(parts: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
                $name {
                    body: Body::from_stream(parts),
                    of: PhantomData,
                }
            }
        }

        impl<T> IntoResponse for $name<T> {
            fn into_response(self) -> Response {
                ($headers, self.body).into_response()
            }
        }
    )*};
}

answers! {
    /// One `T` a line.
    Lines: [(header::CONTENT_TYPE, "application/x-ndjson")];
    /// A `T`, one object with a list that may be long.
    ListOf: [(header::CONTENT_TYPE, "application/json")];
    /// Server-sent events whose data is a `T`.
    EventStream: [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
}

/// An answer whose pages are made by `page`, from `cursor` on, until it gives `None`. A page is not empty.
///
/// The first page is made at once, so that what goes wrong with it is a problem; what goes wrong later breaks the answer off.
pub(super) async fn paged<T, C, F, Fut>(cursor: C, page: F) -> Result<Lines<T>, Problem>
where
    T: 'static,
    C: Send + 'static,
    F: FnMut(C) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<(Page<T>, C)>, Problem>> + Send + 'static,
{
    Ok(Lines::new(pages(cursor, page).await?))
}

/// The same as one object: the lines of the pages are the list `key`, and the keys of `rest` follow.
pub(super) async fn paged_object<L, T, C, F, Fut>(
    key: &'static str,
    rest: Map<String, Value>,
    cursor: C,
    page: F,
) -> Result<ListOf<L>, Problem>
where
    T: 'static,
    C: Send + 'static,
    F: FnMut(C) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<(Page<T>, C)>, Problem>> + Send + 'static,
{
    let rest = Value::Object(rest).to_string();
    let end = match rest.strip_prefix('{') {
        Some(keys) if keys != "}" => format!("],{keys}"),
        _ => "]}".to_owned(),
    };
    let mut separator = None;
    let items = pages(cursor, page).await?.map(move |page| {
        page.map(|lines| {
            let mut items: Vec<u8> = separator.replace(b',').into_iter().collect();
            items.extend_from_slice(lines.strip_suffix(b"\n").unwrap_or(&lines));
            // JSON on one line has no line feed in it.
            items
                .iter_mut()
                .filter(|b| **b == b'\n')
                .for_each(|b| *b = b',');
            Bytes::from(items)
        })
    });
    let begin = stream::iter([Ok(Bytes::from(format!("{{\"{key}\":[")))]);
    let end = stream::iter([Ok(Bytes::from(end))]);
    Ok(ListOf::new(begin.chain(items).chain(end)))
}

async fn pages<T, C, F, Fut>(
    cursor: C,
    mut page: F,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Problem>
where
    T: 'static,
    C: Send + 'static,
    F: FnMut(C) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<(Page<T>, C)>, Problem>> + Send + 'static,
{
    let (first, next) = match page(cursor).await? {
        Some((first, cursor)) => (Some(Ok(Bytes::from(first))), Some((cursor, page))),
        None => (None, None),
    };
    let rest = stream::try_unfold(next, |next| async move {
        let Some((cursor, mut page)) = next else {
            return Ok(None);
        };
        let made = page(cursor).await.map_err(broken_off)?;
        Ok(made.map(|(page_made, cursor)| (Bytes::from(page_made), Some((cursor, page)))))
    });
    Ok(stream::iter(first).chain(rest))
}

/// What breaks an answer off in the middle.
pub(super) fn broken_off(problem: Problem) -> io::Error {
    tracing::warn!(error = %problem, "answer ended early");
    io::Error::other(problem.detail)
}

/// One line of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its bytes, without the line feed.
    Whole(Vec<u8>),
    /// It is longer than a line may be; its bytes are gone.
    TooLong,
}

/// Takes lines out of a body as it arrives. It holds at most one line and what arrived at once.
#[derive(Debug)]
pub(super) struct LineSplitter {
    max: usize,
    bytes: Vec<u8>,
    /// Up to here there is no line feed.
    searched: usize,
    /// The rest of a line that is too long is being left out.
    skipping: bool,
    ended: bool,
}

impl LineSplitter {
    /// A splitter for lines of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        LineSplitter {
            max,
            bytes: Vec::new(),
            searched: 0,
            skipping: false,
            ended: false,
        }
    }

    /// More of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The body has ended: what has no line feed is the last line.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Forgets what is there.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.searched = 0;
    }

    /// Whether a line has begun and not ended. To be asked when [`LineSplitter::next`] has given all there is.
    pub(super) fn holds_a_part(&self) -> bool {
        self.skipping || !self.bytes.is_empty()
    }

    /// The next line, if it is whole.
    pub(super) fn next(&mut self) -> Option<Line> {
        let found = self.bytes[self.searched..].iter().position(|b| *b == b'\n');
        let Some(at) = found.map(|at| self.searched + at) else {
            return self.without_feed();
        };
        let mut line: Vec<u8> = self.bytes.drain(..=at).collect();
        self.searched = 0;
        line.pop();
        let too_long = std::mem::take(&mut self.skipping) || line.len() > self.max;
        Some(if too_long {
            Line::TooLong
        } else {
            Line::Whole(line)
        })
    }

    fn without_feed(&mut self) -> Option<Line> {
        self.searched = self.bytes.len();
        if self.bytes.len() > self.max {
            self.skipping = true;
            self.clear();
        }
        if !self.ended || (self.bytes.is_empty() && !self.skipping) {
            return None;
        }
        let line = std::mem::take(&mut self.bytes);
        self.searched = 0;
        let too_long = std::mem::take(&mut self.skipping);
        Some(if too_long {
            Line::TooLong
        } else {
            Line::Whole(line)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(max: usize, parts: &[&[u8]]) -> Vec<Line> {
        let mut splitter = LineSplitter::new(max);
        let mut lines = Vec::new();
        for part in parts {
            splitter.push(part);
            lines.extend(std::iter::from_fn(|| splitter.next()));
        }
        splitter.end();
        lines.extend(std::iter::from_fn(|| splitter.next()));
        lines
    }

    #[test]
    fn a_line_that_is_too_long_takes_its_place_and_no_memory() {
        let long = [b'x'; 10];
        let lines = split(4, &[b"a\n", &long, &long, b"\nbb", b"b\n\n", &long]);
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(
            lines,
            [
                whole("a"),
                Line::TooLong,
                whole("bbb"),
                whole(""),
                Line::TooLong
            ]
        );
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_a_body_arrives(body in "[a\n]{0,40}", cuts in proptest::collection::vec(0usize..40, 0..5)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(body.len())).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([body.len()]) {
                parts.push(&body.as_bytes()[from..cut]);
                from = cut;
            }
            let expected: Vec<Line> = body.lines().map(|l| {
                if l.len() > 5 { Line::TooLong } else { Line::Whole(l.as_bytes().to_vec()) }
            }).collect();
            prop_assert_eq!(split(5, &parts), expected);
        }
    }
}
