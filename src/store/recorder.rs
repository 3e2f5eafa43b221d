//! The flight recorder: a file in `data_dir` that says what is being handled. If docent crashes, the next start reads there which
//! deliveries may have been the cause, and whether the run ended cleanly at all.
//!
//! Each line has [`LINE`] bytes and a place of its own, so that one write changes it. What is written survives the process; a
//! power failure, after which nothing in the file is a cause, is told by the id of the boot.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use signal_hook::SigId;
use signal_hook::consts::SIGABRT;
use signal_hook::flag::register_conditional_default;
use signal_hook::low_level::{pipe, unregister};
use uuid::Uuid;

use crate::event::{AgentName, Event, EventId};

/// The file in `data_dir`.
const FILE: &str = "in-flight";

/// What the first line begins with.
const FORMAT: &str = "docent-in-flight-1";

/// Bytes of a line, with its line feed.
const LINE: usize = 128;

/// The byte of the first line that says how the run ended.
const END: usize = LINE - 2;

/// The run came to its end.
const STOPPED: u8 = b'.';
/// It was aborted. That is the byte that `signal_hook` writes.
pub(super) const ABORTED: u8 = b'X';
/// It goes on, or it was killed.
const RUNS: u8 = b' ';

/// What the other lines begin with: a delivery is being handled, or none.
const HANDLED: u8 = b'+';
const FREE: u8 = b'-';

/// Bytes of the file that are read.
const READ_MAX: u64 = 1 << 20;

/// Lines that a new file has room for: a full disk does not prevent their use.
const LINES: usize = 64;

/// A run of docent that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crash {
    /// Which run it was.
    pub(super) run: String,
    pub(crate) cause: CrashCause,
    /// What was being handled.
    pub(crate) flights: Vec<CrashedFlight>,
}

/// Why a run did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrashCause {
    /// Docent ended itself, as on a stack overflow or where there was no more memory, or the watchdog ended it.
    Aborted,
    /// The kernel ran out of memory meanwhile, and killed processes.
    OutOfMemory,
    /// Somebody killed it, or a fault of the processor ended it.
    Killed,
    /// The machine went down. What was handled has nothing to do with it.
    PowerFailure,
}

impl CrashCause {
    /// Whether it speaks against what was being handled.
    pub(crate) fn is_crash(self) -> bool {
        matches!(self, CrashCause::Aborted | CrashCause::OutOfMemory)
    }

    /// What the log says of it.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            CrashCause::Aborted => "it was aborted",
            CrashCause::OutOfMemory => "the kernel had run out of memory",
            CrashCause::Killed => "it was killed",
            CrashCause::PowerFailure => "the machine went down",
        }
    }
}

/// A delivery that was being handled when a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrashedFlight {
    pub(crate) agent: AgentName,
    pub(crate) event: EventId,
}

impl CrashedFlight {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(HANDLED as char)?.split_whitespace();
        Some(CrashedFlight {
            agent: words.next()?.parse().ok()?,
            event: words.next()?.parse().ok()?,
        })
    }
}

/// What tells one start of the machine, and what happened since, from others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Machine {
    boot: String,
    /// Processes that the kernel has killed for want of memory since.
    oom_kills: u64,
}

impl Machine {
    fn read() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        // An old kernel does not count them.
        let counts = fs::read_to_string("/proc/vmstat")?;
        let kills = counts.lines().find_map(|l| l.strip_prefix("oom_kill "));
        Ok(Machine {
            boot: boot.trim().to_owned(),
            oom_kills: kills.and_then(|n| n.trim().parse().ok()).unwrap_or(0),
        })
    }
}

/// How the run before this one ended: `None` if it came to its end, or if there was none.
///
/// # Errors
/// It is not known.
pub(super) fn last_crash(data_dir: &Path) -> io::Result<Option<Crash>> {
    // What somebody has put there must neither hold up the start nor lead elsewhere.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(data_dir.join(FILE), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    file.take(READ_MAX).read_to_end(&mut text)?;
    Ok(crash(&String::from_utf8_lossy(&text), &Machine::read()?))
}

