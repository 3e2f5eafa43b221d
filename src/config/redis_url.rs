//! Which URLs name a Redis server. What passes here, the client understands as it was meant. A message never quotes the URL:
//! what looks like a host may be half of a password.

use std::fmt;
use std::net::Ipv6Addr;

use super::secret::redact;
use super::table::Setting;
use super::violation::Reason;

/// The URL of a Redis. `Debug` and `Display` hide its user name and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisUrl(String);

impl RedisUrl {
    /// The whole URL with its password: for connecting, never for showing.
    pub(crate) fn expose(&self) -> &str {
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

const EXAMPLE: &str = "write one such as \"redis://localhost:6379\"";
const ENCODE: &str = "percent-encode what is special in a user, a password or a path (# is %23, / is %2F, ? is %3F, @ is %40, % is %25, a space is %20), such as \"redis://:p%23ss@localhost:6379\"";
const DATABASE: &str = "write it after the host, such as \"redis://localhost:6379/2\"";
const SOCKET: &str = "write a socket's path in full, with three slashes, such as \"redis+unix:///run/redis/redis.sock\"";

/// What kind of place a scheme names.
#[derive(Clone, Copy, PartialEq)]
enum UrlKind {
    Server,
    Cluster,
    Sentinel,
    Socket,
}

const SCHEMES: [(&str, UrlKind); 7] = [
    ("redis", UrlKind::Server),
    ("rediss", UrlKind::Server),
    ("redis-cluster", UrlKind::Cluster),
    ("rediss-cluster", UrlKind::Cluster),
    ("redis-sentinel", UrlKind::Sentinel),
    ("rediss-sentinel", UrlKind::Sentinel),
    ("redis+unix", UrlKind::Socket),
];

/// Whether a text is the URL of a Redis.
pub(crate) fn redis_url(text: &str) -> Result<(), Reason> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Reason::new("is not a URL", EXAMPLE));
    };
    let Some((_, kind)) = SCHEMES.iter().find(|(known, _)| *known == scheme) else {
        let known: Vec<&str> = SCHEMES.iter().map(|(known, _)| *known).collect();
        return Err(Reason::new(
            "is not the URL of a Redis",
            format!("begin it with one of {}, and ://", known.join(", ")),
        ));
    };
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Reason::new("holds a space or a control character", ENCODE));
    }
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if behind.contains(['@', '#']) {
        return Err(Reason::new(
            "has a special character in a place where it ends the host, such as # or / in a password",
            ENCODE,
        ));
    }
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains('@')) {
        return Err(Reason::new("has more than one @", ENCODE));
    }
    encoded(user.unwrap_or_default())?;
    let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
    match kind {
        UrlKind::Socket => socket(user, place, path)?,
        _ => {
            server(place, false)?;
            database(path, *kind)?;
        }
    }
    parameters(query, *kind)
}

/// Whether every % begins the number of a byte, and the bytes are UTF-8.
fn encoded(text: &str) -> Result<(), Reason> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let digits = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte else {
            return Err(Reason::new("has a % that begins no %XX", ENCODE));
        };
        bytes.push(byte);
        bytes.extend(part[2..].bytes());
    }
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(Reason::new("has %XX that together are not UTF-8", ENCODE)),
    }
}

/// A host, and a port if there is one.
fn server(place: &str, port_needed: bool) -> Result<(), Reason> {
    let address = place.strip_prefix('[').and_then(|v6| v6.split_once(']'));
    let (host, port) = match address {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, Some(port.strip_prefix(':').unwrap_or_default())),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if place.is_empty() || host.is_empty() && address.is_none() && !place.starts_with("::") {
        return Err(Reason::new("names no host", EXAMPLE));
    }
    if address.is_some() && host.parse::<Ipv6Addr>().is_err() {
        return Err(Reason::new(
            "has something in brackets that is not an IPv6 address",
            "write one such as \"redis://[::1]:6379\"",
        ));
    }
    if address.is_none() && port.is_some_and(|port| port.contains(':')) {
        return Err(Reason::new(
            "has more than one : in its host",
            "write an IPv6 address in brackets, such as \"redis://[::1]:6379\", and a password before an @, such as \"redis://:PASSWORD@localhost:6379\"",
        ));
    }
    if address.is_none() && !host.chars().all(fits) {
        return Err(Reason::new(
            "has a character in its host that is not allowed there",
            EXAMPLE,
        ));
    }
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let fits = |port: &str| digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if !port.map_or(!port_needed, fits) {
        return Err(Reason::new(
            "has a port that is not a number from 1 to 65535",
            EXAMPLE,
        ));
    }
    Ok(())
}

/// A socket. The client wants a host where there is a user, and uses none.
fn socket(user: Option<&str>, place: &str, path: &str) -> Result<(), Reason> {
    if user.is_some() && place.is_empty() {
        return Err(Reason::new(
            "has a user or a password, but no host",
            "write one such as \"redis+unix://:PASSWORD@localhost/run/redis/redis.sock\"",
        ));
    }
    if user.is_none() && !place.is_empty() {
        return Err(Reason::new("names a host where a path must begin", SOCKET));
    }
    if user.is_some() {
        server(place, false)?;
    }
    if path.len() < 2 || path.ends_with('/') {
        return Err(Reason::new("names no socket", SOCKET));
    }
    encoded(path)
}

fn database(path: &str, kind: UrlKind) -> Result<(), Reason> {
    let number = path.strip_prefix('/').unwrap_or_default();
    if number.is_empty() {
        return Ok(());
    }
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    match number.parse::<u8>() {
        Ok(0) if digits => Ok(()),
        Ok(_) if digits && kind != UrlKind::Cluster => Ok(()),
        Ok(_) if digits => Err(Reason::new(
            "names a database, and a cluster has only database 0",
            "leave it out",
        )),
        _ => Err(Reason::new(
            "has a database that is not a number from 0 to 255",
            DATABASE,
        )),
    }
}

