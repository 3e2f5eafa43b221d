//! The pages besides the first one: what they show, to whom, and what they say of parameters that are wrong.

use super::access::{Network, token};
use super::*;
use crate::index::HitPlace;
use crate::store::{
    AuditRecord, Detector, DocumentState, DocumentVersion, IssueClosed, IssueOpened, Severity,
    TokenRole,
};

const TEXT: &str = "# <i>Walrus</i>\n\n\u{202e}<script>alert(1)</script>\n";

/// Nothing that comes from outside is markup, or hidden.
fn assert_safe(path: &str, page: &str) {
    for raw in ["<script>alert", "<i>", "<b>walrus", "\u{202e}"] {
        assert!(!page.contains(raw), "{path}: {raw:?} stands in {page}");
    }
}

/// A document `docs/<i>walrus.md` with an event that failed, an audit record of that, and an issue that is over.
async fn furnished() -> (Daemon, Event) {
    let daemon = Daemon::new();
    let (path, digest) = (b"<i>walrus.md".to_vec(), Digest::of(TEXT.as_bytes()));
    let capture = captured(&path, TEXT.as_bytes());
    let version = Effect::Document(DocumentVersion {
        document: "id".to_owned(),
        collection: "docs".to_owned(),
        path,
        version: 1,
        digest,
        size: TEXT.len() as u64,
        state: DocumentState::Stored,
        reason: None,
        title: Some("<i>Walrus</i>".to_owned()),
        kind: "markdown".to_owned(),
    });
    let issue = |value: &str| IssueOpened {
        subject: format!("scan_overdue:{value}"),
        detector: Detector::ScanOverdue,
        severity: Severity::Warning,
        value: format!("<i>{value}</i>"),
        limit: "a scan".to_owned(),
    };
    let closed = IssueClosed {
        subject: "scan_overdue:walrus-over".to_owned(),
    };
    let event = daemon
        .publish(EventType::FileChanged, "docs/<i>walrus.md")
        .await;
    let body = json!({"event": event.id.to_string(), "type": "file.changed", "subject": "docs/<i>walrus.md"});
    let record = AuditRecord {
        event: event.seq.0,
        body: body.to_string(),
    };
    let effects = vec![
        capture,
        version,
        Effect::IssueOpened(issue("walrus-open")),
        Effect::IssueOpened(issue("walrus-over")),
        Effect::IssueClosed(closed),
        Effect::Audit(record),
    ];
    daemon.write(effects, Vec::new()).await;
    let why = "the <b>walrus \"bit\"</b>";
    let agent = AgentName::DocumentManagement;
    daemon.fails(&event, agent, why).await;
    *daemon.search.answer.lock().unwrap() = Ok(answer(vec![hit()]));
    (daemon, event)
}

fn hit() -> IndexHit {
    IndexHit {
        place: HitPlace {
            collection: "docs".to_owned(),
            path: b"<i>walrus.md".to_vec(),
            first_line: 1,
            last_line: 3,
            digest: String::new(),
        },
        heading: "<i>Walrus</i>".to_owned(),
        text: TEXT.trim_end().to_owned(),
        score: 0.5,
        keyword: 0.6,
        vector: 0.4,
        boosts: Vec::new(),
        more: 0,
        marks: std::iter::once(5..11).collect(),
        also: Vec::new(),
    }
}

const DOCUMENT: &str = "/documents/docs/%3Ci%3Ewalrus.md";

/// Every page with something that stands on it.
fn pages(event: &Event) -> Vec<(String, &'static str)> {
    let event = format!("/events/{}", event.id);
    let failed = "/events?error=WALRUS%20%22bit&type=file.changed&subject=walrus&since=2020-01-31";
    let pages = [
        ("/search", "Search"),
        ("/search?q=walrus&explain=true", "<mark>Walrus</mark>"),
        ("/documents", "walrus.md</a>"),
        ("/documents?state=stored&collection=docs", "walrus.md</a>"),
        (DOCUMENT, "id=\"L3\""),
        ("/events", "<td class=\"path\">docs/&#60;i&#62;walrus.md"),
        (failed, "1 dead"),
        (&*event, "Chain"),
        ("/audit", "id=\"n1\""),
        ("/audit?subject=walrus&type=file.changed", "id=\"n1\""),
        ("/health", "walrus-over"),
        ("/settings", "runs with"),
    ];
    pages.map(|(path, text)| (path.to_owned(), text)).to_vec()
}

#[tokio::test]
async fn every_page_shows_what_there_is_and_nothing_from_outside_is_markup() {
    let (daemon, event) = furnished().await;
    let network = Network::of(&daemon);
    let read = token(&daemon, TokenRole::Read, None);
    for (path, text) in pages(&event) {
        let (status, page) = network.page(&path, &read).await;
        assert_eq!(status, 200, "{path}: {page}");
        assert!(page.contains(text), "{path}: {page}");
        assert_safe(&path, &page);
    }
    let (_, page) = network.page(DOCUMENT, &read).await;
    assert!(page.contains("\\u{202E}&#60;script"), "{page}");
    let (_, page) = network.page(&format!("/events/{}", event.id), &read).await;
    assert!(page.contains("the &#60;b&#62;walrus"), "{page}");
    assert!(page.contains(&format!("href=\"{DOCUMENT}\"")), "{page}");
}

