//! The dashboard in a real browser, on the real daemon.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::api::port_of;
use crate::browser::Browser;
use crate::helper::{Daemon, World};
use crate::postgres_server::PostgresServer;
use crate::redis_server::{RedisServer, inbox};

/// A daemon with its dashboard, and a browser.
pub(crate) struct Dashboard {
    pub(crate) world: World,
    daemon: Daemon,
    pub(crate) browser: Browser,
    /// Where the daemon listens.
    pub(crate) port: u16,
    /// The address that the browser uses.
    pub(crate) base: String,
}

/// Serves the dashboard on a port of its own.
const LISTENS: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";

impl Dashboard {
    pub(crate) fn start() -> Dashboard {
        Dashboard::of(World::new(LISTENS), "http", &[])
    }

    /// With one document, the dashboard of this world, and a browser with these arguments.
    pub(crate) fn of(world: World, scheme: &str, arguments: &[&str]) -> Dashboard {
        world.write("a.md", "# Anchor\n\nA plain walrus.\n");
        let daemon = world.start();
        world.wait();
        let port = port_of(&world).expect("it listens");
        let browser = Browser::start(world.path(), (1440, 900), arguments);
        Dashboard {
            base: format!("{scheme}://127.0.0.1:{port}"),
            world,
            daemon,
            browser,
            port,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The address that logs in.
    fn login(&self, role: &str) -> String {
        let run = self.world.cli(["dashboard", "--role", role]);
        assert_eq!(run.code(), 0, "{}", run.stderr());
        run.stdout().trim().to_owned()
    }

    /// Logs the browser in; it shows the first page then.
    pub(crate) fn enter(&mut self, role: &str) {
        let address = self.login(role);
        self.browser.open(&address);
        self.browser.click("#login button");
        // Its scripts are at work.
        self.browser
            .until("document.getElementById('live')?.innerText.startsWith('live')");
    }

    /// That the page shows what happens while it is open.
    pub(crate) fn follows_what_happens(&mut self) {
        let documents = "document.querySelector('#figure-documents .value')?.innerText";
        self.browser.until(&format!("{documents} === '1'"));
        self.browser
            .until("document.getElementById('live').innerText.startsWith('live')");
        self.world.write("b.md", "# Buoy\n\nA second walrus.\n");
        self.browser.until(&format!("{documents} === '2'"));
    }

    /// Pauses a job, as whoever may operate does.
    pub(crate) fn pauses_a_job(&mut self) {
        self.browser.click("#pause-verify");
        self.browser.click("dialog button[value=yes]");
        self.browser
            .until("document.querySelector('#resume-verify')");
        self.world
            .until("the job is paused", || self.job("verify")["paused"] == true);
    }

    /// Sends a request without a browser; gives all of the answer.
    fn exchange(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// That nothing went wrong in the page, and that it asked nobody but the daemon.
    pub(crate) fn is_clean(&self) {
        assert_eq!(self.browser.errors(), [""; 0]);
        let own = self.url("/");
        let requests = self.browser.requests();
        assert!(
            requests.iter().any(|url| url.starts_with(&own)),
            "{requests:?}"
        );
        for url in requests {
            assert!(url.starts_with(&own) || url == "about:blank", "{url}");
        }
    }

    fn job(&self, name: &str) -> Value {
        let list = self.world.cli(["jobs", "--json"]).json().expect("jobs");
        let jobs = list["jobs"].as_array().expect("a list");
        let found = jobs.iter().find(|job| job["name"] == name);
        found.expect("the job").clone()
    }
}

#[test]
fn a_login_lets_in_once_and_following_the_link_does_not_use_it_up() {
    let mut page = Dashboard::start();
    page.browser.open(&page.url("/"));
    let told = page.browser.text("main");
    assert!(told.contains("docent dashboard"), "{told}");
    assert!(!told.contains("walrus") && !page.browser.text("body").contains("Overview"));
    page.browser.picture("stranger");

    let address = page.login("operate");
    let (path, login) = address.split_once('#').expect("a login");
    assert_eq!(path, page.url("/login"));
    let host = format!("Host: 127.0.0.1:{}\r\n", page.port);
    for request in ["GET /login", &format!("GET /login?{login}")] {
        let answer = page.exchange(&format!(
            "{request} HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
        ));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    page.browser.open(&address);
    page.browser.picture("login");
    let shown = page.browser.value("location.href");
    assert_eq!(shown, page.url("/login"), "the login is out of the address");
    page.browser.click("#login button");
    page.browser.until("document.getElementById('overview')");
    assert!(page.browser.text("header").contains("may operate"));
    assert_eq!(page.browser.value("document.cookie"), "");
    let acts = page.world.events("operator.acted");
    assert_eq!(acts[0]["data"]["verb"], "dashboard");
    page.is_clean();

    page.browser.leave();
    page.browser.open(&address);
    page.browser.click("#login button");
    page.browser
        .until("document.querySelector('main [role=alert]')?.innerText.includes('was used')");

    // It is still logged in by the first one, until it logs out.
    page.browser.open(&page.url("/"));
    assert!(page.browser.text("header").contains("may operate"));
    page.browser.click(".logout button");
    page.browser
        .until("document.querySelector('h1')?.innerText === 'You are not logged in'");
    page.daemon.stop();
}

#[test]
fn what_is_shown_follows_what_happens() {
    let mut page = Dashboard::start();
    page.enter("read");
    page.follows_what_happens();
    page.browser
        .until("document.querySelector('#figure-p50 .value').innerText !== '–'");
    // Each of the numbers has its last hour beside it, once it was sampled.
    page.browser.until(
        "[...document.querySelectorAll('.figure')].every((figure) => figure.querySelector('svg.spark'))",
    );
    page.browser
        .until("document.querySelectorAll('[id^=collection-] svg.spark').length >= 2");
    let behind = page
        .browser
        .value("document.querySelector('#figure-complete-to svg').getAttribute('aria-label')");
    let behind = behind.as_str().expect("a label");
    assert!(
        behind.starts_with("How long ago search was complete, since the start: from "),
        "{behind}"
    );
    page.browser.picture("figures");
    // What is read aloud by itself is short.
    page.browser
        .until("document.querySelector('#state[role=status]').innerText.startsWith('running, ')");
    assert_eq!(
        page.browser
            .value("document.getElementById('sentence').hasAttribute('aria-live')"),
        false
    );
    // Whoever may only read is offered nothing else.
    assert_eq!(
        page.browser
            .value("document.querySelectorAll('[data-act]').length"),
        0
    );
    page.is_clean();
}

#[test]
fn a_hidden_tab_lets_its_stream_go_and_asks_for_nothing_until_it_is_shown() {
    let mut page = Dashboard::start();
    page.enter("read");
    let documents = "document.querySelector('#figure-documents .value').innerText";
    page.browser.until(&format!("{documents} === '1'"));
    let stream = page.url("/api/v1/overview/stream");
    assert_eq!(page.browser.under_way(&stream), 1);

    page.browser.hide();
    page.browser.until("document.hidden");
    page.browser
        .until("document.getElementById('live').innerText === 'paused'");
    page.browser.until_not_under_way(&stream);
    let asked = page.browser.requests().len();
    page.world.write("b.md", "# Buoy\n\nA second walrus.\n");
    page.world.wait();
    // Longer than a page that is shown leaves between two looks.
    page.browser
        .value("new Promise((done) => setTimeout(() => done(null), 3000))");
    assert_eq!(page.browser.requests().len(), asked);
    assert_eq!(page.browser.value(documents), "1");

    page.browser.show();
    page.browser.until(&format!("{documents} === '2'"));
    page.browser
        .until("document.getElementById('live').innerText.startsWith('live')");
    assert_eq!(page.browser.under_way(&stream), 1);
    page.is_clean();
}

#[test]
fn the_streams_of_redis_are_shown_as_redis_has_them() {
    let mut redis = RedisServer::start();
    let world = World::on_redis(&redis, "redis", LISTENS);
    let mut page = Dashboard::of(world, "http", &[]);
    for n in 0..3 {
        let work = [
            "publish",
            "test.work",
            "--subject",
            &format!("work/{n}"),
            "--data",
        ];
        let long = "{\"sleep_ms\":60000,\"progress\":true}";
        let run = page.world.cli([&work[..], &[long]].concat());
        assert_eq!(run.code(), 0, "{}", run.stderr());
    }
    page.world
        .until("it is in hand", || redis.pending("test") == 3);
    page.enter("read");
    let key = inbox("test");
    let length = redis.number(&["XLEN", &key]);
    let group = redis.lines(&["XINFO", "GROUPS", &key]);
    let of = |name: &str| {
        let at = group.iter().position(|line| line == name);
        &group[at.expect("Redis tells it") + 1]
    };
    let expected = format!(
        "{length} {} {} {}",
        of("pending"),
        of("lag"),
        of("consumers")
    );
    assert!(expected.ends_with(" 3 0 1"), "{expected}");
    let row = format!("document.getElementById('stream-{key}')");
    page.browser.until(&format!(
        "[...({row}?.querySelectorAll('td') ?? [])].map((cell) => cell.innerText).join(' ') === '{expected}'"
    ));
    assert_eq!(
        page.browser
            .value(&format!("{row}.querySelector('th').innerText")),
        "test"
    );
    let shown = page.browser.text("[aria-labelledby=carrier-title]");
    assert!(shown.contains("Redis can carry"), "{shown}");
    page.browser.picture("redis");

    redis.kill();
    page.browser.until(
        "document.querySelector('[aria-labelledby=carrier-title]').innerText.includes('Redis cannot carry')",
    );
    page.browser.until(&format!("!{row}"));
    page.is_clean();
}

#[test]
fn the_hosts_of_a_database_are_a_table_and_of_a_file_there_is_none() {
    let hosts = "document.querySelector('[aria-labelledby=hosts-title]')";
    let mut plain = Dashboard::start();
    plain.enter("read");
    assert_eq!(plain.browser.value(&format!("{hosts} === null")), true);

    let database = PostgresServer::start();
    let store = format!("{LISTENS}[store]\nurl = \"{}\"\n", database.url());
    let world = World::new(&store);
    world.top("instance = \"lab.one\"");
    let mut page = Dashboard::of(world, "http", &[]);
    page.enter("operate");
    let cells = "[...document.getElementById('host-lab.one').cells].map((cell) => cell.innerText)";
    let seen = |cell: usize, text: &str| format!("{cells}[{cell}] === '{text}'");
    page.browser.until(&seen(0, "lab.one this one"));
    page.browser.until(&seen(3, "256"));
    page.browser.until(&seen(4, ""));
    page.browser.until(&seen(5, "docs"));
    page.browser.until(&seen(6, "alerts, housekeeping"));
    page.browser.until(&format!("{cells}[2].endsWith(' ago')"));
    // An agent of a host is restarted.
    page.browser.click("#host-lab\\.one summary");
    page.browser.picture("hosts");
    page.browser.click("#restart-rag-lab\\.one");
    page.browser.click("dialog button[value=yes]");
    page.browser
        .until("document.getElementById('said').innerText.startsWith('rag on lab.one was asked')");
    let acts = page.world.events("operator.acted");
    assert_eq!(acts[0]["subject"], "agent/rag@lab.one");
    page.is_clean();
}

#[test]
fn a_dead_letter_is_replayed_or_dropped_after_it_was_asked() {
    let mut page = Dashboard::start();
    let work = "{\"end\":\"permanent\"}";
    let publish = [
        "publish",
        "test.work",
        "--subject",
        "docs/a.md",
        "--data",
        work,
    ];
    assert_eq!(page.world.cli(publish).code(), 0);
    page.enter("operate");
    page.browser
        .until("document.querySelector('[id^=replay-]')");
    page.browser.picture("dead-letter");
    // By the keyboard alone.
    page.browser
        .value("document.querySelector('[id^=replay-]').focus()");
    page.browser.press("Enter");
    page.browser.until("document.querySelector('dialog')?.open");
    page.browser.picture("dialog");
    page.browser.press("Escape");
    page.browser.until("!document.querySelector('dialog')");
    assert_eq!(
        page.world.status()["bus"]["dead"],
        1,
        "it was not confirmed"
    );
    page.browser.press("Enter");
    page.browser.until("document.querySelector('dialog')?.open");
    page.browser.click("dialog button[value=yes]");
    page.browser
        .until("document.getElementById('said').innerText.startsWith('Replayed: 1 delivery')");
    // It was handled anew, and died anew.
    let log = || std::fs::read_to_string(page.world.test_log()).unwrap_or_default();
    page.world
        .until("it was handled anew", || log().matches("end ").count() == 2);
    page.world.until("it is dead again", || {
        page.world.status()["bus"]["dead"] == 1
    });
    page.browser.click("[id^=drop-]");
    page.browser.click("dialog button[value=yes]");
    page.browser
        .until("document.getElementById('said').innerText.startsWith('Dropped: 1 dead letter')");
    page.browser.until("!document.querySelector('[id^=drop-]')");
    assert_eq!(
        page.browser.value("document.activeElement.id"),
        "main",
        "what had the focus is gone"
    );
    assert_eq!(page.world.status()["bus"]["dead"], 0);
    let acts = page.world.events("operator.acted");
    let uid = rustix::process::geteuid().as_raw();
    for (act, verb) in acts.iter().zip(["dead drop", "dead replay"]) {
        assert_eq!(act["data"]["verb"], verb);
        assert_eq!(act["data"]["dashboard"], true);
        assert_eq!(act["data"]["uid"], uid);
    }
    page.is_clean();
}

/// Publishes work that ends as this says; its id.
fn publish_work(world: &World, data: &str) -> String {
    let publish = ["publish", "test.work", "--subject", "docs/a.md", "--data"];
    let run = world.cli([&publish[..], &[data]].concat());
    assert_eq!(run.code(), 0, "{}", run.stderr());
    run.stdout().trim().to_owned()
}

#[test]
fn a_group_that_goes_away_takes_no_focus_from_the_one_below_it() {
    let mut page = Dashboard::start();
    publish_work(&page.world, "{\"end\":\"permanent\"}");
    publish_work(&page.world, "{\"end\":\"no such end\"}");
    page.world
        .until("both are dead", || page.world.status()["bus"]["dead"] == 2);
    page.enter("operate");
    page.browser
        .until("document.querySelectorAll('[id^=drop-]').length === 2");
    page.browser.value(
        "(() => { const [first, second] = document.querySelectorAll('[id^=drop-]');
         window.gone = first; window.kept = second; second.focus(); })()",
    );
    // As somebody else would do it.
    page.browser.value(
        "fetch(window.gone.href, { method: 'POST', headers: {
         'docent-csrf': document.querySelector('meta[name=docent-csrf]').content } }).then(() => null)",
    );
    page.browser.until("!window.gone.isConnected");
    assert_eq!(
        page.browser.value("document.activeElement === window.kept"),
        true
    );
    page.is_clean();
}

