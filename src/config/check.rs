//! The checks of texts: names, paths, addresses, patterns, schedules.

use super::patterns::Patterns;
use super::public_url::PublicUrl;
use super::violation::{Reason, quote};
use croner::Cron;
use croner::errors::CronError;
use croner::parser::CronParser;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// Characters of names, each with a space before the next: single ones and ranges.
pub(crate) const COLLECTION_NAME: &str = "a-z 0-9 _ -";
/// The most characters of an instance name.
pub(crate) const LONGEST_INSTANCE: usize = 64;
pub(crate) const INSTANCE: &str = "a-z 0-9 _ . -";
pub(crate) const REDIS_NAME: &str = "A-Z a-z 0-9 _ . : -";
pub(crate) const GROUP: &str = "A-Z a-z 0-9 _ . -";

/// Whether `c` is among `characters`.
pub(crate) fn is_among(c: char, characters: &str) -> bool {
    characters
        .split(' ')
        .any(|part| match part.split_once('-') {
            Some((first, last)) if !first.is_empty() => {
                (first..=last).contains(&c.to_string().as_str())
            }
            _ => part.starts_with(c),
        })
}

/// A text of a shortest and a longest length whose characters are all among these.
pub(crate) fn name(
    text: &str,
    characters: &str,
    lengths: RangeInclusive<usize>,
) -> Result<(), Reason> {
    if lengths.contains(&text.chars().count()) && text.chars().all(|c| is_among(c, characters)) {
        return Ok(());
    }
    Err(Reason::new(
        format!("{} is not a name", quote(text)),
        format!(
            "write 1 to {} of the characters {characters}",
            lengths.end()
        ),
    ))
}

pub(crate) fn path(text: &str) -> Result<(), Reason> {
    if text.is_empty() || text.contains('\0') {
        return Err(Reason::new(
            format!("{} is not a path", quote(text)),
            "write a path; a relative one is relative to the config file's directory",
        ));
    }
    if text == "~" || text.starts_with("~/") || text.starts_with('$') {
        return Err(Reason::new(
            format!("{} needs a shell to expand it", quote(text)),
            "write the path in full",
        ));
    }
    Ok(())
}

/// A text whose meaning a rule between keys finds out.
pub(crate) fn anything(_: &str) -> Result<(), Reason> {
    Ok(())
}

/// An argument of a program.
pub(crate) fn argument(text: &str) -> Result<(), Reason> {
    if text.is_empty() || text.contains('\0') {
        let what = format!("{} is not an argument", quote(text));
        return Err(Reason::new(what, "write a text, or leave it out"));
    }
    Ok(())
}

/// A path, or `""` for none.
pub(crate) fn optional_path(text: &str) -> Result<(), Reason> {
    if text.is_empty() { Ok(()) } else { path(text) }
}

pub(crate) fn listen(text: &str) -> Result<(), Reason> {
    if text.is_empty() || text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    Err(Reason::new(
        format!("{} is not an address with a port", quote(text)),
        "write one such as \"127.0.0.1:9870\" or \"[::1]:9870\", or \"\" for none",
    ))
}

/// `http` or `https`, a name, perhaps a port, and nothing else.
pub(crate) fn public_url(text: &str) -> Result<(), Reason> {
    if text.is_empty() || PublicUrl::parse(text).is_some() {
        return Ok(());
    }
    Err(Reason::new(
        format!("{} is not the address of a server", quote(text)),
        "write one such as \"https://docs.example.org\" or \"http://docs.example.org:9870\", without a path, or \"\" for none",
    ))
}

/// Parsed by the code that will use it, so that what passes here works there.
pub(crate) fn glob(text: &str) -> Result<(), Reason> {
    Patterns::check(text)
        .map_err(|error| Reason::new(format!("{} {}", quote(text), error.what), error.remedy))
}

/// A pattern of file names or of ends of paths. It applies in every directory, so it begins in none.
pub(crate) fn secret_glob(text: &str) -> Result<(), Reason> {
    if text.starts_with(['/', '!']) || text.ends_with('/') {
        return Err(Reason::new(
            format!("{} is not a pattern of file names", quote(text)),
            "write a name or the end of a path, such as \"*.pem\" or \".aws/credentials\"; \
             exceptions belong in `allow_secrets` of a [[collection]]",
        ));
    }
    glob(text)
}

