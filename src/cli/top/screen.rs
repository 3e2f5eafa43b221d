//! The terminal: it is drawn on, keys come from it, and it is left as it was found.

use std::io;

use crossterm::event::{Event, EventStream, KeyEvent, KeyEventKind};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;

use super::draw::draw;
use super::paint::Palette;
use super::view::TopView;

/// What a person, or whoever ends processes, wants.
pub(super) enum Input {
    Key(KeyEvent),
    /// The screen has another size, or something happened that needs no more than drawing.
    Resized,
    /// The terminal is gone, or a signal says so.
    Ended,
}

/// A terminal in use. A panic, too, leaves it as it was.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    events: EventStream,
    signals: Signals,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        Ok(Screen {
            terminal: ratatui::try_init()?,
            events: EventStream::new(),
            signals,
        })
    }

    pub(super) fn draw(&mut self, view: &TopView, palette: Palette) -> io::Result<()> {
        self.terminal
            .draw(|frame| draw(view, frame.area(), frame.buffer_mut(), palette))?;
        Ok(())
    }

    /// What comes next. May be dropped while it waits.
    pub(super) async fn input(&mut self) -> Input {
        tokio::select! {
            _ = self.signals.next() => Input::Ended,
            event = self.events.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => Input::Key(key),
                Some(Ok(_)) => Input::Resized,
                Some(Err(_)) | None => Input::Ended,
            },
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.signals.handle().close();
        // There is nowhere to tell that the terminal is gone.
        ratatui::try_restore().ok();
    }
}
