//! A terminal with a program on it, and what stands on its screen.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::helper::signal;

/// A program that runs on a terminal of its own. Killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    master: File,
    /// Kept open, so that the terminal can be asked how it was left.
    slave: File,
    screen: Arc<Mutex<Screen>>,
    reader: Option<JoinHandle<()>>,
}

fn size(columns: u16, lines: u16) -> Winsize {
    Winsize {
        ws_row: lines,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Terminal {
    /// Runs `command` on a terminal of so many columns and lines.
    pub(crate) fn run(command: &Command, columns: u16, lines: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let name = OsStr::from_bytes(name.as_bytes());
        let slave = File::options().read(true).write(true).open(name).unwrap();
        tcsetwinsize(&slave, size(columns, lines)).unwrap();
        // `setsid --ctty` makes it the program's controlling terminal: so a change of its size is told to the program.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program());
        session.args(command.get_args());
        session.env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        let end = || Stdio::from(slave.try_clone().unwrap());
        session.stdin(end()).stdout(end()).stderr(end());
        let child = session.spawn().expect("setsid of util-linux is there");
        let screen = Arc::new(Mutex::new(Screen::new(columns, lines)));
        let mut output = File::from(master);
        let master = output.try_clone().unwrap();
        let written = screen.clone();
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error when nobody has the other end any more.
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                written.lock().unwrap().write(&bytes[..n]);
            }
        });
        Terminal {
            child,
            master,
            slave,
            screen,
            reader: Some(reader),
        }
    }

    /// What stands on the screen.
    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().text()
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        self.screen.lock().unwrap().resize(columns, lines);
        tcsetwinsize(&self.slave, size(columns, lines)).unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// The exit code once it has ended, `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let ended = self.child.try_wait().unwrap()?;
        Some(ended.code().expect("it ended by itself"))
    }

    /// That the terminal is as a shell wants it: lines and echo, the first screen, a cursor.
    pub(crate) fn is_as_it_was(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        let screen = self.screen.lock().unwrap();
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
            && !screen.alternate
            && !screen.hidden
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        // The reader ends with the last of this end.
        self.slave = File::open("/dev/null").unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}

/// A screen as far as a program needs it that moves the cursor and writes there.
struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// What came of a command or a character that is not complete.
    rest: Vec<u8>,
    /// The second screen, which programs draw on, is shown.
    alternate: bool,
    /// The cursor is hidden.
    hidden: bool,
}

impl Screen {
    fn new(columns: u16, lines: u16) -> Screen {
        let row = vec![' '; usize::from(columns)];
        Screen {
            cells: vec![row; usize::from(lines)],
            at: (0, 0),
            rest: Vec::new(),
            alternate: false,
            hidden: false,
        }
    }

    fn resize(&mut self, columns: u16, lines: u16) {
        self.cells = Screen::new(columns, lines).cells;
    }

    fn text(&self) -> String {
        let lines = self.cells.iter().map(|row| row.iter().collect::<String>());
        let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.rest);
        let whole = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap(),
        };
        let mut behind = whole;
        while let Some(c) = behind.chars().next() {
            let Some(length) = self.take(behind, c) else {
                break;
            };
            behind = &behind[length..];
        }
        let done = whole.len() - behind.len();
        self.rest = bytes[done..].to_vec();
    }

    /// Obeys what `text` begins with, and gives how long that is; `None`: it is not complete.
    fn take(&mut self, text: &str, first: char) -> Option<usize> {
        match first {
            '\x1b' => match text[1..].chars().next()? {
                '[' => {
                    let end = text[2..].find(|c: char| ('@'..='~').contains(&c))? + 2;
                    self.command(&text[2..end], text.as_bytes()[end]);
                    return Some(end + 1);
                }
                other => return Some(1 + other.len_utf8()),
            },
            '\r' => self.at.0 = 0,
            '\n' => self.at.1 += 1,
            c => {
                let (x, y) = self.at;
                if let Some(cell) = self.cells.get_mut(y).and_then(|row| row.get_mut(x)) {
                    *cell = c;
                }
                self.at.0 += 1;
            }
        }
        Some(first.len_utf8())
    }

    fn command(&mut self, parameters: &str, last: u8) {
        let mut numbers = parameters
            .split(';')
            .map(|n| n.parse::<usize>().unwrap_or(1));
        match (last, parameters) {
            (b'H', _) => {
                let y = numbers.next().unwrap_or(1) - 1;
                self.at = (numbers.next().unwrap_or(1) - 1, y);
            }
            (b'J', _) => {
                for row in &mut self.cells {
                    row.fill(' ');
                }
            }
            (b'h' | b'l', "?1049") => self.alternate = last == b'h',
            (b'h' | b'l', "?25") => self.hidden = last == b'l',
            // Colours and the like.
            _ => {}
        }
    }
}
