//! What is shown, and where in it somebody looks. It touches nothing else.

use std::cell::Cell;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::columns::{AgentColumn, Sort, sorted};
use super::feed::News;
use crate::http::wire::{AgentOverview, FigureHistory, Overview};

/// What the screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TopPage {
    /// The first page: everything at a glance.
    #[default]
    Agents,
    /// The agent that is selected, in detail.
    Agent,
    Dead,
    Issues,
    Jobs,
    Collections,
    Help,
}

/// Whether the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Stay,
    Quit,
}

/// The last that was heard, and where somebody looks.
#[derive(Debug, Default)]
pub(super) struct TopView {
    page: TopPage,
    sort: Sort,
    /// The name of the agent that is selected; none: the first.
    selected: Option<String>,
    /// Lines of a long page that are above the screen. Drawing knows how many there can be.
    scroll: Cell<usize>,
    overview: Option<Box<Overview>>,
    history: FigureHistory,
    /// Why the numbers are old.
    trouble: Option<String>,
}

impl TopView {
    pub(super) fn took(&mut self, news: News) {
        match news {
            News::Overview(overview) => {
                self.overview = Some(overview);
                self.trouble = None;
            }
            News::History(history) => self.history = history,
            News::Blind(why) => self.trouble = Some(why),
        }
    }

    /// Nothing is said any more.
    pub(super) fn lost(&mut self, why: &str) {
        self.trouble = Some(format!("{why}; trying again"));
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Turn {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Turn::Quit,
            KeyCode::Char('q') => return Turn::Quit,
            KeyCode::Char('d') => self.turn_to(TopPage::Dead),
            KeyCode::Char('i') => self.turn_to(TopPage::Issues),
            KeyCode::Char('j') => self.turn_to(TopPage::Jobs),
            KeyCode::Char('c') => self.turn_to(TopPage::Collections),
            KeyCode::Char('?' | 'h') => self.turn_to(TopPage::Help),
            KeyCode::Char('a') => self.turn_to(TopPage::Agents),
            KeyCode::Esc | KeyCode::Backspace => self.turn_to(TopPage::Agents),
            KeyCode::Enter if self.page == TopPage::Agents => self.turn_to(TopPage::Agent),
            KeyCode::Char('0') => self.sort = Sort::default(),
            KeyCode::Char('r') => self.sort.reversed = !self.sort.reversed,
            KeyCode::Right | KeyCode::Char('>') => self.sort.by = AgentColumn::after(self.sort.by),
            KeyCode::Left | KeyCode::Char('<') => self.sort.by = AgentColumn::before(self.sort.by),
            KeyCode::Up => self.step(-1),
            KeyCode::Down => self.step(1),
            KeyCode::PageUp => self.step(-10),
            KeyCode::PageDown => self.step(10),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            _ => {}
        }
        Turn::Stay
    }

    /// The same key again leads back.
    fn turn_to(&mut self, page: TopPage) {
        self.page = match self.page == page {
            true => TopPage::Agents,
            false => page,
        };
        self.scroll.set(0);
    }

    /// Up or down: another agent on the first page, else other lines.
    fn step(&mut self, by: isize) {
        if self.page != TopPage::Agents {
            self.scroll.set(self.scroll.get().saturating_add_signed(by));
            return;
        }
        let agents = self.agents();
        let Some(last) = agents.len().checked_sub(1) else {
            return;
        };
        let at = self.selected_place(&agents).saturating_add_signed(by);
        self.selected = agents.get(at.min(last)).map(|agent| agent.name.clone());
    }

    fn selected_place(&self, agents: &[&AgentOverview]) -> usize {
        let is_it = |agent: &&AgentOverview| Some(&agent.name) == self.selected.as_ref();
        agents.iter().position(is_it).unwrap_or(0)
    }

    /// The agents as they are listed.
    pub(super) fn agents(&self) -> Vec<&AgentOverview> {
        let agents = self.overview.as_ref().map(|overview| &overview.agents[..]);
        sorted(agents.unwrap_or_default(), self.sort)
    }

    /// The agent that is selected.
    pub(super) fn selected(&self) -> Option<&AgentOverview> {
        let agents = self.agents();
        agents.get(self.selected_place(&agents)).copied()
    }

    pub(super) fn page(&self) -> TopPage {
        self.page
    }

    pub(super) fn sort(&self) -> Sort {
        self.sort
    }

    /// Lines that are above the screen, `most` at most: further than that nobody has scrolled.
    pub(super) fn scrolled(&self, most: usize) -> usize {
        let above = self.scroll.get().min(most);
        self.scroll.set(above);
        above
    }

    pub(super) fn overview(&self) -> Option<&Overview> {
        self.overview.as_deref()
    }

    pub(super) fn history(&self) -> &FigureHistory {
        &self.history
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}
