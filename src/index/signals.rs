//! What the index knows of chunks beyond their words: what they define, what they are headed by, what of the query's quoted
//! parts they have.

use std::collections::BTreeMap;
use std::io;

use tantivy::Term;

use super::analyse::Terms;
use super::chunks::Address;
use super::contained::Containing;
use super::fields::{Named, named};
use super::segments::{Segments, each_block};
use super::symbols::Symbol;

/// What a chunk has to do with one name of the query.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defines {
    /// It defines a type of this name.
    pub(super) as_type: bool,
    /// It stands in, or defines, what the name is to be found in.
    pub(super) within: bool,
}

/// The chunks that define one name of the query.
pub(super) struct Definers {
    pub(super) symbol: Symbol,
    pub(super) chunks: BTreeMap<Address, Defines>,
}

/// What is known of the chunks for one query, deleted ones among them.
pub(super) struct Signals {
    /// For each name of the query.
    pub(super) definers: Vec<Definers>,
    /// For each quoted part.
    pub(super) quoted: Vec<Containing>,
    /// How many of the query's terms are in the title of each chunk.
    titled: Vec<Vec<u8>>,
    /// How many terms the query has.
    terms: usize,
}

impl Signals {
    /// `quoted`: the chunks that have each quoted part.
    pub(super) fn read(
        segments: &Segments,
        terms: &Terms,
        quoted: Vec<Containing>,
    ) -> io::Result<Self> {
        let mut titled = segments.per_doc(0_u8);
        for term in &terms.scored {
            let term = Term::from_field_text(segments.fields.title, term);
            for (segment, titled) in segments.places.iter().zip(&mut titled) {
                let Some(segment) = segment else { continue };
                each_block(&segment.titles, &term, |postings| {
                    for &doc in postings.docs() {
                        let count = &mut titled[doc as usize];
                        *count = count.saturating_add(1);
                    }
                })?;
            }
        }
        let names = terms.symbols.names.iter();
        Ok(Self {
            definers: names
                .map(|symbol| definers(segments, symbol))
                .collect::<io::Result<_>>()?,
            quoted,
            titled,
            terms: terms.scored.len(),
        })
    }

    /// The numbers of the quoted parts that a chunk has.
    pub(super) fn quoted_in(&self, address: Option<Address>) -> Vec<usize> {
        let parts = self.quoted.iter().enumerate();
        parts
            .filter(|(_, having)| address.is_some_and(|address| having.has(address)))
            .map(|(part, _)| part)
            .collect()
    }

    /// How much the title of a chunk is the query, and the query the title: 1 if they have the same terms.
    pub(super) fn titled(&self, segments: &Segments, address: Address) -> f64 {
        let common = f64::from(self.titled[address.segment as usize][address.doc as usize]);
        let segment = segments.places.get(address.segment as usize);
        let length = segment
            .and_then(Option::as_ref)
            .map_or(0, |segment| segment.title_lengths.fieldnorm(address.doc));
        if common == 0.0 {
            return 0.0;
        }
        common * common / (f64::from(length.max(1)) * self.terms.max(1) as f64)
    }
}

/// The chunks that define the name `symbol`.
fn definers(segments: &Segments, symbol: &Symbol) -> io::Result<Definers> {
    let mut chunks: BTreeMap<Address, Defines> = BTreeMap::new();
    for what in [Named::Type, Named::Function] {
        each_named(segments, what, &symbol.name, |address| {
            chunks.entry(address).or_default().as_type |= what == Named::Type;
        })?;
    }
    if let Some(within) = &symbol.within {
        for what in [Named::Type, Named::Within] {
            each_named(segments, what, within, |address| {
                if let Some(defines) = chunks.get_mut(&address) {
                    defines.within = true;
                }
            })?;
        }
    }
    Ok(Definers {
        symbol: symbol.clone(),
        chunks,
    })
}

fn each_named(
    segments: &Segments,
    what: Named,
    name: &str,
    mut take: impl FnMut(Address),
) -> io::Result<()> {
    let term = Term::from_field_text(segments.fields.names, &named(what, name));
    for (place, segment) in (0..).zip(&segments.places) {
        let Some(segment) = segment else { continue };
        each_block(&segment.names, &term, |postings| {
            for &doc in postings.docs() {
                take(Address {
                    segment: place,
                    doc,
                });
            }
        })?;
    }
    Ok(())
}
