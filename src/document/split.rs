//! Cuts a run of lines into pieces of at most a given size, where it hurts least.

use super::lines::{LineRange, Lines};
use super::{Kind, code, keywords};
use std::cmp::Reverse;
use unicode_normalization::char::is_combining_mark;

/// A line is cut only if it is longer than this many characters, whatever the chunk size: the promise of `search`.
const MIN_CUT_CHARS: usize = 400;

/// How large the pieces may be, in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct SplitLimits {
    size: usize,
    overlap: usize,
    /// The longest line that is left whole.
    line: usize,
}

impl SplitLimits {
    /// `overlap` counts up to half of `size`: a piece must be new for the larger part.
    pub(super) fn new(size: usize, overlap: usize) -> Self {
        let size = size.max(1);
        Self {
            size,
            overlap: overlap.min(size / 2),
            line: size.max(MIN_CUT_CHARS),
        }
    }

    /// The size of a piece.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

/// Whole lines, or a part of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Neither its first nor its last line is blank.
    pub(super) lines: LineRange,
    pub(super) text: &'a str,
}

/// Splits runs of lines of one text.
pub(super) struct Splitter<'a> {
    lines: &'a Lines<'a>,
    kind: Kind,
    limits: SplitLimits,
    /// Blocks that fit in a piece and are therefore never cut; ascending, apart from each other.
    whole: Vec<LineRange>,
}

impl<'a> Splitter<'a> {
    /// `blocks` are kept whole where they fit in a piece.
    pub(super) fn new(
        lines: &'a Lines<'a>,
        kind: Kind,
        limits: SplitLimits,
        blocks: &[LineRange],
    ) -> Self {
        let mut whole: Vec<LineRange> = Vec::new();
        for block in blocks {
            let apart = whole.last().is_none_or(|before| before.end <= block.start);
            if apart && lines.width(block) <= limits.size {
                whole.push(block.clone());
            }
        }
        Self {
            lines,
            kind,
            limits,
            whole,
        }
    }

    /// The pieces of `range` in order; together they hold every line of it that is not blank.
    pub(super) fn split(&self, range: LineRange, pieces: &mut Vec<Piece<'a>>) {
        let range = self.lines.trimmed(range);
        let mut start = range.start;
        // The first line that is in no piece yet; `start` lies before it by the overlap.
        let mut fresh = range.start;
        while fresh < range.end {
            if self.is_oversize(fresh) {
                self.cut_line(fresh, pieces);
                fresh = self.skip_blank(fresh + 1, range.end);
                start = fresh;
                continue;
            }
            let stop = self.stop(start, fresh, range.end);
            let lines = self.lines.trimmed(start..stop);
            pieces.push(Piece {
                text: self.lines.text(&lines),
                lines,
            });
            fresh = self.skip_blank(stop, range.end);
            start = self.overlap_start(start, fresh, range.end);
        }
    }

    /// Where the piece that begins at `start` ends. At least one line from `fresh` on is in it.
    ///
    /// Of equally good places it is the one nearest to what is wanted.
    fn stop(&self, start: usize, fresh: usize, end: usize) -> usize {
        // A better place to cut is worth a smaller piece, but not one below a third of what is free.
        let least =
            (self.limits.size - self.lines.width(&(start..fresh)).min(self.limits.size)) / 3;
        let wanted = self.wanted_width(&(start..end));
        let mut best: Option<((u32, Reverse<usize>), usize)> = None;
        let mut cursor = fresh;
        while cursor < end {
            let atom = self.atom(cursor, end);
            if self.is_oversize(cursor) {
                return cursor;
            }
            let alone = cursor == fresh && start == fresh;
            if !alone && self.lines.width(&(start..atom.end)) > self.limits.size {
                return best.map_or(cursor, |(_, place)| place);
            }
            cursor = atom.end;
            if cursor < end && self.lines.width(&(fresh..cursor)) >= least {
                let off = self.lines.width(&(start..cursor)).abs_diff(wanted);
                let merit = (self.strength(cursor), Reverse(off));
                if best.is_none_or(|(before, _)| merit >= before) {
                    best = Some((merit, cursor));
                }
            }
        }
        end
    }

    /// How wide a piece of `range` is to be. A full one and a stub of a few words both read, and are found, worse than
    /// two halves; before the last two, pieces are full, so that an edit does not move the cuts far above it.
    fn wanted_width(&self, range: &LineRange) -> usize {
        let width = self.lines.width(range);
        if width / 2 > self.limits.size {
            self.limits.size
        } else {
            width / 2
        }
    }

