//! Passwords are hidden in anything that is shown.

/// Shown in place of a user and password.
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
}
