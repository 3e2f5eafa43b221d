//! Who asks, and what they may: the control socket may everything, a token what it was made for, a session of the dashboard
//! what its login was asked for with.
//!
//! - **ACCESS-1** What a route needs is stated where it is registered ([`Need`]); there is no way to register one without.
//! - **ACCESS-2** A token that is limited to collections learns nothing of others: they are not there for it.
//! - **ACCESS-3** A session changes nothing without the token of one of its pages: its cookie alone does not suffice.

mod attempts;
mod cookie;
mod door;
mod forgery;
mod sessions;
mod site;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::Extensions;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(super) use door::{Bearer, Door, at_home, authenticated, welcomed};
pub(super) use forgery::CSRF_HEADER;
pub(crate) use sessions::Sessions;
pub(super) use sessions::{LOGIN, Notice, Session, SessionOwner};
pub(super) use site::Site;
pub(crate) use tokens::Tokens;
pub(super) use tokens::{SYSTEM_SUBJECTS, fresh_token};

use super::params::Peer;
use super::wire::{Problem, ProblemKind};
use crate::event::{EventType, Known};
use crate::store::{TokenRole, TokenRow};

/// What a route needs of whoever uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// To read. A limited token gets the rows of its collections: the handler asks [`Caller::sees`].
    Read,
    /// To read what is of no collection: it is not there for a limited token.
    ReadAll,
    /// To operate. A limited token does so on its collections: the handler asks [`Caller::sees`].
    Operate,
    /// To operate on what is of no collection: it is not there for a limited token.
    OperateAll,
    /// To be on the control socket.
    Control,
}

impl Need {
    /// In words.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Need::Read => {
                "Needs the role read. A token that is limited to collections sees only these."
            }
            Need::ReadAll => {
                "Needs the role read. A token that is limited to collections gets 404."
            }
            Need::Operate => {
                "Needs the role operate. A token that is limited to collections operates only on these."
            }
            Need::OperateAll => {
                "Needs the role operate. A token that is limited to collections gets 404."
            }
            Need::Control => "Served only on the control socket.",
        }
    }

    /// Whether the route is not there for a limited token.
    pub(super) const fn hides(self) -> bool {
        matches!(self, Need::ReadAll | Need::OperateAll)
    }

    /// That `caller` may use the route.
    pub(super) fn admit(self, caller: &Caller) -> Result<(), Problem> {
        let (role, whose) = match &caller.by {
            By::Socket => return Ok(()),
            By::Token(token) => (token.role, format!("the token {}", token.name)),
            By::Session(session) => (session.owner().role, "this login".to_owned()),
        };
        if self.hides() && caller.limit().is_some() {
            let detail = "this is not available to a token that is limited to collections";
            return Err(Problem::new(ProblemKind::NotFound, detail));
        }
        let needed = match self {
            Need::Read | Need::ReadAll => TokenRole::Read,
            Need::Operate | Need::OperateAll => TokenRole::Operate,
            Need::Control => {
                let detail = "this is served only on the control socket";
                return Err(Problem::new(ProblemKind::Forbidden, detail)
                    .hint("run it on the machine where docent runs, without --url"));
            }
        };
        if role < needed {
            let (has, needs) = (role.as_str(), needed.as_str());
            let detail = format!("{whose} has the role {has}, and this needs {needs}");
            let hint = match caller.session() {
                Some(_) => {
                    "on docent's machine, `docent dashboard --role operate` creates a login that may"
                }
                None => {
                    "on docent's machine, docent token create NAME --role operate creates one that may"
                }
            };
            return Err(Problem::new(ProblemKind::Forbidden, detail).hint(hint));
        }
        Ok(())
    }
}

/// How somebody was let in.
#[derive(Debug, Clone)]
enum By {
    /// By the permissions of the control socket.
    Socket,
    Token(Arc<TokenRow>),
    Session(Arc<Session>),
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    peer: Peer,
    by: By,
}

impl Caller {
    /// The bearer of a token.
    fn bearer(peer: Peer, token: Arc<TokenRow>) -> Self {
        let by = By::Token(token);
        Caller { peer, by }
    }

