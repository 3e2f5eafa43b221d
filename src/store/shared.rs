//! What the writer tells everybody after a commit: the head, each agent's counts, and that there is work.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

use super::batch::{Counters, Delta};
use super::figures::StoreFigures;
use super::identity::StoreIdentity;
use super::leases::Leases;
use super::recorder::Crash;
use super::sql::{self, Connection};
use crate::event::{AgentName, Millis, Seq};

/// What to do about files that were removed or replaced.
pub(crate) const PUT_BACK: &str =
    "put the same file back, or stop docent and start it again on what is there";

/// The newest of what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    pub seq: Seq,
    /// The newest change of the index's feed.
    pub change: u64,
    /// How often a database was found to have lost commits: what followed it then follows it no more.
    pub losses: u64,
}

/// An agent's deliveries, counted. Kept in memory, loaded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentCounts {
    /// Owed, those that wait for a retry among them.
    pub owed: i64,
    /// Owed after at least one failed attempt.
    pub retrying: i64,
    pub dead: i64,
    /// Settled as done since the start.
    pub handled: i64,
    /// Failed attempts since the start.
    pub failed: i64,
}

/// Wakes an agent's runner, and tells it how far its cursor must go back.
#[derive(Debug, Default)]
pub struct AgentSignal {
    wake: Notify,
    /// The lowest delivery that became offerable again, plus one; 0: none.
    rewind: AtomicU64,
}

impl AgentSignal {
    /// Waits until there may be new work. One wake-up is remembered while nobody waits.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The lowest delivery that became offerable again since the last call.
    pub fn take_rewind(&self) -> Option<Seq> {
        match self.rewind.swap(0, Ordering::SeqCst) {
            0 => None,
            n => Some(Seq(n - 1)),
        }
    }

    fn rewind_to(&self, seq: Seq) {
        self.rewind
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                Some(if now == 0 {
                    seq.0 + 1
                } else {
                    now.min(seq.0 + 1)
                })
            })
            .ok(); // the closure never gives None
    }
}

#[derive(Debug, Default)]
struct AgentSlot {
    counts: [AtomicI64; 5],
    /// When an attempt ended last; 0: none since the start.
    ended_at: AtomicI64,
    signal: Arc<AgentSignal>,
}

/// What is wrong with the store's files, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its files are not the ones that were opened. Nothing is written meanwhile.
    pub replaced: Option<Replaced>,
    /// Why the last batch could not be written, if it could not.
    pub unwritable: Option<String>,
    /// Why this host may not work on the store, if others were found that it would get in the way of.
    pub refused: Option<String>,
    /// What was read is not what docent wrote: where, and what to do.
    pub damage: Option<String>,
    /// Since when another process has kept the log from being shortened.
    pub held_log: Option<HeldLog>,
}

/// Files that were removed or replaced while they were open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    pub how: String,
    /// Since when that is known.
    pub since: Millis,
}

/// A log that cannot be shortened because another process reads the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLog {
    /// The size of `store.db-wal`.
    pub bytes: u64,
    pub since: Millis,
}

/// What the writer and the handles share.
pub(super) struct StoreShared {
    pub(super) identity: StoreIdentity,
    leases: Leases,
    pub(super) last_crash: Option<Crash>,
    head: watch::Sender<Head>,
    standing: watch::Sender<Standing>,
    agents: Vec<AgentSlot>,
    pub(super) figures: StoreFigures,
    #[cfg(all(test, feature = "testing"))]
    pub(super) gate: super::gate::Gate,
}

impl StoreShared {
    /// Loads the counts once.
    pub(super) fn load(
        connection: &Connection,
        leases: Leases,
        last_crash: Option<Crash>,
    ) -> sql::Result<Self> {
        let shared = StoreShared {
            identity: StoreIdentity::read(connection)?,
            leases,
            last_crash,
            head: watch::Sender::new(Head::default()),
            standing: watch::Sender::default(),
            agents: AgentName::ALL
                .iter()
                .map(|_| AgentSlot::default())
                .collect(),
            figures: StoreFigures::default(),
            #[cfg(all(test, feature = "testing"))]
            gate: super::gate::Gate::default(),
        };
        shared.recount(connection)?;
        Ok(shared)
    }

