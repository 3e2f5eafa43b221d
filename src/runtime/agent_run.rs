//! One run of an agent: its runner and its duties, started together, watched, and ended together.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::agent::{Agent, Duty, DutyContext, Factory};
use super::isolation::Isolation;
use super::runner::{Runner, RunnerEnd, RunnerOptions, RunnerParts, panic_text};
use super::shutdown::{Level, Stop, StopSwitch, stop_pair};
use super::status::Board;
use super::watched::Watched;
use crate::bus::Carrier;
use crate::event::{AgentName, Heartbeat, awake};
use crate::store::{FlightRecorder, Incarnation, Store};

/// How long a thread that may block stays without work: each holds memory.
const IDLE_THREAD: Duration = Duration::from_secs(2);

/// How often a run's progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How much longer than a handler a duty may stand still: the runner is to see first that a handler blocks the thread they share.
const DUTY_MARGIN: Duration = Duration::from_secs(5);

/// How long duties may take to return when they are told to stop, and a runner to finish what is in flight.
const DUTY_GRACE: Duration = Duration::from_secs(3);

/// How long a task that was cut off may take to end; what has not ended then blocks its thread.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Makes a carrier for a new run.
pub type CarrierFactory = Arc<dyn Fn() -> Box<dyn Carrier> + Send + Sync>;

/// What a run is made of.
pub struct AgentPlan {
    pub name: AgentName,
    pub agent: Factory,
    pub carrier: CarrierFactory,
    /// How its runner works.
    pub options: RunnerOptions,
}

/// What every run works with.
pub(super) struct Around {
    pub(super) store: Store,
    pub(super) board: Board,
    pub(super) stop: Stop,
    pub(super) instance: String,
    pub(super) isolation: Isolation,
    pub(super) recorder: Option<FlightRecorder>,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// It was told to; these deliveries and duties were not finished when the time was over.
    Stopped(Vec<String>),
    /// A duty returned, or an error ended it.
    Failed(String),
    /// The runner or a duty panicked.
    Panicked(String),
    /// The runner or a duty made no progress.
    Stalled(String),
    /// A handler blocks its thread: the thread is lost.
    Blocked(String),
}

