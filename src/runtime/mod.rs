//! How agents run: the trait they implement, the runner that carries deliveries to them, the supervisor that starts,
//! watches, restarts and drains them.
//!
//! - **TASK-1** Tasks begin here alone: the supervisor begins the runs of agents, a run its duties and its runner, a runner its handlers,
//!   and each joins what it began.
//! - **STOP-1** After the first signal nothing new is taken; what is pending is finished or left owed.

mod agent;
mod compute;
mod figures;
mod isolation;
mod agent_run;
mod notifier;
mod restart;
mod restart_request;
mod runner;
mod scans;
pub(crate) mod shutdown;
mod source;
mod status;
mod supervisor;
mod switched;
mod table;
mod watched;

pub use agent::{Agent, Boxed, Ending, Handling};
pub(crate) use agent::{Duty, DutyContext, DutyError, Factory};
pub use agent_run::{AgentPlan, CarrierFactory};
pub(crate) use compute::Compute;
pub(crate) use notifier::Notifier;
pub use restart::RestartPolicy;
pub use restart_request::supervisor_channel;
pub(crate) use restart_request::{RequestError, RestartRequest, SupervisorHandle};
pub use runner::RunnerOptions;
pub(crate) use scans::{ACCEPT_REMOVALS, RootReport, RootState, ScanDesk, ScanProgress};
pub use source::{Source, Submitted};
pub use status::Board;
pub(crate) use status::{AgentState, AgentStatus, Phase};
pub(crate) use supervisor::SupervisorEnd;
pub use supervisor::{Supervisor, SupervisorOptions};
pub(crate) use switched::tell_switched;

#[cfg(all(test, feature = "testing"))]
mod tests;
