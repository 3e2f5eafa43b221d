//! A service manager that reads what it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::shutdown::{Level, stop_pair};
use super::super::watched::Watched;
use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// A service manager that reads what it is told.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Manager { socket, folder }
    }

    fn notifier(&self, watchdog: Option<Duration>) -> Notifier {
        let path = self.folder.path().join("notify");
        Notifier::at(path.as_os_str().as_bytes(), watchdog).unwrap()
    }

    fn store(&self) -> Store {
        let data_dir = self.folder.path().join("data");
        Store::open(&data_dir, crate::store::tests::options())
            .unwrap()
            .0
    }

    /// Reads until a message has come for which `is` holds; gives all that came.
    async fn until(&self, is: impl Fn(&str) -> bool) -> Vec<String> {
        let mut all = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        loop {
            while let Some(text) = self.next() {
                let found = is(&text);
                all.push(text);
                if found {
                    return all;
                }
            }
            assert!(
                Instant::now() < deadline,
                "it did not come; what came is {all:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What has come and was not read yet.
    fn next(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let n = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..n]).into_owned())
    }

    fn drained(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[tokio::test]
async fn ready_comes_with_the_phase_and_stopping_with_the_level() {
    let manager = Manager::new();
    let (store, board) = (manager.store(), Board::new(&[AgentName::Rag]));
    let (switch, stop) = stop_pair();
    let ended = CancellationToken::new();
    let notifier = manager.notifier(None);
    let manage = async {
        let before = manager.until(|text| text == "STATUS=starting").await;
        assert!(!before.contains(&"READY=1".to_owned()), "{before:?}");
        board.update(AgentName::Rag, |a| a.state = AgentState::Running);
        board.enter(Phase::Running);
        manager.until(|text| text == "READY=1").await;
        manager
            .until(|text| text == "STATUS=1/1 agents, 0 owed, 0 documents")
            .await;
        board.update(AgentName::Rag, |a| a.state = AgentState::Parked);
        manager
            .until(|text| text == "STATUS=0/1 agents, 0 owed, 0 documents; parked: rag")
            .await;
        switch.raise(Level::Drain);
        let last = manager.until(|text| text == "STOPPING=1").await;
        assert!(!last.contains(&"READY=1".to_owned()), "{last:?}");
        ended.cancel();
    };
    tokio::join!(notifier.report(&store, &board, &stop, &ended), manage);
    assert!(!manager.drained().contains(&"WATCHDOG=1".to_owned()));
}

#[tokio::test]
async fn there_are_no_pings_while_a_task_stands_still() {
    let manager = Manager::new();
    let (store, board) = (manager.store(), Board::new(&[AgentName::Rag]));
    let (_switch, stop) = stop_pair();
    let ended = CancellationToken::new();
    let limit = Duration::from_millis(400);
    let notifier = manager.notifier(Some(limit));
    let hangs = Arc::new(AtomicBool::new(false));
    let hanging = hangs.clone();
    let idle = move || {
        if hanging.load(Ordering::SeqCst) {
            DEADLINE
        } else {
            Duration::ZERO
        }
    };
    board.watch("rag", vec![Watched::new("runner", DEADLINE, idle)]);
    let ping = |text: &str| text == "WATCHDOG=1";
    let manage = async {
        for _ in 0..3 {
            manager.until(ping).await;
        }
        hangs.store(true, Ordering::SeqCst);
        manager.drained();
        // Several times as long as a ping may take; the last one may have been on its way.
        tokio::time::sleep(limit * 3).await;
        let pings = manager.drained().iter().filter(|text| ping(text)).count();
        assert_eq!(pings, 0);
        board.watch("rag", Vec::new());
        manager.until(ping).await;
        ended.cancel();
    };
    tokio::join!(notifier.report(&store, &board, &stop, &ended), manage);
}

#[tokio::test]
async fn more_time_is_asked_for_while_a_start_takes_long_and_not_longer() {
    let manager = Manager::new();
    let notifier = manager.notifier(None);
    let asked = |text: &str| text.starts_with("EXTEND_TIMEOUT_USEC=60000000\nSTATUS=");
    let every = Duration::from_millis(10);
    let work = async {
        for _ in 0..3 {
            manager.until(asked).await;
        }
        "opened"
    };
    assert_eq!(notifier.extend(every, work).await, "opened");
    manager.drained();
    tokio::time::sleep(every * 5).await;
    assert_eq!(manager.drained(), [""; 0], "it is not asked for any more");
    assert_eq!(notifier.extend_while(async { "at once" }).await, "at once");
    assert_eq!(manager.drained(), [""; 0], "a quick start says nothing");
}

#[tokio::test]
async fn a_manager_that_does_not_read_holds_nothing_up() {
    let manager = Manager::new();
    let notifier = manager.notifier(None);
    let taken = (0..100_000)
        .take_while(|_| notifier.send(&[NotifyState::Watchdog]))
        .count();
    assert!(taken < 100_000, "the queue of a socket is bounded");
    assert_eq!(manager.drained().len(), taken);
    assert!(notifier.send(&[NotifyState::Watchdog]));
}

#[tokio::test]
async fn an_abstract_socket_is_reached() {
    let name = format!("docent-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let notifier = Notifier::at(format!("@{name}").as_bytes(), None).unwrap();
    assert!(notifier.send(&[NotifyState::Ready, NotifyState::Status("x")]));
    let mut buffer = [0; 64];
    let n = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"READY=1\nSTATUS=x");
}
