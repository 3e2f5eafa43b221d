//! The thread that keeps this host among those of its store: it renews the row, ends hosts that are gone, moves leases, and notices
//! the commits of others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::join::{HostIdentity, join_again};
use crate::event::{Millis, clock};
use crate::log_once::LogOnce;
use crate::store::DatabaseError;
use crate::store::leases::{
    self, LeaseName, LeasePlan, Leases, Renewal, STALE, Slot, TRUST, plan, since_boot,
};
use crate::store::postgres::Database;
use crate::store::shared::StoreShared;
use crate::store::sql::{self, Connection};
use crate::store::work::{Command, Work};

/// How often a host renews its row.
const RENEW: Duration = Duration::from_secs(3);

/// How long it waits at a time for the notice of another host's commit, and how often it looks without one.
const HEAR: Duration = Duration::from_millis(250);
const POLL: Duration = Duration::from_secs(1);

/// This host among those of its store, before its thread is started.
pub(in crate::store) struct Membership {
    member: Member,
    session: Connection,
}

/// What the thread has of the database, and where it is in time.
struct Rounds {
    session: Option<Connection>,
    /// The way to the writer; it ends when every handle is gone.
    writer: mpsc::WeakSender<Command>,
    next_renewal: Instant,
    next_poll: Instant,
    /// Since when renewals have succeeded without a gap: after an outage all others look gone.
    renewing_since: Option<Instant>,
    failing: LogOnce<bool>,
}

impl Rounds {
    /// Has the writer look at what others have committed.
    fn look(&self) {
        if let Some(writer) = self.writer.upgrade() {
            let (reply, _) = oneshot::channel();
            let work = Work::Barrier;
            // With a full queue there will be a commit anyway.
            writer.try_send(Command { work, reply }).ok();
        }
    }
}

/// What is known of a host and its store for good.
struct Member {
    database: Arc<Database>,
    identity: HostIdentity,
    shared: Arc<StoreShared>,
}

impl Membership {
    /// Begins: takes the leases that are free.
    pub(in crate::store) fn begin(
        database: Arc<Database>,
        identity: HostIdentity,
        shared: Arc<StoreShared>,
    ) -> Result<Self, DatabaseError> {
        let member = Member {
            database,
            identity,
            shared,
        };
        let session = member.connect();
        let session = session.map_err(|error| member.database.unreachable(&error))?;
        member.renew(&session, false)?;
        Ok(Membership { member, session })
    }

    /// Renews and looks until the other end of `ended` is gone, then gives up all leases. `meanwhile` is called often.
    pub(in crate::store) fn run(
        self,
        writer: mpsc::WeakSender<Command>,
        ended: &Receiver<()>,
        meanwhile: impl Fn(),
    ) {
        let Membership { member, session } = self;
        let now = Instant::now();
        let mut rounds = Rounds {
            session: Some(session),
            writer,
            next_renewal: now + RENEW,
            next_poll: now,
            renewing_since: Some(now),
            failing: LogOnce::default(),
        };
        while ended.try_recv() != Err(TryRecvError::Disconnected) {
            meanwhile();
            if let Err(error) = member.round(&mut rounds) {
                rounds.session = None;
                rounds.renewing_since = None;
                rounds.next_renewal = Instant::now() + POLL;
                // A database that does not answer is noticed by whoever asks it for something.
                let refused = !matches!(error, DatabaseError::Unreachable { .. });
                let cause = refused.then(|| error.to_string());
                member.shared.set_refused(cause.as_deref());
                if rounds.failing.is_new(true) {
                    tracing::warn!(%error, "this host cannot renew its row in the database; unless it succeeds within 10 s, others take over its work, and it starts nothing until it has joined again");
                }
            }
        }
        if let Some(session) = &rounds.session
            && let Err(error) = member.leave(session)
        {
            tracing::debug!(%error, "cannot give up this host's leases; others take them over when it counts as gone");
        }
    }
}

