//! Whether Redis can be reached and how durable it is. This version carries events directly and needs none.

use super::Findings;
use crate::config::Config;

/// Nothing is needed of Redis.
pub(super) fn reachable(_config: &Config, _findings: &mut Findings) {}
