//! Checking quotes: does the text still stand where somebody found it?
//!
//! The quote decides, with white space folded; the lines of a reference only say where it is expected. Each document of a
//! request is read once.

mod folded;
mod words;

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::ops::Deref;

use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::State;
use super::access::Caller;
use super::fresh::Waiting;
use super::lines::Json;
use super::openapi::About;
use super::params::{Params, Sent};
use super::read::{internal, text_of};
use super::reference::{self, KnownDocument, Referenced, find, plain, split};
use super::same::{ShownFile, changed};
use super::text::beginning;
use super::wire::{
    Citation, CiteAnswer, CiteItem, CiteRequest, CiteVerdict, Nearest, Problem, ProblemKind,
};
use crate::store::DocumentState;
use folded::{Folded, fold};
use words::FoldedWords;

/// Quotes of one request.
const ITEMS_MAX: usize = 10_000;

/// Bytes of a quote that is looked for.
const QUOTE_MAX: usize = 64 * 1024;

/// Places of an ambiguous quote that are named.
const PLACES: usize = 5;

/// Bytes of the text that is most like a quote.
const NEAREST_BYTES: usize = 2000;

/// The lines in which a quote is to stand. Where only a first line is named, it may end anywhere: 0.
type Expected = Option<(u32, u32)>;

/// The query of `POST /api/v1/cite`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct CiteQuery {
    /// How long to wait until what is on disk is read, such as `2s`; at most 600s.
    #[param(pattern = "^[0-9]+(ms|s|min|h|d)$")]
    wait: Option<String>,
}

/// `POST /api/v1/cite`
pub(super) const CITE: About = About::new("Check quotes");

pub(super) async fn cite(
    Shared(state): Shared<State>,
    caller: Caller,
    Params(query): Params<CiteQuery>,
    body: Sent<CiteRequest>,
) -> Result<Json<CiteAnswer>, Problem> {
    let request = body.parsed("{\"items\": [{\"ref\", \"quote\"}]}")?;
    if request.items.len() > ITEMS_MAX {
        let detail = format!("{} items are more than {ITEMS_MAX}", request.items.len());
        return Err(
            Problem::new(ProblemKind::TooLarge, detail).hint("send them in several requests")
        );
    }
    let mut waiting = Waiting::of(query.wait.as_deref(), &caller)?;
    let results = loop {
        waiting.wait(&state).await;
        let (results, shown) = checked(&state, &caller, request.items.clone()).await?;
        if !waiting.goes_on(&state, changed(&state, shown).await?) {
            break results;
        }
    };
    let missing = waiting.missing();
    Ok(Json(CiteAnswer { results, missing }))
}

/// What is asked about one document: the index of each item, the lines that it names, and the quote.
struct DocumentQuotes {
    known: KnownDocument,
    quotes: Vec<(usize, Expected, String)>,
}

impl DocumentQuotes {
    fn about(known: KnownDocument) -> Self {
        DocumentQuotes {
            known,
            quotes: Vec::new(),
        }
    }
}

/// The documents of one request. Its references mostly name many lines of few documents, and each of these is looked up once.
#[derive(Default)]
struct Documents {
    by_id: BTreeMap<String, DocumentQuotes>,
    /// Ids by what stands before the lines; none where that alone does not tell which document is meant.
    by_place: BTreeMap<String, Option<String>>,
    /// Ids and lines by other references.
    by_reference: BTreeMap<String, Option<(String, Option<Referenced>)>>,
}

impl Documents {
    /// What is asked about the document that a reference names, and the lines that it names.
    async fn asked(
        &mut self,
        state: &State,
        caller: &Caller,
        reference: &str,
    ) -> Result<Option<(&mut DocumentQuotes, Option<Referenced>)>, Problem> {
        let place = match self.in_place(state, caller, reference).await? {
            Some((id, named)) => Some((id, Some(named))),
            None => self.found(state, caller, reference).await?,
        };
        Ok(place.and_then(|(id, named)| Some((self.by_id.get_mut(&id)?, named))))
    }

    async fn in_place(
        &mut self,
        state: &State,
        caller: &Caller,
        reference: &str,
    ) -> Result<Option<(String, Referenced)>, Problem> {
        let Some((place, named)) = split(reference) else {
            return Ok(None);
        };
        if !self.by_place.contains_key(place) {
            let known = plain(state, caller, place).await?;
            let id = known.map(|known| self.add(known));
            self.by_place.insert(place.to_owned(), id);
        }
        Ok(self.by_place[place].clone().map(|id| (id, named)))
    }

    async fn found(
        &mut self,
        state: &State,
        caller: &Caller,
        reference: &str,
    ) -> Result<Option<(String, Option<Referenced>)>, Problem> {
        if !self.by_reference.contains_key(reference) {
            let found = find(state, caller, reference).await?;
            let place = found.map(|(known, named)| (self.add(known), named));
            self.by_reference.insert(reference.to_owned(), place);
        }
        Ok(self.by_reference[reference].clone())
    }

    fn add(&mut self, known: KnownDocument) -> String {
        let id = known.document.id.clone();
        let asked = self.by_id.entry(id.clone());
        asked.or_insert_with(|| DocumentQuotes::about(known));
        id
    }
}

