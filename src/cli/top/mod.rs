//! `docent top`: the first page, live in a terminal.
//!
//! [`feed`] says what the daemon says, [`view`] knows where somebody looks, [`draw`] makes a screen of both. The latter two
//! touch nothing else; everything that talks to the terminal is in [`screen`].

mod agents;
mod columns;
mod detail;
mod draw;
mod feed;
mod format;
mod hosts;
mod lists;
mod paint;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal};
use std::pin::pin;

use clap::Args;
use futures_util::{StreamExt, stream};

use super::context::{Context, block_on};
use crate::error::{Exit, Fatal};
use crate::http::wire::{FigureHistory, Overview};
use crate::http::{ClientError, Target};
use draw::DrawArea;
use feed::{News, OverviewFeed};
use paint::Palette;
use screen::{Input, Screen};
use view::{TopView, Turn};

/// The flags of `top`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print one screen as text, and end
    #[arg(long)]
    once: bool,
    /// Print the overview as JSON
    #[arg(long, requires = "once")]
    json: bool,
}

/// Columns and lines of a screen that is printed where there is no terminal.
const COLUMNS: usize = 100;
const LINES: usize = 50;

/// Shows how docent stands until somebody has seen enough.
pub(super) fn run(context: &mut Context, arguments: &Arguments) -> Result<Exit, Fatal> {
    let client = context.client()?;
    if arguments.once {
        return once(context, arguments.json);
    }
    drawable(std::env::var("TERM").ok().as_deref())?;
    block_on(async {
        let feed = OverviewFeed::begin(client).await?;
        follow(context, feed).await
    })
}

/// That there is a terminal that can be drawn on.
fn drawable(term: Option<&str>) -> Result<(), Fatal> {
    let hint = "use `docent status`, or `docent top --once`, which prints one screen";
    let why = if !io::stdout().is_terminal() {
        "stdout is not a terminal"
    } else if matches!(term, None | Some("" | "dumb")) {
        "TERM names no terminal that docent can draw on"
    } else {
        return Ok(());
    };
    Err(Fatal::new(Exit::Usage, format!("cannot show `top`: {why}")).hint(hint))
}

fn once(context: &mut Context, json: bool) -> Result<Exit, Fatal> {
    let client = context.client()?;
    let asked = async {
        let overview = client.get::<Overview>(&Target::new("/overview")).await?;
        let history = Target::new("/overview/history");
        let history = client.get::<FigureHistory>(&history).await?;
        Ok((overview, history))
    };
    let (overview, history) = block_on(asked)?;
    if json {
        context.out.json(&overview)?;
        return Ok(Exit::Clean);
    }
    let style = context.out.style;
    let mut view = TopView::default();
    view.took(News::History(history));
    view.took(News::Overview(Box::new(advised(context, overview))));
    let width = style.width.unwrap_or(COLUMNS);
    let text = draw::text(
        &view,
        DrawArea {
            width,
            lines: LINES,
        },
        style,
    );
    context.out.text(&text)?;
    Ok(Exit::Clean)
}

/// The loop: whatever comes first, and then the screen is drawn anew.
async fn follow(context: &Context, feed: OverviewFeed) -> Result<Exit, Fatal> {
    let palette = Palette::new(context.out.style.is_colored());
    let mut view = TopView::default();
    let mut screen = Screen::open().map_err(unusable)?;
    let mut lost = None;
    // An attempt that is under way goes on whatever is typed.
    let mut news = pin!(stream::unfold(feed, |mut feed| async {
        let news = feed.next().await;
        Some((news, feed))
    }));
    loop {
        screen.draw(&view, palette).map_err(unusable)?;
        tokio::select! {
            Some(news) = news.next() => match news {
                Ok(News::Overview(overview)) => {
                    lost = None;
                    view.took(News::Overview(Box::new(advised(context, *overview))));
                }
                Ok(news) => view.took(news),
                Err(error) => {
                    view.lost(&error.to_string());
                    lost = Some(error);
                }
            },
            input = screen.input() => match input {
                Input::Key(key) if view.press(key) == Turn::Quit => break,
                Input::Key(_) | Input::Resized => {}
                Input::Ended => break,
            }
        }
    }
    // The terminal is as it was before anything is said about the end.
    drop(screen);
    lost.map_or(Ok(Exit::Clean), |error: ClientError| Err(error.into()))
}

/// The overview with advice that can be pasted.
fn advised(context: &Context, mut overview: Overview) -> Overview {
    if let Some(remedy) = &mut overview.summary.remedy {
        *remedy = context.advice(remedy);
    }
    for issue in &mut overview.issues {
        issue.remedy = context.advice(&issue.remedy);
    }
    overview
}

fn unusable(source: io::Error) -> Fatal {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot use the terminal")]
    struct Unusable(#[source] io::Error);
    Fatal::new(Exit::Internal, Unusable(source))
}
