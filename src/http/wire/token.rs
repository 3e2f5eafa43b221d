//! Tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::TokenRole;

/// `POST /api/v1/tokens`: what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// Its name.
    pub(crate) name: String,
    /// `read` or `operate`.
    pub(crate) role: TokenRole,
    /// The collections that it is limited to; none: it is not.
    #[serde(default)]
    pub(crate) collections: Vec<String>,
    /// For how long it counts, such as `30d`; absent: until it is revoked.
    #[serde(default)]
    pub(crate) expires: Option<String>,
}

/// A token without what would let anybody in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenView {
    /// Its name.
    pub(crate) name: String,
    /// `read` or `operate`.
    pub(crate) role: TokenRole,
    /// The collections that it is limited to; null: it is not.
    pub(crate) collections: Option<Vec<String>>,
    /// When it was made.
    pub(crate) created_at: String,
    /// From when on it does not count; null: until it is revoked.
    pub(crate) expires_at: Option<String>,
    /// Whether that was.
    pub(crate) expired: bool,
}

/// The answer to `POST /api/v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenMade {
    /// The token itself. It is told this once.
    pub(crate) token: String,
    /// The rest of it.
    #[serde(flatten)]
    pub(crate) view: TokenView,
}

/// `GET /api/v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenList {
    /// By name.
    pub(crate) tokens: Vec<TokenView>,
}

/// `POST /api/v1/tokens/{name}/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Revoked {
    /// The token that counts no more.
    pub(crate) name: String,
}
