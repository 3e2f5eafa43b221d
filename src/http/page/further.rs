//! The pages besides the first one: what is searched, listed, told of events, and set.

use super::super::access::Need;
use super::routes::PageRoutes;
use super::{audit, document, documents, event, events, health, search, settings};

/// Adds them, each with what it needs.
pub(super) fn further(routes: PageRoutes) -> PageRoutes {
    routes
        .get(Need::Read, "/search", search::page)
        .get(Need::Read, "/documents", documents::page)
        .get(Need::Read, "/documents/{*place}", document::page)
        .get(Need::Read, "/events", events::page)
        .get(Need::Read, "/events/{id}", event::page)
        .get(Need::ReadAll, "/audit", audit::page)
        .get(Need::ReadAll, "/health", health::page)
        .get(Need::ReadAll, "/settings", settings::page)
}