/// What the file says, read on this machine.
fn crash(text: &str, machine: &Machine) -> Option<Crash> {
    let mut lines = text.lines();
    let head = lines.next()?;
    let mut words = head.split_whitespace();
    if words.next() != Some(FORMAT) {
        return None;
    }
    let (run, boot) = (words.next()?, words.next()?);
    let oom_kills: u64 = words.next()?.parse().ok()?;
    let cause = match *head.as_bytes().get(END)? {
        STOPPED => return None,
        _ if boot != machine.boot => CrashCause::PowerFailure,
        ABORTED => CrashCause::Aborted,
        _ if machine.oom_kills > oom_kills => CrashCause::OutOfMemory,
        _ => CrashCause::Killed,
    };
    let flights = match cause {
        CrashCause::PowerFailure => Vec::new(),
        _ => lines.filter_map(CrashedFlight::parse).collect(),
    };
    Some(Crash {
        run: run.to_owned(),
        cause,
        flights,
    })
}

/// Writes down what is being handled. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FlightRecorder(Arc<Recorder>);

#[derive(Debug)]
struct Recorder {
    file: File,
    path: PathBuf,
    lines: Mutex<Lines>,
    fails: AtomicBool,
    on_abort: [SigId; 2],
}

/// The lines of the file, by number.
#[derive(Debug)]
struct Lines {
    free: Vec<usize>,
    /// How many there are.
    count: usize,
}

/// What is being handled, until it is dropped.
#[derive(Debug)]
pub(crate) struct FlightRecord {
    recorder: FlightRecorder,
    line: usize,
}

impl FlightRecorder {
    /// Begins a run: what the file said of the one before is gone.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        let Machine { boot, oom_kills } = Machine::read()?;
        let mut head = line(format_args!(
            "{FORMAT} {} {boot} {oom_kills}",
            Uuid::now_v7()
        ));
        // Cut off by a full disk, it says nothing of a crash.
        head[END] = STOPPED;
        file.write_all_at(&[&head[..], &line("").repeat(LINES)].concat(), 0)?;
        // All else is written at places of its own, so this one stays where it is.
        let mut abort_mark = file.try_clone()?;
        abort_mark.seek(SeekFrom::Start(END as u64))?;
        let on_abort = [
            pipe::register(SIGABRT, abort_mark)?,
            // And then the process ends, as it does without the mark.
            register_conditional_default(SIGABRT, Arc::new(AtomicBool::new(true)))?,
        ];
        file.write_all_at(&[RUNS], END as u64)?;
        file.sync_all()?;
        Ok(FlightRecorder(Arc::new(Recorder {
            file,
            path,
            lines: Mutex::new(Lines {
                free: Vec::new(),
                count: 0,
            }),
            fails: AtomicBool::new(false),
            on_abort,
        })))
    }

    /// The run comes to its end.
    ///
    /// # Errors
    /// It cannot be written: the next start will take it for a crash.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.0.file.write_all_at(&[STOPPED], END as u64)?;
        self.0.file.sync_all()
    }

    /// Writes down that `agent` handles `event`, until the record is dropped.
    pub(crate) fn record(&self, agent: AgentName, event: &Event) -> FlightRecord {
        let line_number = self.0.lines().take();
        let text = line(format_args!("{}{agent} {}", HANDLED as char, event.id));
        self.write(line_number, &text);
        FlightRecord {
            recorder: self.clone(),
            line: line_number,
        }
    }

    fn write(&self, number: usize, text: &[u8]) {
        let at = (number + 1) * LINE;
        if let Err(error) = self.0.file.write_all_at(text, at as u64)
            && !self.0.fails.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(path = %self.0.path.display(), %error, "cannot write down what is being handled; if docent crashes, the next start will not know on which events");
        }
    }
}

impl Recorder {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for id in self.on_abort {
            unregister(id);
        }
    }
}

impl Lines {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        })
    }
}

impl Drop for FlightRecord {
    fn drop(&mut self) {
        self.recorder.write(self.line, &[FREE]);
        self.recorder.0.lines().free.push(self.line);
    }
}

/// A line of the file; a text that is too long for it is cut.
fn line(text: impl Display) -> [u8; LINE] {
    let mut bytes = [b' '; LINE];
    // An error is a text that is too long.
    let _cut = write!(&mut bytes[..LINE - 1], "{text}");
    bytes[LINE - 1] = b'\n';
    bytes
}

