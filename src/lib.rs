#![doc = include_str!("ARCHITECTURE.md")]

// In the order of the data: what a module names stands above it.
mod amounts;
mod backoff;
mod disk;
mod hex;
mod log_once;
mod metrics;
mod word;
mod json;
mod event;
mod config;
mod visible;
mod telemetry;
mod document;
mod embed;
mod store;
mod bus;
mod index;
mod runtime;
mod health;
mod webhook;
mod report;
mod agents;
mod http;
mod error;
mod daemon;
mod environment;
pub mod cli;

/// What the benches and the integration tests are made of. No interface for anybody else.
#[doc(hidden)]
pub mod internals {
    pub mod bus {
        pub use crate::bus::{Carrier, Embedded};
        pub mod redis {
            pub use crate::bus::redis::{Inbox, Link, LinkState, RedisSettings};
        }
    }
    pub mod event {
        pub use crate::event::{AgentName, Event, EventType, Known, NewEvent, Subject};
    }
    pub mod http {
        pub use crate::http::{Client, Target};
        pub mod wire {
            pub use crate::http::wire::{Hit, SearchAnswer};
        }
    }
    pub mod runtime {
        pub use crate::runtime::{
            Agent, AgentPlan, Board, Boxed, CarrierFactory, Ending, Handling, RestartPolicy,
            RunnerOptions, Source, Submitted, Supervisor, SupervisorOptions, supervisor_channel,
        };
        pub mod shutdown {
            pub use crate::runtime::shutdown::{Level, StopSwitch, stop_pair};
        }
    }
    pub mod store {
        pub use crate::store::{
            Closer, Database, Effect, FlightRecorder, HostOptions, Outcome, RetryPolicy, Store,
            StoreOptions, Trust,
        };
    }
}
