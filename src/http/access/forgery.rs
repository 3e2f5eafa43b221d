//! That what a session asks for was asked by a page of docent's own. A browser adds the session's cookie to whatever it sends
//! to this host, also for a page of another port of it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};

use super::super::params::{field, whole};
use super::super::wire::{Problem, ProblemKind};
use super::sessions::Session;

/// The header in which scripts send the token of their page; forms send it as the field `csrf`.
pub(in crate::http) const CSRF_HEADER: &str = "docent-csrf";

/// Bytes of a form, and how long it may take.
const FORM_MAX: u64 = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// The request, if a page of `session` made it; one that only reads may also be a link that was followed.
pub(super) async fn own_act(request: Request, session: &Session) -> Result<Request, Problem> {
    let headers = request.headers();
    if [Method::GET, Method::HEAD].contains(request.method()) {
        let own = ["", "same-origin", "none"].contains(&text(headers, SEC_FETCH_SITE));
        return match own || text(headers, SEC_FETCH_MODE) == "navigate" {
            true => Ok(request),
            false => Err(forged("another site sent it")),
        };
    }
    own_page(headers)?;
    let sent = headers.get(CSRF_HEADER).map(HeaderValue::to_str);
    let (request, sent) = match sent {
        Some(sent) => {
            let sent = sent.unwrap_or_default().to_owned();
            (request, Some(sent))
        }
        None if is_form(headers) => {
            let (parts, body) = request.into_parts();
            let body = whole(body, FORM_MAX, PATIENCE).await?;
            let sent = field(&body, "csrf");
            (Request::from_parts(parts, Body::from(body)), sent)
        }
        None => (request, None),
    };
    match sent {
        Some(sent) if session.is_csrf(&sent) => Ok(request),
        Some(_) => Err(forged("its token belongs to another login")),
        None => Err(forged("it has no token of a page")),
    }
}

/// That a page of docent's sent what changes something.
pub(super) fn own_page(headers: &HeaderMap) -> Result<(), Problem> {
    if !["", "same-origin"].contains(&text(headers, SEC_FETCH_SITE)) {
        return Err(forged("another site sent it"));
    }
    // Whose it is was seen at the door; a browser always sends one with what changes something.
    match headers.contains_key(header::ORIGIN) {
        true => Ok(()),
        false => Err(forged("it has no Origin")),
    }
}

const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name);
    value.map_or("", |value| value.to_str().unwrap_or("?"))
}

fn is_form(headers: &HeaderMap) -> bool {
    text(headers, "content-type").starts_with("application/x-www-form-urlencoded")
}

fn forged(detail: &str) -> Problem {
    let detail = format!("this request did not come from a page of this login: {detail}");
    Problem::new(ProblemKind::Forbidden, detail).hint("reload the page and try again")
}

#[cfg(test)]
mod tests {
    use super::super::sessions::{SessionOwner, Sessions};
    use super::*;
    use crate::event::Millis;
    use crate::store::TokenRole;

    async fn status(
        method: Method,
        headers: &[(&str, &str)],
        body: &str,
        session: &Session,
    ) -> u16 {
        let mut request = Request::builder().method(method).uri("/acts/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        match own_act(request, session).await {
            Ok(request) => {
                let left = whole(request.into_body(), 1 << 20, Duration::from_secs(10));
                assert_eq!(left.await.unwrap(), body, "the body stays");
                200
            }
            Err(problem) => problem.status,
        }
    }

    #[tokio::test]
    async fn what_changes_something_needs_the_token_of_a_page_and_an_origin() {
        let sessions = Sessions::default();
        let owner = SessionOwner {
            uid: 0,
            role: TokenRole::Operate,
        };
        let session = |now| {
            let login = sessions.offer(owner, now).unwrap();
            let secret = sessions.redeem(&login, now).unwrap().unwrap();
            sessions.find(&secret, now).unwrap()
        };
        let (ours, other) = (session(Millis(1)), session(Millis(1)));
        let csrf = ours.csrf();
        let origin = ("origin", "http://localhost:9870");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let header = (CSRF_HEADER, csrf);
        let body = format!("a=1&csrf={csrf}&b=2");
        for (headers, body, wanted) in [
            (&[origin, header][..], "", 200),
            (
                &[origin, header, ("sec-fetch-site", "same-origin")],
                "",
                200,
            ),
            (&[origin, form], &*body, 200),
            (&[origin], "", 403),
            (&[header], "", 403),
            (&[origin, (CSRF_HEADER, "")], "", 403),
            (&[origin, (CSRF_HEADER, other.csrf())], "", 403),
            (&[origin, header, ("sec-fetch-site", "same-site")], "", 403),
            (&[origin, header, ("sec-fetch-site", "cross-site")], "", 403),
            (&[origin, header, ("sec-fetch-site", "none")], "", 403),
            (&[origin, form], "csrf=", 403),
            (&[origin, form], "a=1", 403),
            (&[origin, ("content-type", "text/plain")], &*body, 403),
        ] {
            let found = status(Method::POST, headers, body, &ours).await;
            assert_eq!(found, wanted, "{headers:?} {body}");
        }
        let large = format!("csrf={csrf}&a={}", "x".repeat(70_000));
        assert_eq!(
            status(Method::POST, &[origin, form], &large, &ours).await,
            413
        );
    }

    #[tokio::test]
    async fn another_site_may_lead_here_and_read_nothing() {
        let sessions = Sessions::default();
        let owner = SessionOwner {
            uid: 0,
            role: TokenRole::Read,
        };
        let login = sessions.offer(owner, Millis(1)).unwrap();
        let secret = sessions.redeem(&login, Millis(1)).unwrap().unwrap();
        let session = sessions.find(&secret, Millis(1)).unwrap();
        for (site, mode, wanted) in [
            ("same-origin", "cors", 200),
            ("none", "navigate", 200),
            ("same-site", "navigate", 200),
            ("same-site", "no-cors", 403),
            ("cross-site", "cors", 403),
        ] {
            let headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            let found = status(Method::GET, &headers, "", &session).await;
            assert_eq!(found, wanted, "{site} {mode}");
        }
        assert_eq!(status(Method::GET, &[], "", &session).await, 200);
    }
}