/// What the end of a process leaves in the file.
#[cfg(test)]
pub(super) fn leave_mark(data_dir: &Path, mark: u8) {
    let file = OpenOptions::new().write(true).open(data_dir.join(FILE));
    file.unwrap().write_all_at(&[mark], END as u64).unwrap();
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::fs::FileType;

    use super::*;
    use crate::event::{EventType, Millis, Seq, Subject};

    fn event() -> Event {
        let id = EventId::fresh();
        Event {
            seq: Seq(1),
            id,
            kind: EventType::ReportRequested,
            source: "test".to_owned(),
            subject: Subject::parse("a").unwrap(),
            time: Millis(0),
            data: serde_json::Value::Null.into(),
            causation: None,
            correlation: id,
        }
    }

    fn flight(agent: AgentName, event: &Event) -> CrashedFlight {
        CrashedFlight {
            agent,
            event: event.id,
        }
    }

    #[test]
    fn a_run_that_did_not_end_tells_what_it_was_handling() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_crash(dir.path()).unwrap(), None);
        let recorder = FlightRecorder::begin(dir.path()).unwrap();
        let events: Vec<Event> = (0..LINES + 3).map(|_| event()).collect();
        let records: Vec<FlightRecord> = events
            .iter()
            .map(|event| recorder.record(AgentName::Rag, event))
            .collect();
        drop(records);
        let first = recorder.record(AgentName::LoggingAudit, &events[0]);
        let second = recorder.record(AgentName::Rag, &events[1]);
        drop(first);
        let third = recorder.record(AgentName::Scheduler, &events[2]);
        let crash = last_crash(dir.path()).unwrap().unwrap();
        assert_eq!(crash.cause, CrashCause::Killed);
        let mut found = crash.flights;
        found.sort_by_key(|flight| flight.agent.as_str());
        let wanted = [
            flight(AgentName::Rag, &events[1]),
            flight(AgentName::Scheduler, &events[2]),
        ];
        assert_eq!(found, wanted);
        recorder.end().unwrap();
        assert_eq!(last_crash(dir.path()).unwrap(), None);
        drop((second, third));
    }

    #[test]
    fn each_run_begins_with_nothing_in_flight_and_an_id_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let run = || last_crash(dir.path()).unwrap().unwrap().run;
        let recorder = FlightRecorder::begin(dir.path()).unwrap();
        let _handled = recorder.record(AgentName::Rag, &event());
        let first = run();
        let _next = FlightRecorder::begin(dir.path()).unwrap();
        assert_ne!(run(), first);
        assert_eq!(last_crash(dir.path()).unwrap().unwrap().flights, []);
    }

    #[test]
    fn the_cause_is_told_by_the_mark_the_boot_and_the_kernels_count() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = FlightRecorder::begin(dir.path()).unwrap();
        let handled = event();
        let _record = recorder.record(AgentName::Rag, &handled);
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        let here = Machine::read().unwrap();
        let on = |text: &str, machine: &Machine| {
            let crash = crash(text, machine).unwrap();
            (crash.cause, crash.flights.len())
        };
        assert_eq!(on(&text, &here), (CrashCause::Killed, 1));
        let later = Machine {
            oom_kills: here.oom_kills + 1,
            ..here.clone()
        };
        assert_eq!(on(&text, &later), (CrashCause::OutOfMemory, 1));
        leave_mark(dir.path(), ABORTED);
        let aborted = fs::read_to_string(&path).unwrap();
        assert_eq!(on(&aborted, &here), (CrashCause::Aborted, 1));
        let rebooted = Machine {
            boot: "another".to_owned(),
            ..later
        };
        assert_eq!(on(&aborted, &rebooted), (CrashCause::PowerFailure, 0));
    }

    #[test]
    fn what_somebody_has_put_in_its_place_holds_nothing_up_and_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join(FILE), dir.path().join("other"));
        let pipe = rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        );
        pipe.unwrap();
        assert!(last_crash(dir.path()).is_err());
        FlightRecorder::begin(dir.path()).unwrap().end().unwrap();
        assert_eq!(last_crash(dir.path()).unwrap(), None);
        fs::remove_file(&path).unwrap();
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(last_crash(dir.path()).is_err());
        let recorder = FlightRecorder::begin(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert!(last_crash(dir.path()).unwrap().is_some());
        recorder.end().unwrap();
        // One that cannot be written any more is replaced.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        FlightRecorder::begin(dir.path()).unwrap().end().unwrap();
        assert_eq!(last_crash(dir.path()).unwrap(), None);
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(last_crash(dir.path()).unwrap(), None);
    }

    #[test]
    fn what_is_no_such_file_tells_nothing() {
        let here = Machine::read().unwrap();
        for text in ["", "\n", "docent", FORMAT, "\u{0}\u{0}\nrag x"] {
            assert_eq!(crash(text, &here), None, "{text:?}");
        }
        let cut = &line(FORMAT)[..LINE / 2];
        assert_eq!(crash(&String::from_utf8_lossy(cut), &here), None);
    }
}
