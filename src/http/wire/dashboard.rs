//! Logins to the dashboard.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::TokenRole;

/// `POST /api/v1/dashboard/logins`: what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLogin {
    /// What the session may: `read` or `operate`.
    pub(crate) role: TokenRole,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LoginMade {
    /// Where a browser is logged in, once.
    pub(crate) address: String,
    /// From when on that does not count.
    pub(crate) expires_at: String,
}
