//! Gathers the facts of one round. Cheap: a few small reads, nothing that waits for somebody.

use std::collections::{BTreeMap, HashSet};

use tokio::time::Instant;

use super::drift::DriftScope;
use super::probe::Probe;
use crate::event::{AgentName, Millis};
use crate::health::{AgentFacts, Drifted, EdgeFacts, Facts, IndexFacts, RedisView, Responsibility};
use crate::runtime::{AgentState, AgentStatus};
use crate::store::{ReadError, Undelivered};

impl Probe {
    /// What is true now. What could not be read is left out and said once.
    pub(super) async fn gather(
        &mut self,
        open: HashSet<String>,
        at: Instant,
        now: Millis,
    ) -> Facts {
        let agents: Vec<AgentStatus> = self.parts.board.agents().borrow().clone();
        let on = |name: AgentName| {
            agents
                .iter()
                .any(|a| a.name == name && !matches!(a.state, AgentState::Off))
        };
        let scope = DriftScope {
            collections: self.parts.options.collections.clone(),
            documents: on(AgentName::DocumentManagement),
            chunks: on(AgentName::Rag),
        };
        let standing = self.parts.store.standing();
        Facts {
            instance: self.parts.options.instance.clone(),
            responsibility: Responsibility::of(self.parts.store.leases()),
            now,
            free: self.free_space().await,
            integrity: standing
                .damage
                .map(Some)
                .or(self.parts.requests.integrity()),
            audit_break: self.parts.store.figures().audit_break(),
            commits_lost: self.parts.store.figures().commits_lost(),
            held_log: standing.held_log,
            index: if scope.chunks {
                Some(self.index(at).await)
            } else {
                None
            },
            edge: if on(AgentName::ChangeDetection) {
                Some(self.edge().await)
            } else {
                None
            },
            drift: self.drift(&scope).await,
            ingress_dead: self.ingress_dead().await,
            undelivered: self.undelivered().await,
            redis: self.redis(at),
            agents: self.agents(agents, at).await,
            dead: self.parts.store.dead_of_each(),
            replaced: None,
            unwritable: None,
            open,
        }
    }

    async fn agents(&mut self, agents: Vec<AgentStatus>, at: Instant) -> Vec<AgentFacts> {
        let mut facts = Vec::with_capacity(agents.len());
        for status in agents {
            if matches!(status.state, AgentState::Off | AgentState::Stopped) {
                continue;
            }
            let window = self.parts.options.limits.restarts_window;
            let (steady, restarts) = self.memory.agent(&status, at, window);
            // Most of the time nothing is owed, and then nothing need be read.
            let oldest_owed = match self.parts.store.counts(status.name).owed {
                0 => Some(None),
                _ => {
                    let oldest = self.parts.store.oldest_owed(status.name).await;
                    self.known(oldest)
                }
            };
            facts.push(AgentFacts {
                status,
                steady,
                restarts,
                oldest_owed,
            });
        }
        facts
    }

    async fn index(&mut self, at: Instant) -> IndexFacts {
        let head = self.parts.store.head().borrow().change;
        let state = self.parts.index.borrow().clone();
        let mut chunks = None;
        if state.ready && state.position >= head {
            let pair = (state.position, state.chunks);
            let counted = match self.compared {
                Some((known, count)) if known == pair => Some(count),
                _ => {
                    let count = self.parts.store.chunk_count().await;
                    self.known(count)
                }
            };
            if self.parts.store.leases().are_shared() {
                // What other hosts have committed by now is known after it.
                self.parts.store.barrier().await.ok();
            }
            // Compared only if nothing was committed meanwhile.
            let still = self.parts.store.head().borrow().change == head;
            if let Some(count) = counted.filter(|_| still) {
                chunks = Some((state.chunks, count));
                self.compared = Some((pair, count));
            }
        }
        IndexFacts {
            unready: self.memory.unready(state.ready, at),
            behind: self
                .memory
                .behind(state.position, state.stopped.is_some(), head, at),
            stopped: state.stopped,
            chunks,
        }
    }

    async fn edge(&mut self) -> EdgeFacts {
        let progress = self.parts.scans.borrow().clone();
        let scans = self.parts.store.scans().await;
        EdgeFacts {
            collections: self.parts.options.collections.clone(),
            progress,
            scans: self.known(scans),
        }
    }

    async fn drift(&mut self, scope: &DriftScope) -> Option<BTreeMap<String, Drifted>> {
        let whole = self.parts.requests.take_whole();
        let slice = self.parts.options.slice;
        let looked = self
            .drift
            .look(&self.parts.store, scope, slice, whole)
            .await;
        let found = self.known(looked).flatten();
        if whole && found.is_none() {
            // Somebody was at work: asked for is a look at all of it, so the next round takes it up again.
            self.parts.requests.want_whole();
        }
        found
    }

    async fn ingress_dead(&mut self) -> Option<u64> {
        let count = self.parts.store.ingress_dead_count().await;
        self.known(count)
    }

    async fn undelivered(&mut self) -> Option<Vec<Undelivered>> {
        let read = self.parts.store.undelivered().await;
        self.known(read)
    }

    fn redis(&mut self, at: Instant) -> Option<RedisView> {
        let facts = (self.parts.redis)()?;
        let window = self.parts.options.limits.restarts_window;
        Some(self.memory.redis.view(facts, at, window))
    }

    async fn free_space(&mut self) -> Option<u64> {
        let folder = self.parts.options.data_dir.clone();
        self.parts.compute.free_space(folder).await
    }

    /// What was read; a read that failed is remembered for the round's log line.
    fn known<T>(&mut self, read: Result<T, ReadError>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.trouble = Some(error.to_string());
                None
            }
        }
    }
}
