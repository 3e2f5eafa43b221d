//! Where the words of a text are: quotes are found by their rarest word, and what is like them by all.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use super::folded::Folded;

/// Places of words that are looked at for the text that is most like one quote.
const HITS_MAX: usize = 20_000;

/// Words of a quote for which the lines that are most like it are compared one by one.
const COMPARED: usize = 64;

/// The words of a folded text.
pub(super) struct FoldedWords<'a> {
    folded: &'a Folded<'a>,
    /// Where each word begins, and which it is.
    words: Vec<(u32, u32)>,
    /// Which word this is, by what [`key`] makes of it.
    ids: HashMap<u64, u32>,
    /// Where each is, in the order of `ids`.
    places: Vec<Vec<u32>>,
    /// How much each says.
    weights: Vec<f64>,
}

/// A word of a quote: how much it says, and where it is in the text.
struct WantedWord<'a> {
    weight: f64,
    places: &'a [u32],
}

/// A part of the text that has words of a quote: its first and last word.
#[derive(Clone, Copy)]
struct WordWindow {
    score: f64,
    words: [u32; 2],
    /// Bytes between it and where the quote is expected.
    distance: usize,
}

impl WordWindow {
    fn is_better_than(&self, other: &WordWindow) -> bool {
        let length = |window: &WordWindow| window.words[1] - window.words[0];
        let by_score = self.score.total_cmp(&other.score).reverse();
        by_score
            .then(length(self).cmp(&length(other)))
            .then(self.distance.cmp(&other.distance))
            .is_lt()
    }
}

/// The words of a folded text, each with its first byte. In scripts without spaces each character is one.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += usize::from(text[at..].starts_with(' '));
        let rest = &text[at..];
        let first = rest.chars().next()?;
        let length = if stands_alone(first) {
            first.len_utf8()
        } else {
            rest.find(|c: char| c == ' ' || stands_alone(c))
                .unwrap_or(rest.len())
        };
        let start = at;
        at += length;
        Some((start, &rest[..length]))
    })
}

/// Whether a character is of a script that has no spaces between words (Chinese, Japanese, Thai, …).
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{a4cf}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// A number that words have in common which differ in case or in the signs around them alone. (FNV-1a.)
fn key(word: &str) -> u64 {
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
    let shown = if bare.is_empty() { word } else { bare };
    let lower = shown.chars().flat_map(char::to_lowercase);
    lower.fold(0xcbf2_9ce4_8422_2325, |hash, c| {
        (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3)
    })
}

impl<'a> FoldedWords<'a> {
    pub(super) fn new(folded: &'a Folded<'a>) -> Self {
        let mut all = Vec::new();
        let mut ids: HashMap<u64, u32> = HashMap::new();
        let mut places: Vec<Vec<u32>> = Vec::new();
        for (start, word) in words(&folded.text) {
            let next = number(ids.len());
            let id = *ids.entry(key(word)).or_insert(next);
            if id == next {
                places.push(Vec::new());
            }
            places[id as usize].push(number(all.len()));
            all.push((number(start), id));
        }
        let count = all.len() as f64;
        let weight = |places: &Vec<u32>| (1.0 + count / places.len() as f64).ln();
        FoldedWords {
            weights: places.iter().map(weight).collect(),
            folded,
            words: all,
            ids,
            places,
        }
    }

    fn start(&self, word: u32) -> usize {
        self.words[word as usize].0 as usize
    }

    /// Where a word is.
    fn with(&self, word: &str) -> &[u32] {
        let id = self.ids.get(&key(word));
        id.map_or(&[], |id| &self.places[*id as usize])
    }

    /// How much a word says: the rarer, the more.
    fn weight(&self, id: Option<u32>) -> f64 {
        match id {
            Some(id) => self.weights[id as usize],
            None => (1.0 + self.words.len() as f64).ln(),
        }
    }

    /// The first `most` places where the quote stands.
    pub(super) fn places(&self, quote: &str, most: usize) -> Vec<usize> {
        let text = &self.folded.text;
        let of_quote: Vec<(usize, &str)> = words(quote).collect();
        // A quote may begin and end within a word; what is between is whole.
        let inner = of_quote.get(1..of_quote.len() - 1).unwrap_or_default();
        let rarest = inner
            .iter()
            .map(|(offset, word)| (*offset, self.with(word)))
            .min_by_key(|(_, places)| places.len());
        // In a text that is all alike, comparing at each place would take longer than looking through it.
        let few = |(_, places): &(usize, &[u32])| places.len() * quote.len() <= 4 * text.len();
        if let Some((offset, places)) = rarest.filter(few) {
            let begins = places
                .iter()
                .filter_map(|word| self.start(*word).checked_sub(offset));
            let stands = |at: &usize| text.as_bytes()[*at..].starts_with(quote.as_bytes());
            return begins.filter(stands).take(most).collect();
        }
        let finder = memmem::Finder::new(quote);
        let mut from = 0;
        let found = std::iter::from_fn(|| {
            let at = from + finder.find(text.as_bytes().get(from..)?)?;
            from = at + 1;
            Some(at)
        });
        found.take(most).collect()
    }

    /// The lines that are most like the quote, and the first byte of what they have in common with it. `near` is where the
    /// quote is expected.
    pub(super) fn nearest(&self, quote: &str, near: Option<usize>) -> Option<([u32; 2], usize)> {
        let quote: Vec<Option<u32>> = words(quote)
            .map(|(_, word)| self.ids.get(&key(word)).copied())
            .collect();
        let window = self.best_window(&self.wanted(&quote), quote.len(), near)?;
        let first = self.start(window.words[0]);
        let lines = if quote.len() > COMPARED {
            self.folded.lines_of(first..self.start(window.words[1]) + 1)
        } else {
            self.most_alike(&quote, window, near)
        };
        Some((lines, first))
    }

