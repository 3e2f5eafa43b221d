//! Files that hold secrets, and docent's own: listed with the reason, never stored.

use std::fs;

use super::*;

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n";

/// Why a file is withheld; none: it is not.
async fn withheld(bed: &Bed, path: &str) -> Option<String> {
    let row = bed.store.manifest_row("docs", path.as_bytes());
    let row = row.await.unwrap()?;
    (row.state == FileState::Withheld).then(|| row.reason.unwrap())
}

async fn is_captured(bed: &Bed, path: &str) -> bool {
    bed.known().await[path.as_bytes()].0 == FileState::Captured
}

/// Whether the store holds bytes with this digest, or any event names it.
async fn is_known(bed: &Bed, text: &str) -> bool {
    let digest = Digest::of(text.as_bytes());
    let named = |event: &Event| event.data.to_string().contains(digest.as_str());
    let told = bed.events().await.iter().any(named);
    told || bed.store.content(digest).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_listed_with_the_reason_and_never_stored() {
    let mut bed = Bed::made(&[]);
    bed.options.secrets = [".env", "secrets.*", ".aws/credentials.md"]
        .map(str::to_owned)
        .to_vec();
    let json = format!("{{\"private_key\": \"{}\"}}", KEY.replace('\n', "\\n"));
    bed.write(".env", "PASSWORD=x");
    bed.write("deep/Secrets.md", "x");
    bed.write("home/.aws/credentials.md", "x");
    bed.write("key.md", KEY);
    bed.write("account.md", &json);
    bed.write("credentials.md", "how to get them");
    bed.start();
    bed.scan().await;
    for (path, why) in [
        (".env", "files like `.env` usually hold secrets"),
        ("deep/Secrets.md", "files like `secrets.*`"),
        (
            "home/.aws/credentials.md",
            "files like `.aws/credentials.md`",
        ),
        ("key.md", "it holds a private key (PEM, line 1)"),
        ("account.md", "it holds a private key (PEM, line 1)"),
    ] {
        let told = withheld(&bed, path).await;
        assert!(
            told.as_ref().is_some_and(|t| t.starts_with(why)),
            "{path}: {told:?}"
        );
    }
    assert!(is_captured(&bed, "credentials.md").await);
    for text in ["x", "PASSWORD=x", KEY, &json] {
        assert!(!is_known(&bed, text).await, "{text}");
    }
    // Nothing of that changes with another look, and there is nothing to tell.
    let events = bed.events().await.len();
    bed.scan().await;
    assert_eq!(bed.events().await.len(), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roots_own_path_is_part_of_a_files_path() {
    let mut bed = Bed::made(&[]);
    bed.options.secrets = vec!["tree/config.md".to_owned()];
    bed.write("config.md", "x");
    bed.start();
    bed.scan().await;
    assert!(withheld(&bed, "config.md").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_becomes_a_secret_leaves_and_comes_back_without_it() {
    let bed = Bed::with(&[("a.md", "clean")]).await;
    let text = format!("# Notes\n\n{KEY}");
    bed.write("a.md", &text);
    bed.until("withheld", |k| {
        k[b"a.md".as_slice()].0 == FileState::Withheld
    })
    .await;
    let why = withheld(&bed, "a.md").await.unwrap();
    assert_eq!(why, "it holds a private key (PEM, line 3)");
    assert_eq!(bed.removals("a.md").await, ["withheld"]);
    assert!(!is_known(&bed, &text).await);
    bed.write("a.md", "clean again");
    bed.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_config_allows_is_read_and_no_longer_when_it_does_not() {
    let mut bed = Bed::made(&[]);
    bed.options.collections[0].allow_secrets =
        vec!["examples/".to_owned(), "/secrets.md".to_owned()];
    bed.write("examples/key.md", KEY);
    bed.write("secrets.md", "how we keep them");
    bed.write("a.md", "a");
    bed.start();
    bed.scan().await;
    bed.agrees().await;
    bed.stop().await;
    bed.options.collections[0].allow_secrets.clear();
    bed.start();
    bed.scan().await;
    for path in ["examples/key.md", "secrets.md"] {
        assert!(withheld(&bed, path).await.is_some(), "{path}");
        assert_eq!(bed.removals(path).await, ["withheld"]);
    }
    bed.stop().await;
    bed.options.collections[0].allow_secrets = vec!["*.md".to_owned()];
    bed.start();
    bed.scan().await;
    bed.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docents_own_files_are_withheld_under_every_name_that_they_have() {
    let mut bed = Bed::made(&[]);
    let (config, credentials) = (bed.at("docent.md"), bed.dir.path().join("credentials"));
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("redis"), "the password").unwrap();
    bed.options.own_files = vec![config.clone(), credentials.clone()];
    bed.options.collections[0].allow_secrets = vec!["*".to_owned()];
    bed.write("docent.md", "the config");
    fs::hard_link(&config, bed.at("other.md")).unwrap();
    fs::hard_link(credentials.join("redis"), bed.at("redis.md")).unwrap();
    bed.start();
    bed.scan().await;
    for path in ["docent.md", "other.md", "redis.md"] {
        let told = withheld(&bed, path).await;
        assert!(
            told.is_some_and(|t| t.contains("docent's own config")),
            "{path}"
        );
    }
    // An editor puts a new file in the place of the old one.
    bed.write("new.tmp", "the config, edited");
    fs::rename(bed.at("new.tmp"), &config).unwrap();
    bed.write("last.md", "written after it");
    bed.until("the last one", |k| k.contains_key(b"last.md".as_slice()))
        .await;
    bed.scan().await;
    assert!(withheld(&bed, "docent.md").await.is_some());
    for text in ["the config", "the config, edited", "the password"] {
        let read = is_known(&bed, text).await;
        // The old file is no config any more: its other name is a file like any other.
        assert_eq!(read, text == "the config", "{text}");
    }
}
