//! Logins to the dashboard.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::TokenRole;

/// `POST /api/v1/dashboard/logins`: the login to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLogin {
    /// What the session may do: `read` or `operate`.
    pub(crate) role: TokenRole,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LoginMade {
    /// The address that logs a browser in, once.
    pub(crate) address: String,
    /// When the address expires.
    pub(crate) expires_at: String,
}
