//! The API over the network: who is let in, what TLS and slow clients do, streams that go on, and the command line of another
//! machine.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::helper::{Daemon, Run, World, lines};

/// A daemon whose API is served on a port of its own, with the collections `docs` and `wiki`.
pub(crate) struct Api {
    pub(crate) world: World,
    daemon: Daemon,
    pub(crate) port: u16,
}

/// The port that the newest daemon listens on.
pub(crate) fn port_of(world: &World) -> Option<u16> {
    let log = world.log();
    let (_, after) = log.rsplit_once("\"address\":\"127.0.0.1:")?;
    after.split('"').next()?.parse().ok()
}

fn world(extra: &str) -> World {
    let world = World::new("");
    let wiki = world.path().join("wiki");
    fs::create_dir(&wiki).unwrap();
    fs::write(wiki.join("w.md"), "# Wiki\n\nA hidden narwhal.\n").unwrap();
    world.write("a.md", "# Anchor\n\nA plain walrus.\n");
    world.configure(&format!(
        "[[collection]]\nname = \"wiki\"\npath = \"wiki\"\n{extra}"
    ));
    world
}

impl Api {
    pub(crate) fn start(http: &str) -> Api {
        Api::of(world(&format!("[http]\nlisten = \"127.0.0.1:0\"\n{http}")))
    }

    fn of(world: World) -> Api {
        let daemon = world.start();
        world.wait();
        let port = port_of(&world).expect("it listens");
        Api {
            world,
            daemon,
            port,
        }
    }