/// The end of one of the tasks of a run.
enum TaskEnd {
    Runner(RunnerEnd),
    Duty(&'static str, Result<(), String>),
}

/// The tasks of a run.
struct Tasks {
    set: JoinSet<TaskEnd>,
    watched: Vec<Watched>,
    duties_stop: CancellationToken,
    runner_stop: StopSwitch,
    threads: Threads,
}

/// The threads of a run. Dropped with it wherever that is: nothing waits for what cannot be stopped.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What did not end by itself when its run was wound up.
struct WoundUp {
    /// Tasks that were cut off.
    cut: usize,
    /// One of them blocks its thread.
    blocked: bool,
}

/// Runs an agent until it ends, for whatever reason. When this returns, everything that the run handed to the
/// writer and the writer had taken is committed, and the rest will be refused.
pub(super) async fn run_agent(plan: Arc<AgentPlan>, run: u64, around: Around) -> RunEnd {
    let incarnation = Incarnation::begin();
    let mut tasks = match start(&plan, run, &around, &incarnation) {
        Ok(tasks) => tasks,
        Err(error) => return RunEnd::Failed(format!("cannot start its threads: {error}")),
    };
    let board = &around.board;
    board.watch(plan.name.as_str(), tasks.watched.clone());
    let end = watch(&mut tasks, &around.stop).await;
    // It ends, by its own deadlines: nothing of it must make progress any more.
    board.watch(plan.name.as_str(), Vec::new());
    let wound_up = wind_up(&mut tasks).await;
    incarnation.end();
    if around.store.barrier().await.is_err() {
        tracing::debug!(agent = %plan.name, "the store closed before the agent's last commits were reported");
    }
    drop(tasks.threads);
    match end {
        RunEnd::Stopped(mut unfinished) => {
            if wound_up.cut > 0 {
                unfinished.push(format!("{} duties", wound_up.cut));
            }
            RunEnd::Stopped(unfinished)
        }
        // What could not be cut off blocks a thread: it is left behind and counted by the supervisor.
        RunEnd::Failed(why) | RunEnd::Panicked(why) | RunEnd::Stalled(why) if wound_up.blocked => {
            RunEnd::Blocked(why)
        }
        other => other,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "started here, joined by watch and wind_up"
)]
fn start(
    plan: &AgentPlan,
    run: u64,
    around: &Around,
    incarnation: &Incarnation,
) -> std::io::Result<Tasks> {
    // Threads of this run alone: a handler that blocks harms no other agent, and is left behind with them.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(8)
        .thread_keep_alive(IDLE_THREAD)
        .thread_name(plan.name.as_str())
        .enable_all()
        .build()?;
    let threads = runtime.handle().clone();
    let agent: Arc<dyn Agent> = (plan.agent)();
    let (runner_stop, runner_stopped) = stop_pair();
    runner_stop.raise(around.stop.level());
    let mut tasks = Tasks {
        set: JoinSet::new(),
        watched: Vec::new(),
        duties_stop: CancellationToken::new(),
        runner_stop,
        threads: Threads(Some(runtime)),
    };
    let limit = stall_limit(plan);
    for duty in agent.clone().duties() {
        tasks.begin(duty, limit, &threads);
    }
    let heartbeat = Heartbeat::default();
    let beaten = heartbeat.clone();
    let runner = Watched::new("runner", limit, move || beaten.idle());
    let carrier = (plan.carrier)();
    let reader = carrier.poll_watch();
    let reader =
        reader.map(|polls| Watched::reader(polls, limit, DUTY_MARGIN, around.stop.clone()));
    tasks
        .watched
        .extend([Some(runner), reader].into_iter().flatten());
    let runner = Runner::new(RunnerParts {
        agent,
        store: around.store.clone(),
        carrier,
        options: plan.options,
        board: around.board.clone(),
        stop: runner_stopped,
        heartbeat,
        incarnation: incarnation.clone(),
        isolation: around.isolation.clone(),
        recorder: around.recorder.clone(),
        run,
        handlers: threads,
        source: format!("agent/{}@{}", plan.name, around.instance),
    });
    tasks
        .set
        .spawn(async move { TaskEnd::Runner(runner.run().await) });
    Ok(tasks)
}

impl Tasks {
    /// Begins a duty that may stand still for less than `limit`.
    #[expect(clippy::disallowed_methods, reason = "joined by watch and wind_up")]
    fn begin(&mut self, duty: Duty, limit: Duration, threads: &Handle) {
        let heartbeat = Heartbeat::default();
        let context = DutyContext {
            stop: self.duties_stop.clone(),
            heartbeat: heartbeat.clone(),
        };
        let (name, stop) = (duty.name, self.duties_stop.clone());
        // One that was told to stop is waited for by wind_up.
        self.watched.push(Watched::new(name, limit, move || {
            if stop.is_cancelled() {
                Duration::ZERO
            } else {
                heartbeat.idle()
            }
        }));
        let work = (duty.run)(context);
        let task = async move { TaskEnd::Duty(name, work.await.map_err(|e| e.to_string())) };
        self.set.spawn_on(task, threads);
    }
}

/// Watches until the first task ends that was not told to, or, told to stop, the runner has drained.
async fn watch(tasks: &mut Tasks, stop: &Stop) -> RunEnd {
    loop {
        tasks.runner_stop.raise(stop.level());
        if stop.draining() {
            tasks.duties_stop.cancel();
        }
        tokio::select! {
            joined = tasks.set.join_next() => match joined {
                None => return RunEnd::Stopped(Vec::new()),
                Some(Err(error)) => return RunEnd::Panicked(panic_text(error)),
                Some(Ok(TaskEnd::Runner(RunnerEnd::Stopped(unfinished)))) => return RunEnd::Stopped(unfinished),
                Some(Ok(TaskEnd::Runner(RunnerEnd::Blocked(why)))) => return RunEnd::Blocked(why),
                Some(Ok(TaskEnd::Runner(RunnerEnd::Closed))) => return RunEnd::Failed("the store is closed".to_owned()),
                Some(Ok(TaskEnd::Duty(..))) if stop.draining() => {}
                Some(Ok(TaskEnd::Duty(name, Ok(())))) => {
                    return RunEnd::Failed(format!("the duty {name} ended without being told to"));
                }
                Some(Ok(TaskEnd::Duty(name, Err(error)))) => {
                    return RunEnd::Failed(format!("the duty {name} failed: {error}"));
                }
            },
            () = stop.changed() => {}
            () = tokio::time::sleep(LOOK) => {
                if let Some(still) = tasks.watched.iter().find(|task| task.late().is_some()) {
                    return RunEnd::Stalled(format!("{} made no progress for {:?}", still.task(), still.limit()));
                }
            }
        }
    }
}

/// How long a task may make no progress.
fn stall_limit(plan: &AgentPlan) -> Duration {
    plan.options.stall_timeout + DUTY_MARGIN
}

/// Tells the remaining tasks to end and joins them: duties return, the runner finishes what is in flight and starts nothing
/// more. What takes too long is cut off.
async fn wind_up(tasks: &mut Tasks) -> WoundUp {
    tasks.duties_stop.cancel();
    tasks.runner_stop.raise(Level::GiveBack);
    join_within(&mut tasks.set, DUTY_GRACE).await;
    let cut = tasks.set.len();
    // A task that waits for something ends now; one that does not blocks its thread.
    tasks.set.abort_all();
    join_within(&mut tasks.set, CUT_GRACE).await;
    WoundUp {
        cut,
        blocked: !tasks.set.is_empty(),
    }
}

/// Joins what ends within `time`.
async fn join_within(set: &mut JoinSet<TaskEnd>, time: Duration) {
    let deadline = awake::now() + time;
    while let Ok(Some(joined)) =
        awake::timeout(deadline.duration_since(awake::now()), set.join_next()).await
    {
        if let Err(error) = joined {
            tracing::debug!(
                error = panic_text(error),
                "a task failed while its agent was being stopped"
            );
        }
    }
}

/// The level that ends a run for a restart: at once, what is in flight is refused and stays owed.
pub(super) const FOR_RESTART: Level = Level::Abandon;
