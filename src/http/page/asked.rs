//! What the further pages share: the parameters of a form, and answers.

use askama::Template;
use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::{Html, show};
use crate::event::Millis;
use crate::http::State;
use crate::http::access::Caller;
use crate::http::params::moment;
use crate::http::wire::{Problem, ProblemKind};
use crate::store::Span;

/// Parameters of a request, those without a value left out: a form sends every field.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    /// The parameters of a request.
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let parsed = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let Query(mut pairs) =
            parsed.map_err(|e| Problem::new(ProblemKind::BadRequest, e.body_text()))?;
        pairs.retain(|(_, value)| !value.trim().is_empty());
        Ok(Asked(pairs))
    }

    /// The same, where only parameters of these names mean something.
    pub(super) fn only(uri: &Uri, names: &[&str]) -> Result<Self, Problem> {
        let asked = Self::of(uri)?;
        let mut seen = Vec::new();
        for (name, _) in asked.pairs() {
            let detail = match name.as_str() {
                name if !names.contains(&name) => {
                    format!(
                        "unknown parameter `{name}`; there are: {}",
                        names.join(", ")
                    )
                }
                name if seen.contains(&name) => format!("{name} is given twice"),
                name => {
                    seen.push(name);
                    continue;
                }
            };
            return Err(Problem::new(ProblemKind::BadRequest, detail));
        }
        Ok(asked)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The values of a parameter.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let of = self.0.iter().filter(|(key, _)| key == name);
        of.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a parameter; empty: it has none.
    pub(super) fn one(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// The value of a parameter without the spaces around it, if it has one.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        Some(self.one(name).trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The value of a parameter exactly as it came, if it has one: a name may begin or end with spaces.
    pub(super) fn exact(&self, name: &str) -> Option<String> {
        Some(self.one(name).to_owned()).filter(|value| !value.is_empty())
    }

    /// A number in a parameter.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let parse = |text: String| {
            text.parse().map_err(|_| {
                let detail = format!("{name} `{text}` is not a number");
                Problem::new(ProblemKind::BadRequest, detail)
            })
        };
        self.given(name).map(parse).transpose()
    }

    /// A moment in a parameter, also as a browser's field writes it; all of them are UTC.
    pub(super) fn moment(&self, name: &str) -> Result<Option<Millis>, Problem> {
        let Some(text) = self.given(name) else {
            return Ok(None);
        };
        let whole = match text.len() {
            10 => format!("{text}T00:00:00Z"),
            16 => format!("{text}:00Z"),
            19 => format!("{text}Z"),
            _ => text.clone(),
        };
        Millis::parse(&whole)
            .map_or_else(|| moment(name, &text), Ok)
            .map(Some)
    }

    /// A link with the same parameters but for these, which take the place of what they had.
    pub(super) fn link(&self, path: &str, changed: &[(&str, &str)]) -> String {
        let is_kept = |name: &str| changed.iter().all(|(other, _)| *other != name);
        let kept = self.0.iter().filter(|(name, _)| is_kept(name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = kept.chain(changed.iter().copied()).collect();
        show::link(path, &all)
    }
}

/// The part of the past that is asked for by since, until and before.
pub(super) fn span(asked: &Asked) -> Result<Span, Problem> {
    Ok(Span {
        since: asked.moment("since")?,
        until: asked.moment("until")?,
        before: asked.number("before")?,
    })
}

/// The parameters of a search, each glob of a field of several one by itself.
pub(super) fn globs(pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    let each = |(name, value): (String, String)| match name.as_str() {
        "path" => value
            .split_whitespace()
            .map(|glob| (name.clone(), glob.to_owned()))
            .collect(),
        _ => vec![(name, value)],
    };
    pairs.into_iter().flat_map(each).collect()
}

/// The collections that are there for a caller.
pub(super) fn collections(state: &State, caller: &Caller) -> Vec<String> {
    caller.known(&state.known()).collections.clone()
}

/// A page with its form, and the status of what went wrong with it.
pub(super) fn answer(problem: Option<u16>, page: impl Template) -> Response {
    let status = problem.and_then(|status| StatusCode::from_u16(status).ok());
    (status.unwrap_or_default(), Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_taken_as_it_is_and_what_is_typed_without_the_spaces_around_it() {
        let uri: Uri = "/documents?after=docs%2Fa%20%20&state=%20stored%20&collection=%20"
            .parse()
            .unwrap();
        let asked = Asked::of(&uri).unwrap();
        assert_eq!(asked.exact("after").as_deref(), Some("docs/a  "));
        assert_eq!(asked.given("state").as_deref(), Some("stored"));
        for (name, why) in [
            ("collection", "a field that is empty"),
            ("none", "no field"),
        ] {
            assert_eq!(asked.exact(name), None, "{why}");
            assert_eq!(asked.given(name), None, "{why}");
        }
        let next = asked.link("/documents", &[("state", "")]);
        assert_eq!(next, "/documents?after=docs/a%20%20");
    }
}