    /// Whoever uses a session.
    fn in_session(peer: Peer, session: Arc<Session>) -> Self {
        let by = By::Session(session);
        Caller { peer, by }
    }

    /// Who sent a request. Whoever is not on the control socket must have been let in before.
    pub(super) fn of(extensions: &Extensions) -> Result<Self, Problem> {
        if let Some(caller) = extensions.get::<Caller>() {
            return Ok(caller.clone());
        }
        let peer = extensions.get::<Peer>().copied().unwrap_or_default();
        match peer.uid {
            Some(_) => Ok(Caller {
                peer,
                by: By::Socket,
            }),
            None => Err(Problem::new(
                ProblemKind::Unauthorized,
                "a token is needed here",
            )),
        }
    }

    /// The user id: on the control socket, or of who asked for the session's login there.
    pub(super) fn uid(&self) -> Option<u32> {
        self.session()
            .map_or(self.peer.uid, |session| Some(session.owner().uid))
    }

    /// The name of the token.
    pub(super) fn token(&self) -> Option<&str> {
        match &self.by {
            By::Token(token) => Some(token.name.as_str()),
            By::Socket | By::Session(_) => None,
        }
    }

    /// The session of the dashboard.
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.by {
            By::Session(session) => Some(session),
            By::Socket | By::Token(_) => None,
        }
    }

    /// As it stands in an event's source: `control/<uid>`, `token/<name>` or `dashboard/<uid>`.
    pub(super) fn source(&self) -> String {
        match &self.by {
            By::Socket => self.peer.source(),
            By::Token(token) => format!("token/{}", token.name),
            By::Session(session) => format!("dashboard/{}", session.owner().uid),
        }
    }

    /// The collections that it is limited to.
    pub(super) fn limit(&self) -> Option<&[String]> {
        match &self.by {
            By::Token(token) => token.collections.as_deref(),
            By::Socket | By::Session(_) => None,
        }
    }

    /// Whether a collection, or a file of one, is there for it; `subject` as an event has it.
    pub(super) fn sees(&self, subject: &str) -> bool {
        let Some(collections) = self.limit() else {
            return true;
        };
        let name = subject.split('/').next().unwrap_or_default();
        collections.iter().any(|collection| collection == name)
    }

    /// The names that are there for it.
    pub(super) fn known<'a>(&self, known: &'a Known) -> Cow<'a, Known> {
        match self.limit() {
            None => Cow::Borrowed(known),
            Some(_) => Cow::Owned(Known {
                collections: known
                    .collections
                    .iter()
                    .filter(|name| self.sees(name))
                    .cloned()
                    .collect(),
                jobs: Vec::new(),
            }),
        }
    }

    /// That it may publish an event of this type about this subject.
    pub(super) fn may_publish(&self, kind: &str, subject: &str) -> Result<(), Problem> {
        if self.limit().is_none() {
            return Ok(());
        }
        if !self.sees(subject) {
            let detail = format!("there is no collection for the subject `{subject}`");
            return Err(Problem::new(ProblemKind::NotFound, detail));
        }
        match kind.parse::<EventType>() {
            Ok(kind) if kind.open() && !is_of_a_collection(kind) => {
                let detail = format!(
                    "{kind} is about docent as a whole, and this token is limited to collections"
                );
                Err(Problem::new(ProblemKind::Forbidden, detail))
            }
            // What is no open type is refused as it is for everybody.
            _ => Ok(()),
        }
    }
}

/// Whether an event of this type, which may come from outside, reaches no further than its subject.
fn is_of_a_collection(kind: EventType) -> bool {
    match kind {
        EventType::ScanRequested
        | EventType::DocumentCheckRequested
        | EventType::IndexVerifyRequested
        | EventType::ReportWritten => true,
        #[cfg(feature = "testing")]
        EventType::TestWork => true,
        #[cfg(all(feature = "testing", not(feature = "testing-older")))]
        EventType::TestLater => true,
        _ => false,
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Caller::of(&parts.extensions)
    }
}

