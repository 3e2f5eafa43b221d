//! What somebody may who is let in, as an argument.

use clap::ValueEnum;

use crate::http::wire::TokenRole;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleArgument {
    Read,
    Operate,
}

impl From<RoleArgument> for TokenRole {
    fn from(role: RoleArgument) -> Self {
        match role {
            RoleArgument::Read => TokenRole::Read,
            RoleArgument::Operate => TokenRole::Operate,
        }
    }
}
