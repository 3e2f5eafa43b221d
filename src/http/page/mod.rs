//! The dashboard: pages for people, served over TCP to whoever logged in with `docent dashboard`.
//!
//! - The server makes every page whole. Scripts keep it live and ask before they act; without them the same is there.
//! - Nothing is loaded from elsewhere: templates, style and scripts are in the program.
//! - What comes from outside is written by [`Visible`]: never markup, never unseen.

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
mod further;
mod health;
mod html;
mod lineage;
mod login;
mod search;
mod settings;
mod show;

use axum::Router;
use axum::routing::get;

pub(super) use answer::as_pages;
pub(super) use escape::Visible;
pub(super) use frame::Page;
pub(super) use html::Html;

use super::State;
use super::access::Need;
use super::routes::Routes;

/// The pages, for who is logged in.
pub(super) fn pages() -> Routes {
    further::further(Routes::default()).post(Need::Read, "/logout", login::log_out)
}

/// What anybody gets: where one logs in, and what pages look like.
pub(super) fn open() -> Router<State> {
    Router::new()
        .route(login::PATH, get(login::form).post(login::log_in))
        .route("/assets/{name}", get(assets::asset))
}
