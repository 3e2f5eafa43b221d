//! The cookie that a session is known by.
//!
//! A browser sends it to every port of its host. So its name has the port in it, lest two daemons log each other out, and it
//! suffices for nothing that changes something ([`own_act`](super::forgery::own_act)).

use axum::http::{HeaderMap, HeaderValue, header};

/// How the cookie is set and found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cookie {
    name: String,
    secure: bool,
}

impl Cookie {
    /// The cookie of the listener on this port; `secure`: what is sent there is encrypted.
    pub(super) fn new(port: u16, secure: bool) -> Self {
        // With this beginning a browser takes it from nobody but this host, and only where it is encrypted.
        let beginning = if secure { "__Host-" } else { "" };
        Cookie {
            name: format!("{beginning}docent-{port}"),
            secure,
        }
    }

    /// Its value in a request. None also where there are two: one of them is not ours.
    pub(super) fn of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let texts = headers.get_all(header::COOKIE).iter();
        let pairs = texts.filter_map(|text| text.to_str().ok());
        let mut values = pairs
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name)
            .map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }

    /// What makes a browser keep `value`, which is hexadecimal.
    pub(super) fn set(&self, value: &str) -> Option<HeaderValue> {
        self.header(value, "")
    }

    /// What makes a browser forget it.
    pub(super) fn unset(&self) -> Option<HeaderValue> {
        self.header("", "; Max-Age=0")
    }

    fn header(&self, value: &str, age: &str) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}",
            self.name
        );
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(texts: &[&str]) -> HeaderMap {
        let texts = texts.iter().map(|text| text.parse().unwrap());
        texts.map(|text| (header::COOKIE, text)).collect()
    }

    #[test]
    fn it_is_found_among_others_and_not_where_there_are_two() {
        let cookie = Cookie::new(9870, false);
        for (texts, found) in [
            (&["docent-9870=ab"][..], Some("ab")),
            (&["a=1; docent-9870=ab; b=2"], Some("ab")),
            (&["a=1", "docent-9870=ab"], Some("ab")),
            (&["docent-9871=ab"], None),
            (&["docent-9870"], None),
            (&["docent-9870=ab; docent-9870=cd"], None),
            (&["docent-9870=ab", "docent-9870=cd"], None),
            (&[], None),
        ] {
            assert_eq!(cookie.of(&sent(texts)), found, "{texts:?}");
        }
    }

    #[test]
    fn scripts_and_other_sites_do_not_get_it_nor_does_anybody_in_the_clear_under_tls() {
        let plain = Cookie::new(9870, false).set("ab").unwrap();
        assert_eq!(plain, "docent-9870=ab; Path=/; HttpOnly; SameSite=Strict");
        let secure = Cookie::new(9870, true);
        assert_eq!(
            secure.set("ab").unwrap(),
            "__Host-docent-9870=ab; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        let unset = secure.unset().unwrap();
        assert!(unset.to_str().unwrap().ends_with("; Max-Age=0"));
    }
}
