//! What is asked for.

use crate::http::percent;

/// A path below `/api/v1` with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// `/api/v1` and this path. A segment that comes from outside goes through [`Target::segment`].
    pub fn new(path: &str) -> Self {
        Target(format!("/api/v1{path}"))
    }

    /// As it is sent.
    pub(in crate::http) fn as_str(&self) -> &str {
        &self.0
    }

    /// With one more segment, whatever is in it.
    #[must_use]
    pub fn segment(mut self, segment: &str) -> Self {
        self.0.push('/');
        self.0
            .push_str(&percent::encode(segment.as_bytes()).replace('/', "%2F"));
        self
    }

    /// With one more parameter, if there is a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            self.0.push_str(&percent::encode(value.as_bytes()));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_from_outside_stays_in_its_place() {
        let target = Target::new("/events")
            .segment("a/../b?c")
            .with("agent", None)
            .with("q", Some("x&y=z #"));
        assert_eq!(target.0, "/api/v1/events/a%2F..%2Fb%3Fc?q=x%26y%3Dz%20%23");
    }
}
