//! `/metrics`: what it says is so, and what goes by it names what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::helper::{World, lines};
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The samples of a page.
pub(crate) fn samples(page: &str) -> BTreeMap<String, f64> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

pub(crate) fn page(world: &World) -> String {
    let (status, page) = world.get("/metrics");
    assert_eq!(status, 200, "{page}");
    page
}

/// The metrics that a page describes.
fn described(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|l| l.strip_prefix("# TYPE "));
    types
        .map(|l| l.split(' ').next().unwrap().to_owned())
        .collect()
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let of_a_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c| !of_a_name(c));
    let names = words.filter(|word| word.starts_with("docent_"));
    let plain = |name: &str| {
        let part = ["_bucket", "_sum", "_count"];
        let plain = part.iter().find_map(|end| name.strip_suffix(end));
        plain.unwrap_or(name).to_owned()
    };
    names.map(plain).collect()
}

fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(file("config/prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed; tests/run installs it");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn promtool_is_content_with_the_rules_and_their_tests() {
    promtool(&["check", "rules", "rules.yml"], "");
    promtool(&["test", "rules", "rules_test.yml"], "");
    let rules = fs::read_to_string(file("config/prometheus/rules.yml")).unwrap();
    let tests = fs::read_to_string(file("config/prometheus/rules_test.yml")).unwrap();
    for alert in rules
        .lines()
        .filter_map(|l| l.trim().strip_prefix("- alert: "))
    {
        for kind in ["fires", "does not fire"] {
            let name = format!("- name: {alert} {kind}\n");
            assert!(tests.contains(&name), "no test: {name}");
        }
    }
}

#[test]
fn what_rules_dashboard_and_manual_name_is_there_and_of_redis_and_hosts_only_where_they_are() {
    let redis = RedisServer::start();
    let database = PostgresServer::start();
    let on_database = format!("[store]\nurl = \"{}\"\n", database.url());
    let world = World::on_redis(&redis, "redis", &on_database);
    world.write("a.md", "# Anchor");
    let _daemon = world.start();
    world.wait();
    world.until("the streams were looked at and the jobs are known", || {
        page(&world).contains("docent_redis_consumers{")
    });
    assert_eq!(world.cli(["jobs", "run", "verify"]).code(), 0);
    world.until("the job has run", || {
        page(&world).contains("docent_job_last_ok{")
    });
    assert!(!page(&world).contains("docent_audit_broken"));
    assert_eq!(world.cli(["audit", "verify"]).code(), 0);
    assert!(page(&world).contains("\ndocent_audit_broken 0"));
    let whole = page(&world);
    promtool(&["check", "metrics"], &whole);

    let plain = World::new("");
    let _plain = plain.start();
    plain.wait();
    let plain = page(&plain);
    promtool(&["check", "metrics"], &plain);
    assert!(!plain.contains("docent_redis_"), "{plain}");
    assert!(!plain.contains("docent_host_"), "{plain}");
    assert!(
        plain.contains("docent_carrier{agent=\"rag\",carrier=\"embedded\"} 1"),
        "{plain}"
    );

    // The size of the store is known where it is a file.
    let there = &described(&whole) | &described(&plain);
    let manual = fs::read_to_string(file("docs/monitoring.md")).unwrap();
    let rows: String = manual
        .lines()
        .filter(|l| l.starts_with("| `docent_"))
        .collect();
    assert_eq!(named(&rows), there, "the manual's table and the page");
    for path in ["config/prometheus/rules.yml", "config/grafana/docent.json"] {
        let text = fs::read_to_string(file(path)).unwrap();
        let missing: Vec<_> = named(&text).difference(&there).cloned().collect();
        assert!(missing.is_empty(), "{path} names {missing:?}");
    }
    let panels: Value =
        serde_json::from_str(&fs::read_to_string(file("config/grafana/docent.json")).unwrap())
            .unwrap();
    assert!(panels["panels"].as_array().unwrap().len() > 10);
}

#[test]
fn figures_of_streams_are_gone_while_redis_is() {
    let mut redis = RedisServer::start();
    let world = World::on_redis(&redis, "auto", "");
    let _daemon = world.start();
    world.until("the streams were looked at", || {
        page(&world).contains("docent_redis_lag{agent=\"rag\"} 0")
    });
    redis.kill();
    world.until("Redis is away", || {
        page(&world).contains("docent_redis_up 0")
    });
    let page = page(&world);
    assert!(!page.contains("docent_redis_lag"), "{page}");
    assert!(page.contains("docent_redis_lost_total 0"), "{page}");
}

#[test]
fn status_and_metrics_agree() {
    let world = World::new(
        "[delivery]\nbackoff_min = \"10ms\"\nbackoff_max = \"10ms\"\n[redis]\nmax_retries = 1\n",
    );
    for n in 0..20 {
        world.write(&format!("{n}.md"), format!("# Anchor {n}"));
    }
    world.write("broken.json", "{");
    let _daemon = world.start();
    world.wait();
    let publish = ["publish", "test.work", "--subject", "docs/x", "--data"];
    let dies = r#"{"end": "permanent", "times": 0}"#;
    assert_eq!(world.cli(publish.iter().copied().chain([dies])).code(), 0);
    world.search("anchor");
    world.search("xyzzyplugh");
    world.until("one is dead", || world.status()["bus"]["dead"] == 1);
    // Until two looks at the status, one before and one after, say the same: it was quiet in between.
    let (status, figures) = {
        let mut found = None;
        world.until("a quiet moment", || {
            let quiet = |mut status: Value| {
                for volatile in ["uptime_s", "freshness", "free_space"] {
                    status[volatile] = Value::Null;
                }
                status
            };
            let before = quiet(world.status());
            let figures = samples(&page(&world));
            let after = quiet(world.status());
            let counted = figures
                .iter()
                .filter(|(name, _)| name.starts_with("docent_documents{"));
            let counted: f64 = counted.map(|(_, files)| files).sum();
            let same = before == after && Some(counted) == after["files"].as_f64();
            found = same.then_some((after, figures));
            found.is_some()
        });
        found.unwrap()
    };
    for (name, agent) in status["agents"].as_object().unwrap() {
        let of = |metric: &str| figures[&format!("docent_{metric}{{agent=\"{name}\"}}")];
        for (metric, field) in [
            ("deliveries_owed", "owed"),
            ("deliveries_in_flight", "in_flight"),
            ("deliveries_retrying", "retrying"),
            ("deliveries_dead", "dead"),
            ("agent_restarts_total", "restarts"),
        ] {
            assert_eq!(Some(of(metric)), agent[field].as_f64(), "{name} {metric}");
        }
        for (outcome, field) in [("done", "handled"), ("failed", "failed")] {
            let sample = format!("docent_handled_total{{agent=\"{name}\",outcome=\"{outcome}\"}}");
            assert_eq!(Some(figures[&sample]), agent[field].as_f64(), "{sample}");
        }
    }
    for (state, files) in status["states"].as_object().unwrap() {
        let sample = format!("docent_documents{{collection=\"docs\",state=\"{state}\"}}");
        assert_eq!(Some(figures[&sample]), files.as_f64(), "{sample}");
    }
    assert_eq!(Some(figures["docent_chunks"]), status["chunks"].as_f64());
    let state = format!("docent_state{{state={}}}", status["state"]);
    assert_eq!(figures[&state], 1.0, "{state}");
    assert_eq!(
        figures["docent_handled_total{agent=\"test\",outcome=\"dead\"}"],
        1.0
    );
    assert_eq!(figures["docent_searches_total{result=\"none\"}"], 1.0);
    assert_eq!(figures["docent_searches_total{result=\"hits\"}"], 1.0);
    assert_eq!(figures["docent_search_seconds_count"], 2.0);
    assert_eq!(
        figures["docent_events_published_total{type=\"test.work\"}"],
        1.0
    );
    assert!(figures["docent_freshness_seconds_count"] >= 20.0);
    assert!(figures["docent_handle_seconds_count{agent=\"rag\"}"] >= 20.0);
    assert!(figures["docent_scan_seconds{collection=\"docs\"}"] > 0.0);
    let records = lines(&world.cli(["audit", "list", "--json"]).stdout()).len();
    let audited = samples(&page(&world))["docent_audit_records_total"];
    assert!(audited >= records as f64, "{audited} of {records}");
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Asks over TCP; nothing: nobody listens yet.
fn get(port: u16, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer)
}

struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_prometheus_scrapes_it() {
    let (own, its) = (port(), port());
    let world = World::new(&format!("[http]\nlisten = \"127.0.0.1:{own}\"\n"));
    let _daemon = world.start();
    let config = world.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\nrule_files: ['{}']\nscrape_configs: [{{job_name: docent, static_configs: [{{targets: ['127.0.0.1:{own}']}}]}}]\n",
        file("config/prometheus/rules.yml").display()
    );
    fs::write(&config, text).unwrap();
    let log = fs::File::create(world.path().join("prometheus.log")).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            world.path().join("tsdb").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{its}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("prometheus is installed; tests/run installs it");
    let _prometheus = Prometheus(child);
    for query in ["up", "docent_state", "docent_events_published_total"] {
        world.until(query, || {
            let answer = get(its, &format!("/api/v1/query?query={query}"));
            answer.is_some_and(|answer| answer.contains("\"job\":\"docent\""))
        });
    }
    let up = get(its, "/api/v1/query?query=up").unwrap();
    assert!(up.contains(",\"1\"]"), "{up}");
}

#[test]
fn off_means_nowhere() {
    let own = port();
    let world = World::new(&format!(
        "[http]\nlisten = \"127.0.0.1:{own}\"\nmetrics = \"off\"\n"
    ));
    let _daemon = world.start();
    assert_eq!(world.get("/metrics").0, 404);
    let answer = get(own, "/metrics").unwrap();
    // As any address that does not exist: over TCP it is told only to who has a token.
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}
