//! What an operator does: replay, drop, restart. Each act is in the audit log with who did it.

use serde_json::{Value, json};

use crate::helper::World;

const QUICK: &str = "[delivery]\nbackoff_min = \"1ms\"\nbackoff_max = \"5ms\"";

impl World {
    /// The deliveries of an event's agent.
    fn delivery_of(&self, event: &str, agent: &str) -> Value {
        let run = self.cli(["events", "show", event, "--json"]);
        let shown = run.json().unwrap_or_else(|| panic!("{}", run.stderr()));
        let deliveries = shown["deliveries"].as_array().expect("a list").iter();
        let mut of = deliveries.filter(|d| d["agent"] == agent);
        of.next().cloned().unwrap_or_else(|| panic!("{shown}"))
    }

    fn published(&self, kind: &str, subject: &str, data: &Value) -> String {
        let data = data.to_string();
        let run = self.cli(["publish", kind, "--subject", subject, "--data", &data]);
        assert_eq!(run.code(), 0, "{}", run.stderr());
        run.stdout().trim().to_owned()
    }

    /// Waits until nobody but this agent owes anything.
    fn settled_but(&self, off: &str) {
        self.until("nothing is owed", || {
            let status = self.status();
            let agents = status["agents"].as_object().expect("agents");
            agents
                .iter()
                .all(|(name, agent)| name == off || agent["owed"] == 0)
        });
    }

    fn acts(&self, verb: &str) -> Vec<Value> {
        self.settled();
        let mut records = self.audit();
        records.retain(|r| r["type"] == "operator.acted" && r["data"]["verb"] == verb);
        records
    }

    fn until_state(&self, event: &str, agent: &str, state: &str) {
        self.until(&format!("{event} is {state}"), || {
            self.delivery_of(event, agent)["state"] == state
        });
    }
}

