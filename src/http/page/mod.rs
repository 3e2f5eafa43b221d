//! The dashboard: pages for people, served over TCP to whoever logged in with `docent dashboard`.
//!
//! - The server makes every page whole. Scripts keep it live and ask before they act; without them the same is there.
//! - Nothing is loaded from elsewhere: templates, style and scripts are in the program.
//! - What comes from outside is written by [`Visible`]: never markup, never unseen.

mod acts;
mod answer;
mod asked;
mod assets;
mod audit;
mod document;
mod documents;
mod escape;
mod event;
mod events;
mod excerpt;
mod frame;
mod health;
mod groups;
mod html;
mod lineage;
mod listed;
mod login;
mod overview;
mod routes;
mod search;
mod settings;
mod show;
mod words;

use axum::Router;
use axum::routing::get;

pub(super) use answer::as_pages;
pub(super) use escape::Visible;
pub(super) use frame::PageFrame;
pub(super) use html::Html;

use super::State;
use super::access::Need;
use routes::PageRoutes;

/// The pages, for who is logged in.
pub(super) fn pages() -> PageRoutes {
    use Need::{Operate, OperateAll, Read, ReadAll};
    PageRoutes::default()
        .get(ReadAll, "/", overview::page)
        .get(ReadAll, "/parts/overview", overview::part)
        .get(Read, "/search", search::page)
        .get(Read, "/documents", documents::page)
        .get(Read, "/documents/{*place}", document::page)
        .get(Read, "/events", events::page)
        .get(Read, "/events/{id}", event::page)
        .get(ReadAll, "/audit", audit::page)
        .get(ReadAll, "/health", health::page)
        .get(ReadAll, "/settings", settings::page)
        .get(Operate, "/acts/dead/{id}/replay", acts::ask_replay_dead)
        .post(Operate, "/acts/dead/{id}/replay", acts::replay_dead)
        .get(Operate, "/acts/dead/{id}/drop", acts::ask_drop_dead)
        .post(Operate, "/acts/dead/{id}/drop", acts::drop_dead)
        .get(OperateAll, "/acts/dead-groups/{id}/{verb}", acts::ask_group)
        .post(OperateAll, "/acts/dead-groups/{id}/{verb}", acts::group)
        .get(Operate, "/acts/events/{id}/replay", acts::ask_replay_event)
        .post(Operate, "/acts/events/{id}/replay", acts::replay_event)
        .get(OperateAll, "/acts/agents/{name}/restart", acts::ask_restart)
        .post(OperateAll, "/acts/agents/{name}/restart", acts::restart)
        .get(OperateAll, "/acts/jobs/{name}/{verb}", acts::ask_job)
        .post(OperateAll, "/acts/jobs/{name}/{verb}", acts::job)
        .post(Read, "/logout", login::log_out)
}

/// What anybody gets: where one logs in, and what pages look like.
pub(super) fn open() -> Router<State> {
    Router::new()
        .route(login::PATH, get(login::form).post(login::log_in))
        .route("/assets/{name}", get(assets::asset))
}
