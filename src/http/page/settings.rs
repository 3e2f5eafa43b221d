//! `/settings`: the config that the daemon runs with, and where each value came from.

use std::sync::Arc;

use askama::Template;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};

use super::{Html, PageFrame, show};
use crate::config::ShownSetting;
use crate::http::{Info, State};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    page: PageFrame,
    info: Arc<Info>,
}

impl SettingsPage {
    /// The settings of each table, in the order of the reference.
    fn tables(&self) -> Vec<(&str, Vec<&ShownSetting>)> {
        let mut tables: Vec<(&str, Vec<&ShownSetting>)> = Vec::new();
        for setting in &self.info.settings {
            let table = setting.key.rsplit_once('.').map_or("", |(table, _)| table);
            match tables.last_mut().filter(|(name, _)| *name == table) {
                Some((_, settings)) => settings.push(setting),
                None => tables.push((table, vec![setting])),
            }
        }
        tables
    }

    fn started(&self) -> String {
        self.info.started_at.to_string()
    }
}

fn name(setting: &ShownSetting) -> &str {
    setting
        .key
        .rsplit_once('.')
        .map_or(setting.key.as_str(), |(_, name)| name)
}

fn is_default(setting: &ShownSetting) -> bool {
    setting.origin.is_default()
}

pub(super) async fn page(Shared(state): Shared<State>, page: PageFrame) -> Response {
    let info = state.info.clone();
    Html(SettingsPage { page, info }).into_response()
}
