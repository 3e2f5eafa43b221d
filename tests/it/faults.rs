//! Agents that fail, panic, hang, block, or miss what they work with: what becomes of the event, of the agent, of the others.

#![expect(
    clippy::print_stdout,
    reason = "the figures that are measured are printed"
)]

use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::helper::{DEADLINE, World};
use crate::work::{Line, QUICK};

/// The attempts and the runs of an event, in the order in which they began.
fn attempts(world: &World, event: &str) -> Vec<(u32, u64)> {
    let lines = world.lines();
    let of_event = lines
        .iter()
        .filter(|line| line.start && line.event == event);
    of_event.map(|line| (line.attempt, line.run)).collect()
}

/// The texts of an error chain.
fn errors(delivery: &Value) -> Vec<&str> {
    let chain = delivery["errors"].as_array().expect("errors is a list");
    chain
        .iter()
        .map(|e| e["error"].as_str().expect("an error is text"))
        .collect()
}

/// The same file, found after it changed: the other agents are at work.
fn others_go_on(world: &World, word: &str) {
    world.write(
        "other.md",
        format!("# A {word}\n\nThe {word} is described here.\n"),
    );
    world.wait();
    assert_eq!(world.search(word), ["other.md"]);
}

fn dead_letters(world: &World) -> Vec<Value> {
    let list = world
        .cli(["dead", "list", "--json"])
        .json()
        .expect("dead letters");
    list["dead"].as_array().expect("dead is a list").clone()
}

