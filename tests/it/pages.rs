//! The pages of the dashboard over the network: what a browser gets of a real daemon, and the chain of a change.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::helper::{World, lines};

/// Gets a page with a token: its status and its text.
fn page(port: u16, path: &str, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the whole answer");
    let answer = String::from_utf8(answer).expect("a page is text");
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.expect("a status"), answer)
}

#[test]
fn the_pages_lead_from_a_hit_to_its_document_and_from_an_index_update_back_to_the_change() {
    let world = World::new("[http]\nlisten = \"127.0.0.1:0\"\n");
    let text = "# Walrus\n\nA walrus <script>alert(1)</script> sleeps.\n";
    world.write("a b/walrus#1.md", text);
    let daemon = world.start();
    world.wait();
    let log = world.log();
    let (_, after) = log
        .rsplit_once("\"address\":\"127.0.0.1:")
        .expect("it tells its address");
    let port = after.split('"').next().and_then(|port| port.parse().ok());
    let port = port.expect("a port");
    let token = |arguments: &[&str]| {
        let all = [&["token", "create"], arguments].concat();
        let run = world.cli(all);
        assert_eq!(run.code(), 0, "{}", run.stderr());
        run.stdout().trim().to_owned()
    };
    let all = token(&["all", "--role", "read"]);
    let get = |path: &str| {
        let (status, page) = page(port, path, &all);
        assert_eq!(status, 200, "{path}: {page}");
        assert!(!page.contains("<script>alert"), "{path}: {page}");
        page
    };

    let found = get("/search?q=sleeping+walrus&explain=true");
    let document = "/documents/docs/a%20b/walrus%231.md";
    assert!(
        found.contains(&format!("href=\"{document}#L1\"")),
        "{found}"
    );
    assert!(found.contains("<mark>walrus</mark>"), "{found}");
    let shown = get(document);
    assert!(
        shown.contains("id=\"L3\"") && shown.contains("of 3"),
        "{shown}"
    );
    assert!(shown.contains("A walrus &#60;script&#62;"), "{shown}");
    assert!(get("/documents?state=stored").contains(document));

    let run = world.cli([
        "events",
        "list",
        "--json",
        "--type",
        "index.updated",
        "--limit",
        "1",
    ]);
    let updated = &lines(&run.stdout())[0]["id"];
    let id = updated.as_str().expect("an id");
    let chain = get(&format!("/events/{id}"));
    let (_, tree) = chain.split_once("<ul class=\"chain\">").expect("a chain");
    let places = ["file.changed", "document.stored", "index.updated"].map(|kind| tree.find(kind));
    let places = places.map(|at| at.expect("it is in the chain"));
    assert!(places.is_sorted(), "{tree}");
    assert!(chain.contains(document), "the event leads to its document");
    let listed = get("/events?type=index.updated&subject=walrus");
    assert!(listed.contains(&format!("/events/{id}")), "{listed}");
    let (status, _) = page(port, &format!("/events?id={id}"), &all);
    assert_eq!(status, 303, "an id leads to its event");

    world.settled();
    let audited = get(&format!("/audit?event={id}"));
    assert!(audited.contains("index.updated"), "{audited}");
    assert!(get("/health").contains("No issues"));
    let settings = get("/settings");
    assert!(
        settings.contains("127.0.0.1:0") && settings.contains("docent.toml:"),
        "{settings}"
    );

    let other = token(&["other", "--role", "read", "--collection", "docs"]);
    assert_eq!(page(port, document, &other).0, 200);
    assert_eq!(page(port, "/settings", &other).0, 404);
    assert_eq!(page(port, "/events", "").0, 401);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