#[test]
fn an_act_on_a_page_that_is_not_live_asks_on_a_page_and_comes_back() {
    let mut page = Dashboard::start();
    let id = publish_work(&page.world, "{\"end\":\"permanent\"}");
    page.world
        .until("it is dead", || page.world.status()["bus"]["dead"] == 1);
    page.enter("operate");
    let event = page.url(&format!("/events/{id}"));
    page.browser.open(&event);
    page.browser.click("#replay");
    let asks = "document.querySelector('h1')?.innerText.startsWith('Replay the event')";
    page.browser.until(asks);
    // Whoever thinks better of it is where they were.
    page.browser.click("main form a.button");
    page.browser.until("document.querySelector('#replay')");
    assert_eq!(page.browser.value("location.href"), event);
    page.browser.click("#replay");
    page.browser.until(asks);
    page.browser.click("main form button");
    page.browser
        .until("document.querySelector('.notice')?.innerText.startsWith('Replayed: ')");
    assert_eq!(page.browser.value("location.href"), event);
    page.is_clean();
}

#[test]
fn a_job_is_paused_and_resumed() {
    let mut page = Dashboard::start();
    page.enter("operate");
    page.pauses_a_job();
    let asked = &page.world.events("job.changed")[0];
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(asked["source"], format!("dashboard/{uid}"));
    page.browser.click("#resume-verify");
    page.browser.click("dialog button[value=yes]");
    page.browser
        .until("document.querySelector('#pause-verify')");
    page.is_clean();
}