/// Goes by the clock of the database, which showed `at` when it was asked at `asked`.
fn go_by(at: Millis, asked: i64) {
    let Some(ahead) = clock::follow(at.0, asked) else {
        return;
    };
    let (by, direction) = (
        clock::distance(ahead),
        if ahead < 0 { "ahead of" } else { "behind" },
    );
    match ahead {
        0 => tracing::info!("the clock of this host agrees with the clock of the database again"),
        _ => tracing::warn!(
            "the clock of this host is {by:?} {direction} the clock of the database, and docent goes by that one; check the time synchronisation of both"
        ),
    }
}

impl Member {
    fn leases(&self) -> &Leases {
        self.shared.leases()
    }

    /// Waits a little, and does what is due.
    fn round(&self, rounds: &mut Rounds) -> Result<(), DatabaseError> {
        let unreachable = |error: sql::Error| self.database.unreachable(&error);
        let heard = match &rounds.session {
            Some(Connection::Postgres(session)) => session.wait_heard(HEAR).map_err(unreachable)?,
            _ => {
                std::thread::park_timeout(HEAR);
                false
            }
        };
        let now = Instant::now();
        if self.leases().has_others() && (heard || now >= rounds.next_poll) {
            rounds.next_poll = now + POLL;
            rounds.look();
        }
        if now < rounds.next_renewal && !self.leases().is_lost() {
            return Ok(());
        }
        if rounds.session.is_none() {
            rounds.session = Some(self.connect().map_err(unreachable)?);
        }
        // Also a host that has nothing to do learns so that its session is lost, or that the database has lost commits.
        rounds.look();
        if let Some(session) = &rounds.session {
            rounds.next_renewal = now + RENEW;
            if !self.leases().are_trusted() {
                // This host was not heard of for a while, as the others may not have been: all machines may have stood still.
                rounds.renewing_since = None;
            }
            let since = *rounds.renewing_since.get_or_insert(now);
            if self.renew(session, now.duration_since(since) >= STALE)? {
                self.shared.look_from_the_beginning();
            }
            self.shared.set_refused(None);
            if rounds.failing.is_new(false) {
                tracing::info!("this host renews its row in the database again");
            }
        }
        Ok(())
    }

    fn connect(&self) -> sql::Result<Connection> {
        let session = self.database.connect_member()?;
        session.execute_batch(leases::LISTEN)?;
        let session = Connection::Postgres(Box::new(session));
        // An earlier session may still be at the commit of a transfer: its end is waited for before leases are read.
        leases::in_turn(&session, || Ok::<_, sql::Error>(()))?;
        Ok(session)
    }

    /// Renews the row, and sees to the leases. Gives whether this host has slots that it did not have, or did not trust to have.
    fn renew(&self, session: &Connection, may_judge: bool) -> Result<bool, DatabaseError> {
        let unreachable = |error: sql::Error| self.database.unreachable(&error);
        let leases = self.leases();
        let (mut sent, asked) = (since_boot(), clock::of_machine());
        let me = leases.incarnation().unwrap_or_default();
        let renewal = Renewal {
            position: leases.position(),
            in_flight: leases.in_flight(),
            captured: leases.captured(),
        };
        let renewed = leases::renew(session, &me, &renewal);
        if let Some(at) = renewed.map_err(unreachable)? {
            go_by(at, asked);
        } else {
            sent = since_boot();
            let is_lost = leases.is_lost();
            join_again(session, &self.database, &self.identity, leases)?;
            if is_lost {
                tracing::warn!("this host has joined again after the database lost commits");
            } else {
                tracing::warn!(
                    "this host gave no sign of life for {STALE:?}, so other hosts took over its work; it has joined again and gets a new share"
                );
            }
        }
        if leases.trust_until(sent + TRUST) {
            leases.look_anew();
        }
        let me = leases.incarnation().unwrap_or_default();
        let seen_to = self.see_to_leases(session, &me, may_judge);
        seen_to.map_err(unreachable)?;
        Ok(leases.take_look_anew())
    }

