//! Columns that stand below each other, in as many columns as the terminal has.

use std::collections::HashMap;

use super::output::Output;
use super::text::{Style, plain, short_id, width, wrap};
use crate::error::Fatal;

/// The narrowest that a column of text becomes.
const NARROW: usize = 10;

/// Rows of a long list that are printed together: the first of them tell how wide the columns are.
const BATCH: usize = 256;

const GAP: usize = 2;

/// How a column stands, and what it does where the terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Word,
    /// Numbers: whole, to the right.
    Number,
    /// Ids of events: their ends, if these are different.
    Id,
    /// Text, subjects and paths: broken into lines.
    Text,
}

/// A column: its heading, and how it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(&'static str, Fit);

/// A column of short words that stay whole.
pub(super) const fn word(heading: &'static str) -> Column {
    Column(heading, Fit::Word)
}

/// A column of numbers.
pub(super) const fn numeric(heading: &'static str) -> Column {
    Column(heading, Fit::Number)
}

/// A column of ids of events.
pub(super) const fn id(heading: &'static str) -> Column {
    Column(heading, Fit::Id)
}

/// A column of text that is broken into lines where there is no room for it.
pub(super) const fn text(heading: &'static str) -> Column {
    Column(heading, Fit::Text)
}

/// A cell: its text on one line, and how it is painted.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    paint: Option<fn(Style, &str) -> String>,
}

impl Cell {
    /// A cell that is painted.
    pub(super) fn painted(text: impl AsRef<str>, paint: fn(Style, &str) -> String) -> Self {
        Cell {
            text: plain(text.as_ref()),
            paint: Some(paint),
        }
    }

