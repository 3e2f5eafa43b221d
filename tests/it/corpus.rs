//! Markdown files made up by a number: varied sizes, several headings, the same for the same number.

use fastrand::Rng;

use crate::helper::World;

const WORDS: &[&str] = &[
    "anchor",
    "balance",
    "copper",
    "daylight",
    "ember",
    "ferry",
    "granite",
    "harbour",
    "island",
    "juniper",
    "kettle",
    "lantern",
    "meadow",
    "needle",
    "orchard",
    "pebble",
    "quarry",
    "ribbon",
    "saddle",
    "timber",
    "umbrella",
    "velvet",
    "willow",
    "yarrow",
    "zephyr",
    "bridge",
    "cellar",
    "ditch",
    "engine",
    "furnace",
    "glacier",
    "hammer",
    "icicle",
    "jigsaw",
    "kingfisher",
    "ladder",
    "mirror",
    "notebook",
    "oyster",
    "pulley",
    "quilt",
    "rudder",
    "shovel",
    "tunnel",
    "valley",
    "weather",
    "the",
    "of",
    "and",
    "with",
    "under",
    "before",
    "a",
    "in",
];

/// What is looked for in such files.
pub(crate) const QUERIES: &[&str] = &[
    "lantern harbour",
    "how to mend a copper kettle before the weather turns",
    "glacier",
    "\"needle and\"",
    "kingfisher under the bridge",
];

/// One file.
pub(crate) fn markdown(rng: &mut Rng) -> String {
    let sections = if rng.u8(..20) == 0 {
        rng.usize(30..60)
    } else {
        rng.usize(1..9)
    };
    let mut text = format!("# {}\n", words(rng, 3));
    for _ in 0..sections {
        let depth = "#".repeat(rng.usize(2..5));
        text.push_str(&format!("\n{depth} {}\n", words(rng, 4)));
        for _ in 0..rng.usize(1..4) {
            let length = rng.usize(4..70);
            match rng.u8(..8) {
                0 => text.push_str(&format!("\n```\n{}\n```\n", words(rng, 8))),
                1 => text.push_str(&format!("\n- {}\n- {}\n", words(rng, 5), words(rng, 6))),
                _ => text.push_str(&format!("\n{}.\n", words(rng, length))),
            }
        }
    }
    text
}

fn words(rng: &mut Rng, count: usize) -> String {
    let words: Vec<&str> = (0..count)
        .map(|_| WORDS[rng.usize(..WORDS.len())])
        .collect();
    words.join(" ")
}

/// Writes `files` of them into the world; their paths.
pub(crate) fn fill(world: &World, rng: &mut Rng, files: usize) -> Vec<String> {
    let write = |n| {
        let path = format!("part{}/file{n}.md", n % 7);
        world.write(&path, markdown(rng));
        path
    };
    (0..files).map(write).collect()
}