/// The citations of these items, in their order, and the files that they are from.
async fn checked(
    state: &State,
    caller: &Caller,
    items: Vec<CiteItem>,
) -> Result<(Vec<Citation>, Vec<ShownFile>), Problem> {
    let mut citations = Vec::with_capacity(items.len());
    let mut documents = Documents::default();
    for (index, item) in items.into_iter().enumerate() {
        let reference = item.reference;
        let asked = documents.asked(state, caller, &reference).await?;
        let why = match (usable(&item.quote), asked) {
            (Err(why), _) => Some(why),
            (_, None) => Some("docent has no document at this place".to_owned()),
            (Ok(quote), Some((asked, named))) => match named.map(expected).transpose() {
                Ok(lines) => {
                    asked.quotes.push((index, lines, quote));
                    None
                }
                Err(why) => Some(why),
            },
        };
        citations.push(Citation {
            reference,
            ..verdict(CiteVerdict::Unknown, why)
        });
    }
    let documents = documents.by_id;
    let shown = documents.values();
    let shown = shown.map(|asked| ShownFile::of(&asked.known.document));
    let shown = shown.collect();
    for asked in documents.into_values() {
        for (index, found) in of_document(state, asked).await? {
            let reference = std::mem::take(&mut citations[index].reference);
            citations[index] = Citation { reference, ..found };
        }
    }
    Ok((citations, shown))
}

/// A citation with nothing but this.
fn verdict(verdict: CiteVerdict, reason: Option<String>) -> Citation {
    Citation {
        reference: String::new(),
        verdict,
        lines: None,
        digest: None,
        nearest: None,
        reason,
    }
}

/// The quote as it is looked for.
fn usable(quote: &str) -> Result<String, String> {
    if quote.len() > QUOTE_MAX {
        return Err(format!("the quote has more than {QUOTE_MAX} bytes"));
    }
    let folded = fold(quote);
    if folded.is_empty() {
        return Err("the quote is empty".to_owned());
    }
    Ok(folded)
}

fn expected(named: Referenced) -> Result<(u32, u32), String> {
    let (first, last) = reference::range(named)?;
    Ok((first, named.last.map_or(0, |_| last)))
}

/// The citations of one document.
async fn of_document(
    state: &State,
    asked: DocumentQuotes,
) -> Result<Vec<(usize, Citation)>, Problem> {
    let DocumentQuotes { known, quotes } = asked;
    let digest = Some(known.document.digest.to_string());
    if known.document.state == DocumentState::Rejected {
        let why = "the file is there, but is not a document that docent can read";
        let unknown = |(index, _, _)| (index, verdict(CiteVerdict::Unknown, Some(why.to_owned())));
        return Ok(quotes.into_iter().map(unknown).collect());
    }
    if known.readable().is_none() {
        let gone = |(index, _, _)| {
            let digest = digest.clone();
            (
                index,
                Citation {
                    digest,
                    ..verdict(CiteVerdict::Gone, None)
                },
            )
        };
        return Ok(quotes.into_iter().map(gone).collect());
    }
    let text = text_of(state, &known.document).await?;
    let work = move || {
        let folded = Folded::new(&text);
        // Most quotes stand where they are expected, and need no words.
        let words = LazyCell::new(|| FoldedWords::new(&folded));
        let cite = |(index, lines, quote): (usize, Expected, String)| {
            let digest = digest.clone();
            let found = judged(&folded, &words, lines, &quote);
            (index, Citation { digest, ..found })
        };
        quotes.into_iter().map(cite).collect()
    };
    state.compute.run(work).await.map_err(internal)
}

/// What became of one quote.
fn judged<'w>(
    folded: &Folded<'_>,
    words: &impl Deref<Target = FoldedWords<'w>>,
    expected: Expected,
    quote: &str,
) -> Citation {
    let standing = |found, at: usize| Citation {
        lines: Some(folded.lines_of(at..at + quote.len())),
        ..verdict(found, None)
    };
    if let Some(at) = expected.and_then(|(first, last)| folded.find_in(first, last, quote)) {
        return standing(CiteVerdict::Ok, at);
    }
    let places = words.places(quote, PLACES + 1);
    match (&places[..], expected) {
        ([], _) => Citation {
            nearest: nearest(folded, words, expected, quote),
            ..verdict(CiteVerdict::Changed, None)
        },
        ([at], None) => standing(CiteVerdict::Ok, *at),
        ([at], Some(_)) => standing(CiteVerdict::Moved, *at),
        (places, _) => {
            let lines = places
                .iter()
                .take(PLACES)
                .map(|at| folded.line_at(*at).to_string());
            let lines: Vec<String> = lines.collect();
            let more = if places.len() > PLACES { ", …" } else { "" };
            let reason = format!(
                "the quote is in several places: lines {}{more}",
                lines.join(", ")
            );
            verdict(CiteVerdict::Unknown, Some(reason))
        }
    }
}

/// The text that is most like the quote; where no word of it is left, what stands in its place.
fn nearest(
    folded: &Folded<'_>,
    words: &FoldedWords<'_>,
    expected: Expected,
    quote: &str,
) -> Option<Nearest> {
    let near = expected.map(|(first, _)| folded.start_of(first));
    if let Some((lines, at)) = words.nearest(quote, near) {
        let whole = folded.lines.text(lines[0], lines[1]);
        let text = match whole.len() > NEAREST_BYTES {
            true => beginning(&folded.text[at..], NEAREST_BYTES),
            false => whole,
        };
        let text = text.to_owned();
        return Some(Nearest { lines, text });
    }
    let (first, last) = expected?;
    let last = last.max(first).min(folded.lines.count());
    (first <= last).then(|| Nearest {
        lines: [first, last],
        text: beginning(folded.lines.text(first, last), NEAREST_BYTES).to_owned(),
    })
}

#[cfg(test)]
mod tests;