#[test]
fn without_scripts_the_same_is_there_and_acts_work() {
    let mut page = Dashboard::start();
    page.browser.scripts(false);
    let address = page.login("operate");
    page.browser.open(&address);
    let login = address.split('#').nth(1).expect("a login");
    page.browser.value(&format!(
        "document.querySelector('[name=login]').value = '{login}'"
    ));
    page.browser.picture("login-without-scripts");
    page.browser.click("#login button");
    page.browser.until("document.getElementById('overview')");
    assert_eq!(page.browser.text("#figure-documents .value"), "1");
    assert!(page.browser.text("#agent-rag").contains("running"));
    page.browser.click("#pause-verify");
    page.browser
        .until("document.querySelector('h1')?.innerText.includes('Pause the job verify?')");
    page.browser.picture("ask-without-scripts");
    page.browser.click("main form button");
    page.browser
        .until("document.querySelector('.notice')?.innerText.includes('verify is paused')");
    page.browser.open(&page.url("/"));
    assert_eq!(page.browser.text(".notice"), "", "it is said once");
    // The page is made of what was read a second ago or later.
    let first = page.url("/");
    page.world.until("the page has the job as paused", || {
        page.browser.open(&first);
        page.browser.text("#job-verify").contains("paused")
    });
    assert_eq!(page.job("verify")["paused"], true);
    page.is_clean();
}

