//! The pages of the dashboard: who gets them, with which headers, and that nothing is done that no page of docent asked for.

use hyper::header::{COOKIE, HeaderMap, ORIGIN, SET_COOKIE};

use super::super::access::{Need, SessionOwner};
use super::super::openapi::Registered;
use super::super::page::pages;
use super::super::router::registered;
use super::*;
use crate::store::TokenRole;

const OWN: &str = "http://localhost:9870";

/// The dashboard as a browser meets it, without a connection.
struct Site {
    router: axum::Router,
    daemon: Daemon,
}

/// A browser that is logged in.
struct Visitor {
    cookie: String,
    csrf: String,
}

impl Site {
    fn new() -> Self {
        let daemon = Daemon::new();
        Site {
            router: tcp_router(daemon.state.clone(), "", MetricsReaders::Everybody),
            daemon,
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Body> {
        super::ask(&self.router, [127, 0, 0, 1], (method, path), headers, body).await
    }

    fn login(&self, role: TokenRole) -> String {
        let owner = SessionOwner { uid: 4711, role };
        self.daemon
            .state
            .sessions
            .offer(owner, Millis::now())
            .unwrap()
    }

    /// Logs in with a form, as a browser does.
    async fn try_login(&self, login: &str) -> Response<Body> {
        let headers = [FORM, ("origin", OWN)];
        self.ask(Method::POST, "/login", &headers, &format!("login={login}"))
            .await
    }

    async fn enter(&self, role: TokenRole) -> Visitor {
        let answer = self.try_login(&self.login(role)).await;
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self.ask(Method::GET, "/", &[("cookie", &cookie)], "").await;
        assert_eq!(page.status(), 200);
        let page = text(page).await;
        let (_, after) = page.split_once("name=\"docent-csrf\" content=\"").unwrap();
        let csrf = after.split('"').next().unwrap().to_owned();
        Visitor { cookie, csrf }
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const HTML: (&str, &str) = ("accept", "text/html,*/*");

/// Where a route is called.
fn path_of(route: &Registered) -> String {
    let id = "01890000-0000-7000-8000-000000000000";
    let name = if route.path.contains("/jobs/") {
        "verify"
    } else {
        "rag"
    };
    let path = route.path.replace("{id}", id).replace("{name}", name);
    let verb = if route.path.contains("/jobs/") {
        "pause"
    } else {
        "drop"
    };
    path.replace("{verb}", verb)
}

fn is_guarded(headers: &HeaderMap) {
    let policy = headers["content-security-policy"].to_str().unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.split("; ").any(|p| p == part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn every_page_has_the_headers_that_guard_it_whoever_asks() {
    let site = Site::new();
    let visitor = site.enter(TokenRole::Operate).await;
    let routes = pages().finished().1;
    let paths = routes
        .iter()
        .filter(|r| r.method == Method::GET)
        .map(path_of);
    let open = [
        "/login",
        "/assets/style.css",
        "/assets/page.js",
        "/assets/nothing",
        "/nothing",
    ];
    let paths: Vec<String> = paths.chain(open.map(str::to_owned)).collect();
    assert!(paths.len() > 8, "{paths:?}");
    for path in paths {
        let cookie = ("cookie", visitor.cookie.as_str());
        for headers in [&[HTML, cookie][..], &[HTML], &[cookie], &[]] {
            let answer = site.ask(Method::GET, &path, headers, "").await;
            is_guarded(answer.headers());
        }
        let answer = site.ask(Method::GET, &path, &[HTML, cookie], "").await;
        let (status, body) = (answer.status(), text(answer).await);
        let is_page = body.starts_with("<!doctype html>");
        assert_eq!(
            is_page,
            !path.starts_with("/assets/s")
                && !path.starts_with("/assets/p")
                && !path.starts_with("/parts/"),
            "{path} {status}"
        );
        for inline in [
            "<script>",
            "<style",
            " style=",
            " onclick=",
            "javascript:",
            "http://",
            "https://",
        ] {
            assert!(!is_page || !body.contains(inline), "{path}: {inline}");
        }
    }
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_told_how_to_and_nothing_else() {
    let site = Site::new();
    let routes = pages().finished().1;
    for route in &routes {
        let path = path_of(route);
        let answer = site.ask(route.method.clone(), &path, &[HTML], "").await;
        assert_eq!(answer.status(), 401, "{route:?}");
        let page = text(answer).await;
        assert!(page.contains("docent dashboard"), "{page}");
        assert!(!page.contains(">host<") && !page.contains("docs"), "{page}");
        // Programs are told so as they always were.
        let answer = site.ask(route.method.clone(), &path, &[], "").await;
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let answer = site.ask(Method::GET, "/api/v1/status", &[HTML], "").await;
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn only_sending_the_form_uses_a_login_up() {
    let site = Site::new();
    let login = site.login(TokenRole::Read);
    for path in ["/login".to_owned(), format!("/login?login={login}")] {
        let answer = site.ask(Method::GET, &path, &[HTML], "").await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key(SET_COOKIE));
    }
    let body = format!("login={login}");
    for headers in [
        &[FORM][..],
        &[FORM, ("origin", "http://evil.example")],
        &[FORM, ("origin", OWN), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = site.ask(Method::POST, "/login", headers, &body).await;
        assert_eq!(answer.status(), 403, "{headers:?}");
    }
    // All of the address may be pasted.
    let pasted = format!("http%3A%2F%2Flocalhost%3A9870%2Flogin%23{login}+");
    assert_eq!(site.try_login(&pasted).await.status(), 303);
    let again = site.try_login(&login).await;
    assert_eq!(again.status(), 401);
    assert!(!again.headers().contains_key(SET_COOKIE));
}

#[tokio::test]
async fn nothing_is_done_that_no_page_of_this_login_asked_for() {
    let site = Site::new();
    let reader = site.enter(TokenRole::Read).await;
    let operator = site.enter(TokenRole::Operate).await;
    let routes = pages().finished().1;
    let of_pages = routes.iter().map(|r| (r.clone(), path_of(r)));
    let of_api = registered().into_iter().map(|r| {
        let path = format!("/api/v1{}", path_of(&r));
        (r, path)
    });
    let posts: Vec<_> = of_pages
        .chain(of_api)
        .filter(|(r, _)| r.method == Method::POST)
        .collect();
    assert!(posts.len() > 12, "{}", posts.len());
    for (route, path) in &posts {
        let cookie = ("cookie", operator.cookie.as_str());
        let token = ("docent-csrf", operator.csrf.as_str());
        let others = ("docent-csrf", reader.csrf.as_str());
        let own = ("origin", OWN);
        let body = format!("csrf={}", operator.csrf);
        for (headers, body) in [
            (&[cookie][..], ""),
            (&[cookie, own], ""),
            (&[cookie, token], ""),
            (&[cookie, own, others], ""),
            (&[cookie, ("origin", "http://localhost:3000"), token], ""),
            (&[cookie, ("origin", "null"), token], ""),
            (&[cookie, own, token, ("sec-fetch-site", "same-site")], ""),
            (&[cookie, FORM, ("origin", "http://evil.example")], &*body),
            (&[cookie, own, ("content-type", "text/plain")], &*body),
        ] {
            let answer = site.ask(Method::POST, path, headers, body).await;
            assert_eq!(answer.status(), 403, "{route:?} {headers:?}");
        }
        if matches!(route.need, Need::Operate | Need::OperateAll | Need::Control) {
            let headers = [("cookie", &*reader.cookie), own, others];
            let answer = site.ask(Method::POST, path, &headers, "").await;
            assert_eq!(answer.status(), 403, "{route:?}: it may read");
            let problem = text(answer).await;
            assert!(
                problem.contains("role") || route.need == Need::Control,
                "{problem}"
            );
        }
    }
    let acts = site.daemon.state.store.events(crate::store::EventFilter {
        kind: Some(EventType::OperatorActed),
        limit: 100,
        ..Default::default()
    });
    assert!(acts.await.unwrap().is_empty(), "nothing was done");
}

#[tokio::test]
async fn an_act_says_what_came_of_it_at_once_or_on_the_next_page() {
    let site = Site::new();
    let event = site
        .daemon
        .publish(EventType::FileChanged, "docs/<b>walrus.md")
        .await;
    let (agent, why) = (AgentName::DocumentManagement, "the walrus <i>bit</i>");
    site.daemon.fails(&event, agent, why).await;
    let visitor = site.enter(TokenRole::Operate).await;
    let (cookie, own) = (("cookie", visitor.cookie.as_str()), ("origin", "null"));
    let same = ("sec-fetch-site", "same-origin");
    let replay = format!("/acts/dead/{}/replay?agent=document_management", event.id);

    let page = text(site.ask(Method::GET, "/", &[cookie], "").await).await;
    assert!(page.contains("href=\"/acts/dead-groups/"), "{page}");
    assert!(page.contains("&#60;i&#62;bit") && !page.contains("<i>") && !page.contains("<b>"));
    let asks = text(site.ask(Method::GET, &replay, &[cookie], "").await).await;
    assert!(asks.contains(&format!("action=\"{replay}\"")), "{asks}");

    let body = format!("csrf={}", visitor.csrf);
    let answer = site
        .ask(Method::POST, &replay, &[cookie, own, same, FORM], &body)
        .await;
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["location"].to_str().unwrap()
        ),
        (303, "/")
    );
    let next = text(site.ask(Method::GET, "/", &[cookie], "").await).await;
    assert!(
        next.contains("Replayed: 1 delivery is owed again"),
        "{next}"
    );
    let later = text(site.ask(Method::GET, "/", &[cookie], "").await).await;
    assert!(!later.contains("Replayed"), "it is said once");

    let token = ("docent-csrf", visitor.csrf.as_str());
    let answer = site
        .ask(Method::POST, &replay, &[cookie, own, same, token], "")
        .await;
    assert_eq!(answer.status(), 404);
    assert!(text(answer).await.contains("no dead delivery"));
}

#[tokio::test]
async fn a_logout_ends_the_session_and_a_session_reads_the_api() {
    let site = Site::new();
    let visitor = site.enter(TokenRole::Read).await;
    let cookie = (COOKIE.as_str(), visitor.cookie.as_str());
    let status = async |headers: &[(&str, &str)]| {
        let answer = site.ask(Method::GET, "/api/v1/status", headers, "").await;
        answer.status().as_u16()
    };
    assert_eq!(status(&[cookie]).await, 200);
    let foreign = [
        cookie,
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-mode", "cors"),
    ];
    assert_eq!(status(&foreign).await, 403);
    let body = format!("csrf={}", visitor.csrf);
    let headers = [cookie, FORM, (ORIGIN.as_str(), OWN)];
    let answer = site.ask(Method::POST, "/logout", &headers, &body).await;
    assert_eq!(answer.status(), 303);
    assert!(
        answer.headers()[SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(status(&[cookie]).await, 401);
}
