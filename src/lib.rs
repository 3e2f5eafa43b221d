#![doc = include_str!("ARCHITECTURE.md")]

// In the order of the data: what a module names stands above it.
pub mod backoff;
pub mod disk;
pub mod hex;
pub mod log_once;
pub mod json;
pub mod event;
pub mod config;
pub mod visible;
pub mod telemetry;
pub mod document;
pub mod embed;
pub mod store;
pub mod bus;
pub mod index;
pub mod runtime;
pub mod agents;
pub mod http;
pub mod error;
pub mod daemon;
pub mod environment;
pub mod cli;