#[test]
fn a_daemon_that_is_gone_is_told_with_the_age_of_what_is_shown() {
    let mut page = Dashboard::start();
    page.enter("read");
    page.browser
        .until("document.getElementById('live').innerText.startsWith('live')");
    page.daemon.kill();
    page.browser
        .until("!document.getElementById('lost').hidden");
    let told = page.browser.text("#lost");
    assert!(
        told.contains("has not answered since") && told.contains("shows its state at"),
        "{told}"
    );
    assert_eq!(page.browser.text("#figure-documents .value"), "1");
    page.browser.picture("lost");
    // At the same address again: it knows the session no more, and says so.
    let config = std::fs::read_to_string(page.world.config()).unwrap();
    let config = config.replace("127.0.0.1:0", &format!("127.0.0.1:{}", page.port));
    std::fs::write(page.world.config(), config).unwrap();
    let daemon = page.world.start();
    page.browser
        .until("document.querySelector('h1')?.innerText === 'You are not logged in'");
    daemon.stop();
}

#[test]
fn a_daemon_that_answers_and_cannot_tell_how_it_stands_is_not_called_gone() {
    let mut page = Dashboard::start();
    page.enter("read");
    page.browser.value(
        "(() => { const real = window.fetch; window.back = () => { window.fetch = real; };
         const problem = JSON.stringify({ detail: 'the walrus sits on the store', hint: 'wait' });
         window.fetch = (...asked) => String(asked[0]).startsWith('/parts/')
           ? Promise.resolve(new Response(problem, { status: 503 })) : real(...asked); })()",
    );
    page.browser
        .until("!document.getElementById('lost').hidden");
    let told = page.browser.text("#lost");
    let why = "docent cannot report its state: the walrus sits on the store; wait. This page shows its state at ";
    assert!(told.starts_with(why), "{told}");
    page.browser.value("window.back()");
    page.browser.until("document.getElementById('lost').hidden");
    page.is_clean();
}