/// Lets a request go on if whoever sent it may use a route with this need.
pub(super) async fn guarded(need: Need, request: Request, next: Next) -> Response {
    let caller = Caller::of(request.extensions());
    match caller.and_then(|caller| need.admit(&caller)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: TokenRole, collections: Option<&[&str]>) -> Caller {
        let token = TokenRow {
            name: "ci".to_owned(),
            hash: String::new(),
            role,
            collections: collections.map(|c| c.iter().map(|c| (*c).to_owned()).collect()),
            created_at: 0,
            expires_at: None,
        };
        Caller::bearer(Peer::default(), Arc::new(token))
    }

    #[test]
    fn what_a_token_may_is_what_it_was_made_for() {
        let status = |need: Need, role, collections| {
            let found = need.admit(&caller(role, collections));
            found.map_or_else(|problem| problem.status, |()| 200)
        };
        let docs: Option<&[&str]> = Some(&["docs"]);
        for (need, all, read, limited) in [
            (Need::Read, 200, 200, 200),
            (Need::ReadAll, 200, 200, 404),
            (Need::Operate, 200, 403, 200),
            (Need::OperateAll, 200, 403, 404),
            (Need::Control, 403, 403, 403),
        ] {
            assert_eq!(status(need, TokenRole::Operate, None), all, "{need:?}");
            assert_eq!(status(need, TokenRole::Read, None), read, "{need:?}");
            assert_eq!(status(need, TokenRole::Operate, docs), limited, "{need:?}");
        }
    }

    #[test]
    fn a_session_may_what_its_login_was_asked_for_with() {
        let sessions = Sessions::default();
        let session = |role| {
            let now = crate::event::Millis::now();
            let login = sessions.offer(SessionOwner { uid: 7, role }, now).unwrap();
            let secret = sessions.redeem(&login, now).unwrap().unwrap();
            Caller::in_session(Peer::default(), sessions.find(&secret, now).unwrap())
        };
        let (read, operate) = (session(TokenRole::Read), session(TokenRole::Operate));
        for (need, status_of_read, status_of_operate) in [
            (Need::Read, 200, 200),
            (Need::ReadAll, 200, 200),
            (Need::Operate, 403, 200),
            (Need::OperateAll, 403, 200),
            (Need::Control, 403, 403),
        ] {
            let status = |caller| need.admit(caller).map_or_else(|p| p.status, |()| 200);
            assert_eq!(status(&read), status_of_read, "{need:?}");
            assert_eq!(status(&operate), status_of_operate, "{need:?}");
        }
        assert_eq!((operate.uid(), operate.token()), (Some(7), None));
        assert_eq!(operate.source(), "dashboard/7");
        assert!(operate.sees("docs/a.md") && operate.sees("store"));
    }

    #[test]
    fn a_limited_token_sees_its_collections_and_publishes_to_them_alone() {
        let limited = caller(TokenRole::Operate, Some(&["docs"]));
        for (subject, seen) in [
            ("docs", true),
            ("docs/a.md", true),
            ("docs2/a.md", false),
            ("wiki", false),
            ("store", false),
            ("job/docs", false),
            ("index@docs", false),
        ] {
            assert_eq!(limited.sees(subject), seen, "{subject}");
            assert!(caller(TokenRole::Read, None).sees(subject));
        }
        let status = |kind, subject| {
            let found = limited.may_publish(kind, subject);
            found.map_or_else(|problem| problem.status, |()| 200)
        };
        assert_eq!(status("scan.requested", "docs/a.md"), 200);
        assert_eq!(status("scan.requested", "wiki"), 404);
        assert_eq!(status("maintenance.requested", "docs"), 403);
        assert_eq!(status("job.requested", "job/verify"), 404);
    }

    #[test]
    fn nobody_is_let_in_by_default() {
        let mut extensions = Extensions::new();
        assert_eq!(Caller::of(&extensions).unwrap_err().status, 401);
        extensions.insert(Peer::default());
        assert_eq!(Caller::of(&extensions).unwrap_err().status, 401);
        extensions.insert(Peer {
            uid: Some(7),
            ends: None,
        });
        assert_eq!(Caller::of(&extensions).unwrap().source(), "control/7");
    }
}
