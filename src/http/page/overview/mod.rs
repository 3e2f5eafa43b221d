//! The first page: how everything stands, and what can be done about it.

mod agents;
mod figures;
mod flow;
mod lists;
mod spark;
mod tone;
mod trend;
mod view;

use askama::Template;
use axum::extract::State as Shared;

use super::super::State;
use super::super::wire::Problem;
use super::{Html, PageFrame};
use view::OverviewView;

#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct OverviewPage {
    page: PageFrame,
    view: OverviewView,
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
    let view = read(&state, &page).await?;
    Ok(Html(OverviewPage { page, view }))
}

/// `GET /parts/overview`
pub(super) async fn part(
    Shared(state): Shared<State>,
    page: PageFrame,
) -> Result<Html<LivePart>, Problem> {
    let view = read(&state, &page).await?;
    Ok(Html(LivePart { view }))
}

async fn read(state: &State, page: &PageFrame) -> Result<OverviewView, Problem> {
    let seen = state.overviews.now().await?;
    let may_operate = page.may_operate();
    Ok(OverviewView::of(
        seen.overview(),
        seen.figures(),
        may_operate,
    ))
}