#[test]
fn a_panic_is_a_failed_delivery_then_a_dead_letter() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let id = world.work("work/panic", json!({"end": "panic", "times": 4}));
    let delivery = world.until_work(&id, "dead");
    assert_eq!(attempts(&world, &id), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    assert!(
        errors(&delivery)
            .iter()
            .all(|e| e.contains("panicked: test.work asked for a panic"))
    );

    let dead = dead_letters(&world);
    assert_eq!(dead.len(), 1, "{dead:?}");
    let letter = &dead[0];
    for (key, expected) in [
        ("event", json!(id)),
        ("agent", json!("test")),
        ("type", json!("test.work")),
        ("subject", json!("work/panic")),
        ("attempts", json!(4)),
    ] {
        assert_eq!(letter[key], expected, "{letter}");
    }
    assert_eq!(
        letter["errors"].as_array().map(Vec::len),
        Some(4),
        "{letter}"
    );
    assert!(
        letter["at"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{letter}"
    );
    let status = world.cli(["status", "--json"]);
    assert_eq!(status.code(), 1);
    let status = status.json().expect("a status");
    assert_eq!(
        (&status["state"], &status["bus"]["dead"]),
        (&json!("degraded"), &json!(1))
    );
    assert_eq!(
        world.agent("test")["restarts"],
        0,
        "a panic in a handler is no end of an agent"
    );
    assert_eq!(world.get("/readyz").0, 200);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert_eq!(world.copy().effects()[&id], 0);
}

#[test]
fn a_dead_letter_can_be_replayed_and_dies_again_until_the_cause_is_mended() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let id = world.work("work/transient", json!({"end": "transient", "times": 4}));
    world.until_work(&id, "dead");

    // Replayed with the cause still there: four attempts more, told a second time.
    let replay = world.cli(["dead", "replay", &id, "--json"]);
    assert_eq!(
        replay.json().expect("an answer"),
        json!({"event": id, "replayed": 1})
    );
    world.until("it is dead again", || {
        world.starts(&id) == 8 && !dead_letters(&world).is_empty()
    });
    world.settled();
    let told = world.audited("event.dead_lettered");
    let deaths: Vec<_> = told
        .iter()
        .map(|r| (&r["data"]["event"], &r["data"]["deaths"]))
        .collect();
    assert_eq!(deaths, [(&json!(id), &json!(1)), (&json!(id), &json!(2))]);
    assert_eq!(world.audited("operator.acted").len(), 1);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    // Replayed with the cause mended: one attempt more is allowed, and that one succeeds.
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(
        world.config(),
        format!("{config}\n[redis]\nmax_retries = 4\n"),
    )
    .unwrap();
    let daemon = world.start();
    assert_eq!(
        dead_letters(&world).len(),
        1,
        "a dead letter stays over a restart"
    );
    assert_eq!(world.cli(["dead", "replay", &id]).code(), 0);
    world.until_work(&id, "done");
    assert_eq!(dead_letters(&world), Vec::<Value>::new());
    assert_eq!(
        world.cli(["dead", "replay", &id]).code(),
        65,
        "nothing is dead any more"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert_eq!(world.copy().effects()[&id], 1);
}

#[test]
fn a_transient_failure_is_tried_again_and_a_permanent_one_dies_at_once() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let transient = world.work("work/a", json!({"end": "transient", "times": 2}));
    let permanent = world.work("work/b", json!({"end": "permanent"}));
    let delivery = world.until_work(&transient, "done");
    assert_eq!(attempts(&world, &transient), [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(delivery["attempts"], 2, "failed ones: {delivery}");
    assert_eq!(
        errors(&delivery),
        ["test.work asked for a transient failure"; 2]
    );
    let delivery = world.until_work(&permanent, "dead");
    assert_eq!(attempts(&world, &permanent), [(1, 1)]);
    assert_eq!(
        errors(&delivery),
        ["test.work asked for a permanent failure"]
    );
    world.settled();
    let told = world.audited("event.dead_lettered");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["subject"], "work/b");
    assert_eq!(told[0]["causation"], json!(permanent));
    let data = &told[0]["data"];
    assert_eq!(
        (&data["event"], &data["agent"], &data["deaths"]),
        (&json!(permanent), &json!("test"), &json!(1))
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let effects = world.copy().effects();
    assert_eq!((effects[&transient], effects[&permanent]), (1, 0));
}

#[test]
fn what_is_unavailable_is_no_attempt_and_holds_up_nobody_else() {
    let world = World::new(
        "[delivery]\nunavailable_min = \"500ms\"\nunavailable_max = \"3s\"\n[health]\nprobe = \"1s\"\n",
    );
    world.top("shutdown_timeout = \"4s\"");
    let daemon = world.start();
    let away = world.work("work/away", json!({"end": "unavailable"}));
    // After pauses of 0.5, 1 and 2 seconds the next one is long enough to publish something in it.
    world.until("it is asked for the fourth time", || {
        world.starts(&away) == 4
    });
    let there = world.work("work/there", json!({}));
    let unavailable = world.agent("test")["unavailable"].clone();
    assert_eq!(unavailable["why"], "test.work asked to be unavailable");
    others_go_on(&world, "lighthouse");
    let issue = "agent_unavailable";
    world.until("the issue is open", || {
        world.cli(["health"]).stdout().contains(issue)
    });
    let delivery = world.until_work(&there, "done");
    assert_eq!(delivery["attempts"], 0);
    let delivery = world.delivery(&away, "test");
    assert_eq!(
        (&delivery["state"], &delivery["attempts"]),
        (&json!("owed"), &json!(0)),
        "{delivery}"
    );
    assert!(
        attempts(&world, &away)
            .iter()
            .all(|attempt| *attempt == (1, 1))
    );
    not_within_a_pause(&world.lines(), &away, &there);
    let log = world.log();
    let said = log
        .matches("something that the agent needs is not available")
        .count();
    assert_eq!(said, 1, "{log}");
    let health = world.cli(["health", "--json"]).json().expect("issues");
    let issues = health["issues"].as_array().expect("issues is a list");
    assert_eq!(
        issues.iter().filter(|i| i["detector"] == issue).count(),
        1,
        "{health}"
    );
    // What waits is given back when half of the time to stop is over.
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

/// `there` was published in a pause; it began only when `away` was asked for again.
fn not_within_a_pause(lines: &[Line], away: &str, there: &str) {
    let began = lines
        .iter()
        .position(|line| line.event == there)
        .expect("it was handled");
    let asked = lines[..began]
        .iter()
        .filter(|line| line.start && line.event == away);
    let asked: Vec<_> = asked.collect();
    assert!(asked.len() > 4, "it began in the pause");
    let pause_over = asked[asked.len() - 1].nanos;
    let after =
        Duration::from_nanos(u64::try_from(lines[began].nanos - pause_over).expect("in order"));
    assert!(
        after < Duration::from_secs(2),
        "it began {after:?} after the pause, in the next one"
    );
}

#[test]
fn a_handler_that_hangs_is_stopped_and_its_event_tried_again() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let told = Instant::now();
    let hangs = world.work("work/hangs", json!({"end": "hang", "times": 1}));
    let slow = world.work("work/slow", json!({"sleep_ms": 4000, "progress": true}));
    let delivery = world.until_work(&hangs, "done");
    println!(
        "a hang was stopped and handled again after {:?} (stall_timeout 2 s)",
        told.elapsed()
    );
    assert_eq!(attempts(&world, &hangs), [(1, 1), (2, 1)]);
    assert_eq!(
        errors(&delivery),
        ["the handler made no progress for 2s and was stopped"]
    );
    let delivery = world.until_work(&slow, "done");
    assert_eq!(
        delivery["attempts"], 0,
        "it is slow and gets on: {delivery}"
    );
    assert_eq!(world.agent("test")["restarts"], 0);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_blocked_thread_replaces_the_agent_and_a_second_one_ends_the_process() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let one = world.work("work/one", json!({"end": "block", "times": 1}));
    world.until("it blocks", || world.starts(&one) == 1);
    others_go_on(&world, "windmill");
    let delivery = world.until_work(&one, "done");
    assert_eq!(attempts(&world, &one), [(1, 1), (2, 2)]);
    assert_eq!(
        errors(&delivery),
        ["the handler blocks its thread and cannot be stopped"]
    );
    let agent = world.agent("test");
    assert_eq!(
        (&agent["state"], &agent["restarts"]),
        (&json!("running"), &json!(1)),
        "{agent}"
    );
    assert!(
        agent["reason"]
            .as_str()
            .is_some_and(|r| r.starts_with("blocked: ")),
        "{agent}"
    );
    let restarted = world.until_audited("agent.restarted", 1);
    assert_eq!(restarted[0]["data"]["reason"], agent["reason"]);

    let two = world.work("work/two", json!({"end": "block", "times": 1}));
    assert_eq!(daemon.ended(), Some(70), "{}", world.log());
    let log = world.log();
    assert!(log.contains("giving up: 2 threads are lost"), "{log}");
    assert!(!log.contains("panicked"), "{log}");

    let daemon = world.start();
    let delivery = world.until_work(&two, "done");
    assert_eq!(delivery["attempts"], 1, "{delivery}");
    others_go_on(&world, "watermill");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let effects = world.copy().effects();
    assert_eq!((effects[&one], effects[&two]), (1, 1));
}

#[test]
fn a_duty_that_panics_fails_or_hangs_restarts_its_agent() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let cases = [
        (
            "duty_panic",
            "panicked: test.work asked the duty for a panic",
        ),
        (
            "duty_fail",
            "failed: the duty faults failed: test.work asked the duty to fail",
        ),
        ("duty_hang", "stalled: faults made no progress"),
    ];
    for (n, (end, reason)) in cases.iter().enumerate() {
        let restarts = n as u64 + 1;
        let told = Instant::now();
        let id = world.work("work/duty", json!({"end": end}));
        others_go_on(&world, end);
        world.until("the agent is restarted", || {
            let agent = world.agent("test");
            agent["restarts"] == restarts && agent["state"] == "running"
        });
        println!("{end}: at work again after {:?}", told.elapsed());
        let agent = world.agent("test");
        let why = agent["reason"].as_str().unwrap_or_default();
        assert!(why.starts_with(reason), "{agent}");
        let restarted = world.until_audited("agent.restarted", n + 1);
        assert_eq!(restarted[n]["data"]["reason"], why);
        assert!(
            restarted[n]["subject"]
                .as_str()
                .is_some_and(|s| s.starts_with("agent/test@"))
        );
        assert_eq!(world.status()["agents"]["test"]["restarts"], restarts);
        // What the handler had finished stays done; its new run works.
        assert_eq!(world.until_work(&id, "done")["attempts"], 0);
        let next = world.work("work/duty", json!({}));
        world.until_work(&next, "done");
        assert_eq!(attempts(&world, &next), [(1, restarts + 1)]);
    }
    let log = world.log();
    assert!(
        !log.contains("a thread is lost"),
        "a duty that waits loses no thread: {log}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn an_agent_that_keeps_failing_is_parked_and_said_to_be() {
    let world = World::new(&QUICK.replace("[supervisor]", "[supervisor]\nrestarts = 2"));
    let daemon = world.start();
    world.wait();
    assert_eq!(world.cli(["status"]).code(), 0, "{}", world.status());
    for n in 1..=3 {
        world.work(&format!("work/{n}"), json!({"end": "duty_fail"}));
        world.until("the agent has ended once more", || {
            let agent = world.agent("test");
            agent["state"] == "parked" || (agent["restarts"] == n && agent["state"] == "running")
        });
    }
    let agent = world.agent("test");
    assert_eq!(
        (&agent["state"], &agent["restarts"]),
        (&json!("parked"), &json!(2)),
        "{agent}"
    );
    let (status, text) = world.get("/readyz");
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("the agent test is parked"), "{text}");
    assert_eq!(world.get("/livez").0, 200);
    let status = world.cli(["status"]);
    assert_eq!(status.code(), 1);
    assert!(
        status.stdout().contains("the agent test is parked"),
        "{}",
        status.stdout()
    );
    assert_eq!(world.status()["state"], "degraded");
    world.until("the issue is open", || {
        let health = world.cli(["health"]).stdout();
        health.contains("agent/test@") && health.contains("agent_parked")
    });
    world.until_audited("agent.restarted", 2);
    let parked = world.until_audited("agent.parked", 1);
    assert_eq!(parked[0]["data"]["restarts"], 2, "{parked:?}");
    let told = || {
        let issues = world.audited("health.issue");
        issues
            .iter()
            .filter(|r| r["data"]["detector"] == "agent_parked")
            .count()
    };
    world.until("the issue is told", || told() == 1);
    // The others go on, and what the parked one owes waits for it.
    others_go_on(&world, "weathervane");
    let waits = world.work("work/waits", json!({}));
    assert_eq!(world.delivery(&waits, "test")["state"], "owed");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    let daemon = world.start();
    world.until_work(&waits, "done");
    world.wait();
    assert_eq!(world.get("/readyz").0, 200);
    assert_eq!(world.cli(["status"]).code(), 0, "{}", world.status());
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_subjects_events_are_handled_one_at_a_time_in_order_and_permits_hold() {
    const PERMITS: usize = 3;
    const SUBJECTS: usize = 7;
    let world = World::new(&format!("{QUICK}\n[agents.test]\nconcurrency = {PERMITS}"));
    let daemon = world.start();
    let events: Vec<(String, Value)> = (0..105)
        .map(|n| {
            let data = match n % 10 {
                3 => json!({"sleep_ms": 20, "end": "transient", "times": 1}),
                _ => json!({"sleep_ms": 20}),
            };
            (format!("work/{}", n % SUBJECTS), data)
        })
        .collect();
    let ids = world.works(&events);
    world.until("all is handled", || {
        let status = world.status();
        status["bus"]["owed"] == 0 && world.agent("test")["handled"] == ids.len()
    });
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    assert!(world.copy().effects().values().all(|count| *count == 1));

    let mut first: HashMap<String, Vec<String>> = HashMap::new();
    let mut running: HashMap<String, String> = HashMap::new();
    let mut most = 0;
    for line in world.lines() {
        if line.start {
            let other = running.insert(line.subject.clone(), line.event.clone());
            assert_eq!(other, None, "at once with {line:?}");
            most = most.max(running.len());
            if line.attempt == 1 {
                first.entry(line.subject).or_default().push(line.event);
            }
        } else {
            assert_eq!(running.remove(&line.subject), Some(line.event));
        }
    }
    assert_eq!(most, PERMITS, "permits in use");
    for subject in 0..SUBJECTS {
        let published: Vec<String> = ids
            .iter()
            .skip(subject)
            .step_by(SUBJECTS)
            .cloned()
            .collect();
        assert_eq!(first[&format!("work/{subject}")], published);
    }
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused_with_one_message() {
    let world = World::new("");
    world.write("a.md", "# Ferries\n\nThe ferry leaves at noon.\n");
    let daemon = world.start();
    world.wait();
    let mut second = world
        .command(["run"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + DEADLINE;
    while second.try_wait().unwrap().is_none() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // Does nothing to one that has ended.
    second.kill().unwrap();
    let ended = second.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(75));
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "");
    let message = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("another docent already runs on"),
        "{message}"
    );
    assert!(
        message.contains(&*world.data().to_string_lossy()),
        "{message}"
    );
    // The first one did not notice.
    assert_eq!(world.search("ferry"), ["a.md"]);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
