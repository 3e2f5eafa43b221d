//! The style sheet, the scripts and the icon: the same for everybody.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::super::wire::{Problem, ProblemKind};

/// A file of the pages, in the program itself.
struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: &[Asset] = &[
    Asset {
        name: "style.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("assets/style.css"),
    },
    Asset {
        name: "icon.svg",
        kind: "image/svg+xml",
        text: include_str!("assets/icon.svg"),
    },
    Asset {
        name: "page.js",
        kind: SCRIPT,
        text: include_str!("assets/page.js"),
    },
    Asset {
        name: "acts.js",
        kind: SCRIPT,
        text: include_str!("assets/acts.js"),
    },
    Asset {
        name: "live.js",
        kind: SCRIPT,
        text: include_str!("assets/live.js"),
    },
    Asset {
        name: "morph.js",
        kind: SCRIPT,
        text: include_str!("assets/morph.js"),
    },
    Asset {
        name: "login.js",
        kind: SCRIPT,
        text: include_str!("assets/login.js"),
    },
];

/// `GET /assets/{name}`
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    let asset = found.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, format!("there is no asset `{name}`"))
    })?;
    Ok(([(header::CONTENT_TYPE, asset.kind)], asset.text).into_response())
}