    /// Where the next piece begins: up to `overlap` characters of whole lines before `fresh`, blocks not cut.
    fn overlap_start(&self, previous: usize, fresh: usize, end: usize) -> usize {
        if self.limits.overlap == 0 || fresh >= end || self.is_oversize(fresh) {
            return fresh;
        }
        let next = self.atom(fresh, end);
        let mut start = fresh;
        loop {
            let before = self.atom(start - 1, end).start;
            let fits = self.lines.width(&(before..fresh)) <= self.limits.overlap
                && self.lines.width(&(before..next.end)) <= self.limits.size;
            if before <= previous || !fits {
                return self.skip_blank(start, fresh);
            }
            start = before;
        }
    }

    /// How good a place it is to begin a piece at `line`: the higher the better.
    fn strength(&self, line: usize) -> u32 {
        let text = self.lines.line(line);
        let blank = self.lines.is_blank(line - 1) || self.lines.is_blank(line);
        if matches!(self.kind, Kind::Markdown | Kind::Text) {
            return u32::from(blank);
        }
        // Comments, attributes and decorators stay with what they are about.
        let about = !blank && code::is_remark(self.lines.line(line - 1).trim());
        if about || code::continues(text.trim_start()) {
            return 0;
        }
        // The further out an item stands, the larger the whole that ends before it; a blank line counts more.
        let outward = 1_001 - keywords::indent(text) as u32;
        if blank { 2_000 + outward } else { outward }
    }

    /// What must not be cut around `line`: the block that it is in, else the line alone.
    fn atom(&self, line: usize, end: usize) -> LineRange {
        let after = self.whole.partition_point(|block| block.start <= line);
        match after.checked_sub(1).map(|index| &self.whole[index]) {
            Some(block) if block.end > line && block.end <= end => block.clone(),
            _ => line..line + 1,
        }
    }

    fn is_oversize(&self, line: usize) -> bool {
        self.lines.width(&(line..line + 1)) > self.limits.line && !self.lines.is_blank(line)
    }

    fn skip_blank(&self, from: usize, end: usize) -> usize {
        let mut line = from;
        while line < end && self.lines.is_blank(line) {
            line += 1;
        }
        line
    }

    /// Parts of one long line, cut after white space where there is some; parts that are all white space are left out.
    fn cut_line(&self, line: usize, pieces: &mut Vec<Piece<'a>>) {
        let mut rest = self.lines.line(line);
        while !rest.is_empty() {
            let window = match rest.char_indices().nth(self.limits.line) {
                Some((end, _)) => &rest[..end],
                None => rest,
            };
            let cut = if window.len() == rest.len() {
                rest.len()
            } else {
                soft_cut(window)
            };
            let (text, after) = rest.split_at(cut);
            if !text.trim().is_empty() {
                pieces.push(Piece {
                    lines: line..line + 1,
                    text,
                });
            }
            rest = after;
        }
    }
}

