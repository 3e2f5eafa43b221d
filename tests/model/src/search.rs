//! The search: every reachable state, breadth first, so that a counterexample is as short as can be. Then liveness: from every
//! state, steps that are not faults lead to rest, and none of them carries copies in a circle.

use crate::graph::{Backward, Edge};
use crate::model::{Broken, Kind, Label, Model, Steps};
use crate::states::States;

/// What a search found.
pub(crate) struct Report {
    pub(crate) states: usize,
    pub(crate) steps: u64,
    pub(crate) found: Found,
}

/// How a search ended.
pub(crate) enum Found {
    /// All states were seen and nothing is broken.
    Holds,
    /// More states than the limit; what was seen breaks nothing.
    TooMany,
    Counterexample {
        broken: Broken,
        trace: Vec<Label>,
        /// The last state, for whoever wants to see it.
        state: String,
    },
}

/// Sees every state that `model` can reach, up to `limit`.
pub(crate) fn search<M: Model>(model: &M, limit: usize) -> Report {
    let mut search = Search {
        model,
        states: States::new(),
        edges: Vec::new(),
        carries: Vec::new(),
        steps: 0,
    };
    let found = search.explore(limit).unwrap_or_else(|| search.liveness());
    Report {
        states: search.states.len(),
        steps: search.steps,
        found,
    }
}

struct Search<'a, M: Model> {
    model: &'a M,
    states: States<M::State>,
    /// Steps that are not faults.
    edges: Vec<Edge>,
    /// Those that send a copy.
    carries: Vec<Edge>,
    steps: u64,
}

impl<M: Model> Search<'_, M> {
    /// Safety. None: all states were seen, and nothing is broken.
    fn explore(&mut self, limit: usize) -> Option<Found> {
        self.states.add(self.model.first(), None);
        let mut steps = Steps::new();
        let mut at = 0u32;
        while (at as usize) < self.states.len() {
            if self.states.len() > limit {
                return Some(Found::TooMany);
            }
            steps.clear();
            self.model.steps(self.states.get(at), &mut steps);
            if let Some(step) = steps.iter().find(|step| step.broken.is_some()) {
                let (broken, label) = (step.broken?, step.label);
                return Some(self.counterexample(broken, at, Some(label)));
            }
            for step in steps.iter() {
                self.steps += 1;
                let to = self.states.add(step.after, Some(at));
                if step.kind != Kind::Fault && to != at {
                    self.edges.push(Edge { from: at, to });
                }
                if step.kind == Kind::Carry {
                    self.carries.push(Edge { from: at, to });
                }
            }
            at += 1;
        }
        None
    }

    fn liveness(&mut self) -> Found {
        let count = self.states.len();
        let backward = Backward::new(count, &std::mem::take(&mut self.edges));
        if !self.carries.is_empty() {
            let groups = backward.groups();
            let circle = self
                .carries
                .iter()
                .find(|edge| groups[edge.from as usize] == groups[edge.to as usize]);
            if let Some(edge) = circle {
                let way = backward.way(&groups, edge.to, edge.from);
                return self.circle(*edge, &way);
            }
        }
        let goals = (0..count as u32)
            .filter(|at| self.model.at_rest(self.states.get(*at)))
            .collect();
        match backward.cut_off_from(goals) {
            Some(at) => self.counterexample(Broken::Stranded, at, None),
            None => Found::Holds,
        }
    }

    /// What leads to a copy that is sent, and from there to the same again.
    fn circle(&self, carry: Edge, way: &[u32]) -> Found {
        let mut trace = self.labels(&self.states.path(carry.from));
        trace.push(Label::new("--- and from here, again and again:"));
        trace.extend(self.label(carry.from, carry.to));
        trace.extend(self.labels(way));
        Found::Counterexample {
            broken: Broken::CarriedForever,
            trace,
            state: format!("{:#?}", self.states.get(carry.from)),
        }
    }

    fn labels(&self, path: &[u32]) -> Vec<Label> {
        path.windows(2)
            .filter_map(|pair| self.label(pair[0], pair[1]))
            .collect()
    }

    fn counterexample(&self, broken: Broken, end: u32, last: Option<Label>) -> Found {
        let mut trace = self.labels(&self.states.path(end));
        trace.extend(last);
        Found::Counterexample {
            broken,
            trace,
            state: format!("{:#?}", self.states.get(end)),
        }
    }

    /// The step from one state to another.
    fn label(&self, from: u32, to: u32) -> Option<Label> {
        let mut steps = Steps::new();
        self.model.steps(self.states.get(from), &mut steps);
        let after = self.states.get(to);
        steps
            .iter()
            .find(|step| step.after == *after)
            .map(|step| step.label)
    }
}
