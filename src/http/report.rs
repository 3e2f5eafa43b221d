//! Reports: one of now, and those that were written.

use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::State;
use super::lines::Json;
use super::openapi::About;
use super::params::{Named, Params};
use super::wire::{Problem, ProblemKind, ReportAnswer, ReportList, ReportName};
use crate::event::{Heartbeat, Millis};
use crate::report::{Period, gather};

/// The query of `GET /api/v1/report`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportQuery {
    /// `day`, `week`, or `FROM..TO`.
    #[serde(default)]
    #[param(default = "week")]
    period: Option<String>,
}

pub(super) const NOW: About = About::new("Report on a period");

/// `GET /api/v1/report`: made now, and not kept.
pub(super) async fn now(
    Shared(state): Shared<State>,
    Params(query): Params<ReportQuery>,
) -> Result<Json<ReportAnswer>, Problem> {
    let period = query.period.as_deref().unwrap_or("week");
    let period = Period::parse(period, Millis::now())
        .map_err(|error| Problem::new(ProblemKind::BadRequest, error.to_string()))?;
    // Nobody watches the heart of a request: its client goes away when it does not like to wait any more.
    let report = gather(
        &state.store,
        &state.info.instance,
        &period,
        &Heartbeat::default(),
    )
    .await?;
    Ok(Json(ReportAnswer {
        name: report.name(),
        markdown: report.markdown(),
        report: report.json(),
    }))
}

pub(super) const LIST: About = About::new("List the reports that were written");

/// `GET /api/v1/reports`: those that were written, the newest first.
pub(super) async fn list(Shared(state): Shared<State>) -> Result<Json<ReportList>, Problem> {
    let reports = state.store.reports().await?.into_iter();
    let reports = reports.map(|(name, at)| ReportName {
        name,
        at: at.to_string(),
    });
    Ok(Json(ReportList {
        reports: reports.collect(),
    }))
}

pub(super) const SHOW: About =
    About::new("Show a report that was written").or(&[ProblemKind::NotFound]);

/// `GET /api/v1/reports/{name}`
pub(super) async fn show(
    Shared(state): Shared<State>,
    Named(name): Named,
) -> Result<Json<ReportAnswer>, Problem> {
    let found = state.store.report_named(name.clone()).await?;
    let row = found.ok_or_else(|| {
        let detail = format!("there is no report {name:?}; `docent report --list` lists them");
        Problem::new(ProblemKind::NotFound, detail)
    })?;
    let report = serde_json::from_str(&row.json).map_err(|error| {
        let detail = format!("the report {name:?} cannot be read: {error}");
        Problem::new(ProblemKind::Internal, detail)
    })?;
    Ok(Json(ReportAnswer {
        name: row.name,
        markdown: row.markdown,
        report,
    }))
}
