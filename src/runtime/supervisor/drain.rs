//! The end of the supervisor: every run is told to stop, joined, and named while it is late.

use std::time::Duration;

use tokio::time::Instant;

use super::super::agent_run::RunEnd;
use super::super::shutdown::{Level, Stop};
use super::super::status::{AgentState, Phase};
use super::{Supervisor, SupervisorEnd};

/// How often stragglers of a drain are named.
const STRAGGLERS: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Passes the levels on to every run and joins them all.
    pub(super) async fn drain(mut self, stop: Stop) -> SupervisorEnd {
        self.board.enter(Phase::Draining);
        // Whoever asks for a restart is told at once that docent stops.
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
        let mut summary = SupervisorEnd::default();
        let mut told = Instant::now();
        let mut level = Level::Run;
        while !self.runs.is_empty() {
            self.heartbeat.beat();
            if stop.level() > level {
                level = stop.level();
                for switch in self.wards.values().filter_map(|ward| ward.switch.as_ref()) {
                    switch.raise(level);
                }
            }
            tokio::select! {
                Some(joined) = self.runs.join_next_with_id() => {
                    let (name, end) = self.who(joined);
                    if let Some(ward) = self.wards.get_mut(&name) { ward.switch = None; }
                    self.board.update(name, |status| status.state = AgentState::Stopped);
                    match end {
                        RunEnd::Stopped(late) => summary.stragglers.extend(late.into_iter().map(|what| format!("{name}: {what}"))),
                        other => summary.stragglers.push(format!("{name}: {other:?}")),
                    }
                }
                () = stop.changed() => {}
                () = tokio::time::sleep(STRAGGLERS) => {}
            }
            if told.elapsed() >= STRAGGLERS {
                told = Instant::now();
                let waiting: Vec<String> = self
                    .board
                    .agents()
                    .borrow()
                    .iter()
                    .filter(|a| a.in_flight + a.queued > 0)
                    .map(|a| {
                        format!(
                            "{} ({} in flight, {} queued)",
                            a.name, a.in_flight, a.queued
                        )
                    })
                    .collect();
                tracing::info!(waiting = waiting.join(", "), "still stopping");
            }
        }
        summary
    }
}