#[test]
fn an_event_that_is_done_is_handled_again_when_it_is_replayed() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let id = world.published("test.work", "work/a", &json!({}));
    world.until_state(&id, "test", "done");
    world.settled();
    let replay = world.cli(["events", "replay", &id, "--agent", "test", "--json"]);
    assert_eq!(
        replay.json(),
        Some(json!({"event": id, "replayed": 1})),
        "{}",
        replay.stderr()
    );
    let starts = || {
        let log = std::fs::read_to_string(world.test_log()).unwrap_or_default();
        let begins = format!("start {id} ");
        log.lines().filter(|l| l.starts_with(&begins)).count()
    };
    world.until("it was handled twice", || starts() == 2);
    world.until_state(&id, "test", "done");
    // All who took it: the audit log still has it once.
    assert_eq!(world.cli(["events", "replay", &id]).code(), 0);
    world.until("it was handled three times", || starts() == 3);
    world.settled();
    let records = world.audit();
    let of = records.iter().filter(|r| r["event"] == id.as_str()).count();
    assert_eq!(of, 1);
    assert_eq!(world.status()["bus"]["dead"], 0);

    // A job that is replayed runs again.
    let job = world.published("job.requested", "job/verify", &json!({}));
    let runs = || world.events("index.verify_requested").len();
    world.until("the job has run", || runs() == 1);
    world.settled();
    let replay = world.cli(["events", "replay", &job, "--agent", "scheduler"]);
    assert_eq!(replay.code(), 0, "{}", replay.stderr());
    world.until("the job has run again", || runs() == 2);

    let acts = world.acts("events replay");
    assert_eq!(acts.len(), 3);
    assert_eq!(
        acts[0]["data"]["arguments"],
        json!({"event": id, "agent": "test"})
    );
    assert_eq!(acts[0]["data"]["uid"], rustix::process::getuid().as_raw());

    // What is not there is told, with what can be done.
    let unknown = "6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55";
    let run = world.cli(["events", "replay", unknown]);
    assert_eq!(run.code(), 65);
    for part in ["no event", "ledger_keep", "docent scan"] {
        assert!(run.stderr().contains(part), "{}", run.stderr());
    }
    let run = world.cli(["events", "replay", &id, "--agent", "rag"]);
    assert_eq!(run.code(), 65);
    assert!(
        run.stderr()
            .contains("rag does not take events of its type"),
        "{}",
        run.stderr()
    );
    assert_eq!(world.acts("events replay").len(), 3);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_dead_letter_is_shown_and_dropped_and_a_drop_is_in_the_audit_log() {
    let world = World::new(QUICK);
    let daemon = world.start();
    let id = world.published("test.work", "work/a", &json!({"end": "transient"}));
    world.until_state(&id, "test", "dead");
    let show = world
        .cli(["dead", "show", &id, "--json"])
        .json()
        .expect("JSON");
    assert_eq!(show["event"]["id"], id.as_str());
    assert_eq!(show["dead"][0]["agent"], "test");
    assert_eq!(show["dead"][0]["errors"].as_array().map(Vec::len), Some(4));
    let text = world.cli(["dead", "show", &id, "--agent", "test"]).stdout();
    assert_eq!(
        text.matches("asked for a transient failure").count(),
        4,
        "{text}"
    );
    assert_eq!(
        world.cli(["dead", "show", &id, "--agent", "rag"]).code(),
        65
    );
    assert_eq!(world.cli(["status"]).code(), 1);

    let drop = world.cli(["dead", "drop", &id, "--json"]);
    assert_eq!(
        drop.json(),
        Some(json!({"event": id, "dropped": 1})),
        "{}",
        drop.stderr()
    );
    let delivery = world.delivery_of(&id, "test");
    assert_eq!(delivery["state"], "done");
    assert_eq!(delivery["errors"][4]["error"], "dropped");
    assert_eq!(world.status()["bus"]["dead"], 0);
    world.until("nothing is wrong any more", || {
        world.cli(["status"]).code() == 0
    });
    let again = world.cli(["dead", "drop", &id]);
    assert_eq!(again.code(), 65, "{}", again.stderr());
    let acts = world.acts("dead drop");
    assert_eq!(acts.len(), 1);
    assert_eq!(acts[0]["subject"], "work/a");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn an_operator_restarts_an_agent_and_brings_a_parked_one_back() {
    let world = World::new("[supervisor]\nrestarts = 0");
    let daemon = world.start();
    world.wait();
    let run = world.cli(["agent", "restart", "rag", "--json"]);
    let answer = json!({"agent": "rag", "state": "running", "restarts": 1});
    assert_eq!(run.json(), Some(answer), "{}", run.stderr());
    assert_eq!(run.code(), 0);
    world.write("a.md", "# After\n\nA weathercock.\n");
    world.wait();
    assert_eq!(world.search("weathercock")[0], "a.md");

    world.published("test.work", "work/a", &json!({"end": "duty_fail"}));
    let state = || world.status()["agents"]["test"]["state"].clone();
    world.until("the agent is parked", || state() == "parked");
    let waits = world.published("test.work", "work/b", &json!({}));
    let status = world.cli(["status"]);
    assert_eq!(status.code(), 1);
    assert!(
        status.stdout().contains("docent agent restart test"),
        "{}",
        status.stdout()
    );
    let run = world.cli(["agent", "restart", "test"]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    assert_eq!(state(), "running");
    world.until_state(&waits, "test", "done");

    let acts = world.acts("agent restart");
    let on: Vec<&str> = acts
        .iter()
        .filter_map(|r| r["data"]["arguments"]["agent"].as_str())
        .collect();
    assert_eq!(on, ["rag", "test"]);
    assert!(
        acts[1]["subject"]
            .as_str()
            .is_some_and(|s| s.starts_with("agent/test@"))
    );
    assert_eq!(world.cli(["agent", "restart", "nobody"]).code(), 2);
    // The store is a file: this host is the only one.
    let this = world.status()["instance"].clone();
    let this = this.as_str().expect("a name");
    let run = world.cli(["agent", "restart", &format!("rag@{this}"), "--json"]);
    let answer = json!({"agent": "rag", "instance": this, "state": "running", "restarts": 2});
    assert_eq!(run.json(), Some(answer), "{}", run.stderr());
    let run = world.cli(["agent", "restart", "rag@another"]);
    let said = format!("no host `another` works on the store; there are: {this}");
    assert!(
        run.code() == 65 && run.stderr().contains(&said),
        "{}",
        run.stderr()
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

/// Queries whose answers show whether the index is the one of a clean build.
const QUERIES: &[&str] = &[
    "sextant",
    "astrolabe",
    "theodolite",
    "quadrant",
    "circumferentor",
];

/// Turns an agent on or off in the config.
fn switch(world: &World, agent: &str, on: bool) {
    world.configure(&format!("[agents.{agent}]\nenabled = {on}"));
}

/// A tree that changes in every way while an agent is off; afterwards what is known is what a new daemon would know.
fn catches_up(agent: &str) {
    let world = World::new("");
    world.write("a.md", "# One\n\nA sextant.\n");
    world.write("b.md", "# Two\n\nAn astrolabe.\n");
    world.write("c.md", "# Three\n\nA quadrant.\n");
    let daemon = world.start();
    world.wait();
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    switch(&world, agent, false);
    let daemon = world.start();
    assert_eq!(world.status()["agents"][agent]["state"], "off");
    world.write("a.md", "# One\n\nA theodolite.\n");
    std::fs::remove_file(world.docs().join("b.md")).expect("removed");
    for n in 0..20 {
        world.write(
            &format!("new/{n}.md"),
            format!("# New {n}\n\nA circumferentor, number {n}.\n"),
        );
    }
    let wait = world.cli(["wait"]);
    assert_eq!(wait.code(), 75, "{agent} is off: {}", wait.stderr());
    let scan = world.cli(["scan"]).code();
    assert_eq!(scan, if agent == "change_detection" { 75 } else { 0 });
    world.settled_but(agent);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    switch(&world, agent, true);
    let daemon = world.start();
    world.wait();
    let knowledge = world.knowledge(QUERIES);
    assert_eq!(knowledge, world.clean_build(QUERIES), "{}", world.log());
    world.settled();
    // The log has the gap, from its beginning to its end.
    let records = world.audit();
    let told: Vec<&Value> = records
        .iter()
        .filter(|r| r["type"] == "agent.switched")
        .collect();
    let on: Vec<&Value> = told.iter().map(|r| &r["data"]["on"]).collect();
    assert_eq!(on, [&json!(false), &json!(true)], "{told:?}");
    assert!(told[1]["data"]["off_since"].is_string(), "{told:?}");
    let subject = told[1]["subject"].as_str().expect("a subject");
    assert!(subject.starts_with(&format!("agent/{agent}@")), "{subject}");
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());

    // Nothing is told twice.
    let daemon = world.start();
    world.wait();
    world.settled();
    let again = world.audit();
    assert_eq!(
        again
            .iter()
            .filter(|r| r["type"] == "agent.switched")
            .count(),
        2
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn rag_catches_up_with_what_it_missed_while_it_was_off() {
    catches_up("rag");
}

#[test]
fn document_management_catches_up_with_what_it_missed_while_it_was_off() {
    catches_up("document_management");
}

#[test]
fn change_detection_catches_up_with_what_it_missed_while_it_was_off() {
    catches_up("change_detection");
}
