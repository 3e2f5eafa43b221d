//! How texts stand out, with colours or without.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use crate::cli::text::plain;

/// What a text is meant to say by how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Doubtful,
    Wrong,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    colored: bool,
}

impl Palette {
    pub(super) const fn new(colored: bool) -> Self {
        Palette { colored }
    }

    /// A style as it may be shown: without colours what matters is bold.
    pub(super) fn shown(self, style: Style) -> Style {
        match (self.colored, style.fg) {
            (true, _) => style,
            (false, Some(Color::Red | Color::Yellow)) => {
                Style::new().add_modifier(style.add_modifier | Modifier::BOLD)
            }
            (false, _) => Style::new().add_modifier(style.add_modifier),
        }
    }
}

/// A text from wherever it comes, on one line and without what would command the terminal.
pub(super) fn span(text: impl AsRef<str>, paint: Paint) -> Span<'static> {
    let style = match paint {
        Paint::Plain => Style::new(),
        Paint::Bold => Style::new().add_modifier(Modifier::BOLD),
        Paint::Dim => Style::new().add_modifier(Modifier::DIM),
        Paint::Good => Style::new().fg(Color::Green),
        Paint::Doubtful => Style::new().fg(Color::Yellow),
        Paint::Wrong => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    };
    Span::styled(plain(text.as_ref()), style)
}
