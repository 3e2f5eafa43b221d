//! What a search costs in the daemon, and what it costs to index what is searched.
//!
//! `cargo bench --features testing --bench search [-- FOLDER]` indexes a folder with the daemon, and asks it over its control socket:
//! without FOLDER the sources of all crates that Cargo has on this machine, which are code and documentation as people write them.
//! Times are from sending a query to having read its answer, ten hits with their text, one query at a time.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use docent::internals::http::wire::SearchAnswer;
use docent::internals::http::{Client, Target};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

/// How often each query is asked.
const TIMES: usize = 20;

/// Kinds of queries, each with a filter if it has one.
const KINDS: [(&str, Option<&str>, &[&str]); 6] = [
    (
        "words",
        None,
        &[
            "connection pool timeout",
            "parse url",
            "retry with backoff",
            "sorted merge",
            "file permissions",
        ],
    ),
    (
        "a question",
        None,
        &[
            "how do I wait until all tasks have ended",
            "what happens when the buffer is full",
            "which errors are returned if the file does not exist",
            "how is the capacity of a vector chosen when it grows",
        ],
    ),
    (
        "a name",
        None,
        &[
            "spawn_blocking",
            "HashMap",
            "read_to_end",
            "TcpStream::connect",
        ],
    ),
    (
        "quoted",
        None,
        &[
            "\"out of memory\"",
            "\"is not a valid\"",
            "\"the length of the\"",
        ],
    ),
    (
        "quoted, words",
        None,
        &[
            "buffer \"out of memory\"",
            "error \"is not a valid\" number",
        ],
    ),
    (
        "words, by path",
        Some("**/README.md"),
        &["connection pool timeout", "getting started", "licence"],
    ),
];

/// A daemon that is killed when this is dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn sources() -> Result<PathBuf, Failure> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let home = home.ok_or("neither CARGO_HOME nor HOME is set; name a folder")?;
    Ok(home.join("registry/src"))
}

fn docent(config: &Path, arguments: &[&str]) -> Result<Value, Failure> {
    let output = Command::new(env!("CARGO_BIN_EXE_docent"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|found| found.len())
        .sum()
}

fn main() -> Result<(), Failure> {
    let named = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let folder = named.map_or_else(sources, |folder| Ok(PathBuf::from(folder)))?;
    let folder = folder.canonicalize()?;
    let dir = tempfile::tempdir()?;
    let (config, data) = (dir.path().join("docent.toml"), dir.path().join("data"));
    let text = format!(
        "data_dir = {data:?}\n[bus]\nmode = \"embedded\"\n[control]\nsocket = {:?}\n[[collection]]\nname = \"bench\"\npath = {folder:?}\n",
        dir.path().join("socket")
    );
    std::fs::write(&config, text)?;
    let log = std::fs::File::create(dir.path().join("log"))?;
    let began = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_docent"))
        .args(["run", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let _daemon = Daemon(child);
    let deadline = Instant::now() + Duration::from_secs(60);
    while docent(&config, &["status", "--json"]).is_err() {
        if Instant::now() > deadline {
            return Err(std::fs::read_to_string(dir.path().join("log"))?.into());
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    docent(&config, &["wait", "--timeout", "60min"])?;
    let ingested = began.elapsed();
    let status = docent(&config, &["status", "--json"])?;
    let (documents, chunks) = (&status["documents"], &status["chunks"]);
    let index = bytes_of(&data.join("index")) as f64 / (1 << 20) as f64;
    println!(
        "{}: {documents} documents, {chunks} chunks in {ingested:.1?}; index {index:.1} MiB\n",
        folder.display()
    );
    let client = Client::new(&dir.path().join("socket"), &data);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    println!("{:>15} {:>8} {:>8} {:>8}  ms", "", "p50", "p99", "worst");
    for (kind, path, queries) in KINDS {
        let mut took = Vec::new();
        for time in 0..=TIMES {
            for query in queries {
                let target = Target::new("/search")
                    .with("q", Some(query))
                    .with("path", path);
                let sent = Instant::now();
                let _: SearchAnswer = runtime.block_on(client.get(&target))?;
                // The first one reads what the others find in memory.
                if time > 0 {
                    took.push(sent.elapsed().as_secs_f64() * 1000.0);
                }
            }
        }
        took.sort_by(f64::total_cmp);
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
        println!(
            "{kind:>15} {:>8.2} {:>8.2} {:>8.2}",
            at(50),
            at(99),
            at(100)
        );
    }
    Ok(())
}
