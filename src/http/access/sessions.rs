//! Who is logged in to the dashboard, and the logins that wait to be used.
//!
//! All of it is in memory: a restart logs everybody out. Of what lets somebody in only the hash is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::tokens::{fresh_secret, hash};
use crate::event::Millis;
use crate::store::TokenRole;

/// How long a login waits to be used.
pub(in crate::http) const LOGIN: Duration = Duration::from_secs(60);
/// A session ends when nothing was asked in it for so long,
const IDLE: Duration = Duration::from_hours(12);
/// and after so long in any case.
const LONGEST: Duration = Duration::from_hours(7 * 24);
/// Logins that wait; one more takes the place of the oldest.
const LOGINS_MAX: usize = 16;
/// Sessions; one more takes the place of the one that was used least recently.
const SESSIONS_MAX: usize = 64;

/// Whom a session is for: the user who asked for its login, on the control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct SessionOwner {
    pub(in crate::http) uid: u32,
    pub(in crate::http) role: TokenRole,
}

/// What the next page of a session says at its top: what came of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Notice {
    pub(in crate::http) text: String,
    pub(in crate::http) failed: bool,
}

/// A browser that is logged in.
#[derive(Debug)]
pub(in crate::http) struct Session {
    hash: String,
    owner: SessionOwner,
    /// What its pages send beside the cookie when they change something. It opens nothing by itself.
    csrf: String,
    began: Millis,
    used: Mutex<Millis>,
    notice: Mutex<Option<Notice>>,
    ended: CancellationToken,
}

impl Session {
    fn begin(hash: String, owner: SessionOwner, csrf: String, now: Millis) -> Self {
        Session {
            hash,
            owner,
            csrf,
            began: now,
            used: Mutex::new(now),
            notice: Mutex::default(),
            ended: CancellationToken::new(),
        }
    }

    pub(in crate::http) fn owner(&self) -> SessionOwner {
        self.owner
    }

    /// What a page of this session sends when it changes something.
    pub(in crate::http) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a page of this session sent `token`.
    pub(super) fn is_csrf(&self, token: &str) -> bool {
        // What is compared are hashes: how long that takes tells nothing.
        hash(token) == hash(&self.csrf)
    }

    /// Keeps what the next page is to say.
    pub(in crate::http) fn note(&self, notice: Notice) {
        *locked(&self.notice) = Some(notice);
    }

    /// What this page is to say, once.
    pub(in crate::http) fn noted(&self) -> Option<Notice> {
        locked(&self.notice).take()
    }

    fn used(&self) -> Millis {
        *locked(&self.used)
    }

    fn is_over(&self, now: Millis) -> bool {
        now >= self.began.plus(LONGEST) || now >= self.used().plus(IDLE)
    }

    /// Waits until it counts no more. An answer that goes on does not use it: only a request does.
    pub(super) async fn ended(self: Arc<Self>) {
        loop {
            let now = Millis::now();
            if self.is_over(now) {
                return;
            }
            let end = self.began.plus(LONGEST).min(self.used().plus(IDLE));
            tokio::select! {
                () = self.ended.cancelled() => return,
                () = sleep(end.since(now)) => {}
            }
        }
    }
}

/// A login that waits to be used.
#[derive(Debug)]
struct Login {
    hash: String,
    owner: SessionOwner,
    made: Millis,
}

#[derive(Debug, Default)]
struct Kept {
    logins: Vec<Login>,
    sessions: HashMap<String, Arc<Session>>,
}

/// The logins and sessions that count.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    kept: Mutex<Kept>,
}

impl Sessions {
    /// A login for `owner`: it counts once, for a minute.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(in crate::http) fn offer(
        &self,
        owner: SessionOwner,
        now: Millis,
    ) -> Result<String, String> {
        let login = fresh_secret()?;
        let mut kept = self.kept(now);
        if kept.logins.len() >= LOGINS_MAX {
            kept.logins.remove(0);
        }
        kept.logins.push(Login {
            hash: hash(&login),
            owner,
            made: now,
        });
        Ok(login)
    }

    /// The secret of a new session for a login, which is used up by that. None: it does not count.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(super) fn redeem(&self, login: &str, now: Millis) -> Result<Option<String>, String> {
        let (secret, csrf) = (fresh_secret()?, fresh_secret()?);
        let mut kept = self.kept(now);
        let hash_of_login = hash(login);
        let Some(at) = kept.logins.iter().position(|l| l.hash == hash_of_login) else {
            return Ok(None);
        };
        let login = kept.logins.remove(at);
        if kept.sessions.len() >= SESSIONS_MAX {
            let oldest = kept.sessions.values().min_by_key(|session| session.used());
            if let Some(oldest) = oldest.cloned() {
                kept.end(&oldest);
            }
        }
        let session = Session::begin(hash(&secret), login.owner, csrf, now);
        kept.sessions
            .insert(session.hash.clone(), Arc::new(session));
        Ok(Some(secret))
    }

    /// The session with this secret, which is used by that.
    pub(super) fn find(&self, secret: &str, now: Millis) -> Option<Arc<Session>> {
        let session = self.kept(now).sessions.get(&hash(secret)).cloned()?;
        *locked(&session.used) = now;
        Some(session)
    }

    /// Ends a session; whatever is open in it ends too.
    pub(in crate::http) fn end(&self, session: &Session) {
        locked(&self.kept).end(session);
    }

    /// What counts at this moment.
    fn kept(&self, now: Millis) -> MutexGuard<'_, Kept> {
        let mut kept = locked(&self.kept);
        kept.logins.retain(|login| now < login.made.plus(LOGIN));
        let over: Vec<_> = kept
            .sessions
            .values()
            .filter(|s| s.is_over(now))
            .cloned()
            .collect();
        for session in over {
            kept.end(&session);
        }
        kept
    }
}