#[tokio::test]
async fn a_limited_token_finds_nothing_of_others_on_any_page() {
    let (daemon, event) = furnished().await;
    let network = Network::of(&daemon);
    let limited = token(&daemon, TokenRole::Operate, Some(&["other"]));
    for (path, _) in pages(&event) {
        let (status, page) = network.page(&path, &limited).await;
        // The search that is played knows of no limit; what it is asked for is looked at below.
        for hidden in ["walrus.md", "docs/&#60;"] {
            let is_there = page.contains(hidden) && !path.contains("q=walrus");
            assert!(!is_there, "{path}: {page}");
        }
        let hidden = [
            "/audit",
            "/health",
            "/settings",
            DOCUMENT,
            "collection=docs",
        ];
        let is_hidden =
            hidden.iter().any(|part| path.contains(part)) || path.contains(&event.id.to_string());
        if is_hidden {
            assert_eq!(status, 404, "{path}: {page}");
        }
    }
    let asked = daemon.search.asked.lock().unwrap().pop().unwrap();
    let only = crate::index::Within::default().only_of(Some(vec!["other".to_owned()]));
    assert_eq!(asked.within, only);
}

#[tokio::test]
async fn a_parameter_that_is_wrong_is_a_page_with_a_sentence() {
    let (daemon, _) = furnished().await;
    let network = Network::of(&daemon);
    let read = token(&daemon, TokenRole::Read, None);
    for (path, status, sentence) in [
        ("/search?q=a&since=soon", 400, "since `soon` is neither"),
        ("/search?q=a&colour=red", 400, "unknown parameter `colour`"),
        ("/search?q=a&limit=0", 400, "limit 0 is not from 1 to"),
        ("/search?q=a&collection=x", 404, "collection"),
        ("/documents?state=blue", 400, "there is no state `blue`"),
        ("/documents?collection=x", 404, "collection"),
        ("/documents?state=stored&state=stored", 400, "given twice"),
        ("/documents/docs/none.md", 404, "there is no document"),
        (
            "/documents/docs/a.md?from=x",
            400,
            "from `x` is not a number",
        ),
        ("/events?type=no.type", 400, "no.type"),
        ("/events?since=soon", 400, "since `soon` is not a time"),
        ("/events?before=-1", 400, "before `-1` is not a number"),
        ("/events?id=zzz", 400, "is not an event&#39;s id"),
        (
            "/events/01890000-0000-7000-8000-000000000000",
            404,
            "there is no event",
        ),
        ("/audit?until=soon", 400, "until `soon` is not a time"),
        ("/health?before=x", 400, "before `x` is not a place"),
        ("/?span=week", 400, "`week` is no span of the figures"),
    ] {
        let (found, page) = network.page(path, &read).await;
        assert_eq!(found, status, "{path}: {page}");
        assert!(page.starts_with("<!doctype html>"), "{path}: {page}");
        assert!(page.contains(sentence), "{path}: {page}");
    }
}

#[tokio::test]
async fn lists_go_on_where_they_end_and_say_how_far_was_searched() {
    let daemon = Daemon::new();
    let network = Network::of(&daemon);
    let read = token(&daemon, TokenRole::Read, None);
    let new = |n: u32| {
        let subject = Subject::parse(&format!("docs/{n:03}")).unwrap();
        NewEvent::root(EventType::ScanRequested, "test", subject, json!({}))
    };
    let events = (0..120).map(new).collect();
    daemon.write(Vec::new(), events).await;
    let mut path = "/events?type=scan.requested".to_owned();
    let mut subjects = Vec::new();
    loop {
        let (status, page) = network.page(&path, &read).await;
        assert_eq!(status, 200, "{page}");
        let cells = page.split("<td class=\"path\">docs/").skip(1);
        subjects.extend(cells.map(|cell| cell[..3].parse::<u32>().unwrap()));
        let Some((_, next)) = page.split_once("rel=\"next\" href=\"") else {
            break;
        };
        path = next.split('"').next().unwrap().replace("&#38;", "&");
    }
    assert_eq!(subjects, (0..120).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_chain_is_told_from_its_first_event_to_its_last() {
    let daemon = Daemon::new();
    let network = Network::of(&daemon);
    let read = token(&daemon, TokenRole::Read, None);
    let limited = token(&daemon, TokenRole::Read, Some(&["docs"]));
    let mut chain = vec![daemon.publish(EventType::ScanRequested, "wiki").await];
    for kind in [
        EventType::FileChanged,
        EventType::DocumentStored,
        EventType::IndexUpdated,
    ] {
        let subject = Subject::parse("docs/a.md").unwrap();
        let last = chain.last().unwrap();
        let new = NewEvent {
            causation: Some(last.id),
            correlation: Some(last.correlation),
            ..NewEvent::root(kind, "test", subject, json!({}))
        };
        let id = daemon.state.store.publish(new).await.unwrap().id;
        chain.push(daemon.event(id).await);
    }
    for event in &chain {
        let (_, page) = network.page(&format!("/events/{}", event.id), &read).await;
        let (_, tree) = page.split_once("<ul class=\"chain\">").unwrap();
        let places = chain
            .iter()
            .map(|event| tree.find(&format!("/events/{}", event.id)));
        let places: Vec<usize> = places.map(|at| at.expect("it is in the chain")).collect();
        assert!(places.is_sorted(), "{tree}");
        let (tree, _) = tree.split_once("</section>").unwrap();
        let count = |text: &str| tree.matches(text).count();
        assert_eq!((count("<ul>"), count("</ul>")), (3, 4), "{tree}");
        assert_eq!((count("<li>"), count("</li>")), (4, 4), "{tree}");
        let here = format!("/events/{}\" aria-current=\"true\"", event.id);
        assert!(tree.contains(&here), "{tree}");
    }
    // What is of another collection is not there.
    let (_, page) = network
        .page(&format!("/events/{}", chain[3].id), &limited)
        .await;
    assert!(
        page.contains("is not visible to you") && !page.contains("wiki"),
        "{page}"
    );
}
