//! The runner, a carrier and the store together.
//!
//! `whatever_happens` holds them against a small reference model under random faults. The other files try one rule of delivery
//! a test, with a carrier that offers exactly what the test says and handlers that end when and how the test says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alone;
mod answers;
mod bench;
mod carrier;
mod agent_runs;
mod pauses;
mod waking;
mod whatever_happens;