impl Kept {
    fn end(&mut self, session: &Session) {
        self.sessions.remove(&session.hash);
        session.ended.cancel();
    }
}

/// Whoever panicked left values that are whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: SessionOwner = SessionOwner {
        uid: 1000,
        role: TokenRole::Operate,
    };

    fn at(seconds: i64) -> Millis {
        Millis(1_700_000_000_000 + seconds * 1000)
    }

    fn logged_in(sessions: &Sessions, now: Millis) -> String {
        let login = sessions.offer(OWNER, now).unwrap();
        sessions.redeem(&login, now).unwrap().unwrap()
    }

    #[test]
    fn a_login_counts_once_and_for_a_minute() {
        let sessions = Sessions::default();
        let login = sessions.offer(OWNER, at(0)).unwrap();
        assert!(sessions.redeem("", at(0)).unwrap().is_none());
        assert!(sessions.redeem(&hash(&login), at(0)).unwrap().is_none());
        assert!(sessions.find(&login, at(0)).is_none(), "it is no session");
        let secret = sessions.redeem(&login, at(59)).unwrap().unwrap();
        assert!(sessions.redeem(&login, at(59)).unwrap().is_none());
        assert_eq!(sessions.find(&secret, at(60)).unwrap().owner(), OWNER);

        let late = sessions.offer(OWNER, at(100)).unwrap();
        assert!(sessions.redeem(&late, at(160)).unwrap().is_none());
    }

    #[test]
    fn logins_are_bounded_and_the_oldest_makes_place() {
        let sessions = Sessions::default();
        let offered = (0..=LOGINS_MAX).map(|_| sessions.offer(OWNER, at(0)).unwrap());
        let offered: Vec<String> = offered.collect();
        assert!(sessions.redeem(&offered[0], at(1)).unwrap().is_none());
        for login in &offered[1..] {
            assert!(sessions.redeem(login, at(1)).unwrap().is_some());
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_after_some_days_in_any_case() {
        let sessions = Sessions::default();
        let hours = |n: i64| at(n * 3600);
        let idle = logged_in(&sessions, hours(0));
        assert!(sessions.find(&idle, hours(11)).is_some());
        assert!(sessions.find(&idle, hours(22)).is_some());
        assert!(sessions.find(&idle, hours(34)).is_none());

        let busy = logged_in(&sessions, hours(0));
        for hour in 1..7 * 24 {
            assert!(sessions.find(&busy, hours(hour)).is_some(), "{hour}");
        }
        assert!(sessions.find(&busy, hours(7 * 24)).is_none());
    }

    #[test]
    fn sessions_are_bounded_and_the_least_used_makes_place() {
        let sessions = Sessions::default();
        let secrets: Vec<String> = (0..SESSIONS_MAX)
            .map(|n| logged_in(&sessions, at(i64::try_from(n).unwrap())))
            .collect();
        let first = sessions.find(&secrets[0], at(100)).unwrap();
        let second = sessions.kept(at(100)).sessions[&hash(&secrets[1])].clone();
        logged_in(&sessions, at(101));
        assert!(!first.ended.is_cancelled());
        assert!(second.ended.is_cancelled(), "its streams end");
        assert!(sessions.find(&secrets[1], at(101)).is_none());
        assert_eq!(sessions.kept(at(101)).sessions.len(), SESSIONS_MAX);
    }

    #[tokio::test]
    async fn a_logout_ends_what_is_open_and_a_notice_is_read_once() {
        let sessions = Sessions::default();
        let now = Millis::now();
        let secret = logged_in(&sessions, now);
        let session = sessions.find(&secret, now).unwrap();
        assert!(
            session.is_csrf(session.csrf()) && !session.is_csrf("") && !session.is_csrf(&secret)
        );
        let notice = Notice {
            text: "done".to_owned(),
            failed: false,
        };
        session.note(notice.clone());
        assert_eq!(session.noted(), Some(notice));
        assert_eq!(session.noted(), None);

        let ended = session.clone().ended();
        tokio::pin!(ended);
        tokio::select! {
            biased;
            () = &mut ended => panic!("it counts"),
            () = tokio::task::yield_now() => {}
        }
        sessions.end(&session);
        ended.await;
        assert!(sessions.find(&secret, now).is_none());
    }
}