#[test]
fn it_can_be_read_on_every_screen_by_day_and_by_night() {
    let mut page = Dashboard::start();
    page.world.write("broken.bin.md", b"\xff\xfe\x00\x00");
    let work = "{\"end\":\"permanent\"}";
    for n in 0..3 {
        let subject = format!("docs/{n}.md");
        let publish = [
            "publish",
            "test.work",
            "--subject",
            &subject,
            "--data",
            work,
        ];
        assert_eq!(page.world.cli(publish).code(), 0);
    }
    page.world.wait();
    page.enter("operate");
    page.browser
        .until("document.querySelector('[id^=replay-]')");
    for (name, width, height) in [
        ("360", 360, 740),
        ("768", 768, 1024),
        ("1440", 1440, 900),
        ("3840", 3840, 2160),
    ] {
        page.browser.resize(width, height);
        for dark in [false, true] {
            page.browser.dark(dark);
            let scrolls = page.browser.value("document.documentElement.scrollWidth");
            assert_eq!(scrolls, width, "no scrolling sideways at {width}");
            let light = page.browser.value(
                "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)",
            );
            assert_eq!(light.as_i64().unwrap() < 384, dark, "{light}");
            page.browser.picture(&format!(
                "overview-{name}-{}",
                if dark { "dark" } else { "light" }
            ));
        }
    }
    for (name, path) in [
        ("day", "/?span=day"),
        ("search", "/search?q=walrus&explain=true"),
        ("documents", "/documents"),
        ("document", "/documents/docs/a.md"),
        ("events", "/events"),
        ("audit", "/audit"),
        ("health", "/health"),
        ("settings", "/settings"),
    ] {
        let address = page.url(path);
        page.browser.open(&address);
        for (width, height) in [(360, 740), (1440, 900), (3840, 2160)] {
            page.browser.resize(width, height);
            for dark in [true, false] {
                page.browser.dark(dark);
                let scrolls = page.browser.value("document.documentElement.scrollWidth");
                assert_eq!(scrolls, width, "no scrolling sideways at {width}: {path}");
            }
            page.browser.picture(&format!("{name}-{width}"));
        }
    }
    page.is_clean();
}

#[test]
fn a_search_is_typed_and_leads_from_a_hit_with_its_words_marked_to_the_document() {
    let mut page = Dashboard::start();
    page.enter("read");
    let address = page.url("/search");
    page.browser.open(&address);
    page.browser
        .value("document.querySelector('[name=q]').value = 'plain walruses'");
    page.browser.click("form[role=search] button.main");
    page.browser.loaded();
    page.browser
        .until("document.querySelectorAll('.hit mark').length == 2");
    let marked = "[...document.querySelectorAll('.hit mark')].map(m => m.textContent).join(' ')";
    assert_eq!(page.browser.value(marked), "plain walrus");
    assert!(page.browser.text("main").contains("Complete up to"));
    page.browser.click(".hit a");
    page.browser.loaded();
    page.browser.until("document.getElementById('L3')");
    assert!(page.browser.text("main").contains("A plain walrus."));
    page.is_clean();
}