/// The byte after the last white space in the second half of `window`, else after the last punctuation there, for not
/// every script has spaces; else its end.
fn soft_cut(window: &str) -> usize {
    let after_last = |ends: fn(char) -> bool| {
        let (at, character) = window.char_indices().rev().find(|(_, c)| ends(*c))?;
        (at > window.len() / 2).then(|| at + character.len_utf8())
    };
    after_last(char::is_whitespace)
        .or_else(|| after_last(|c| !c.is_alphanumeric() && !is_combining_mark(c)))
        .unwrap_or(window.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(
        text: &str,
        kind: Kind,
        limits: (usize, usize),
        blocks: &[LineRange],
    ) -> Vec<(usize, usize)> {
        let lines = Lines::new(text);
        let splitter = Splitter::new(&lines, kind, SplitLimits::new(limits.0, limits.1), blocks);
        let mut pieces = Vec::new();
        splitter.split(0..lines.count(), &mut pieces);
        for piece in &pieces {
            assert!(
                piece.text.chars().count() <= limits.0.max(MIN_CUT_CHARS),
                "{piece:?}"
            );
        }
        pieces
            .iter()
            .map(|piece| (piece.lines.start, piece.lines.end))
            .collect()
    }

    #[test]
    fn what_fits_is_one_piece() {
        assert_eq!(split("\n a\n\nb\n\n", Kind::Text, (20, 0), &[]), [(1, 4)]);
        assert!(split("\n \n", Kind::Text, (20, 0), &[]).is_empty());
        assert!(split("", Kind::Text, (20, 0), &[]).is_empty());
    }

    #[test]
    fn blank_lines_are_the_better_place_to_cut() {
        assert_eq!(
            split("aaaa\nbbbb\n\ncccc\ndddd\n", Kind::Text, (16, 0), &[]),
            [(0, 2), (3, 5)]
        );
        assert_eq!(
            split("aaaa\nbbbb\nc\n\ndddd\n", Kind::Text, (16, 0), &[]),
            [(0, 3), (4, 5)]
        );
    }

    #[test]
    fn the_last_two_pieces_are_halves() {
        let lines = |count: usize| split(&"aaaa\n".repeat(count), Kind::Text, (24, 0), &[]);
        assert_eq!(lines(5), [(0, 5)]);
        assert_eq!(lines(6), [(0, 3), (3, 6)]);
        assert_eq!(lines(12), [(0, 5), (5, 9), (9, 12)]);
    }

    #[test]
    fn an_edit_leaves_the_cuts_far_above_it() {
        let text = "aaaa\n".repeat(100);
        let before = split(&text, Kind::Text, (24, 0), &[]);
        let after = split(&format!("{text}bbbb\n"), Kind::Text, (24, 0), &[]);
        let same = before.len() - 2;
        assert_eq!(before[..same], after[..same]);
    }

    #[test]
    fn a_block_that_fits_is_not_cut() {
        let text = "aaaa\nbbbb\n```\nx\n\ny\n```\ncccc\n";
        let block = 2..7;
        assert_eq!(
            split(text, Kind::Markdown, (14, 0), std::slice::from_ref(&block)),
            [(0, 2), (2, 7), (7, 8)]
        );
        // It does not fit: cut like anything else.
        assert_eq!(
            split(text, Kind::Markdown, (11, 0), std::slice::from_ref(&block)),
            [(0, 2), (2, 4), (5, 8)]
        );
    }

    #[test]
    fn overlap_repeats_whole_lines_within_the_size() {
        assert_eq!(
            split("aaaa\nbbbb\ncccc\ndddd\neeee\n", Kind::Text, (14, 4), &[]),
            [(0, 3), (2, 5)]
        );
        assert_eq!(
            split("aaaa\nbbbb\ncccc\ndddd\neeee\n", Kind::Text, (14, 3), &[]),
            [(0, 3), (3, 5)]
        );
        // No overlap that leaves no room for something new.
        assert_eq!(
            split("aaaa\nbbbbbbbbbbbb\ncccc\n", Kind::Text, (14, 7), &[]),
            [(0, 1), (1, 2), (2, 3)]
        );
    }

    #[test]
    fn code_is_cut_before_the_outermost_item() {
        let text = "fn a() {\n  x;\n\n  y;\n}\n\nfn b() {\n  z;\n}\n";
        assert_eq!(split(text, Kind::Code, (30, 0), &[]), [(0, 5), (6, 9)]);
        // Not between a function and its closing brace.
        assert_eq!(
            split("a {\n  bb\n  cc\n}\n", Kind::Code, (13, 0), &[]),
            [(0, 2), (2, 4)]
        );
    }

    #[test]
    fn what_is_said_of_an_item_stays_with_it() {
        let text = "fn a() {\n  x;\n  y;\n}\n/// Does b.\n#[inline]\nfn b() {\n  z;\n}\n";
        assert_eq!(split(text, Kind::Code, (48, 0), &[]), [(0, 4), (4, 9)]);
    }

    #[test]
    fn a_long_line_is_cut_after_white_space_and_keeps_its_number() {
        let long = format!("{} {}", "a".repeat(300), "b".repeat(300));
        let text = format!("x\n{long}\ny\n");
        let lines = Lines::new(&text);
        let splitter = Splitter::new(&lines, Kind::Text, SplitLimits::new(100, 0), &[]);
        let mut pieces = Vec::new();
        splitter.split(0..lines.count(), &mut pieces);
        let shown: Vec<((usize, usize), usize)> = pieces
            .iter()
            .map(|piece| ((piece.lines.start, piece.lines.end), piece.text.len()))
            .collect();
        assert_eq!(
            shown,
            [((0, 1), 1), ((1, 2), 301), ((1, 2), 300), ((2, 3), 1)]
        );
        let sentence = format!("{}。", "東京都の天気".repeat(50));
        let cut = soft_cut(&sentence.repeat(2)[..sentence.len() + 300]);
        assert_eq!(cut, sentence.len());
        // Up to 400 characters a line stays whole, however small the pieces are.
        assert_eq!(split(&"a ".repeat(200), Kind::Text, (1, 0), &[]), [(0, 1)]);
    }
}