    /// Counts what is owed and dead as the store has it.
    pub(super) fn recount(&self, connection: &Connection) -> sql::Result<()> {
        // Two partial indexes answer this without looking at what is done.
        let mut select = connection.prepare_cached(
            "SELECT agent, COUNT(*), 0, 0 FROM delivery WHERE state = 'owed' GROUP BY agent
             UNION ALL SELECT agent, 0, COUNT(*), 0 FROM delivery WHERE state = 'owed' AND attempts > 0 GROUP BY agent
             UNION ALL SELECT agent, 0, 0, COUNT(*) FROM delivery WHERE state = 'dead' GROUP BY agent",
        )?;
        let mut rows = select.query([])?;
        let mut counts = vec![[0_i64; 3]; self.agents.len()];
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            // Deliveries of an agent that this binary does not have stay as they are.
            let Ok(agent) = name.parse::<AgentName>() else {
                continue;
            };
            for (count, column) in counts[agent.index()].iter_mut().zip(1..4) {
                *count += row.get::<i64>(column)?;
            }
        }
        for (agent, counts) in self.agents.iter().zip(counts) {
            for (slot, count) in agent.counts.iter().zip(counts) {
                slot.store(count, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    /// What this host may do.
    pub(super) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// There may be something new for every agent, that others have committed.
    pub(super) fn wake_all(&self) {
        for agent in &self.agents {
            agent.signal.wake.notify_one();
        }
    }

    /// The store is another one than before: nothing that was read of it counts.
    pub(super) fn begin_anew(&self) {
        self.head.send_modify(|head| head.losses += 1);
        self.figures.miss_commits();
        self.look_from_the_beginning();
    }

    /// Whatever is owed may be this host's now, also what was passed.
    pub(super) fn look_from_the_beginning(&self) {
        for agent in &self.agents {
            agent.signal.rewind_to(Seq(0));
        }
        self.wake_all();
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Records what became of the files. What changes is logged once.
    pub(super) fn set_replaced(&self, replaced: Option<String>) {
        self.standing.send_if_modified(|now| {
            if now.replaced.as_ref().map(|r| &r.how) == replaced.as_ref() {
                return false;
            }
            match &replaced {
                Some(how) => tracing::error!("{how}; {PUT_BACK}"),
                None => {
                    tracing::info!("the store's files are back in their places; writing goes on")
                }
            }
            let since = Millis::now();
            now.replaced = replaced.map(|how| Replaced { how, since });
            true
        });
    }

    /// Records whether a batch could be written. Who wrote it logs it.
    pub(super) fn set_unwritable(&self, cause: Option<&str>) {
        self.set_cause(cause, |now| &mut now.unwritable);
    }

    /// Records whether this host may work on the store. Who found it out logs it.
    pub(super) fn set_refused(&self, cause: Option<&str>) {
        self.set_cause(cause, |now| &mut now.refused);
    }

    fn set_cause(&self, cause: Option<&str>, of: impl Fn(&mut Standing) -> &mut Option<String>) {
        self.standing.send_if_modified(|now| {
            let known = of(now);
            let changed = known.as_deref() != cause;
            if changed {
                *known = cause.map(str::to_owned);
            }
            changed
        });
    }

    /// Records damage that was met. The first is kept and logged: what cures it cures the others.
    pub(super) fn set_damage(&self, damage: &str) {
        self.standing.send_if_modified(|now| {
            let first = now.damage.is_none();
            if first {
                tracing::error!("{damage}");
                now.damage = Some(damage.to_owned());
            }
            first
        });
    }

    pub(super) fn set_held_log(&self, held: Option<HeldLog>) {
        self.standing.send_if_modified(|now| {
            let changed = now.held_log != held;
            now.held_log = held;
            changed
        });
    }

    pub(super) fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    pub(super) fn signal(&self, agent: AgentName) -> Arc<AgentSignal> {
        self.agents[agent.index()].signal.clone()
    }

    pub(super) fn counts(&self, agent: AgentName) -> AgentCounts {
        let value = |i: usize| self.agents[agent.index()].counts[i].load(Ordering::SeqCst);
        AgentCounts {
            owed: value(0),
            retrying: value(1),
            dead: value(2),
            handled: value(3),
            failed: value(4),
        }
    }

    /// When an attempt of the agent ended last, well or not; `None`: none since the start.
    pub(super) fn ended_at(&self, agent: AgentName) -> Option<Millis> {
        let at = self.agents[agent.index()].ended_at.load(Ordering::SeqCst);
        (at > 0).then_some(Millis(at))
    }

    /// Tells what a commit changed: the head first, then what is more, then what is less, so that work which moves on
    /// from one agent to another, or to the index, is seen at least once.
    pub(super) fn committed(&self, counters: &Counters, deltas: &HashMap<AgentName, Delta>) {
        self.set_head(counters);
        for sign in [1, -1] {
            for (agent, delta) in deltas {
                let changes = [
                    delta.owed,
                    delta.retrying,
                    delta.dead,
                    delta.handled,
                    delta.failed,
                ];
                for (slot, change) in self.agents[agent.index()].counts.iter().zip(changes) {
                    if change.signum() == sign {
                        slot.fetch_add(change, Ordering::SeqCst);
                    }
                }
            }
        }
        for (agent, delta) in deltas {
            let state = &self.agents[agent.index()];
            if delta.handled + delta.failed > 0 {
                state.ended_at.store(Millis::now().0, Ordering::SeqCst);
            }
            if let Some(seq) = delta.rewind {
                state.signal.rewind_to(seq);
            }
            if delta.fresh || delta.rewind.is_some() {
                state.signal.wake.notify_one();
            }
        }
    }

    pub(super) fn set_head(&self, counters: &Counters) {
        self.head.send_if_modified(|now| {
            let head = Head {
                seq: Seq(counters.seq),
                change: counters.change,
                losses: now.losses,
            };
            std::mem::replace(now, head) != head
        });
    }
}