    /// Makes a token.
    pub(crate) fn token(&self, name: &str, arguments: &[&str]) -> String {
        let all = [&["token", "create", name], arguments].concat();
        let run = self.world.cli(all);
        assert_eq!(run.code(), 0, "{}", run.stderr());
        run.stdout().trim().to_owned()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// Sends a whole request; gives all of the answer.
    pub(crate) fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn head(&self, line: &str, token: &str) -> String {
        let port = self.port;
        let bearer = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        format!("{line} HTTP/1.1\r\nHost: localhost:{port}\r\n{bearer}Connection: close\r\n")
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> String {
        self.exchange(&format!("{}\r\n", self.head(&format!("GET {path}"), token)))
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &str) -> String {
        let head = self.head(&format!("POST {path}"), token);
        let length = body.len();
        self.exchange(&format!("{head}Content-Length: {length}\r\n\r\n{body}"))
    }

    /// A file with a token in it.
    fn token_file(&self, token: &str) -> PathBuf {
        let file = self.world.path().join("token");
        fs::write(&file, format!("{token}\n")).unwrap();
        file
    }

    /// The command line as another machine has it: without a config.
    fn away(&self, scheme: &str, token: &str, arguments: &[&str]) -> Run {
        Run::of(&mut self.away_command(scheme, token, arguments))
    }

    fn away_command(&self, scheme: &str, token: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::helper::DOCENT);
        command
            .args(arguments)
            .arg(format!("--url={scheme}://localhost:{}", self.port))
            .arg("--token-file")
            .arg(self.token_file(token))
            .current_dir(self.world.path())
            .env("HOME", self.world.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("DOCENT_CONFIG");
        command
    }
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1);
    status.and_then(|s| s.parse().ok()).unwrap_or(0)
}

const EVENT: &str = "{\"type\":\"scan.requested\",\"subject\":\"docs\"}";

#[test]
fn a_token_lets_in_whom_it_was_made_for_and_nobody_after_it() {
    let api = Api::start("");
    let read = api.token("reader", &["--role", "read"]);
    let operate = api.token("operator", &["--role", "operate"]);
    let wiki = api.token("wiki", &["--role", "operate", "--collection", "wiki"]);
    let brief = api.token("brief", &["--role", "read", "--expires", "15s"]);
    let status_of = |token: &str| status(&api.get("/api/v1/status", token));
    assert_eq!(status_of(&brief), 200);
    assert_eq!([status_of(&read), status_of(&wiki)], [200, 200]);
    let missing = api.get("/api/v1/status", "");
    assert_eq!(status(&missing), 401);
    assert!(missing.to_lowercase().contains("www-authenticate: bearer"));
    assert_eq!(status_of("docent_0"), 401);

    // What it may.
    assert_eq!(status(&api.post("/api/v1/events", &read, EVENT)), 403);
    assert_eq!(status(&api.post("/api/v1/events", &operate, EVENT)), 201);
    assert_eq!(status(&api.post("/api/v1/events", &wiki, EVENT)), 404);
    let own = EVENT.replace("docs", "wiki");
    assert_eq!(status(&api.post("/api/v1/events", &wiki, &own)), 201);
    assert_eq!(status(&api.get("/api/v1/tokens", &operate)), 403);

    // What it sees.
    let hits = |token: &str, word: &str| {
        let answer = api.get(&format!("/api/v1/search?q=%22{word}%22"), token);
        assert_eq!(status(&answer), 200, "{answer}");
        answer.contains(&format!("{word}.\""))
    };
    assert!(hits(&read, "walrus") && hits(&read, "narwhal"));
    assert!(!hits(&wiki, "walrus") && hits(&wiki, "narwhal"));
    let read_of = |token: &str| status(&api.get("/api/v1/read?ref=docs/a.md", token));
    assert_eq!([read_of(&read), read_of(&wiki)], [200, 404]);
    let events = api.get("/api/v1/events", &wiki);
    assert!(events.contains("wiki/w.md") && !events.contains("docs/a.md"));
    let told = api.get("/api/v1/status", &wiki);
    assert!(
        told.contains("\"documents\":1") && !told.contains("docs"),
        "{told}"
    );

    // What is kept of it, and who did what.
    let list = api.world.cli(["token", "list", "--json"]).stdout();
    for text in [&list, &api.world.log()] {
        assert!(![&read, &operate, &wiki].iter().any(|t| text.contains(*t)));
    }
    let store = fs::read(api.world.data().join("store.db")).unwrap();
    let log = fs::read(api.world.data().join("store.db-wal")).unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(read.len()).any(|w| w == read.as_bytes());
    assert!(!holds(&store) && !holds(&log));
    let acts = api.world.events("operator.acted");
    assert_eq!(acts[0]["data"]["verb"], "token create");
    let restart = api.post("/api/v1/agents/rag/restart", &operate, "");
    assert_eq!(status(&restart), 200, "{restart}");
    let act = &api.world.events("operator.acted")[0];
    assert_eq!(act["data"]["verb"], "agent restart");
    assert_eq!(act["data"]["token"], "operator");

    // Its end.
    api.world
        .until("it has expired", || status_of(&brief) == 401);
    let again = api
        .world
        .cli(["token", "create", "reader", "--role", "read"]);
    assert_eq!(again.code(), 65, "{}", again.stderr());
    assert_eq!(api.world.cli(["token", "revoke", "reader"]).code(), 0);
    assert_eq!(status_of(&read), 401);
    assert_eq!(api.world.cli(["token", "revoke", "reader"]).code(), 65);
    let unknown = [
        "token",
        "create",
        "x",
        "--role",
        "read",
        "--collection",
        "no",
    ];
    assert_eq!(api.world.cli(unknown).code(), 65);
    let warned = |log: &str| log.matches("a token or a login was refused").count();
    assert_eq!(warned(&api.world.log()), 1, "once a minute an address");

    // Tokens outlive the daemon.
    let Api { world, daemon, .. } = api;
    assert_eq!(daemon.stop(), Some(0));
    let api = Api::of(world);
    assert_eq!(status(&api.get("/api/v1/status", &operate)), 200);
    assert_eq!(status(&api.get("/api/v1/status", &read)), 401);
}

#[test]
fn a_page_of_another_site_gets_nowhere() {
    let api = Api::start("public_url = \"https://docs.example.org\"\n");
    let token = api.token("a", &["--role", "operate"]);
    let ask = |path: &str, headers: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\n{headers}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        api.exchange(&request)
    };
    let own = format!("Host: 127.0.0.1:{}\r\n", api.port);
    assert_eq!(status(&ask("/api/v1/status", &own)), 200);
    let public = "Host: docs.example.org\r\nOrigin: https://docs.example.org\r\n";
    assert_eq!(status(&ask("/api/v1/status", public)), 200);
    let foreign = format!("{own}Origin: http://evil.example\r\n");
    for headers in ["Host: evil.example\r\n", &foreign, "Host: localhost\r\n"] {
        for path in ["/api/v1/status", "/readyz"] {
            let answer = ask(path, headers);
            assert_eq!(status(&answer), 403, "{headers}: {answer}");
            assert!(
                !answer.to_lowercase().contains("access-control"),
                "{answer}"
            );
        }
    }
}

