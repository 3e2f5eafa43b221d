//! The real daemon, in a folder of its own, against the real file system. One binary: what tests share is built once.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario is told in one piece, from its start to what it proves"
)]
#![allow(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test starts threads of its own, and joins them"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod browser;
mod checker;
mod cluster;
mod corpus;
mod helper;
mod hosts;
mod load;
mod postgres_server;
mod redis_server;
mod small;
mod terminal;
mod under_load;
mod wire;
mod work;

mod alerts;
mod api;
mod architecture;
mod backlog;
mod bad_input;
mod certificate;
mod check;
mod circles;
mod cite;
mod cli;
mod config;
mod control;
mod disk;
mod docs;
mod drain;
mod faults;
mod flow;
mod fresh;
mod index;
mod kill;
mod mcp;
mod metrics;
mod migrate;
mod mounts;
mod openapi;
mod operate;
mod outages;
mod pages;
mod page;
mod page_reach;
mod permissions;
mod postgres;
mod quality;
mod read;
mod redis;
mod redis_health;
mod redis_loses;
mod redis_refuses;
mod redis_wire;
mod store;
mod suspects;
mod systemd;
mod top;
mod trees;
mod upgrade;
mod words;
