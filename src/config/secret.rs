//! Passwords are hidden in anything that is shown.

use super::public_url::PublicUrl;

/// Shown in place of what is hidden.
const HIDDEN: &str = "***";

/// `text` with the user name and password of a URL hidden, also those in its query.
///
/// Everything between `://` and the *last* `@` is hidden: otherwise a part of a password in which `/` or `@` is not escaped
/// would show.
pub(crate) fn redact(text: &str) -> String {
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

/// The address of a webhook with its path and query hidden: with many receivers whoever knows them may send.
///
/// Only what is a scheme and a server is shown, so that nothing shows of a text that is no address.
pub(crate) fn redact_webhook(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return HIDDEN.to_owned();
    };
    if !scheme.chars().all(|c| c.is_ascii_alphanumeric()) {
        return HIDDEN.to_owned();
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (server, target) = rest.split_at(end);
    if PublicUrl::parse(&format!("http://{server}")).is_none() {
        return format!("{scheme}://{HIDDEN}");
    }
    match target {
        "" | "/" => text.to_owned(),
        _ => format!("{scheme}://{server}/{HIDDEN}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_webhook_only_the_server_shows() {
        for (url, shown) in [
            ("", ""),
            ("https://hooks.example.org", "https://hooks.example.org"),
            ("https://hooks.example.org/", "https://hooks.example.org/"),
            (
                "https://a.example:8443/T0/s3cret",
                "https://a.example:8443/***",
            ),
            ("https://a.example/?token=s3cret", "https://a.example/***"),
            ("https://[::1]?s3cret", "https://[::1]/***"),
            ("https://a.example/x@s3cret", "https://a.example/***"),
            ("https://a.example/#s3cret", "https://a.example/***"),
            ("https://me:s3cret@a.example/x", "https://***"),
            ("https://me:s3/cret@a.example/x", "https://***"),
            ("https:///s3cret", "https://***"),
            ("s3cret://a.example/", "s3cret://a.example/"),
            ("s3 cret://a.example/", "***"),
            ("s3cret", "***"),
        ] {
            assert_eq!(redact_webhook(url), shown);
        }
    }

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
}
