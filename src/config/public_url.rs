//! Addresses of servers, as browsers write them.

/// A server: its name or address, and its port.
pub(crate) struct PublicUrl {
    pub is_https: bool,
    /// In small letters, and without brackets.
    pub host: String,
    pub port: u16,
    /// The host as a request names it, with the port if it was written.
    pub authority: String,
}

impl PublicUrl {
    /// `http` or `https`, a name or an address, perhaps a port, and nothing else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_https = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
            _ => (authority.as_str(), if is_https { 443 } else { 80 }),
        };
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let good = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !name.is_empty() && name.chars().all(is_name),
        };
        (good && port > 0).then(|| PublicUrl {
            is_https,
            host: bare.unwrap_or(name).to_owned(),
            port,
            authority: authority.clone(),
        })
    }
}
