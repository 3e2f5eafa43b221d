//! Columns that stand below each other.

use super::text::Style;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A cell: its text, and how it is painted once its width is known.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    paint: Option<fn(Style, &str) -> String>,
}

impl Cell {
    /// A cell that is painted.
    pub(super) fn painted(text: impl Into<String>, paint: fn(Style, &str) -> String) -> Self {
        Cell {
            text: text.into(),
            paint: Some(paint),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell {
            text: text.into(),
            paint: None,
        }
    }
}

/// A table with a line of headings.
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of as many cells as there are columns.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, each with a line feed.
    pub(super) fn render(&self, style: Style) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| width(&row[column].text));
                cells
                    .chain([width(self.columns[column].0)])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let headings: Vec<Cell> = self
            .columns
            .iter()
            .map(|(name, _)| Cell::painted(*name, Style::dim))
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let room = " ".repeat(widths[column] - width(&cell.text));
                let painted = cell
                    .paint
                    .map_or_else(|| cell.text.clone(), |paint| paint(style, &cell.text));
                let gap = if column == 0 { "" } else { "  " };
                match self.columns[column].1 {
                    Align::Left => line.push_str(&format!("{gap}{painted}{room}")),
                    Align::Right => line.push_str(&format!("{gap}{room}{painted}")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_is_painted() {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("OWED", Align::Right),
            ("WHY", Align::Left),
        ]);
        table.row(vec![
            "rag".into(),
            Cell::painted("12", Style::wrong),
            "".into(),
        ]);
        table.row(vec!["self_heäling".into(), "3".into(), "x".into()]);
        let plain = "NAME          OWED  WHY\nrag             12\nself_heäling     3  x\n";
        assert_eq!(table.render(Style::new(false)), plain);
        let colored = table.render(Style::new(true));
        assert!(
            colored.contains("rag             \x1b[1;31m12\x1b[0m"),
            "{colored}"
        );
    }
}
