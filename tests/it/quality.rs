//! How well search finds, on sets with relevance judged by others, which are not part of the project:
//!
//! * documents: the folder that DOCENT_DEV_SETS names;
//! * code: the questions that DOCENT_CODE_SET names, asked of the git mirrors OWNER+NAME/repo in the folder that
//!   DOCENT_CODE_MIRRORS names.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use docent::internals::http::wire::{Hit, SearchAnswer};
use docent::internals::http::{Client, Target};
use futures_util::{StreamExt, stream};
use serde::Deserialize;

use crate::helper::World;

/// Set, extension of its documents, nDCG@10 × 100 that was measured.
const SETS: [(&str, &str, f64); 3] = [
    ("faq-dev", "md", 57.9),
    ("head-dev", "md", 55.7),
    ("pydoc-dev", "py", 48.5),
];

/// How far below it this may be.
const TOLERANCE: f64 = 0.3;

/// Searches at once.
const CLIENTS: usize = 4;

#[derive(Deserialize)]
struct Set {
    /// Id, title, text.
    docs: Vec<(String, String, String)>,
    /// Id, query.
    queries: Vec<(String, String)>,
    /// Query → document → grade.
    qrels: HashMap<String, HashMap<String, f64>>,
}

fn read(folder: &Path, name: &str) -> Set {
    let path = folder.join(format!("{name}.json"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Normalised discounted cumulative gain of the first ten.
fn ndcg(ranking: &[&str], grades: &HashMap<String, f64>) -> f64 {
    let discounted = |grades: &mut dyn Iterator<Item = f64>| -> f64 {
        let places = grades.take(10).enumerate();
        places
            .map(|(at, grade)| grade / (at as f64 + 2.0).log2())
            .sum()
    };
    let mut ideal: Vec<f64> = grades.values().copied().collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let best = discounted(&mut ideal.into_iter());
    let got = ranking
        .iter()
        .map(|id| grades.get(*id).copied().unwrap_or(0.0));
    discounted(&mut got.into_iter()) / best
}

/// The files of an answer in the order of their best hit.
fn ranking(hits: &[Hit]) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    for hit in hits {
        let places = hit.also.iter().map(|place| place.path.as_str());
        for path in std::iter::once(hit.path.as_str()).chain(places) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

/// nDCG@10 × 100 of the daemon on this set.
fn measure(name: &str, extension: &str, set: &Set) -> f64 {
    let world = World::new("");
    let mut ids: HashMap<String, &str> = HashMap::new();
    for (number, (id, title, text)) in set.docs.iter().enumerate() {
        let path = format!("{}/{number}.{extension}", number / 500);
        let text = match title.as_str() {
            "" => format!("{text}\n"),
            title => format!("# {title}\n\n{text}\n"),
        };
        world.write(&path, text);
        ids.insert(path, id);
    }
    let began = Instant::now();
    let daemon = world.start();
    let run = world.cli(["wait", "--timeout", "30min"]);
    assert_eq!(run.code(), 0, "{}\n{}", run.stderr(), world.log());
    let ingested = began.elapsed();
    let status = world.status();
    assert_eq!(status["documents"], set.docs.len(), "{name}");

    let client = Client::new(&world.data().join("docent.sock"), &world.data());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let began = Instant::now();
    let answers = stream::iter(&set.queries).map(|(id, query)| {
        // The sets' queries are words and no more; to docent a quoted part is a phrase that must be there.
        let query = query.replace('"', " ");
        let target = Target::new("/search")
            .with("q", Some(&query))
            .with("limit", Some("100"));
        let client = client.clone();
        async move {
            let answer: SearchAnswer = client.get(&target).await.expect("a search is answered");
            (id, answer)
        }
    });
    let answers: Vec<_> = runtime
        .expect("a runtime")
        .block_on(answers.buffered(CLIENTS).collect());
    let of = |id: &String, hits: &[Hit]| {
        let ranking: Vec<&str> = ranking(hits).into_iter().map(|path| ids[path]).collect();
        ndcg(&ranking, &set.qrels[id])
    };
    let (mut sum, mut sum_listed, mut listed, mut took) = (0.0, 0.0, 0, Vec::new());
    for (id, answer) in &answers {
        sum += of(id, &answer.hits);
        sum_listed += of(id, &answer.hits[..answer.listed]);
        listed += answer.listed.min(10);
        took.push(answer.took_ms);
    }
    took.sort_by(f64::total_cmp);
    let score = 100.0 * sum / answers.len() as f64;
    let score_listed = 100.0 * sum_listed / answers.len() as f64;
    println!(
        "{name}: nDCG@10 {score_listed:.2} of what is listed, {:.1} of the first ten hits",
        listed as f64 / answers.len() as f64
    );
    assert!(
        score - score_listed < 0.1,
        "{name}: what is listed is not enough: {score_listed:.2} of {score:.2}"
    );
    println!(
        "{name}: nDCG@10 {score:.1}; {} files and {} chunks in {ingested:.1?}, {} queries in {:.1?} (took_ms median {:.2}, worst {:.2})",
        set.docs.len(),
        status["chunks"],
        answers.len(),
        began.elapsed(),
        took[took.len() / 2],
        took[took.len() - 1],
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    score
}

#[test]
fn search_finds_as_well_as_was_measured() {
    let Some(folder) = std::env::var_os("DOCENT_DEV_SETS").map(PathBuf::from) else {
        println!("not run: DOCENT_DEV_SETS does not name the folder of the development sets");
        return;
    };
    let scores = SETS.map(|(name, extension, expected)| {
        let score = measure(name, extension, &read(&folder, name));
        (name, score, expected)
    });
    for (name, score, expected) in scores {
        assert!(
            score >= expected - TOLERANCE,
            "{name}: {score:.1}, measured {expected}"
        );
    }
}

/// nDCG@10 × 100 that search by name and meaning must reach on code: the mean over languages.
const CODE: f64 = 82.0;

/// A repository with questions whose answers are files of it.
#[derive(Deserialize)]
struct Repository {
    name: String,
    language: String,
    repository: String,
    revision: String,
    root: String,
    queries: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    query: String,
    relevant: Vec<Wanted>,
    #[serde(default)]
    secondary: Vec<Wanted>,
}

/// A file, or a part of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wanted {
    File(String),
    Part { path: String },
}

impl Wanted {
    fn path(&self) -> &str {
        match self {
            Wanted::File(path) | Wanted::Part { path } => path,
        }
    }

    /// The set writes some paths from the root of the repository, and some from a folder of it.
    fn is(&self, path: &str) -> bool {
        let wanted = self.path();
        path == wanted
            || path.ends_with(&format!("/{wanted}"))
            || wanted.ends_with(&format!("/{path}"))
    }
}

/// Puts the files of a repository into the world, of the revision that the questions were made for if it is there, else of the
/// newest; false if there are none.
fn check_out(mirrors: &Path, repository: &Repository, world: &World) -> bool {
    let name = repository.repository.replace('/', "+");
    let mirror = mirrors.join(name).join("repo");
    let root = match repository.root.as_str() {
        "" => ".",
        root => root,
    };
    let unpack = |revision: &str| {
        let mut archive = Command::new("git")
            .arg("-C")
            .arg(&mirror)
            .args(["archive", revision, root])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git");
        let stream = archive.stdout.take().expect("its output");
        let unpacked = Command::new("tar")
            .arg("x")
            .arg("-C")
            .arg(world.docs())
            .stdin(stream)
            .stderr(Stdio::null())
            .status();
        archive.wait().expect("git ends").success() && unpacked.expect("tar").success()
    };
    mirror.is_dir() && (unpack(&repository.revision) || unpack("HEAD"))
}

/// Discounted gain of the first ten hits: each target counts where its file stands first.
fn ndcg_of_targets(hits: &[&Hit], targets: &[&Wanted]) -> f64 {
    let gain = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let found = targets.iter().filter_map(|target| {
        let place = hits.iter().take(10).position(|hit| target.is(&hit.path))?;
        Some(gain(place))
    });
    let best: f64 = (0..targets.len().min(10)).map(gain).sum();
    found.sum::<f64>() / best
}

/// nDCG@10 × 100 of docent and of its keywords alone on one repository.
fn measure_code(mirrors: &Path, repository: &Repository) -> Option<(f64, f64)> {
    let world = World::new("");
    if !check_out(mirrors, repository, &world) {
        return None;
    }
    let daemon = world.start();
    let run = world.cli(["wait", "--timeout", "10min"]);
    assert_eq!(run.code(), 0, "{}\n{}", run.stderr(), world.log());
    let client = Client::new(&world.data().join("docent.sock"), &world.data());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let documents = world.documents();
    let (mut sum, mut sum_keywords, mut asked) = (0.0, 0.0, 0_u32);
    for question in &repository.queries {
        let mut targets = question.relevant.iter().chain(&question.secondary);
        // Files that the newest revision does not have any more cannot be found.
        if !targets.all(|target| documents.keys().any(|path| target.is(path))) {
            continue;
        }
        asked += 1;
        let target = Target::new("/search")
            .with("q", Some(&question.query))
            .with("limit", Some("100"));
        let answer: SearchAnswer = runtime
            .block_on(client.get(&target))
            .expect("a search is answered");
        let targets: Vec<&Wanted> = question
            .relevant
            .iter()
            .chain(&question.secondary)
            .collect();
        let mut hits: Vec<&Hit> = answer.hits.iter().collect();
        sum += ndcg_of_targets(&hits, &targets);
        hits.sort_by(|a, b| b.keyword.total_cmp(&a.keyword));
        sum_keywords += ndcg_of_targets(&hits, &targets);
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    let of = |sum: f64| 100.0 * sum / f64::from(asked);
    (asked > 0).then(|| (of(sum), of(sum_keywords)))
}

#[test]
fn search_finds_code() {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(set), Some(mirrors)) = (folder("DOCENT_CODE_SET"), folder("DOCENT_CODE_MIRRORS"))
    else {
        println!(
            "not run: DOCENT_CODE_SET does not name the questions, or DOCENT_CODE_MIRRORS not the folder of the mirrors"
        );
        return;
    };
    let bytes = std::fs::read(&set).unwrap_or_else(|e| panic!("{}: {e}", set.display()));
    let repositories: Vec<Repository> = serde_json::from_slice(&bytes).expect("the questions");
    let mut languages: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for repository in &repositories {
        let name = &repository.name;
        match measure_code(&mirrors, repository) {
            None => println!("{name}: not measured, its revision is not among the mirrors"),
            Some((score, keywords)) => {
                println!("{name}: nDCG@10 {score:.1}, by keywords alone {keywords:.1}");
                let language = languages.entry(&repository.language).or_default();
                language.push((score, keywords));
            }
        }
    }
    assert!(!languages.is_empty(), "no repository is there");
    let mean = |of: fn(&(f64, f64)) -> f64| {
        let means = languages
            .values()
            .map(|scores| scores.iter().map(of).sum::<f64>() / scores.len() as f64);
        means.sum::<f64>() / languages.len() as f64
    };
    let (score, keywords) = (mean(|s| s.0), mean(|s| s.1));
    println!(
        "code: nDCG@10 {score:.1}, by keywords alone {keywords:.1}; mean over {} languages",
        languages.len()
    );
    assert!(score >= CODE, "{score:.1}, wanted {CODE}");
}

#[test]
fn the_measure_measures() {
    let grades = HashMap::from([("a".to_owned(), 1.0), ("b".to_owned(), 1.0)]);
    assert!((ndcg(&["a", "b"], &grades) - 1.0).abs() < 1e-12);
    assert!(
        (ndcg(&["x", "a"], &HashMap::from([("a".to_owned(), 1.0)])) - 1.0 / 3_f64.log2()).abs()
            < 1e-12
    );
    let eleventh = ["x"; 10].into_iter().chain(["a"]).collect::<Vec<_>>();
    assert_eq!(ndcg(&eleventh, &grades), 0.0);
}
