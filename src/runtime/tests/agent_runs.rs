//! How a flight ends when its handler is stopped, and a runner when it is replaced or told to drain.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, NEVER, Setup, acknowledged};
use super::carrier::{Scripted, Told};
use crate::bus::Left;
use crate::event::AgentName;
use crate::runtime::Agent;
use crate::runtime::agent_run::{AgentPlan, Around, FOR_RESTART, run_agent};
use crate::runtime::isolation::Isolation;
use crate::runtime::runner::RunnerEnd;
use crate::runtime::shutdown::{Level, stop_pair};
use crate::store::gate::Point;

#[tokio::test]
async fn what_the_writer_has_not_taken_when_its_runner_is_replaced_is_refused_and_handled_again() {
    let mut bench = Bench::new(Setup::default());
    let run = bench.run(1);
    let one = bench.publish("a").await;
    bench.offer(&[(one, "1-0")]).await;
    bench.store.gate().close(Point::Gathered);
    bench.call().await.succeeds();
    bench.until_held().await;
    Bench::end(run).await;
    bench.store.gate().open();
    bench.store.barrier().await.unwrap();
    let counts = bench.store.counts(AgentName::Test);
    assert_eq!((counts.owed, counts.handled), (1, 0));
    let _run = bench.run(2);
    bench.offer(&[(one, "1-0")]).await;
    let call = bench.call().await;
    assert_eq!((call.run, call.attempt), (2, 1));
    call.succeeds();
    bench.until_settled().await;
    assert_eq!(bench.store.test_effects().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test stands in for the supervisor"
)]
async fn a_run_ends_only_when_what_the_writer_has_taken_of_it_is_committed() {
    let setup = Setup::default();
    let mut bench = Bench::new(setup);
    let (switch, stop) = stop_pair();
    let (agent, script) = (bench.agent.clone(), bench.script.clone());
    let plan = Arc::new(AgentPlan {
        name: AgentName::Test,
        agent: Arc::new(move || agent.clone() as Arc<dyn Agent>),
        carrier: Arc::new(move || Box::new(Scripted(script.clone()))),
        options: setup.runner(),
    });
    let around = Around {
        store: bench.store.clone(),
        board: bench.board.clone(),
        stop,
        instance: "lab".to_owned(),
        isolation: Isolation::default(),
        recorder: None,
    };
    let run = tokio::spawn(run_agent(plan, 1, around));
    let one = bench.publish("a").await;
    bench.offer(&[(one, "1-0")]).await;
    bench.store.gate().close(Point::Taken);
    bench.call().await.succeeds();
    bench.until_held().await;
    switch.raise(FOR_RESTART);
    // Its carrier goes with its runner.
    let gone = || Arc::strong_count(&bench.script) == 2;
    bench.until("the runner has ended", gone).await;
    for _ in 0..100 {
        assert!(!run.is_finished(), "its commit is still under way");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bench.store.gate().open();
    run.await.unwrap();
    let counts = bench.store.counts(AgentName::Test);
    assert_eq!((counts.owed, counts.handled), (0, 1));
}

#[tokio::test]
async fn a_handler_that_was_stopped_holds_its_subject_until_its_failure_is_committed() {
    let setup = Setup {
        stall_timeout: Duration::from_millis(50),
        backoff: NEVER,
        ..Setup::default()
    };
    let mut bench = Bench::new(setup);
    let _run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("a").await);
    bench.offer(&[(one, "1-0"), (two, "2-0")]).await;
    bench.store.gate().close(Point::Taken);
    let stopped = bench.call().await;
    assert_eq!(stopped.seq, one);
    bench.until_held().await;
    assert_eq!(bench.table(), (1, 1), "its failure is under way");
    // What it still says is not heard.
    stopped.succeeds();
    bench.store.gate().open();
    let next = bench.call().await;
    assert_eq!(next.seq, two);
    let settled = [Told::Left(one, Left::Settled), acknowledged(&["1-0"])];
    assert_eq!(bench.script.told()[..2], settled);
    let counts = bench.store.counts(AgentName::Test);
    assert!(counts.failed > 0 && counts.handled == 0, "{counts:?}");
}

#[tokio::test]
async fn at_half_time_of_a_drain_what_is_queued_is_given_back_and_stays_owed() {
    let mut bench = Bench::new(Setup::default());
    let run = bench.run(1);
    let (one, two) = (bench.publish("a").await, bench.publish("b").await);
    bench.offer(&[(one, "1-0"), (two, "2-0")]).await;
    let call = bench.call().await;
    run.switch.raise(Level::GiveBack);
    bench.until_told(&[acknowledged(&["2-0"])]).await;
    call.succeeds();
    assert_eq!(run.task.await.unwrap(), RunnerEnd::Stopped(Vec::new()));
    let counts = bench.store.counts(AgentName::Test);
    assert_eq!((counts.handled, counts.owed), (1, 1));
}