    /// The words of a quote that are in the text, each once: the rarest ones, as far as their places are few enough.
    fn wanted(&self, quote: &[Option<u32>]) -> Vec<WantedWord<'_>> {
        let mut ids: Vec<u32> = quote.iter().flatten().copied().collect();
        ids.sort_unstable_by_key(|id| (self.places[*id as usize].len(), *id));
        ids.dedup();
        let wanted = ids.into_iter().map(|id| WantedWord {
            weight: self.weight(Some(id)),
            places: &self.places[id as usize],
        });
        let mut hits = 0;
        let few = |wanted: &WantedWord<'_>| {
            let first = hits == 0;
            hits += wanted.places.len();
            first || hits <= HITS_MAX
        };
        wanted.take_while(few).collect()
    }

    /// The part of the text, hardly longer than the quote, that has most of its words.
    fn best_window(
        &self,
        wanted: &[WantedWord<'_>],
        length: usize,
        near: Option<usize>,
    ) -> Option<WordWindow> {
        let hits = wanted.iter().enumerate().flat_map(|(index, w)| {
            let places = w.places.iter().take(HITS_MAX);
            places.map(move |place| (*place, index))
        });
        let mut hits: Vec<(u32, usize)> = hits.collect();
        hits.sort_unstable();
        let width = number(length + length / 2 + 4);
        let mut counts = vec![0u32; wanted.len()];
        let (mut score, mut left) = (0.0, 0);
        let mut best: Option<WordWindow> = None;
        for &(last, index) in &hits {
            counts[index] += 1;
            if counts[index] == 1 {
                score += wanted[index].weight;
            }
            // What is too far away goes, and so does what comes again.
            while last - hits[left].0 >= width || counts[hits[left].1] > 1 {
                let gone = hits[left].1;
                counts[gone] -= 1;
                if counts[gone] == 0 {
                    score -= wanted[gone].weight;
                }
                left += 1;
            }
            let words = [hits[left].0, last];
            let window = WordWindow {
                // Sums of the same weights in another order are the same.
                score: (score * 1e6).round(),
                words,
                distance: near.map_or(0, |near| self.start(words[0]).abs_diff(near)),
            };
            if best.is_none_or(|best| window.is_better_than(&best)) {
                best = Some(window);
            }
        }
        best
    }

    /// Of the lines around a window those that have most in common with the quote, in its order, and least besides.
    fn most_alike(
        &self,
        quote: &[Option<u32>],
        window: WordWindow,
        near: Option<usize>,
    ) -> [u32; 2] {
        let around = number(quote.len());
        let last = number(self.words.len() - 1);
        let first = self.start(window.words[0].saturating_sub(around));
        let end = self.start(window.words[1].saturating_add(around).min(last)) + 1;
        let lines = self.folded.worded();
        let lines = &lines[lines
            .partition_point(|(start, _)| *start < first)
            .saturating_sub(1)..];
        let lines = &lines[..lines.partition_point(|(start, _)| *start < end)];
        let whole: f64 = quote.iter().map(|id| self.weight(*id)).sum();
        let mut best = (f64::MIN, usize::MAX, [0, 0]);
        for (index, &(begin, number)) in lines.iter().enumerate() {
            let mut common = Common::with(quote);
            let distance = near.map_or(0, |near| begin.abs_diff(near));
            for &(_, last) in &lines[index..] {
                for (_, id) in self.of_line(last, first..end) {
                    common.push(*id, self.weight(Some(*id)));
                }
                let alike = (2.0 * common.weight() / (whole + common.all) * 1e6).round();
                if alike > best.0 || alike == best.0 && distance < best.1 {
                    best = (alike, distance, [number, last]);
                }
                if common.words > 2 * quote.len() {
                    break;
                }
            }
        }
        best.2
    }

    /// The words of a line that begin in these bytes: a line may be as long as the text.
    fn of_line(&self, line: u32, within: Range<usize>) -> impl Iterator<Item = &(u32, u32)> {
        let begin = number(self.folded.start_of(line).max(within.start));
        let end = number(self.folded.start_of(line + 1).min(within.end));
        let first = self.words.partition_point(|(start, _)| *start < begin);
        self.words[first..]
            .iter()
            .take_while(move |(start, _)| *start < end)
    }
}

/// What a text has in common with a quote, word by word in the same order: the heaviest such sequence.
struct Common<'a> {
    quote: &'a [Option<u32>],
    /// The weight of the heaviest sequence in each beginning of the quote.
    heaviest: Vec<f64>,
    /// The weight of all words of the text.
    all: f64,
    /// How many there are.
    words: usize,
}

impl<'a> Common<'a> {
    fn with(quote: &'a [Option<u32>]) -> Self {
        Common {
            quote,
            heaviest: vec![0.0; quote.len() + 1],
            all: 0.0,
            words: 0,
        }
    }

    /// The next word of the text.
    fn push(&mut self, id: u32, weight: f64) {
        self.all += weight;
        self.words += 1;
        let mut before = 0.0;
        for (index, word) in self.quote.iter().enumerate() {
            let so_far = self.heaviest[index + 1];
            let here = match *word == Some(id) {
                true => before + weight,
                false => so_far,
            };
            self.heaviest[index + 1] = here.max(so_far).max(self.heaviest[index]);
            before = so_far;
        }
    }

    fn weight(&self) -> f64 {
        self.heaviest.last().copied().unwrap_or_default()
    }
}

/// A number of words or bytes of a captured text, of which there are far fewer than 2^32.
fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