/// The parameters that a kind of place has; the client would ignore others silently.
fn parameters(query: &str, kind: UrlKind) -> Result<(), Reason> {
    let mut named = false;
    for parameter in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (kind, name) {
            (UrlKind::Cluster | UrlKind::Sentinel, "node") => server(value, true)?,
            (UrlKind::Sentinel, "sentinelServiceName") if !value.is_empty() => named = true,
            _ => {
                return Err(Reason::new(
                    "has a parameter that docent does not know",
                    "leave it out: a cluster has node=HOST:PORT, sentinels have that and sentinelServiceName=NAME, and a database comes after the host, as in \"redis://localhost:6379/2\"",
                ));
            }
        }
    }
    if kind == UrlKind::Sentinel && !named {
        return Err(Reason::new(
            "does not say which primary the sentinels watch",
            "write one such as \"redis-sentinel://localhost:26379?sentinelServiceName=NAME\"",
        ));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// URLs that are right; `environment` tries them on the client.
    pub(crate) const GOOD: [&str; 20] = [
        "redis://localhost:6379",
        "redis://localhost",
        "redis://localhost/",
        "redis://127.0.0.1:1/15",
        "redis://me:pw@db:6379/2",
        "redis://me@db_1.example.org",
        "redis://:p%23s%2Fs%40%25@db",
        "redis://:a:b!$&'()*+,;=[]{}|^<>\\\"~`ü@db",
        "redis://@db",
        "rediss://[::1]:6379",
        "rediss://[::1]",
        "redis://:p@[fe80::1]:1/0",
        "redis-cluster://a:1?node=b:2",
        "rediss-cluster://u:p@a:1/0?node=b:2&node=c:3",
        "redis-sentinel://a:26379?sentinelServiceName=x",
        "rediss-sentinel://u:p@a/3?sentinelServiceName=x&node=b:2",
        "redis+unix:///run/redis.sock",
        "redis+unix:///run/a%20b%40/redis.sock",
        "redis+unix://u:p%2F@localhost/run/redis.sock",
        "redis+unix:///s",
    ];

    #[test]
    fn what_is_right_passes() {
        for url in GOOD {
            assert_eq!(redis_url(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_write_and_without_the_password() {
        for (url, told) in [
            ("", "not a URL"),
            ("localhost:6379", "not a URL"),
            ("http://x", "redis+unix"),
            ("valkey://x", "redis+unix"),
            ("REDIS://x", "redis+unix"),
            ("redis://", "names no host"),
            ("redis://:6379", "names no host"),
            ("redis:///2", "names no host"),
            ("redis://u:s3cret@", "names no host"),
            ("redis://u:s3cret@:1", "names no host"),
            ("redis://h h", "%20"),
            ("redis://:s3 cret@h", "%20"),
            ("redis://h\n", "control"),
            ("redis://:s3#cret@127.0.0.1:1", "%23"),
            ("redis://:s3/cret@127.0.0.1:1", "%2F"),
            ("redis://:s3?cret@127.0.0.1:1", "%3F"),
            ("redis://:s3@cret@127.0.0.1:1", "%40"),
            ("redis://:s3cret%@127.0.0.1:1", "%25"),
            ("redis://:s3cret%zz@127.0.0.1:1", "%25"),
            ("redis://:s3cret%+1@127.0.0.1:1", "%25"),
            ("redis://:s3cret%ü@127.0.0.1:1", "%25"),
            ("redis://:s3cret%ff@127.0.0.1:1", "UTF-8"),
            ("redis://h#s3cret", "%23"),
            ("redis://::1:1", "[::1]"),
            ("redis://::1", "[::1]"),
            ("redis://[::1:1", "[::1]"),
            ("redis://[s3cret]:1", "[::1]"),
            ("redis://[::1]1", "port"),
            ("redis://:6379x", "names no host"),
            ("redis://h:", "port"),
            ("redis://h:0", "port"),
            ("redis://h:99999", "port"),
            ("redis://h:+1", "port"),
            ("redis://h:6379x", "port"),
            ("redis://h*", "host"),
            ("redis://%2Frun%2Fredis.sock", "host"),
            ("redis://h/256", "database"),
            ("redis://h/x", "database"),
            ("redis://h/+1", "database"),
            ("redis://h/-1", "database"),
            ("redis://h/1/", "database"),
            ("redis-cluster://h/1", "database 0"),
            ("redis://h?db=2", "after the host"),
            ("redis+unix:///run/x.sock?db=2", "parameter"),
            ("redis-cluster://h?node=b", "port"),
            ("redis-sentinel://h", "sentinelServiceName"),
            (
                "redis-sentinel://h?sentinelServiceName=x&sentinelPassword=s3cret",
                "parameter",
            ),
            ("redis+unix://", "three slashes"),
            ("redis+unix:///", "three slashes"),
            ("redis+unix:///run/", "three slashes"),
            ("redis+unix://run/redis.sock", "three slashes"),
            ("redis+unix:/run/redis.sock", "not a URL"),
            ("redis+unix://:s3cret@/run/redis.sock", "@localhost/"),
            ("redis+unix://:s3/cret@localhost/run/redis.sock", "%2F"),
        ] {
            let reason = redis_url(url).expect_err(url);
            let text = format!("{reason:?}");
            assert!(text.contains(told), "{url}: {text}");
            assert!(
                !text.contains("s3") && !text.contains("cret"),
                "{url}: {text}"
            );
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
