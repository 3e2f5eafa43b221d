//! The way of a change from the disk to search, as a picture: where each stage stands, what passes it and what waits for it.
//!
//! It is drawn twice, side by side and one below the other; the style sheet shows the one that fits.

use super::super::super::wire::{Overview, Stage, StageName};
use crate::amounts::number;

/// One box of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FlowNode {
    /// Who does it.
    pub(super) name: String,
    /// What is done.
    pub(super) verb: &'static str,
    /// What waits, in words; empty: nothing waits here.
    pub(super) waiting: String,
    pub(super) is_waiting: bool,
    /// What passed in the last minute; empty: it is not known.
    pub(super) passed: String,
    pub(super) moves: bool,
    /// Why it stands still.
    pub(super) held: Option<String>,
    pub(super) wide: NodePlace,
    pub(super) tall: NodePlace,
}

/// Where a box stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodePlace {
    pub(super) x: usize,
    pub(super) y: usize,
}

/// The picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) nodes: Vec<FlowNode>,
    /// The picture in words.
    pub(super) label: String,
}

/// From one box to the next.
const STEP_WIDE: usize = 214;
const STEP_TALL: usize = 92;

impl Flow {
    pub(super) fn of(overview: &Overview) -> Self {
        let files = FlowNode {
            name: "files".to_owned(),
            verb: "on disk",
            waiting: number(overview.status.files),
            is_waiting: false,
            passed: String::new(),
            moves: false,
            held: None,
            wide: place(0, STEP_WIDE, 0),
            tall: place(0, 0, STEP_TALL),
        };
        let stages = overview.stages.iter().enumerate();
        let stages = stages.map(|(at, stage)| node(stage, at + 1));
        let nodes: Vec<FlowNode> = std::iter::once(files).chain(stages).collect();
        let told = nodes.iter().skip(1).map(told);
        Flow {
            label: format!(
                "The way of a change: {}",
                told.collect::<Vec<_>>().join("; ")
            ),
            nodes,
        }
    }
}

fn place(at: usize, x: usize, y: usize) -> NodePlace {
    NodePlace {
        x: at * x,
        y: at * y,
    }
}

fn node(stage: &Stage, at: usize) -> FlowNode {
    let (name, verb) = match stage.stage.known() {
        Some(StageName::Captured) => ("change_detection", "captures"),
        Some(StageName::Validated) => ("document_management", "validates"),
        Some(StageName::Chunked) => ("rag", "chunks and embeds"),
        Some(StageName::Indexed) => ("index", "follows the store"),
        Some(StageName::Searchable) => ("search", "finds it"),
        None => ("", "does something unknown here"),
    };
    let name = match name {
        "" => stage.stage.to_string(),
        name => name.to_owned(),
    };
    FlowNode {
        name,
        verb,
        waiting: stage.waiting.map_or_else(String::new, |n| match n {
            0 => "none waits".to_owned(),
            1 => "1 waits".to_owned(),
            n => format!("{} wait", number(n)),
        }),
        is_waiting: stage.waiting.is_some_and(|n| n > 0),
        passed: stage
            .passed_minute
            .map_or_else(String::new, |n| format!("{}/min", number(n))),
        moves: stage.passed_minute.is_some_and(|n| n > 0),
        held: stage.held.clone(),
        wide: place(at, STEP_WIDE, 0),
        tall: place(at, 0, STEP_TALL),
    }
}

fn told(node: &FlowNode) -> String {
    let mut told = format!("{} {}", node.name, node.verb);
    for part in [&node.waiting, &node.passed] {
        if !part.is_empty() {
            told.push_str(", ");
            told.push_str(part);
        }
    }
    if let Some(held) = &node.held {
        told.push_str(", stands still: ");
        told.push_str(held);
    }
    told
}