    /// Ends hosts that are gone, and takes and gives leases.
    fn see_to_leases(&self, session: &Connection, me: &str, may_judge: bool) -> sql::Result<()> {
        leases::set_back_to_now(session)?;
        let view = leases::view(session)?;
        let leases = self.leases();
        let hosts = view.hosts.values().map(|host| host.instance.clone());
        leases.set_seen(hosts.collect(), view.collections.clone());
        let mut planned = plan(&view, me, &self.wanted(), may_judge);
        let slots = |name: &LeaseName| match name {
            LeaseName::Slot(slot) => Some(*slot),
            _ => None,
        };
        let leaving: Vec<Slot> = planned.give.iter().filter_map(slots).collect();
        let idle = leases.leave(&leaving);
        planned
            .give
            .retain(|name| slots(name).is_none_or(|slot| idle.contains(&slot)));
        if planned != LeasePlan::default() {
            let ended = self.carry_out(session, me, &planned)?;
            for gone in ended.iter().filter_map(|gone| view.hosts.get(gone)) {
                tracing::warn!(
                    host = gone.instance,
                    "the host gave no sign of life for {STALE:?} and counts as gone; the others take over its work. If it should be running, check that it is, and that it reaches the database"
                );
            }
        }
        self.release_what_nobody_has(session, me)?;
        // What the store says counts, also where the reply to a transfer was lost.
        let held = leases::leases_of(session, me)?.terms;
        self.tell(&held);
        leases.set(&held);
        Ok(())
    }

    /// Carries a plan out; gives the incarnations that were ended.
    fn carry_out(
        &self,
        session: &Connection,
        me: &str,
        planned: &LeasePlan,
    ) -> sql::Result<Vec<String>> {
        // The host gives up what it has no longer before anybody else may take it.
        let mut kept = leases::leases_of(session, me)?.terms;
        kept.retain(|name, _| !planned.give.contains(name));
        self.leases().set(&kept);
        leases::in_turn(session, || {
            let mut ended = Vec::new();
            for gone in &planned.end {
                // One that was renewed meanwhile stays.
                if leases::end_stale(session, gone)? {
                    ended.push(gone.clone());
                }
            }
            leases::give(session, me, &planned.give)?;
            leases::take(session, me, &self.identity.data_dir, &planned.take)?;
            leases::prune(session)?;
            Ok(ended)
        })
    }

    /// Releases what this host has taken and has not in hand: the reply to a take was lost, or a runner was replaced.
    fn release_what_nobody_has(&self, session: &Connection, me: &str) -> sql::Result<()> {
        let leases = self.leases();
        if !leases.take_deliveries() {
            return Ok(());
        }
        // In this order: what is taken after the look is in hand already.
        let mut holds = leases::holds_of(session, me)?;
        holds.retain(|hold| !leases.has_in_hand(&(hold.agent, hold.seq)));
        if holds.is_empty() {
            return Ok(());
        }
        leases::in_turn(session, || leases::release(session, me, &holds))
    }

    fn wanted(&self) -> Vec<LeaseName> {
        let collections = self.identity.options.collections.iter();
        let collections = collections.map(|name| LeaseName::Collection(name.clone()));
        collections
            .chain([LeaseName::Alerts, LeaseName::Housekeeping])
            .collect()
    }

    /// Says which leases besides slots came and went.
    fn tell(&self, held: &BTreeMap<LeaseName, i64>) {
        let before = self.leases().named();
        let slots = |name: &LeaseName| matches!(name, LeaseName::Slot(_));
        for name in held.keys().filter(|name| !slots(name)) {
            if !before.contains_key(name) {
                tracing::info!("from now on this host {}", name.task());
            }
        }
        for name in before.keys().filter(|name| !held.contains_key(name)) {
            tracing::warn!("this host no longer {}; another one may", name.task());
        }
    }

    /// Ends this incarnation, so that others take over at once.
    fn leave(&self, session: &Connection) -> sql::Result<()> {
        let Some(me) = self.leases().incarnation() else {
            return Ok(());
        };
        leases::in_turn(session, || leases::end(session, &me))
    }
}
