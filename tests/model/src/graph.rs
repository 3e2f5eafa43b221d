//! The graph of all steps that are not faults, in two flat lists: who leads to a state.

use std::collections::{HashMap, VecDeque};

/// For each state the states from which one step leads to it.
pub(crate) struct Backward {
    /// Where the predecessors of a state begin in `from`; one more than there are states.
    starts: Vec<u32>,
    from: Vec<u32>,
}

/// One step, by the numbers of its states.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Backward {
    pub(crate) fn new(states: usize, edges: &[Edge]) -> Self {
        let mut starts = vec![0u32; states + 1];
        for edge in edges {
            starts[edge.to as usize + 1] += 1;
        }
        for at in 0..states {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut from = vec![0u32; edges.len()];
        for edge in edges {
            let place = &mut next[edge.to as usize];
            from[*place as usize] = edge.from;
            *place += 1;
        }
        Backward { starts, from }
    }

    fn before(&self, state: u32) -> &[u32] {
        let at = state as usize;
        &self.from[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// The first state from which none of `goals` can be reached.
    pub(crate) fn cut_off_from(&self, goals: Vec<u32>) -> Option<u32> {
        let mut reaches = vec![false; self.starts.len() - 1];
        let mut open = goals;
        for goal in &open {
            reaches[*goal as usize] = true;
        }
        while let Some(state) = open.pop() {
            for from in self.before(state) {
                if !reaches[*from as usize] {
                    reaches[*from as usize] = true;
                    open.push(*from);
                }
            }
        }
        reaches
            .iter()
            .position(|reaches| !reaches)
            .map(|at| at as u32)
    }

    /// The shortest way from `start` to `end` through states of their group.
    pub(crate) fn way(&self, groups: &[u32], start: u32, end: u32) -> Vec<u32> {
        let group = groups[start as usize];
        let mut after = HashMap::from([(end, end)]);
        let mut open = VecDeque::from([end]);
        while let Some(state) = open.pop_front() {
            for from in self.before(state) {
                if groups[*from as usize] == group && !after.contains_key(from) {
                    after.insert(*from, state);
                    open.push_back(*from);
                }
            }
        }
        let mut way = vec![start];
        let mut at = start;
        while at != end {
            let Some(next) = after.get(&at) else { break };
            at = *next;
            way.push(at);
        }
        way
    }

    /// For each state the number of its group: two states have the same one if each can be reached from the other.
    /// Tarjan's algorithm, with a stack of its own instead of recursion.
    pub(crate) fn groups(&self) -> Vec<u32> {
        let mut walk = Walk::new(self.starts.len() - 1);
        for root in 0..walk.group.len() as u32 {
            if walk.number[root as usize] == 0 {
                walk.enter(root, self.starts[root as usize]);
                self.walk_from_root(&mut walk);
            }
        }
        walk.group
    }

    fn walk_from_root(&self, walk: &mut Walk) {
        while let Some((state, place)) = walk.path.last().copied() {
            if place < self.starts[state as usize + 1] {
                if let Some(top) = walk.path.last_mut() {
                    top.1 += 1;
                }
                let next = self.from[place as usize];
                if walk.number[next as usize] == 0 {
                    walk.enter(next, self.starts[next as usize]);
                } else if walk.group[next as usize] == NO_GROUP {
                    walk.lower(state, walk.number[next as usize]);
                }
            } else {
                walk.path.pop();
                walk.close_group(state);
                if let Some((above, _)) = walk.path.last().copied() {
                    walk.lower(above, walk.low[state as usize]);
                }
            }
        }
    }
}

const NO_GROUP: u32 = u32::MAX;

/// Where the search for groups stands.
struct Walk {
    group: Vec<u32>,
    number: Vec<u32>,
    low: Vec<u32>,
    numbers: u32,
    groups: u32,
    open: Vec<u32>,
    /// The path from the root, with the next predecessor to look at.
    path: Vec<(u32, u32)>,
}

impl Walk {
    fn new(states: usize) -> Self {
        Walk {
            group: vec![NO_GROUP; states],
            number: vec![0; states],
            low: vec![0; states],
            numbers: 0,
            groups: 0,
            open: Vec::new(),
            path: Vec::new(),
        }
    }

    fn enter(&mut self, state: u32, first: u32) {
        self.numbers += 1;
        self.number[state as usize] = self.numbers;
        self.low[state as usize] = self.numbers;
        self.open.push(state);
        self.path.push((state, first));
    }

    fn lower(&mut self, state: u32, to: u32) {
        let low = &mut self.low[state as usize];
        *low = (*low).min(to);
    }

    fn close_group(&mut self, state: u32) {
        if self.low[state as usize] != self.number[state as usize] {
            return;
        }
        while let Some(member) = self.open.pop() {
            self.group[member as usize] = self.groups;
            if member == state {
                break;
            }
        }
        self.groups += 1;
    }
}