    fn shown(&self, style: Style, line: &str) -> String {
        match self.paint {
            Some(paint) if !line.is_empty() => paint(style, line),
            _ => line.to_owned(),
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell {
            text: plain(text.as_ref()),
            paint: None,
        }
    }
}

/// A table with a line of headings.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// The least width of each column.
    least: Vec<usize>,
    /// How wide the columns were in what was rendered before.
    widths: Option<Vec<usize>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &[Column]) -> Self {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
            least: vec![0; columns.len()],
            widths: None,
        }
    }

    /// The same for rows that come one by one: each column is at least so wide.
    pub(super) fn at_least(mut self, least: &[usize]) -> Self {
        self.least = least.to_vec();
        self
    }

    /// Adds a row of as many cells as there are columns.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Prints the rows that were added since the last call.
    pub(super) fn print(&mut self, out: &mut Output) -> Result<(), Fatal> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let text = self.render(out.style);
        out.text(&text)
    }

    /// The same, once they are a batch.
    pub(super) fn print_batch(&mut self, out: &mut Output) -> Result<(), Fatal> {
        if self.rows.len() < BATCH {
            return Ok(());
        }
        self.print(out)
    }

    /// The lines of the rows that were added since the last call, each with a line feed, below the headings the first
    /// time. Later rows stand in the columns of the first ones: a long list is printed while it comes.
    pub(super) fn render(&mut self, style: Style) -> String {
        let mut rows = std::mem::take(&mut self.rows);
        let mut text = String::new();
        if self.widths.is_none() {
            let headings = self.columns.iter();
            let headings = headings.map(|Column(name, _)| Cell::painted(name, Style::dim));
            rows.insert(0, headings.collect());
        }
        let widths = self.layout(&mut rows, style.width);
        for row in &rows {
            self.line(row, &widths, style, &mut text);
        }
        self.widths = Some(widths);
        text
    }

    /// How wide each column is; ids become short where there is no room for them.
    fn layout(&self, rows: &mut [Vec<Cell>], total: Option<usize>) -> Vec<usize> {
        let natural = |rows: &[Vec<Cell>]| -> Vec<usize> {
            let column = |at: usize| rows.iter().map(|row| width(&row[at].text)).max();
            (0..self.columns.len())
                .map(|at| column(at).unwrap_or(0).max(self.least[at]))
                .collect()
        };
        let Some(total) = total else {
            let widths = natural(rows).into_iter().enumerate();
            // Wider than before where it must be: nothing is cut where no terminal bounds it.
            let before = |at: usize| self.widths.as_ref().map_or(0, |widths| widths[at]);
            return widths.map(|(at, width)| width.max(before(at))).collect();
        };
        let gaps = GAP * self.columns.len().saturating_sub(1);
        let over = |widths: &[usize]| (widths.iter().sum::<usize>() + gaps).saturating_sub(total);
        if let Some(widths) = &self.widths {
            self.shorten(rows, widths);
            return widths.clone();
        }
        let mut widths = natural(rows);
        if over(&widths) > 0 {
            self.shorten(rows, &vec![0; widths.len()]);
            widths = natural(rows);
        }
        let texts: Vec<usize> = (0..widths.len())
            .filter(|at| self.columns[*at].1 == Fit::Text)
            .collect();
        if rows.len() > BATCH && !texts.is_empty() {
            // More will come, and what comes may be longer.
            let spare = total.saturating_sub(widths.iter().sum::<usize>() + gaps);
            texts
                .iter()
                .for_each(|at| widths[*at] += spare / texts.len());
        }
        while over(&widths) > 0 {
            let Some(widest) = texts.iter().copied().max_by_key(|at| widths[*at]) else {
                break;
            };
            if widths[widest] <= NARROW {
                break;
            }
            widths[widest] -= 1;
        }
        widths
    }

    /// Shortens the ids that do not fit into `widths`, unless two that differ would look the same.
    fn shorten(&self, rows: &mut [Vec<Cell>], widths: &[usize]) {
        for at in (0..widths.len()).filter(|at| self.columns[*at].1 == Fit::Id) {
            if rows.iter().all(|row| width(&row[at].text) <= widths[at]) {
                continue;
            }
            let mut seen = HashMap::new();
            let unique = rows.iter().all(|row| {
                let whole = row[at].text.as_str();
                *seen.entry(short_id(whole)).or_insert(whole) == whole
            });
            if unique {
                for row in rows.iter_mut() {
                    row[at].text = short_id(&row[at].text).to_owned();
                }
            }
        }
    }

    /// One row: as many lines as its tallest cell has.
    fn line(&self, row: &[Cell], widths: &[usize], style: Style, text: &mut String) {
        let cells: Vec<Vec<String>> = row
            .iter()
            .zip(widths)
            .zip(&self.columns)
            .map(|((cell, width), Column(_, fit))| match fit {
                Fit::Text => wrap(&cell.text, *width),
                _ => vec![cell.text.clone()],
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for nth in 0..height {
            let mut line = String::new();
            for (at, lines) in cells.iter().enumerate() {
                let part = lines.get(nth).map_or("", String::as_str);
                let room = " ".repeat(widths[at].saturating_sub(width(part)));
                let painted = row[at].shown(style, part);
                let gap = " ".repeat(if at == 0 { 0 } else { GAP });
                match self.columns[at].1 {
                    Fit::Number => line.push_str(&format!("{gap}{room}{painted}")),
                    _ => line.push_str(&format!("{gap}{painted}{room}")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(table: &mut Table, columns: usize) -> Vec<String> {
        let text = table.render(Style::new(false).within(Some(columns)));
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_align_whatever_is_painted() {
        let table = || {
            let mut table = Table::new(&[word("NAME"), numeric("OWED"), text("WHY")]);
            table.row(vec![
                "rag".into(),
                Cell::painted("12", Style::wrong),
                "".into(),
            ]);
            table.row(vec!["self_heäling".into(), "3".into(), "x".into()]);
            table
        };
        let plain = "NAME          OWED  WHY\nrag             12\nself_heäling     3  x\n";
        assert_eq!(table().render(Style::new(false)), plain);
        let colored = table().render(Style::new(true));
        assert!(
            colored.contains("rag             \x1b[1;31m12\x1b[0m"),
            "{colored}"
        );
    }

    #[test]
    fn what_comes_from_outside_neither_breaks_a_row_nor_commands() {
        let mut table = Table::new(&[text("PATH"), word("STATE")]);
        table.row(vec!["a\nb\x1b[2J\u{202E}.md".into(), "stored".into()]);
        let expected = format!(
            "{:22}  STATE\n{}  stored\n",
            "PATH", "a\\nb\\x1B[2J\\u{202E}.md"
        );
        assert_eq!(table.render(Style::new(false)), expected);
    }

    #[test]
    fn columns_stay_apart_in_wide_letters_and_narrow_terminals() {
        let mut table = Table::new(&[text("DOCUMENT"), word("STATE"), text("TITLE")]);
        table.row(vec![
            "docs/日本語/文書.md".into(),
            "stored".into(),
            "文書の題名です 🦀".into(),
        ]);
        table.row(vec![
            "docs/a/very/long/path/to/a/file.md".into(),
            "rejected".into(),
            "a reason that is long enough to need two lines".into(),
        ]);
        let lines = rendered(&mut table, 50);
        assert!(lines.iter().all(|line| width(line) <= 50), "{lines:#?}");
        let at = |line: &str, word: &str| width(line.split(word).next().unwrap());
        let state = at(&lines[0], "STATE");
        assert_eq!(at(&lines[1], "stored"), state, "{lines:#?}");
        let rejected = lines.iter().find(|line| line.contains("rejected")).unwrap();
        assert_eq!(at(rejected, "rejected"), state, "{lines:#?}");
        assert!(lines.len() > 3, "{lines:#?}");
        let whole = lines.join(" ");
        assert!(whole.contains("reason that is"), "{whole}");
    }

    #[test]
    fn ids_are_shortened_where_there_is_no_room_and_only_if_they_stay_different() {
        let ids = [
            "0199a000-0000-7000-8000-3a1d27c49e55",
            "0199a000-0000-7000-8000-aaaaaaaaaaaa",
        ];
        let table = |ids: &[&str]| {
            let mut table = Table::new(&[id("ID"), text("SUBJECT")]);
            for id in ids {
                table.row(vec![id.into(), "docs/a.md".into()]);
            }
            table
        };
        assert!(rendered(&mut table(&ids), 120)[1].starts_with(ids[0]));
        assert!(rendered(&mut table(&ids), 40)[1].starts_with("3a1d27c49e55  docs"));
        let same = [ids[0], "ffffffff-0000-7000-8000-3a1d27c49e55"];
        assert!(rendered(&mut table(&same), 40)[1].starts_with(same[0]));
    }

    #[test]
    fn a_list_that_comes_in_parts_has_one_line_of_headings_and_keeps_its_columns() {
        let mut table = Table::new(&[word("STATE"), text("DOCUMENT")]);
        table.row(vec!["stored".into(), "docs/a.md".into()]);
        let first = table.render(Style::new(false));
        assert_eq!(first, "STATE   DOCUMENT\nstored  docs/a.md\n");
        table.row(vec!["x".into(), "docs/b.md".into()]);
        assert_eq!(
            (table.rows.len(), table.render(Style::new(false)).as_str()),
            (1, "x       docs/b.md\n")
        );
    }
}
