//! What every page has around it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::super::access::{Caller, Notice};
use super::super::wire::Problem;
use super::super::{Info, State};
use crate::store::TokenRole;

/// The frame of a page: `layout.html` takes from it what it shows around the page's own part.
pub(in crate::http) struct PageFrame {
    info: Arc<Info>,
    path: String,
    /// None: whoever sees it is not logged in.
    caller: Option<Caller>,
}

/// A page that the bar at the top leads to.
pub(in crate::http) struct NavLink {
    pub(in crate::http) path: &'static str,
    pub(in crate::http) name: &'static str,
}

const fn link(path: &'static str, name: &'static str) -> NavLink {
    NavLink { path, name }
}

const LINKS: &[NavLink] = &[
    link("/", "Overview"),
    link("/search", "Search"),
    link("/documents", "Documents"),
    link("/events", "Events"),
    link("/audit", "Audit"),
    link("/health", "Health"),
    link("/settings", "Settings"),
];

impl PageFrame {
    /// The frame of the page at `path`, for `caller` or for a stranger.
    pub(super) fn new(info: Arc<Info>, path: &str, caller: Option<Caller>) -> Self {
        PageFrame {
            info,
            path: path.to_owned(),
            caller,
        }
    }

    /// Strangers are not told whose daemon it is.
    pub(in crate::http) fn instance(&self) -> Option<&str> {
        self.caller.as_ref().map(|_| self.info.instance.as_str())
    }

    pub(in crate::http) fn version(&self) -> Option<&str> {
        self.caller.as_ref().map(|_| self.info.version.as_str())
    }

    /// What forms and scripts of the page send when they change something. None: there is no session to log out of.
    pub(in crate::http) fn csrf(&self) -> Option<&str> {
        Some(self.caller.as_ref()?.session()?.csrf())
    }

    /// Whether acts are offered.
    pub(in crate::http) fn may_operate(&self) -> bool {
        let session = self.caller.as_ref().and_then(Caller::session);
        session.is_some_and(|session| session.owner().role >= TokenRole::Operate)
    }

    /// Whose session it is.
    pub(in crate::http) fn who(&self) -> String {
        let session = self.caller.as_ref().and_then(Caller::session);
        session.map_or_else(String::new, |session| {
            let owner = session.owner();
            format!("user {}, may {}", owner.uid, owner.role.as_str())
        })
    }

    pub(in crate::http) fn links(&self) -> &'static [NavLink] {
        match self.caller {
            Some(_) => LINKS,
            None => &[],
        }
    }

    /// Whether this page is the one at `path`, or below it.
    pub(in crate::http) fn is_at(&self, path: &str) -> bool {
        let below = self.path.strip_prefix(path);
        self.path == path || below.is_some_and(|rest| path != "/" && rest.starts_with('/'))
    }

    /// What came of the last act, once.
    pub(in crate::http) fn notice(&self) -> Option<Notice> {
        self.caller.as_ref()?.session()?.noted()
    }
}

impl FromRequestParts<State> for PageFrame {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let caller = Caller::of(&parts.extensions)?;
        let path = parts.uri.path();
        Ok(PageFrame::new(state.info.clone(), path, Some(caller)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_below_its_link_and_the_first_page_is_no_other() {
        let info = Arc::new(crate::http::tests::info(1));
        let at = |path: &str, link: &str| PageFrame::new(info.clone(), path, None).is_at(link);
        assert!(at("/", "/") && at("/events", "/events") && at("/events/ab", "/events"));
        assert!(!at("/events", "/") && !at("/events2", "/events"));
    }
}
