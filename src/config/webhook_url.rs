//! The address of a webhook.

use super::public_url::PublicUrl;
use super::secret::redact_webhook;
use super::table::Setting;
use super::violation::{Reason, quote};
use std::fmt;
use std::net::IpAddr;

/// An address that is told of alerts: https, or http on this machine.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct WebhookUrl {
    pub is_https: bool,
    /// The name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// The host as a request names it, with the port if it was written.
    pub authority: String,
    /// Where the request goes, with its query. Both may be a credential.
    pub target: String,
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        let url = format!("{scheme}://{}{}", self.authority, self.target);
        write!(f, "WebhookUrl({:?})", redact_webhook(&url))
    }
}

impl WebhookUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        let wrong = |what: &str| {
            Reason::new(
                format!("{} {what}", quote(&redact_webhook(text))),
                "write one such as \"https://alerts.example.org/docent\"",
            )
        };
        let visible = text.chars().all(|c| c.is_ascii_graphic());
        let scheme = text.find("://").map(|at| at + 3);
        let Some(begin) = scheme.filter(|_| visible && !text.contains('#')) else {
            return Err(wrong("is not the address of a webhook"));
        };
        let end = text[begin..].find(['/', '?']);
        let (server, rest) = text.split_at(end.map_or(text.len(), |at| begin + at));
        let server =
            PublicUrl::parse(server).ok_or_else(|| wrong("is not the address of a webhook"))?;
        if !server.is_https && !is_loopback(&server.host) {
            return Err(wrong(
                "is not https: others on the network could read and forge what is sent",
            ));
        }
        let slash = if rest.starts_with('/') { "" } else { "/" };
        Ok(WebhookUrl {
            is_https: server.is_https,
            host: server.host,
            port: server.port,
            authority: server.authority,
            target: format!("{slash}{rest}"),
        })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The address of a webhook, or `""` for none.
pub(crate) fn webhook_url(text: &str) -> Result<(), Reason> {
    match text {
        "" => Ok(()),
        _ => WebhookUrl::parse(text).map(drop),
    }
}

/// The empty text is none.
impl Setting for Option<WebhookUrl> {
    fn read(value: &toml::Value) -> Option<Self> {
        match value.as_str()? {
            "" => Some(None),
            text => WebhookUrl::parse(text).ok().map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_this_machine() {
        let url = WebhookUrl::parse("https://Alerts.example.org/a/b?c=d").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("alerts.example.org", 443));
        assert_eq!((url.target.as_str(), url.is_https), ("/a/b?c=d", true));
        let url = WebhookUrl::parse("http://[::1]:8080?x").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 8080));
        assert_eq!(url.target, "/?x");
        assert!(WebhookUrl::parse("http://localhost").is_ok());
        for text in [
            "http://alerts.example.org/",
            "http://127.0.0.1.example.org/",
            "ftp://127.0.0.1/",
            "https://u:p@host/",
            "https://host/#x",
            "https://host/a b",
            "https:///a",
            "host/a",
        ] {
            assert!(WebhookUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn its_path_and_query_are_told_to_nobody() {
        let url = WebhookUrl::parse("https://example.org/s3cret?s3cret").unwrap();
        assert_eq!(
            format!("{url:?}"),
            "WebhookUrl(\"https://example.org/***\")"
        );
        for text in [
            "http://example.org/s3cret",
            "https://example.org/s3cret#",
            "s3cret",
        ] {
            let reason = WebhookUrl::parse(text).unwrap_err();
            let told = reason.what + &reason.remedy;
            assert!(!told.contains("s3cret"), "{told}");
        }
    }
}
