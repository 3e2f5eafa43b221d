//! What texts may say: names, paths, addresses, patterns, schedules.

use super::choice::FileType;
use super::patterns::Patterns;
use super::problem::Wrong;
use super::secret::redact;
use super::shape::Shape;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::CronParser;
use std::net::SocketAddr;

/// A value as it is quoted in a message: in quotes, short, on one line, without a password.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    let shown = redact(text);
    if shown.chars().count() <= LONGEST {
        return format!("{shown:?}");
    }
    let start: String = shown.chars().take(LONGEST).collect();
    format!("{start:?}…")
}

/// A text of 1 to `longest` bytes of letters, digits and the characters in `others`.
fn name(text: &str, others: &str, capitals: bool, longest: usize) -> Result<(), Wrong> {
    let fits = |c: char| {
        c.is_ascii_digit()
            || c.is_ascii_lowercase()
            || (capitals && c.is_ascii_uppercase())
            || others.contains(c)
    };
    if !text.is_empty() && text.len() <= longest && text.chars().all(fits) {
        return Ok(());
    }
    let letters = if capitals { "A-Z a-z" } else { "a-z" };
    let spaced: Vec<String> = others.chars().map(String::from).collect();
    Err(Wrong::new(
        format!("{} is not a name", quote(text)),
        format!(
            "write 1 to {longest} of the characters {letters} 0-9 {}",
            spaced.join(" ")
        ),
    ))
}

pub(crate) fn collection_name(text: &str) -> Result<(), Wrong> {
    name(text, "_-", false, 64)
}

/// Bytes of the longest instance name.
pub(crate) const LONGEST_INSTANCE: usize = 64;

/// Characters of an instance name besides small letters and digits.
pub(crate) const INSTANCE_OTHERS: &str = "_.-";

pub(crate) fn instance(text: &str) -> Result<(), Wrong> {
    if text.is_empty() {
        return Ok(());
    }
    name(text, INSTANCE_OTHERS, false, LONGEST_INSTANCE)
}

pub(crate) fn redis_name(text: &str) -> Result<(), Wrong> {
    name(text, "_.:-", true, 64)
}

pub(crate) fn group(text: &str) -> Result<(), Wrong> {
    if text.is_empty() {
        return Ok(());
    }
    name(text, "_.-", true, 32)
}

pub(crate) fn path(text: &str) -> Result<(), Wrong> {
    if text.is_empty() || text.contains('\0') {
        return Err(Wrong::new(
            format!("{} is not a path", quote(text)),
            "write a path; a relative one counts from the config file's directory",
        ));
    }
    if text == "~" || text.starts_with("~/") || text.starts_with('$') {
        return Err(Wrong::new(
            format!("{} would need a shell to be understood", quote(text)),
            "write the path in full",
        ));
    }
    Ok(())
}

pub(crate) fn socket(text: &str) -> Result<(), Wrong> {
    if text.is_empty() { Ok(()) } else { path(text) }
}

pub(crate) fn listen(text: &str) -> Result<(), Wrong> {
    if text.is_empty() || text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    Err(Wrong::new(
        format!("{} is not an address with a port", quote(text)),
        "write one such as \"127.0.0.1:9870\" or \"[::1]:9870\", or \"\" for none",
    ))
}

/// Compiled by the code that will use it, so that what passes here is what works there.
pub(crate) fn glob(text: &str) -> Result<(), Wrong> {
    Patterns::new(&[text.to_owned()], false)
        .map(drop)
        .map_err(|error| Wrong::new(format!("{} {}", quote(text), error.what), error.remedy))
}

/// A pattern of file names or of the ends of paths: it counts in every directory, so it begins in none.
pub(crate) fn secret_glob(text: &str) -> Result<(), Wrong> {
    if text.starts_with(['/', '!']) || text.ends_with('/') {
        return Err(Wrong::new(
            format!("{} is not a pattern of file names", quote(text)),
            "write a name or the end of a path, such as \"*.pem\" or \".aws/credentials\"; \
             what is no secret after all stands in `allow_secrets` of a [[collection]]",
        ));
    }
    glob(text)
}

pub(crate) fn file_type(text: &str) -> Result<(), Wrong> {
    Shape::Choice(FileType::NAMES).check_text(text)
}

/// Reads a job's schedule: a cron pattern of five fields, as every part of docent reads it.
///
/// # Errors
/// When it is none.
pub fn parse_schedule(pattern: &str) -> Result<Cron, CronError> {
    CronParser::builder()
        .seconds(croner::parser::Seconds::Disallowed)
        .year(croner::parser::Year::Disallowed)
        .build()
        .parse(pattern)
}

pub(crate) fn schedule(text: &str) -> Result<(), Wrong> {
    let remedy = "write minute, hour, day, month and weekday, such as \"0 2 * * *\" for 02:00";
    let cron = parse_schedule(text).map_err(|error| {
        let cause = error.to_string();
        Wrong::new(
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
        Wrong::new(
            format!("{} names a date that never comes", quote(text)),
            remedy,
        )
    })?;
    Ok(())
}

pub(crate) fn time_zone(text: &str) -> Result<(), Wrong> {
    match jiff::tz::TimeZone::get(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(Wrong::new(
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
        all(
            collection_name,
            &["a", "my-docs_2"],
            &["", "A", "a b", "a/b", "ä", "a.b", &"x".repeat(65)],
        );
        all(instance, &["", "web-1.example.org"], &["Web", "a b", "a@b"]);
        all(
            redis_name,
            &["docent", "a:b", "A.b-c_d"],
            &["", "{a}", "a b"],
        );
        all(
            group,
            &["", "docent", "www-data"],
            &["a b", &"g".repeat(33)],
        );
    }

    #[test]
    fn knows_paths_and_addresses() {
        all(
            path,
            &["/srv", "..", "a b", "ü"],
            &["", "~", "~/x", "$HOME/x", "a\0b"],
        );
        all(socket, &["", "/run/x.sock"], &["~/x"]);
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
        all(file_type, &["markdown", "toml"], &["Markdown", "pdf", ""]);
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
