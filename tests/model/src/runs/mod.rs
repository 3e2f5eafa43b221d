//! The runs: a model under a setting, and how it must end.

#[rustfmt::skip]
mod leases;
#[rustfmt::skip]
mod one_host;
#[rustfmt::skip]
mod several_hosts;

use crate::host::OneHost;
use crate::hosts::Hosts;
use crate::leases::LeaseHosts;
use crate::model::Broken;
use crate::search::{Report, search};

/// Which runs a run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// To all, and to the quick ones.
    Quick,
    /// To all.
    Long,
}

/// How a run must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Holds,
    /// A rule was taken away, and the search must find what that breaks.
    Breaks(Broken),
}

pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) size: Size,
    pub(crate) expect: Expect,
    model: Which,
}

enum Which {
    OneHost(OneHost),
    Leases(LeaseHosts),
    Hosts(Hosts),
}

/// More states than this are not searched: they would not fit into the memory of a small machine.
const STATES_MAX: usize = 10_000_000;

impl Run {
    pub(crate) fn search(&self) -> Report {
        match &self.model {
            Which::OneHost(model) => search(model, STATES_MAX),
            Which::Leases(model) => search(model, STATES_MAX),
            Which::Hosts(model) => search(model, STATES_MAX),
        }
    }
}

/// Every run, in the order of the README.
pub(crate) fn all() -> Vec<Run> {
    let mut runs = one_host::runs();
    runs.extend(leases::runs());
    runs.extend(several_hosts::runs());
    runs
}
