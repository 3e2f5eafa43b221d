//! Redis' address, which may hold a password, and the redaction of passwords in anything that is shown.

use super::table::Setting;
use std::fmt;

/// Shown in place of a user and password.
const HIDDEN: &str = "***";

/// The URL of a Redis. `Debug` and `Display` hide its user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The whole URL with its password: for connecting, never for showing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RedisUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({:?})", redact(&self.0))
    }
}

impl Setting for RedisUrl {
    fn read(value: &toml::Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

/// `text` with the user name and password of a URL hidden, also those in its query.
///
/// Everything between `://` and the *last* `@` is hidden: otherwise a part of a password in which `/` or `@` is not escaped
/// would show.
pub fn redact(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (shown, rest) = match rest.rsplit_once('@') {
        Some((_, host)) => (format!("{scheme}://{HIDDEN}@"), host),
        None => (format!("{scheme}://"), rest),
    };
    match rest.split_once('?') {
        None => shown + rest,
        Some((path, query)) => {
            let query: Vec<String> = query.split('&').map(redact_parameter).collect();
            format!("{shown}{path}?{}", query.join("&"))
        }
    }
}

/// Hides the value of a query parameter that names a user or a password, such as `sentinelPassword`.
fn redact_parameter(parameter: &str) -> String {
    let Some((name, _)) = parameter.split_once('=') else {
        return parameter.to_owned();
    };
    let lower = name.to_ascii_lowercase();
    if lower.contains("pass") || lower.contains("user") {
        format!("{name}={HIDDEN}")
    } else {
        parameter.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_name_and_password() {
        for (url, shown) in [
            ("redis://localhost:6379", "redis://localhost:6379"),
            ("redis://me:s3cret@db:6379/2", "redis://***@db:6379/2"),
            ("redis://:s3cret@db", "redis://***@db"),
            ("rediss://me@db", "rediss://***@db"),
            ("redis://:s3/cr@et@db", "redis://***@db"),
            (
                "redis-sentinel://a:1?sentinelPassword=s3cret&sentinelServiceName=x",
                "redis-sentinel://a:1?sentinelPassword=***&sentinelServiceName=x",
            ),
            ("no url at all", "no url at all"),
        ] {
            assert_eq!(redact(url), shown);
        }
    }

    #[test]
    fn no_way_of_showing_tells_the_password() {
        let url = RedisUrl::from("redis://me:s3cret@db");
        for shown in [format!("{url}"), format!("{url:?}"), format!("{url:#?}")] {
            assert!(
                !shown.contains("s3cret") && !shown.contains("me:"),
                "{shown}"
            );
            assert!(shown.contains("redis://***@db"), "{shown}");
        }
        assert_eq!(url.expose(), "redis://me:s3cret@db");
    }
}