/// Makes an authority, and a certificate of it for `localhost`.
pub(crate) fn certificate(world: &World, authority: &str) {
    let openssl = |arguments: &str| {
        let run = Run::of(
            Command::new("openssl")
                .args(arguments.split(' '))
                .current_dir(world.path()),
        );
        assert_eq!(run.code(), 0, "openssl {arguments}: {}", run.stderr());
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(&format!(
        "req -x509 {key} -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"
    ));
    openssl(&format!(
        "req {} -subj /CN=docent -keyout new.key -out new.csr",
        key.replace(" -days 2", "")
    ));
    fs::write(world.path().join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(&format!(
        "x509 -req -in new.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -extfile names -out new.pem"
    ));
}

/// Puts the certificate that was made last in its place.
pub(crate) fn install(world: &World) {
    for (from, to) in [("new.pem", "tls.pem"), ("new.key", "tls.key")] {
        fs::rename(world.path().join(from), world.path().join(to)).unwrap();
    }
}

#[test]
fn tls_outlives_bad_handshakes_and_takes_a_new_certificate_while_it_runs() {
    let world = world(
        "[http]\nlisten = \"127.0.0.1:0\"\ntls_certificate = \"tls.pem\"\ntls_key = \"tls.key\"\n",
    );
    let check = world.cli(["check"]);
    assert_eq!(check.code(), 1);
    let checked = check.stdout();
    assert!(checked.contains("[http] tls_key: cannot read"), "{checked}");
    let (code, said) = world.refused();
    assert_eq!(code, 78, "{said}");
    assert!(
        said.contains("cannot read") && said.contains("tls.pem"),
        "{said}"
    );
    certificate(&world, "one");
    install(&world);
    let api = Api::of(world);
    let token = api.token("a", &["--role", "read"]);
    let search = |ca: &str| {
        let ca = format!("--ca-file={ca}");
        api.away("https", &token, &["search", "walrus", "--json", &ca])
    };
    let found = search("one.pem");
    assert_eq!(found.code(), 0, "{}", found.stderr());
    assert_eq!(found.json().unwrap()["hits"][0]["path"], "a.md");

    // Who does not trust it, or speaks without TLS, is told.
    let untrusted = api.away("https", &token, &["search", "walrus"]);
    assert_eq!(untrusted.code(), 69, "{}", untrusted.stderr());
    assert!(
        untrusted.stderr().contains("--ca-file"),
        "{}",
        untrusted.stderr()
    );
    assert_eq!(api.away("http", &token, &["status"]).code(), 69);

    // Handshakes that are cut, never begun, or none.
    let cut: Vec<TcpStream> = (0..50)
        .map(|n| {
            let mut stream = api.connect();
            let begun = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
            stream.write_all(&begun[..n % begun.len()]).unwrap();
            stream
        })
        .collect();
    api.connect().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    drop(cut.into_iter().take(25).collect::<Vec<_>>());
    let began = Instant::now();
    assert_eq!(search("one.pem").code(), 0);
    assert!(began.elapsed() < Duration::from_secs(5));

    // A certificate without its key changes nothing; then both are there.
    certificate(&api.world, "two");
    let file = |name: &str| api.world.path().join(name);
    fs::copy(file("new.pem"), file("tls.pem")).unwrap();
    api.world.until("the log says that it does not fit", || {
        api.world
            .log()
            .contains("the new certificate cannot be used")
    });
    assert_eq!(search("one.pem").code(), 0);
    install(&api.world);
    api.world
        .until("the new one is shown", || search("two.pem").code() == 0);
    assert_eq!(search("one.pem").code(), 69);
    assert_eq!(api.daemon.stop(), Some(0));
}

#[test]
fn slow_clients_lose_their_connections_and_nobody_notices() {
    let api = Api::start("");
    let token = api.token("a", &["--role", "operate"]);
    let body = format!(
        "{}Content-Length: 900\r\n\r\n{{",
        api.head("POST /api/v1/events", &token)
    );
    let mut quiet = Follower::of(&api, &token, None);
    // More than there are places, and the newest is served at once.
    let silent: Vec<TcpStream> = (0..600).map(|_| api.connect()).collect();
    let began = Instant::now();
    assert_eq!(status(&api.get("/api/v1/status", &token)), 200);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    drop(silent);
    let slow: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut stream = api.connect();
            let begun = match n % 3 {
                0 => "",
                1 => "GET /api/v1/status HTTP/1.1\r\nHost: loc",
                _ => &body,
            };
            stream.write_all(begun.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(status(&api.get("/api/v1/status", &token)), 200);
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    }
    for (n, mut stream) in slow.into_iter().enumerate() {
        let mut answer = String::new();
        // Cut off: at its end, or with what was sent unread.
        stream.read_to_string(&mut answer).ok();
        let expected = if n % 3 == 2 { 408 } else { 0 };
        assert_eq!(status(&answer), expected, "{n}: {answer}");
    }
    // Who follows events is not slow: a comment shows that the connection lives.
    assert!(quiet.next(": ").is_some());
}

#[test]
fn a_header_or_a_body_that_is_too_large_is_refused() {
    let api = Api::start("");
    let token = api.token("a", &["--role", "operate"]);
    let mut stream = api.connect();
    let head = api.head("GET /api/v1/status", &token);
    stream.write_all(head.as_bytes()).unwrap();
    let long = format!("X-Long: {}\r\n\r\n", "x".repeat(2 * 1024 * 1024));
    // The connection may end before all of it is taken.
    stream.write_all(long.as_bytes()).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(matches!(status(&answer), 0 | 431), "{answer}");
    let large = "x".repeat(2 * 1024 * 1024);
    assert_eq!(status(&api.post("/api/v1/events", &token, &large)), 413);
    assert_eq!(status(&api.get("/api/v1/status", &token)), 200);
}

/// A client that follows events.
struct Follower(BufReader<TcpStream>);

impl Follower {
    fn of(api: &Api, token: &str, last: Option<&str>) -> Follower {
        let mut stream = api.connect();
        let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let head = api.head("GET /api/v1/stream", token);
        stream
            .write_all(format!("{head}{last}\r\n").as_bytes())
            .unwrap();
        Follower(BufReader::new(stream))
    }

    /// The next line that begins with `field`; none: the stream has ended.
    fn next(&mut self, field: &str) -> Option<String> {
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if let Some(value) = line.strip_prefix(field) {
                return Some(value.trim().to_owned());
            }
        }
    }

    /// The next event.
    fn event(&mut self) -> Value {
        let data = self.next("data: ").expect("an event comes");
        serde_json::from_str(&data).unwrap()
    }
}

fn publish(api: &Api, subject: &str) -> String {
    let run = api
        .world
        .cli(["publish", "report.written", "--subject", subject]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    run.stdout().trim().to_owned()
}

#[test]
fn a_stream_goes_on_after_the_last_event_and_tells_a_gap() {
    let api = Api::of(world(
        "[http]\nlisten = \"127.0.0.1:0\"\n[delivery]\nledger_keep = \"2s\"\n",
    ));
    let token = api.token("a", &["--role", "read"]);
    let wiki = api.token("w", &["--role", "read", "--collection", "wiki"]);
    api.world.settled();
    let mut first = Follower::of(&api, &token, None);
    assert!(first.next("retry: ").is_some());
    let mut limited = Follower::of(&api, &wiki, None);
    assert!(limited.next("retry: ").is_some());
    let one = publish(&api, "docs/one");
    let id = first.next("id: ").unwrap();
    assert_eq!(id, one);
    assert_eq!(first.event()["subject"], "docs/one");
    drop(first);
    let two = publish(&api, "wiki/two");
    assert_eq!(limited.event()["subject"], "wiki/two");
    // It was away, and misses nothing.
    let mut again = Follower::of(&api, &token, Some(&one));
    assert_eq!(again.next("id: ").unwrap(), two);

    // A revocation ends what is open.
    assert_eq!(api.world.cli(["token", "revoke", "w"]).code(), 0);
    assert_eq!(limited.next("id: "), None);

    // An event that has left the ledger is one that a client cannot go on from without a gap.
    api.world.until("it has left the ledger", || {
        publish(&api, "docs/other");
        let shown = api.world.cli(["events", "show", &one]);
        shown.code() == 65
    });
    let mut late = Follower::of(&api, &token, Some(&one));
    assert_eq!(late.next("event: ").unwrap(), "gap");
    assert_eq!(late.event()["after"], Value::from(one));
    assert!(late.next("id: ").is_some());

    // Streams do not hold up the end.
    assert_eq!(api.daemon.stop(), Some(0));
    assert_eq!(again.next("event: ").unwrap(), "end");
    assert_eq!(again.event()["reason"], "docent is stopping");
}

#[test]
fn a_batch_has_an_id_a_line_and_each_line_its_own_refusal() {
    let api = Api::start("");
    let token = api.token("w", &["--role", "operate", "--collection", "wiki"]);
    let own = EVENT.replace("docs", "wiki");
    let answer = api.post(
        "/api/v1/events/stream",
        &token,
        &format!("{own}\n{EVENT}\nx\n{own}\n"),
    );
    assert_eq!(status(&answer), 200, "{answer}");
    let found: Vec<bool> = answer
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(Value::is_object)
        .map(|line| line["id"].is_string())
        .collect();
    assert_eq!(found, [true, false, false, true], "{answer}");
    let acts = api.world.events("scan.requested");
    assert_eq!(acts[0]["source"], "token/w");
}

#[test]
fn verbs_work_from_another_machine() {
    let api = Api::start("");
    let read = api.token("r", &["--role", "read"]);
    let operate = api.token("o", &["--role", "operate"]);
    let away = |token: &str, arguments: &[&str]| api.away("http", token, arguments);
    let found = away(&read, &["search", "walrus", "--json"]);
    assert_eq!(found.json().unwrap()["hits"][0]["path"], "a.md");
    let told = away(&read, &["status", "--json"]);
    assert_eq!(told.code(), 0, "{}", told.stderr());
    assert_eq!(told.json().unwrap()["state"], "running");
    for arguments in [
        &["read", "docs/a.md"][..],
        &["documents"],
        &["history", "docs/a.md"],
        &["events", "list", "--json"],
        &["dead", "list"],
        &["jobs"],
        &["health"],
        &["agent", "list"],
        &["audit", "verify"],
        &["wait"],
    ] {
        let run = away(&read, arguments);
        assert_eq!(run.code(), 0, "{arguments:?}: {}", run.stderr());
    }
    let published = ["publish", "scan.requested", "--subject", "docs"];
    assert_eq!(away(&operate, &published).code(), 0);
    assert_eq!(
        lines(&away(&read, &["events", "list", "--json"]).stdout())[0]["subject"],
        "docs"
    );

    for (token, arguments, code, said) in [
        (&*read, &published[..], 77, "has the role read"),
        ("docent_0", &["status"], 77, "unknown, expired or revoked"),
        ("", &["status"], 65, "does not contain a token"),
        (&read, &["read", "docs/none.md"], 65, "no document"),
        (&operate, &["token", "list"], 2, "without --url"),
        (&operate, &["check"], 2, "without --url"),
    ] {
        let run = away(token, arguments);
        assert_eq!(run.code(), code, "{arguments:?}: {}", run.stderr());
        assert!(
            run.stderr().contains(said),
            "{arguments:?}: {}",
            run.stderr()
        );
    }
    // A token that is revoked ends what follows, and that is told.
    let gone = api.token("gone", &["--role", "read"]);
    let mut tail = api.away_command("http", &gone, &["tail", "--json"]);
    let tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let mut out = tail.stdout.take().unwrap();
    // A scope would wait for ever for one that reads nothing. It gives the pipe back: closed, that would end the tail.
    let follows = std::thread::spawn(move || out.read_exact(&mut [0]).map(|()| out));
    api.world.until("it follows", || {
        api.world.cli(published);
        follows.is_finished()
    });
    tail.stdout = Some(follows.join().unwrap().expect("it follows"));
    assert_eq!(api.world.cli(["token", "revoke", "gone"]).code(), 0);
    let ended = tail.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(77), "{said}");
    assert!(said.contains("unknown, expired or revoked"), "{said}");

    let mut nobody = api.world.command(["status", "--url=http://127.0.0.1:1"]);
    nobody.arg("--token-file").arg(api.token_file(&read));
    let nobody = Run::of(&mut nobody);
    assert_eq!(nobody.code(), 69, "{}", nobody.stderr());
    assert!(nobody.stderr().contains("http://127.0.0.1:1"));
    let lone = api.world.cli(["status", "--token-file", "x"]);
    assert_eq!(lone.code(), 2, "{}", lone.stderr());
}

#[test]
fn an_address_that_is_taken_and_one_that_is_not_safe_are_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let world = World::new(&format!("[http]\nlisten = \"{address}\"\n"));
    let (code, said) = world.refused();
    assert_eq!(code, 69, "{said}");
    for part in [&address.to_string(), "another process has the address"] {
        assert!(said.contains(part), "{said}");
    }
    world.configure("[http]\nlisten = \"0.0.0.0:0\"\n");
    let (code, said) = world.refused();
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("http.listen: other machines reach"), "{said}");
}
