//! The first page: how everything stands, and what can be done about it.

mod agents;
mod figures;
mod flow;
mod lists;
mod spark;
mod tone;
mod trend;
mod view;

use std::borrow::Cow;

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use bytes::Bytes;

use super::super::State;
use super::super::overview::PartKind;
use super::super::wire::{Problem, ProblemKind};
use super::asked::Asked;
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
    uri: Uri,
) -> Result<Html<OverviewPage>, Problem> {
    let live = read(&state, &page, &uri).await?;
    Ok(Html(OverviewPage { page, live }))
}

/// `GET /parts/overview`
pub(super) async fn part(
    Shared(state): Shared<State>,
    page: PageFrame,
    uri: Uri,
) -> Result<HtmlPart, Problem> {
    Ok(HtmlPart(read(&state, &page, &uri).await?))
}

/// The live part, made once for all who may do the same and ask for the same span.
async fn read(state: &State, page: &PageFrame, uri: &Uri) -> Result<Bytes, Problem> {
    let asked = Asked::only(uri, &["span"])?;
    let is_day = match asked.one("span") {
        "" | "hour" => false,
        "day" => true,
        other => {
            let detail = format!("`{other}` is no span of the figures; there are: hour, day");
            return Err(Problem::new(ProblemKind::BadRequest, detail));
        }
    };
    let seen = state.overviews.now().await?;
    let kind = PartKind {
        may_operate: page.may_operate(),
        is_day,
    };
    seen.part(kind, || {
        let view = OverviewView::of(seen.overview(), seen.figures(), kind);
        rendered(&LivePart { view })
    })
}
