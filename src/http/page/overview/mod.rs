//! The first page: how everything stands, and what can be done about it.

mod agents;
mod figures;
mod flow;
mod hosts;
mod lists;
mod spark;
mod tone;
mod trend;
mod view;

use std::borrow::Cow;

use askama::Template;
use axum::extract::State as Shared;
use bytes::Bytes;

use super::super::State;
use super::super::wire::Problem;
use super::html::{HtmlPart, rendered};
use super::{Html, PageFrame};
use view::OverviewView;

#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct OverviewPage {
    page: PageFrame,
    /// The [`LivePart`], as it was made.
    live: Bytes,
}

impl OverviewPage {
    fn live(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.live)
    }
}

/// The part of it that scripts have anew.
#[derive(Template)]
#[template(path = "overview/live.html")]
pub(super) struct LivePart {
    view: OverviewView,
}

/// `GET /`
pub(super) async fn page(
    Shared(state): Shared<State>,
    page: PageFrame,
) -> Result<Html<OverviewPage>, Problem> {
    let live = read(&state, &page).await?;
    Ok(Html(OverviewPage { page, live }))
}

/// `GET /parts/overview`
pub(super) async fn part(
    Shared(state): Shared<State>,
    page: PageFrame,
) -> Result<HtmlPart, Problem> {
    Ok(HtmlPart(read(&state, &page).await?))
}

/// The live part, made once for all who may do the same.
async fn read(state: &State, page: &PageFrame) -> Result<Bytes, Problem> {
    let seen = state.overviews.now().await?;
    let may_operate = page.may_operate();
    seen.part(may_operate, || {
        let view = OverviewView::of(seen.overview(), seen.figures(), may_operate);
        rendered(&LivePart { view })
    })
}