/// Reads a job's schedule: a cron pattern of five fields, as every part of docent reads it.
///
/// # Errors
/// When it is none.
pub(crate) fn parse_schedule(pattern: &str) -> Result<Cron, CronError> {
    CronParser::builder()
        .seconds(croner::parser::Seconds::Disallowed)
        .year(croner::parser::Year::Disallowed)
        .build()
        .parse(pattern)
}

pub(crate) fn schedule(text: &str) -> Result<(), Reason> {
    let remedy = "write minute, hour, day, month and weekday, such as \"0 2 * * *\" for 02:00";
    let cron = parse_schedule(text).map_err(|error| {
        let cause = error.to_string();
        Reason::new(
            format!(
                "{} is not a schedule: {}",
                quote(text),
                cause.trim_end_matches('.')
            ),
            remedy,
        )
    })?;
    // A fixed start keeps the verdict the same on every day; the search covers every date that exists.
    let start = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    cron.find_next_occurrence(&start, false).map_err(|_| {
        Reason::new(
            format!("{} names a date that never comes", quote(text)),
            remedy,
        )
    })?;
    Ok(())
}

pub(crate) fn time_zone(text: &str) -> Result<(), Reason> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(Reason::new(
            format!("{} is not a time zone", quote(text)),
            "write an IANA name such as \"UTC\" or \"Europe/Berlin\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::TextCheck;
    use super::*;

    fn all(check: TextCheck, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert!(check(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn knows_names() {
        let all = |characters, shortest, longest, good: &[&str], bad: &[&str]| {
            let fits = |text: &&str| name(text, characters, shortest..=longest).is_ok();
            assert!(good.iter().all(fits), "{good:?}");
            assert!(!bad.iter().any(fits), "{bad:?}");
        };
        let long = "x".repeat(65);
        let bad = ["", "A", "a b", "a/b", "ä", "a.b", &long];
        all(COLLECTION_NAME, 1, 64, &["a", "my-docs_2"], &bad);
        let bad = ["Web", "a b", "a@b"];
        all(INSTANCE, 0, 64, &["", "web-1.example.org"], &bad);
        let bad = ["", "{a}", "a b"];
        all(REDIS_NAME, 1, 64, &["docent", "a:b", "A.b-c_d"], &bad);
        let bad = ["a b", &"g".repeat(33)];
        all(GROUP, 0, 32, &["", "docent", "www-data"], &bad);
    }

    #[test]
    fn knows_paths_and_addresses() {
        all(
            path,
            &["/srv", "..", "a b", "ü"],
            &["", "~", "~/x", "$HOME/x", "a\0b"],
        );
        all(optional_path, &["", "/run/x.sock"], &["~/x"]);
        all(
            public_url,
            &[
                "",
                "https://docs.example.org",
                "http://a:9870/",
                "https://[::1]:1",
                "http://[::1]",
            ],
            &[
                "docs.example.org",
                "ftp://a",
                "https://",
                "https://a/b",
                "https://u@a",
                "http://a:x",
                "http://a:0",
                "http://::1",
            ],
        );
        all(
            listen,
            &["", "127.0.0.1:9870", "[::1]:80", "0.0.0.0:0"],
            &["localhost:80", "127.0.0.1", ":80", "127.0.0.1:70000"],
        );
    }

    #[test]
    fn knows_patterns() {
        all(
            glob,
            &[
                "*.md", "docs/**", "!keep.md", "/top", "a b", "{a,b}.c", "\\#x",
            ],
            &["", "  ", "#x", "a\nb", "{a", "[a", "[z-a]", "../a", "a\\b"],
        );
        all(
            secret_glob,
            &["*.pem", ".env", ".aws/credentials", ".gnupg/**"],
            &["/a", "a/", "!x", ""],
        );
    }

    #[test]
    fn knows_schedules_and_zones() {
        all(
            schedule,
            &[
                "0 2 * * *",
                "*/5 * * * *",
                "0 6 * * SUN",
                "0 0 29 2 *",
                "@daily",
            ],
            &[
                "",
                "* * * *",
                "* * * * * *",
                "61 * * * *",
                "0 0 31 2 *",
                "tomorrow",
            ],
        );
        all(
            time_zone,
            &["UTC", "Europe/Berlin"],
            &["", "Mars/Base", "+02:00"],
        );
    }

    #[test]
    fn a_quoted_value_is_short_and_on_one_line() {
        assert_eq!(quote("a\nb"), "\"a\\nb\"");
        assert_eq!(quote("redis://u:p@h"), "\"redis://***@h\"");
        assert!(quote(&"x".repeat(1_000)).len() < 100);
    }
}
