//! Runs the command of an alert: no shell, an environment of its own, a limit of time, and only the beginning of what it prints.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long what it printed is waited for when it has ended: what it started may keep it open.
const REST: Duration = Duration::from_secs(1);

/// Bytes that are kept of what it prints.
const KEPT: usize = 4096;

/// Characters of it that are told.
const TOLD_MAX: usize = 200;

/// A command that runs; one that is dropped is killed with all that it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that was waited for has no id any more, and then the number may be another's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw)
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "the command of an alert could not be killed");
        }
    }
}

/// Runs `command` with these variables and `PATH` to its end.
///
/// # Errors
/// Why it did not succeed, with what it printed.
pub(super) async fn run(
    command: &[String],
    variables: Vec<(String, String)>,
) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("there is no command")?;
    let mut running = Command::new(program);
    running
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(variables)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = running.spawn();
    let mut child = Running(child.map_err(|error| format!("cannot run {program}: {error}"))?);
    let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
    let (mut printed, mut complained) = (Vec::new(), Vec::new());
    let ended = {
        let reading = async {
            tokio::join!(keep(stdout, &mut printed), keep(stderr, &mut complained));
        };
        let mut reading = std::pin::pin!(reading);
        let ending = async {
            tokio::select! {
                status = child.0.wait() => (status, false),
                () = &mut reading => (child.0.wait().await, true),
            }
        };
        let ended = timeout(LIMIT, ending).await;
        if matches!(ended, Ok((_, false))) {
            // What comes later is not told.
            timeout(REST, reading).await.ok();
        }
        ended.map(|(status, _)| status)
    };
    let told = [complained, printed]
        .into_iter()
        .find(|text| !text.is_empty());
    let told = told.map_or_else(String::new, |text| told_of(&text));
    match ended {
        Err(_) => Err(format!(
            "{program} did not end within {LIMIT:?} and was killed{told}"
        )),
        Ok(Err(error)) => Err(format!("cannot wait for {program}: {error}")),
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {}{told}", shown(status))),
    }
}

/// Reads all of `from`, and keeps the beginning.
async fn keep(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 1024];
    // What cannot be read is not told; how the command ended is.
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

fn told_of(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let told: String = text.trim().chars().take(TOLD_MAX).collect();
    format!(
        ": {}",
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    )
}

fn shown(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn a_command_gets_its_variables_and_path_and_nothing_else() {
        let script = r#"[ "$A" = "x y" ] && [ -n "$PATH" ] && [ -z "$HOME$USER$CARGO" ]"#;
        let variables = vec![("A".to_owned(), "x y".to_owned())];
        assert_eq!(run(&shell(script), variables).await, Ok(()));
    }

    #[tokio::test]
    async fn how_a_command_ended_is_told_with_the_beginning_of_what_it_printed() {
        let told = |script: &'static str| async move { run(&shell(script), Vec::new()).await };
        let script = "yes | head -c 100000; echo no such host >&2; exit 3";
        assert_eq!(
            told(script).await,
            Err("/bin/sh ended with exit code 3: no such host".to_owned())
        );
        let killed = told("kill -9 $$").await;
        assert_eq!(killed, Err("/bin/sh ended with signal 9".to_owned()));
        let missing = run(&["/no/such".to_owned()], Vec::new()).await.unwrap_err();
        assert!(missing.starts_with("cannot run /no/such: "), "{missing}");
    }

    #[tokio::test]
    async fn one_that_leaves_something_running_is_not_waited_for() {
        let began = tokio::time::Instant::now();
        assert_eq!(run(&shell("sleep 20 & exit 0"), Vec::new()).await, Ok(()));
        assert!(began.elapsed() < LIMIT / 2);
    }

    #[tokio::test]
    async fn a_command_that_is_given_up_ends_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!(
            "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
            file.display()
        );
        let command = shell(&script);
        let mut running = Box::pin(run(&command, Vec::new()));
        let pid = loop {
            tokio::select! {
                ended = &mut running => panic!("{ended:?}"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
            if let Ok(pid) = std::fs::read_to_string(&file) {
                break pid.trim().to_owned();
            }
        };
        drop(running);
        // It is gone, or waits for somebody to notice its end.
        let stat = format!("/proc/{pid}/stat");
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !is_gone() {
            assert!(tokio::time::Instant::now() < deadline, "{pid} still runs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
