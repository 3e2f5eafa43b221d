//! The Model Context Protocol: tools and resources for agents, made of what the API answers.
//!
//! One server for both ways: `docent mcp` asks the daemon through its client, [`serve`] asks the very routes that stand beside it.
//! It keeps nothing between two calls.

mod answers;
mod ask;
mod over_http;
mod server;
mod tools;
mod uri;

pub(crate) use ask::Ask;
pub(super) use over_http::{Inside, serve};
pub(crate) use server::Server;
