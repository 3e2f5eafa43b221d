//! By which names the listener is known: a page of somebody else's that a browser leads here is turned away.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

use super::super::params::Ends;
use super::super::wire::{Problem, ProblemKind};
use crate::config::PublicUrl;

/// The names besides the listener's own address.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Site {
    public: Option<WebOrigin>,
}

/// A server as a URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WebOrigin {
    tls: bool,
    host: String,
    port: u16,
}

impl WebOrigin {
    /// What stands before the path of a URL.
    fn of_origin(text: &str) -> Option<Self> {
        let found = PublicUrl::parse(text)?;
        Some(WebOrigin {
            tls: found.is_https,
            host: found.host,
            port: found.port,
        })
    }

    fn of_authority(text: &str, tls: bool) -> Option<Self> {
        let scheme = if tls { "https" } else { "http" };
        let origin = Self::of_origin(&format!("{scheme}://{text}"));
        origin.filter(|_| !text.ends_with('/'))
    }

    /// Whether it is the listener itself: no other site can have an address, or the name of every machine's own.
    fn is_own(&self, ends: Ends) -> bool {
        let local = ends.local.ip().to_canonical();
        let own = match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address.to_canonical() == local,
            Err(_) => self.host == "localhost",
        };
        own && self.port == ends.local.port() && self.tls == ends.tls
    }
}

impl Site {
    /// The site that is known by `public_url`; empty: by the listener's address alone.
    pub(in crate::http) fn new(public_url: &str) -> Self {
        Site {
            public: WebOrigin::of_origin(public_url),
        }
    }

    /// That a request is meant for this listener, and comes from no page of another site.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap, ends: Ends) -> Result<(), Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let Some(host) = host.filter(|_| hosts.next().is_none()) else {
            return Err(foreign("a request needs exactly one Host"));
        };
        for named in [Some(host), uri.authority().map(|named| named.as_str())] {
            if let Some(named) = named.filter(|named| !self.is_host(named, ends)) {
                return Err(foreign(format!("the Host `{named}` is not docent's")));
            }
        }
        // A page that tells nobody its address has no Origin either when it sends a form. Browsers say whose page it was, but
        // for an address of the network without TLS; what a session changes needs a token of its page as well.
        let in_the_clear = !ends.tls && !ends.local.ip().to_canonical().is_loopback();
        let sender = headers.get("sec-fetch-site");
        let is_own = sender.map_or(in_the_clear, |site| site == "same-origin");
        for origin in headers.get_all(header::ORIGIN) {
            if origin == "null" && is_own {
                continue;
            }
            let named = origin.to_str().ok().and_then(WebOrigin::of_origin);
            let ours =
                |place: &WebOrigin| place.is_own(ends) || self.public.as_ref() == Some(place);
            if !named.as_ref().is_some_and(ours) {
                let shown = String::from_utf8_lossy(origin.as_bytes());
                let detail = format!("the Origin `{shown}` is not docent's");
                return Err(foreign(detail));
            }
        }
        Ok(())
    }

    /// Whether what the client sends is encrypted, up to here or up to a proxy.
    pub(super) fn is_encrypted(&self, headers: &HeaderMap, ends: Ends) -> bool {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let by_proxy = self.public.as_ref().is_some_and(|public| public.tls)
            && host.is_some_and(|host| self.is_public(host));
        ends.tls || by_proxy
    }

    fn is_host(&self, named: &str, ends: Ends) -> bool {
        let own = WebOrigin::of_authority(named, ends.tls);
        own.is_some_and(|place| place.is_own(ends)) || self.is_public(named)
    }

    fn is_public(&self, named: &str) -> bool {
        self.public.as_ref().is_some_and(|public| {
            // A proxy that ends TLS passes the name on.
            WebOrigin::of_authority(named, public.tls).as_ref() == Some(public)
        })
    }
}

fn foreign(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Forbidden, detail).hint(
        "use the address that docent listens on, or name the one that you use in [http] public_url",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(site: &Site, tls: bool, headers: &[(&str, &str)]) -> u16 {
        let ends = Ends {
            remote: "10.0.0.9:1".parse().unwrap(),
            local: "10.0.0.5:9870".parse().unwrap(),
            tls,
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        let uri = Uri::from_static("/api/v1/status");
        let found = site.check(&uri, &map, ends);
        found.map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn the_listeners_own_address_and_the_public_one_are_its_names() {
        let own = Site::new("");
        let public = Site::new("https://docs.example.org");
        for (host, alone, named) in [
            ("10.0.0.5:9870", 200, 200),
            ("127.0.0.1:9870", 200, 200),
            ("localhost:9870", 200, 200),
            ("LOCALHOST:9870", 200, 200),
            ("[::1]:9870", 200, 200),
            ("10.0.0.5", 403, 403),
            ("10.0.0.6:9870", 403, 403),
            ("localhost:80", 403, 403),
            ("localhost.evil.example:9870", 403, 403),
            ("user@localhost:9870", 403, 403),
            ("docs.example.org", 403, 200),
            ("docs.example.org:443", 403, 200),
            ("docs.example.org:9870", 403, 403),
            ("evil.example", 403, 403),
            ("", 403, 403),
        ] {
            assert_eq!(status(&own, false, &[("host", host)]), alone, "{host}");
            assert_eq!(status(&public, false, &[("host", host)]), named, "{host}");
        }
        assert_eq!(status(&own, false, &[]), 403);
        let two = [("host", "localhost:9870"), ("host", "localhost:9870")];
        assert_eq!(status(&own, false, &two), 403);
    }

    #[test]
    fn a_form_of_a_page_that_tells_nobody_its_address_is_let_in_and_one_of_another_site_is_not() {
        let site = Site::new("https://docs.example.org");
        let from = |tls, site_of: Option<&str>| {
            let mut headers = vec![("host", "localhost:9870"), ("origin", "null")];
            headers.extend(site_of.map(|site| ("sec-fetch-site", site)));
            status(&site, tls, &headers)
        };
        for tls in [true, false] {
            assert_eq!(from(tls, Some("same-origin")), 200);
            for other in ["same-site", "cross-site", "none", ""] {
                assert_eq!(from(tls, Some(other)), 403, "{other}");
            }
        }
        // No browser says it there.
        assert_eq!((from(false, None), from(true, None)), (200, 403));
    }

    #[test]
    fn a_page_of_another_site_is_turned_away() {
        let public = Site::new("https://docs.example.org");
        let origin = |tls, origin| {
            let headers = [("host", "localhost:9870"), ("origin", origin)];
            status(&public, tls, &headers)
        };
        for (text, plain, tls) in [
            ("http://localhost:9870", 200, 403),
            ("https://localhost:9870", 403, 200),
            ("https://docs.example.org", 200, 200),
            ("http://docs.example.org", 403, 403),
            ("http://localhost:3000", 403, 403),
            ("http://evil.example", 403, 403),
            ("null", 200, 403),
            ("", 403, 403),
        ] {
            assert_eq!(
                (origin(false, text), origin(true, text)),
                (plain, tls),
                "{text}"
            );
        }
    }
}
