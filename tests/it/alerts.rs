//! Alerts and reports with the real daemon: who is told, how often, and what waits for it, which is nothing.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::helper::{Run, World};
use crate::work::QUICK;

/// 24 bytes in Base64.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that the receiver got.
#[derive(Debug, Clone)]
struct Received {
    line: String,
    headers: HashMap<String, String>,
    body: String,
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// That the signature is the one that another implementation makes, and the time is now.
    fn verify(&self) {
        let script = "import base64, hashlib, hmac, sys\n\
            key = base64.b64decode(sys.argv[1].removeprefix('whsec_'))\n\
            signed = f'{sys.argv[2]}.{sys.argv[3]}.'.encode() + sys.stdin.buffer.read()\n\
            print('v1,' + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())";
        let mut child = Command::new("python3")
            .args(["-c", script, SECRET, &self.headers["webhook-id"]])
            .arg(&self.headers["webhook-timestamp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut stdin = child.stdin.take().expect("its input");
        stdin.write_all(self.body.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let signature = String::from_utf8(output.stdout).expect("text");
        assert_eq!(self.headers["webhook-signature"], signature.trim());
        let sent: u64 = self.headers["webhook-timestamp"].parse().expect("seconds");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time")
            .as_secs();
        assert!(now.abs_diff(sent) < 300, "{sent} {now}");
    }
}

/// A program that takes what it is told: the first so many requests get another answer.
struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start(listener: TcpListener, first: Vec<&'static str>) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let (received, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (list, stopped): (Arc<Mutex<Vec<Received>>>, _) = (Arc::clone(&received), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut answers = first.into_iter();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Some(request) = stream.ok().and_then(|stream| {
                    let answer = answers.next().unwrap_or("204 No Content");
                    serve(stream, answer)
                }) else {
                    continue;
                };
                list.lock().unwrap().push(request);
            }
        });
        Receiver {
            port,
            received,
            stop,
            thread: Some(thread),
        }
    }

    fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread; one that is gone cannot be.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(stream: TcpStream, answer: &str) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let answer =
        format!("HTTP/1.1 {answer}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).ok()?;
    Some(Received {
        line: line.trim().to_owned(),
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

fn rule(name: &str, keys: &str) -> String {
    format!("[[alert]]\nname = \"{name}\"\nfor = \"0s\"\n{keys}\n")
}

/// A rule that is always so.
const ALWAYS: &str = "when = \"disk_free\"\nbelow = \"100000TiB\"";

fn secret(world: &World) {
    let path = world.path().join("secret");
    fs::write(&path, SECRET).expect("the secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

#[test]
fn a_receiver_that_is_away_is_told_later_under_one_id_and_nothing_waits_for_it() {
    let reserved = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = reserved.local_addr().expect("an address").port();
    drop(reserved);
    let world = World::new(&rule(
        "letters",
        &format!(
            "when = \"dead\"\nabove = 0\nseverity = \"error\"\nwebhook = \"http://127.0.0.1:{port}/hook?a=b\"\nsecret_file = \"secret\""
        ),
    ));
    secret(&world);
    let daemon = world.start();
    let letter = world.work("work/a", json!({"end": "permanent"}));
    world.until("the alert is raised", || {
        world.events("alert.raised").len() == 1
    });
    world.until("the receiver was not reached", || {
        world
            .log()
            .contains("cannot notify the receiver of an alert")
    });
    let told = world.cli(["status"]).stdout();
    let line = "1 alert raised: letters; messages of letters are not taken: ";
    assert!(told.contains(line), "{told}");
    daemon.kill();

    // Neither documents nor the audit log wait for the receiver.
    let unended = "the last run did not end cleanly";
    assert!(!world.log().contains(unended));
    let daemon = world.start();
    assert_eq!(world.log().matches(unended).count(), 1);
    world.write("one.md", "# One\n\nA walrus.\n");
    world.wait();
    assert_eq!(world.search("walrus"), ["one.md"]);
    world.settled();
    let raised = world.events("alert.raised");
    assert_eq!(raised.len(), 1, "a restart does not raise it again");
    let audited = world.audit();
    let of_alert = |r: &&Value| r["type"] == "alert.raised";
    assert_eq!(audited.iter().filter(of_alert).count(), 1);
    let data = &raised[0]["data"];
    assert_eq!(
        (&data["rule"], &data["value"]),
        (&json!("letters"), &json!(1))
    );
    assert!(data["since"].is_string() && data["limit"] == 0.0, "{data}");

    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let first = vec!["500 Internal Server Error", "302 Found"];
    let receiver = Receiver::start(listener, first);
    world.until("it was told", || receiver.all().len() >= 3);
    let told = receiver.all();
    for message in &told {
        assert_eq!(message.line, "POST /hook?a=b HTTP/1.1");
        assert_eq!(
            message.headers["webhook-id"],
            raised[0]["id"].as_str().expect("an id")
        );
        assert_eq!(message.headers["content-type"], "application/json");
        assert_eq!(message.body, told[0].body);
        message.verify();
    }
    let body = told[0].json();
    assert_eq!(
        (&body["type"], &body["data"]["severity"]),
        (&json!("alert.raised"), &json!("error"))
    );

    assert_eq!(world.cli(["dead", "drop", &letter]).code(), 0);
    world.until("its end was told", || receiver.all().len() >= 4);
    let end = receiver.all()[3].clone();
    end.verify();
    assert_eq!(end.json()["type"], "alert.cleared");
    let cleared = world.events("alert.cleared");
    assert_eq!(cleared.len(), 1);
    assert_eq!(
        end.headers["webhook-id"],
        cleared[0]["id"].as_str().expect("an id")
    );
    assert_ne!(end.headers["webhook-id"], told[0].headers["webhook-id"]);
    assert_eq!(cleared[0]["data"]["since"], data["since"]);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert_eq!(receiver.all().len(), 4, "each was taken once");
}

#[test]
fn a_command_is_told_in_its_environment_and_an_alert_outlives_a_restart_but_not_its_rule() {
    let world = World::new("");
    let told = world.path().join("told");
    let script = r#"printf '%s\n' "$1" > "$0.new"; env >> "$0.new"; mv "$0.new" "$0""#;
    let command = json!(["/bin/sh", "-c", script, told, "an argument; with $HOME"]);
    world.configure(&rule("space", &format!("{ALWAYS}\ncommand = {command}")));
    let daemon = world.start();
    world.until("the command ran", || told.exists());
    let text = fs::read_to_string(&told).expect("what it wrote");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("an argument; with $HOME"));
    let variables: HashMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();
    let raised = world.events("alert.raised");
    assert_eq!(
        variables["DOCENT_ALERT_ID"],
        raised[0]["id"].as_str().expect("an id")
    );
    for (name, value) in [
        ("RULE", "space"),
        ("TYPE", "alert.raised"),
        ("WHEN", "disk_free"),
        ("SEVERITY", "warning"),
    ] {
        assert_eq!(
            variables[format!("DOCENT_ALERT_{name}").as_str()],
            value,
            "{name}"
        );
    }
    let own = |name: &&&str| !name.starts_with("DOCENT_ALERT_");
    let mut others: Vec<_> = variables.keys().filter(own).collect();
    // The shell itself sets these.
    others.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(*name));
    assert_eq!(others, [&"PATH"]);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    fs::remove_file(&told).expect("it is there");
    // A second rule, which is judged in the same round, shows that there was one.
    let witness = rule("witness", ALWAYS);
    let first = rule("space", &format!("{ALWAYS}\ncommand = {command}"));
    world.configure(&(first + &witness));
    let daemon = world.start();
    let subjects = || {
        let raised = world.events("alert.raised");
        let subjects = raised.iter().map(|event| event["subject"].clone());
        subjects.collect::<Vec<_>>()
    };
    world.until("the witness is raised", || {
        subjects().contains(&json!("witness"))
    });
    assert_eq!(
        subjects(),
        ["witness", "space"],
        "it stands, and is not told again"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(!told.exists());

    // Another name is another rule.
    world.configure(&(rule("room", ALWAYS) + &witness));
    let daemon = world.start();
    world.until("the new rule's alert is raised", || {
        world.events("alert.raised").len() == 3
    });
    let cleared = world.events("alert.cleared");
    assert_eq!(cleared.len(), 1);
    assert_eq!(cleared[0]["subject"], "space");
    assert_eq!(
        cleared[0]["data"]["reason"],
        "the rule is no longer in the config"
    );
    assert_eq!(subjects(), ["room", "witness", "space"]);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(!told.exists());
}

/// Takes one request over TLS and prints its body.
const TLS_RECEIVER: &str = "import http.server, ssl, sys\n\
class Handler(http.server.BaseHTTPRequestHandler):\n\
\x20def do_POST(self):\n\
\x20 print(self.rfile.read(int(self.headers['content-length'])).decode(), flush=True)\n\
\x20 self.send_response(200)\n\
\x20 self.end_headers()\n\
\x20def log_message(self, *_):\n\
\x20 pass\n\
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n\
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
context.load_cert_chain('new.pem', 'new.key')\n\
server.socket = context.wrap_socket(server.socket, server_side=True)\n\
print(server.server_port, flush=True)\n\
server.serve_forever()\n";

/// Ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_webhook_is_told_over_tls_if_its_certificate_is_trusted() {
    let world = World::new("");
    secret(&world);
    crate::api::certificate(&world, "other");
    crate::api::certificate(&world, "authority");
    let mut child = Killed(
        Command::new("python3")
            .args(["-c", TLS_RECEIVER])
            .current_dir(world.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3"),
    );
    let mut output = BufReader::new(child.0.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("its port");
    let port = line.trim().to_owned();
    let told =
        format!("{ALWAYS}\nwebhook = \"https://localhost:{port}/\"\nsecret_file = \"secret\"");
    let trusting = |name: &str, file: &str| rule(name, &format!("{told}\nca_file = \"{file}\""));
    let mut next = || {
        line.clear();
        output.read_line(&mut line).expect("a request");
        let told: Value = serde_json::from_str(&line).expect("the body is JSON");
        told["data"]["rule"].as_str().expect("a rule").to_owned()
    };
    // The system has none of these authorities.
    world.configure(&rule("system", &told));
    let daemon = world.start();
    let refused = |name: &str| {
        let untrusted = |line: &str| {
            line.contains(&format!("\"rule\":\"{name}\""))
                && line.contains(&format!(
                    "localhost:{port} is not trusted: invalid peer certificate"
                ))
                && line.contains("`ca_file` of the alert can name the file of its authority")
        };
        let what = format!("the receiver of {name} was not trusted");
        world.until(&what, || world.log().lines().any(untrusted));
    };
    refused("system");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    let rules = |ca_file: &str| {
        rule("system", &told) + &trusting("own", ca_file) + &trusting("else", "other.pem")
    };
    world.configure(&rules("none.pem"));
    let checked = world.cli(["check"]);
    assert_eq!(checked.code(), 1);
    let said = checked.stdout();
    assert!(
        said.contains("alert own: cannot read the CA file ") && said.contains("none.pem"),
        "{said}"
    );
    world.configure(&rules("authority.pem"));
    let checked = world.cli(["check"]).stdout();
    assert!(!checked.contains("CA file"), "{checked}");
    let daemon = world.start();
    assert_eq!(next(), "own", "{}", world.log());
    refused("else");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    let mut command = world.command(["run"]);
    command.env("SSL_CERT_FILE", world.path().join("authority.pem"));
    let daemon = world.spawn_as(command);
    // What was received may come again if docent was stopped before it had noted that.
    let after_own = std::iter::repeat_with(next).find(|rule| rule != "own");
    assert_eq!(after_own.as_deref(), Some("system"), "{}", world.log());
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn every_mistake_in_the_rules_is_told_at_once() {
    let world = World::new(
        "[[alert]]\nname = \"a\"\nwhen = \"dead\"\nagent = \"nobody\"\n\
         [[alert]]\nname = \"a\"\nwhen = \"disk_free\"\nabove = 5\n\
         [[alert]]\nname = \"docs\"\nwhen = \"parked\"\nwebhook = \"http://example.org/\"\n",
    );
    let check = world.cli(["check"]);
    assert_eq!(check.code(), 78, "{}{}", check.stdout(), check.stderr());
    let told = check.stdout() + &check.stderr();
    for key in [
        "alert[0].above",
        "alert[0].agent",
        "alert[1].name",
        "alert[1].above",
        "alert[1].below",
        "alert[2].name",
        "alert[2].webhook",
        "alert[2].secret_file",
    ] {
        assert_eq!(
            told.matches(&format!("{key}: ")).count(),
            1,
            "{key}: {told}"
        );
    }
}

#[test]
fn the_weekly_report_is_written_once_for_each_request() {
    let world = World::new("");
    world.write("one.md", "# One\n\nA walrus.\n");
    let daemon = world.start();
    world.wait();
    world.work("work/a", json!({"end": "permanent"}));
    world.until("it is dead", || {
        world.events("event.dead_lettered").len() == 1
    });
    // A report tells what was recorded before it was asked for.
    world.settled();
    assert_eq!(world.cli(["jobs", "run", "weekly-report"]).code(), 0);
    world.until("the report is written", || {
        world.events("report.written").len() == 1
    });
    let written = world.events("report.written")[0].clone();
    assert_eq!(written["subject"], "week");
    let name = written["data"]["path"]
        .as_str()
        .and_then(|p| p.strip_prefix("report/"));
    let name = name.expect("its name").to_owned();
    assert_eq!(written["data"]["documents"], 1);
    let list = world
        .cli(["report", "--list", "--json"])
        .json()
        .expect("a list");
    assert_eq!(list["reports"][0]["name"], name.as_str());
    let shown = world.cli(["report", "--show", &name]).stdout();
    assert!(
        shown.contains("# docent: report of the period week"),
        "{shown}"
    );
    assert!(shown.contains("| file.changed | 1 |"), "{shown}");
    let report = world
        .cli(["report", "--show", &name, "--json"])
        .json()
        .expect("JSON");
    assert_eq!(report["dead"]["causes"][0]["agent"], "test", "{report}");
    assert_eq!(report["freshness"]["changes"], 1, "{report}");
    assert_eq!(report["previous"], Value::Null);

    // The same request again is no other report, and another one is.
    let asked = world.events("report.requested")[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let replayed = world.cli(["events", "replay", &asked]);
    assert_eq!(replayed.code(), 0, "{}", replayed.stderr());
    world.settled();
    assert_eq!(world.events("report.written").len(), 1);
    let again = world.cli([
        "publish",
        "report.requested",
        "--subject",
        "day",
        "--data",
        r#"{"period":"day"}"#,
    ]);
    assert_eq!(again.code(), 0, "{}", again.stderr());
    world.until("another one is written", || {
        world.events("report.written").len() == 2
    });
    let list = world
        .cli(["report", "--list", "--json"])
        .json()
        .expect("a list");
    assert_eq!(list["reports"].as_array().map(Vec::len), Some(2));

    let now: Run = world.cli(["report", "--period", "day"]);
    assert!(
        now.stdout().contains("Compared with week-"),
        "{}",
        now.stdout()
    );
    let wrong = world.cli(["report", "--period", "month"]);
    assert_ne!(wrong.code(), 0);
    assert!(
        wrong.stderr().contains("is not a period"),
        "{}",
        wrong.stderr()
    );
    let missing = world.cli(["report", "--show", "none"]);
    assert!(
        missing.stderr().contains("there is no report"),
        "{}",
        missing.stderr()
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn each_kind_of_rule_is_raised_by_its_cause_and_logged() {
    let world = World::new(QUICK);
    let daemon = world.start();
    world.wait();
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    // A job that is due, and nobody to start it.
    let store = Connection::open(world.data().join("store.db")).expect("the store");
    let due = store.execute("UPDATE job SET next_at = 1 WHERE name = 'verify'", []);
    assert_eq!(due, Ok(1));
    store.close().expect("it is closed");
    let rules = [
        (
            "late-job",
            "when = \"job_missed\"\nabove = \"1min\"\njob = \"verify\"",
        ),
        ("redis", "when = \"redis_away\""),
        (
            "errors",
            "when = \"error_rate\"\nabove = 0.1\nagent = \"test\"",
        ),
        (
            "waiting",
            "when = \"oldest_owed\"\nabove = \"1s\"\nagent = \"test\"",
        ),
        (
            "silence",
            "when = \"silent\"\nabove = \"1s\"\nagent = \"test\"",
        ),
        ("sick", "when = \"issue\"\nseverity = \"error\""),
        ("out", "when = \"parked\"\nagent = \"test\""),
    ];
    let all = rules.map(|(name, keys)| rule(name, keys)).concat();
    let quick = QUICK.replace("[supervisor]", "[supervisor]\nrestarts = 0");
    let redis = "[redis]\nurl = \"redis://127.0.0.1:1\"\n";
    world.configure(&format!(
        "{redis}[agents.scheduler]\nenabled = false\n{quick}{all}"
    ));
    world.mode("auto");
    let daemon = world.start();
    let raised = |name: &str| {
        world.until(&format!("the alert {name} is raised"), || {
            let events = world.events("alert.raised");
            events.iter().any(|event| event["subject"] == name)
        });
    };
    raised("late-job");
    raised("redis");
    for n in 0..3 {
        let subject = format!("errors/{n}");
        world.work(&subject, json!({"end": "transient", "times": 1}));
    }
    raised("errors");
    for _ in 0..2 {
        world.work("slow", json!({"sleep_ms": 60_000, "progress": true}));
    }
    raised("waiting");
    raised("silence");
    let is_raised = |name: &str| {
        let events = world.events("alert.raised");
        events.iter().any(|event| event["subject"] == name)
    };
    assert!(!is_raised("sick") && !is_raised("out"));
    world.work("dead", json!({"end": "permanent"}));
    raised("sick");
    world.work("parks", json!({"end": "duty_fail"}));
    raised("out");
    for (name, _) in rules {
        let line = format!("\"rule\":\"{name}\"");
        let log = world.log();
        let mut lines = log.lines();
        let logged = lines.any(|l| l.contains("alert raised") && l.contains(&line));
        assert!(logged, "{name}: {log}");
    }
    daemon.kill();
}
