//! What a model is: a first state, the steps that are possible in a state, and when it is at rest.

use std::fmt::{self, Debug, Display};
use std::hash::Hash;

/// A closed system: everything that can happen is a step.
pub(crate) trait Model {
    type State: Copy + Eq + Hash + Debug;

    fn first(&self) -> Self::State;

    /// Adds every step that is possible in `state`.
    fn steps(&self, state: &Self::State, steps: &mut Steps<Self::State>);

    /// Everything is settled, and nothing is left over anywhere.
    fn at_rest(&self, state: &Self::State) -> bool;
}

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Lost,
    EffectTwice,
    Overlap,
    Order,
    StaleEffect,
    SettledAgain,
    PauseCut,
    CountedAsLost,
    OlderCapture,
    CarriedForever,
    Stranded,
}

impl Broken {
    pub(crate) fn when(self, is: bool) -> Option<Broken> {
        is.then_some(self)
    }
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Lost => "a delivery is done and its effect was never applied",
            Broken::EffectTwice => "an effect was applied twice",
            Broken::Overlap => "two of one subject are handled at the same time",
            Broken::Order => "it overtook an older one of its subject that was never attempted",
            Broken::StaleEffect => {
                "an effect was computed before another one of its subject and applied after it"
            }
            Broken::SettledAgain => "a settled delivery was handled or written to",
            Broken::PauseCut => "a paused delivery was handled before its pause was over",
            Broken::CountedAsLost => "counted as lost by Redis, and Redis lost nothing",
            Broken::OlderCapture => "an older capture of a file replaced a newer one",
            Broken::CarriedForever => "copies are carried again and again without a fault",
            Broken::Stranded => "from here it never comes to rest, unless by another fault",
        })
    }
}

/// What a step is for the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something that happens by itself, sooner or later.
    Progress,
    /// The same, and a copy is sent to Redis.
    Carry,
    /// A fault, or what an operator does: it may happen, and nothing may depend on it.
    Fault,
}

/// A step as it stands in a counterexample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    what: &'static str,
    host: Option<usize>,
    delivery: Option<usize>,
}

impl Label {
    pub(crate) fn new(what: &'static str) -> Self {
        Label {
            what,
            host: None,
            delivery: None,
        }
    }

    /// At this host.
    pub(crate) fn at(mut self, host: usize) -> Self {
        self.host = Some(host);
        self
    }

    /// About this delivery.
    pub(crate) fn of(mut self, delivery: usize) -> Self {
        self.delivery = Some(delivery);
        self
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = self.host {
            write!(f, "host {}: ", ["A", "B"].get(host).unwrap_or(&"?"))?;
        }
        f.write_str(self.what)?;
        match self.delivery {
            Some(delivery) => write!(f, " (D{})", delivery + 1),
            None => Ok(()),
        }
    }
}

/// One possible step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<S> {
    pub(crate) after: S,
    pub(crate) label: Label,
    pub(crate) kind: Kind,
    pub(crate) broken: Option<Broken>,
}

/// The steps that are possible in a state.
pub(crate) struct Steps<S>(Vec<Step<S>>);

impl<S> Steps<S> {
    pub(crate) fn new() -> Self {
        Steps(Vec::new())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn add(&mut self, kind: Kind, label: Label, after: S) {
        self.add_checked(kind, label, after, None);
    }

    /// With what the step breaks, if it breaks something.
    pub(crate) fn add_checked(
        &mut self,
        kind: Kind,
        label: Label,
        after: S,
        broken: Option<Broken>,
    ) {
        self.0.push(Step {
            after,
            label,
            kind,
            broken,
        });
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Step<S>> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Step<S>> {
        self.0.iter_mut()
    }
}
