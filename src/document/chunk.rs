//! Cuts a document into chunks, which search finds, each with its heading and its exact lines.

use super::code;
use super::lines::{LineRange, Lines};
use super::split::{Piece, SplitLimits, Splitter};
use super::{Document, Kind};

/// A document with more sections than this is cut by size alone: otherwise `# a` and a word, repeated through a file
/// of a few megabytes, would be a million chunks.
const MAX_SECTIONS: usize = 10_000;

/// Raised when the same document and options give other chunks than before: then everything is chunked anew.
pub(crate) const CHUNKING: u32 = 5;

/// How a document is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkOptions {
    /// The most characters of a chunk's text (0 counts as 1). A single line of up to 400 is nevertheless kept whole.
    pub size: usize,
    /// Where a section had to be split, up to this many characters of whole lines are repeated in the next chunk;
    /// at most half of `size`.
    pub overlap: usize,
}

impl Default for ChunkOptions {
    fn default() -> Self {
        Self {
            size: 1200,
            overlap: 0,
        }
    }
}

/// A part of a document that is found on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Where it stands: title and headings, or title and code items, joined by ` > `.
    pub heading: String,
    /// Its first line, counted from 1.
    pub first_line: u32,
    /// Its last line, counted from 1.
    pub last_line: u32,
    /// The text of just those lines without the last terminator; a part of it only where one line was too long.
    pub text: String,
    /// BLAKE3 of heading, line feed and text: equal hash, equal embedding.
    pub hash: [u8; 32],
}

impl Chunk {
    fn new(heading: String, piece: &Piece<'_>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(heading.as_bytes())
            .update(b"\n")
            .update(piece.text.as_bytes());
        Self {
            heading,
            first_line: piece.lines.start as u32 + 1,
            last_line: piece.lines.end as u32,
            text: piece.text.to_owned(),
            hash: hasher.finalize().into(),
        }
    }
}

/// The chunks of a document in the order of lines. Together they hold every line that is not blank, except front matter.
pub(crate) fn chunks(document: &Document, options: &ChunkOptions) -> Vec<Chunk> {
    let lines = Lines::new(&document.text);
    let limits = SplitLimits::new(options.size, options.overlap);
    let splitter = Splitter::new(&lines, document.kind, limits, &document.blocks);
    let mut pieces = Vec::new();
    if document.kind == Kind::Code && document.headings.is_empty() {
        splitter.split(0..lines.count(), &mut pieces);
        let ranges: Vec<LineRange> = pieces.iter().map(|piece| piece.lines.clone()).collect();
        let paths = code::item_paths(&lines, &document.extension, &ranges);
        let with_path = pieces.iter().zip(paths);
        return with_path
            .map(|(piece, path)| Chunk::new(join(&document.title, &path), piece))
            .collect();
    }
    let mut chunks = Vec::new();
    for section in merged(sections(document, &lines), &lines, limits.size()) {
        splitter.split(section.lines, &mut pieces);
        chunks.extend(
            pieces
                .drain(..)
                .map(|piece| Chunk::new(section.heading.clone(), &piece)),
        );
    }
    chunks
}

/// A heading with what follows it up to the next one.
struct Section {
    heading: String,
    lines: LineRange,
    /// Whether there is more than the heading itself.
    has_body: bool,
}

/// The sections of a document that hold anything; one for all of it where it has no headings, or too many.
fn sections(document: &Document, lines: &Lines<'_>) -> Vec<Section> {
    let body = document.front_matter_lines as usize..lines.count();
    let titled = |lines: LineRange| Section {
        heading: document.title.clone(),
        lines,
        has_body: true,
    };
    let mut sections = Vec::new();
    if document.headings.is_empty() || document.headings.len() > MAX_SECTIONS {
        sections.push(titled(body));
    } else {
        let end = document.outline_end.unwrap_or(body.end);
        let first = document.headings[0].line as usize - 1;
        sections.push(titled(body.start..first));
        by_heading(document, lines, end, &mut sections);
        sections.push(titled(end..body.end));
    }
    sections.retain(|section| !lines.trimmed(section.lines.clone()).is_empty());
    sections
}

/// Adds a section for each heading; the last one ends at line `end`.
fn by_heading(document: &Document, lines: &Lines<'_>, end: usize, sections: &mut Vec<Section>) {
    // The title leads each path, unless it is the first heading, which leads what stands below it anyway.
    let first = document
        .headings
        .iter()
        .find(|heading| !heading.text.is_empty());
    let lead = if first.is_some_and(|heading| heading.text == document.title) {
        ""
    } else {
        &document.title
    };
    let mut open: Vec<(u8, &str)> = Vec::new();
    let mut headings = document.headings.iter().peekable();
    let mut skipped: Option<usize> = None;
    while let Some(heading) = headings.next() {
        while open
            .last()
            .is_some_and(|(level, _)| *level >= heading.level)
        {
            open.pop();
        }
        open.push((heading.level, &heading.text));
        let start = skipped.take().unwrap_or(heading.line as usize - 1);
        let next = headings.peek().map_or(end, |next| next.line as usize - 1);
        // Only HTML can have two headings in one line: the last of them counts.
        if next < heading.last_line as usize {
            skipped = Some(start);
            continue;
        }
        let path: Vec<&str> = open.iter().map(|(_, text)| *text).collect();
        let path = join(lead, &path);
        sections.push(Section {
            heading: if path.is_empty() {
                document.title.clone()
            } else {
                path
            },
            lines: start..next,
            has_body: !lines.trimmed(heading.last_line as usize..next).is_empty(),
        });
    }
}

/// Joins headings that have no text of their own to the section that follows; a long row of them is cut by size.
fn merged(sections: Vec<Section>, lines: &Lines<'_>, size: usize) -> Vec<Section> {
    let mut merged: Vec<Section> = Vec::with_capacity(sections.len());
    let mut bare: Option<Section> = None;
    for mut section in sections {
        if let Some(before) = bare.take() {
            let both = before.lines.start..section.lines.end;
            if section.has_body || lines.width(&both) <= size {
                section.lines = both;
            } else {
                merged.push(before);
            }
        }
        if section.has_body {
            merged.push(section);
        } else {
            bare = Some(section);
        }
    }
    merged.extend(bare);
    merged
}

/// The parts that are not empty, joined by ` > `.
fn join(lead: &str, path: &[impl AsRef<str>]) -> String {
    let parts = std::iter::once(lead).chain(path.iter().map(AsRef::as_ref));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" > ")
}

#[cfg(test)]
mod tests {
    use super::super::{kind_of, parse};
    use super::*;
    use proptest::prelude::*;

    fn document(name: &str, text: &str) -> Document {
        parse(
            kind_of(name.as_bytes()).unwrap(),
            name.as_bytes(),
            text.as_bytes(),
        )
        .unwrap()
    }

    fn outline(name: &str, text: &str) -> Vec<(String, u32, u32)> {
        let chunks = chunks(&document(name, text), &ChunkOptions::default());
        chunks
            .into_iter()
            .map(|chunk| (chunk.heading, chunk.first_line, chunk.last_line))
            .collect()
    }

    fn expected(rows: &[(&str, u32, u32)]) -> Vec<(String, u32, u32)> {
        rows.iter()
            .map(|(heading, first, last)| ((*heading).to_owned(), *first, *last))
            .collect()
    }

    #[test]
    fn each_section_is_a_chunk_under_its_heading_path() {
        let text = "before\n\n# Guide\n\nhello\n\n## Install\n\n### Linux\nrun\n\n## Use\ntext\n\n# Other\nend\n";
        let rows = [
            ("Guide", 1, 1),
            ("Guide", 3, 5),
            ("Guide > Install > Linux", 7, 10),
            ("Guide > Use", 12, 13),
            ("Other", 15, 16),
        ];
        assert_eq!(outline("a.md", text), expected(&rows));
    }

    #[test]
    fn the_title_leads_unless_it_is_the_first_heading() {
        let with_title = "---\ntitle: Manual\n---\n\n# Guide\nx\n";
        assert_eq!(
            outline("a.md", with_title),
            expected(&[("Manual > Guide", 5, 6)])
        );
        assert_eq!(outline("a.md", "x\n"), expected(&[("a.md", 1, 1)]));
        assert_eq!(outline("a.md", "#\nx\n"), expected(&[("a.md", 1, 2)]));
    }

    #[test]
    fn bare_headings_join_the_next_section_and_the_last_stands_alone() {
        let text = "# A\n## B\n### C\nx\n## D\n\n";
        assert_eq!(
            outline("a.md", text),
            expected(&[("A > B > C", 1, 4), ("A > D", 5, 5)])
        );
        let bare = "# a\n".repeat(1_000);
        let found = outline("a.md", &bare);
        assert_eq!((found.len(), found[0].2), (4, 300));
    }

    #[test]
    fn front_matter_alone_is_no_chunk() {
        assert!(outline("a.md", "---\na: b\n---\n\n").is_empty());
        assert!(outline("a.md", "").is_empty());
        assert!(outline("a.rs", "\n").is_empty());
    }

    #[test]
    fn carriage_returns_stay_in_the_text_and_lines_exact() {
        let document = document("a.md", "\u{feff}# A\r\n\r\nx\r\ny\r\n\r\n# B\r\nz\r\n");
        let chunks = chunks(&document, &ChunkOptions::default());
        assert_eq!(
            (chunks[0].text.as_str(), chunks[0].last_line),
            ("# A\r\n\r\nx\r\ny", 4)
        );
        assert_eq!(
            (chunks[1].text.as_str(), chunks[1].first_line),
            ("# B\r\nz", 6)
        );
    }

    #[test]
    fn code_is_headed_by_its_items() {
        let long = "        step();\n".repeat(120);
        let text = format!("use x;\n\nimpl Foo {{\n    fn run(&self) {{\n{long}    }}\n}}\n");
        let headings: Vec<String> = outline("src/a.rs", &text)
            .into_iter()
            .map(|(heading, ..)| heading)
            .collect();
        assert_eq!(headings[0], "a.rs > impl Foo");
        assert_eq!(headings[1], "a.rs > impl Foo > fn run(&self)");
    }

    #[test]
    fn two_headings_in_one_line_are_one_section() {
        assert_eq!(
            outline("a.md", "<h1>A</h1><h1>B</h1>\n\nx\n# C\ny\n"),
            expected(&[("B", 1, 3), ("C", 4, 5)])
        );
        assert_eq!(
            outline("a.md", "A\r===\rB\r===\rx\r\n# C\ny\r"),
            expected(&[("B", 1, 5), ("C", 6, 7)])
        );
    }

    #[test]
    fn too_many_sections_are_cut_by_size() {
        let text = "# a\nb\n".repeat(MAX_SECTIONS + 1);
        let found = outline("a.md", &text);
        assert!(found.len() < 100, "{}", found.len());
        let text = "# a\nb\n".repeat(MAX_SECTIONS);
        assert_eq!(outline("a.md", &text).len(), MAX_SECTIONS);
    }

    #[test]
    fn what_is_too_far_down_for_an_outline_stands_under_the_title() {
        let text = format!("# A\n{}# B\nend\n", "words\n".repeat(2 * 1024 * 1024 / 6));
        let found = outline("a.md", &format!("---\ntitle: T\n---\n{text}"));
        assert_eq!(found[0].0, "T > A");
        let last = found.last().unwrap();
        assert_eq!(
            (last.0.as_str(), last.2 as usize),
            ("T", text.lines().count() + 3)
        );
    }

    #[test]
    fn the_hash_is_of_heading_and_text() {
        let chunk = chunks(&document("a.md", "# A\nx\n"), &ChunkOptions::default()).remove(0);
        assert_eq!(chunk.hash, *blake3::hash(b"A\n# A\nx").as_bytes());
    }

    #[test]
    fn hostile_files_take_linear_time() {
        let size = 256 * 1024;
        let cases = [
            "x",
            "x ",
            " ",
            "\n",
            "# a\n",
            "- ",
            "> ",
            "[",
            "*a_ ",
            "a\n\n",
            "a\r",
            "|a|b|\n|-|-|\n",
            "```\n\n",
            "fn a() {\n",
        ];
        for case in cases {
            for name in ["a.md", "a.rs", "a.yaml"] {
                let text = case.repeat(size / case.len());
                let options = ChunkOptions {
                    size: 800,
                    overlap: 400,
                };
                let started = std::time::Instant::now();
                let found = chunks(&document(name, &text), &options);
                // Quadratic would be minutes; linear is milliseconds.
                assert!(started.elapsed().as_secs() < 5, "{case:?} in {name}");
                assert!(
                    found.len() <= size / 100,
                    "{case:?} in {name}: {}",
                    found.len()
                );
            }
        }
    }

    /// What holds for every document and every option.
    fn check(document: &Document, options: ChunkOptions) -> Result<(), TestCaseError> {
        let found = chunks(document, &options);
        prop_assert_eq!(&found, &chunks(document, &options));
        let source: Vec<&str> = super::super::lines::split_lines(&document.text).collect();
        let mut covered = vec![false; source.len()];
        let mut parts: std::collections::BTreeMap<u32, String> = std::collections::BTreeMap::new();
        for chunk in &found {
            let (first, last) = (chunk.first_line as usize, chunk.last_line as usize);
            prop_assert!(1 <= first && first <= last && last <= source.len());
            prop_assert!(first > document.front_matter_lines as usize);
            prop_assert!(chunk.text.chars().count() <= options.size.max(400));
            let whole = source[first - 1..last].concat();
            let whole = whole
                .strip_suffix("\r\n")
                .unwrap_or_else(|| whole.strip_suffix(['\n', '\r']).unwrap_or(&whole));
            if whole.chars().count() > options.size.max(400) {
                prop_assert_eq!(first, last, "only one line may be cut");
                prop_assert!(whole.contains(&chunk.text));
                parts
                    .entry(chunk.first_line)
                    .or_default()
                    .push_str(&chunk.text);
            } else {
                prop_assert_eq!(&chunk.text, whole);
            }
            covered[first - 1..last].fill(true);
        }
        for pair in found.windows(2) {
            let cut = pair[0].first_line == pair[1].last_line;
            let ascending =
                pair[0].first_line < pair[1].first_line && pair[0].last_line < pair[1].last_line;
            let apart = options.overlap > 0 || pair[0].last_line < pair[1].first_line;
            prop_assert!(cut || ascending && apart, "{:?}", pair);
        }
        let visible = |text: &str| {
            text.chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>()
        };
        for (line, text) in parts {
            prop_assert_eq!(visible(&text), visible(source[line as usize - 1]));
        }
        for (at, line) in source
            .iter()
            .enumerate()
            .skip(document.front_matter_lines as usize)
        {
            prop_assert!(
                covered[at] || line.trim().is_empty(),
                "line {} is in no chunk",
                at + 1
            );
        }
        Ok(())
    }

    const NAMES: [&str; 5] = ["a.md", "a.txt", "a.rs", "a.json", "a.yaml"];

    /// Texts in which everything that the chunker looks at is frequent.
    fn text() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just("# A\n"),
            Just("## B\n"),
            Just("### \n"),
            Just("Set\n===\n"),
            Just("\n"),
            Just("   \n"),
            Just("\r\n"),
            Just("\r"),
            Just("```\n"),
            Just("---\n"),
            Just("|a|b|\n|-|-|\n"),
            Just("|1|2|\n"),
            Just("- item\n"),
            Just("  - # inner\n"),
            Just("> quote\n"),
            Just("text that is somewhat longer than the others\n"),
            Just("é中🙂\r\n"),
            Just("title: x\n"),
            Just("fn f() {\n"),
            Just("    def g():\n"),
            Just("}\n"),
            Just("\tx;\n"),
            Just("<!-- \n"),
            Just("no end"),
            Just("[a]: b\n"),
            Just("[^1]: note\n"),
        ];
        let long = (
            1usize..1500,
            prop_oneof![Just("x"), Just("x "), Just(" "), Just("é")],
        )
            .prop_map(|(n, s)| s.repeat(n));
        let part = prop_oneof![20 => line.prop_map(str::to_owned), 1 => long];
        prop::collection::vec(part, 0..120).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn chunks_are_exact_and_complete(text in text(), name in 0..NAMES.len(), size in 0usize..900, overlap in 0usize..500) {
            let name = NAMES[name].as_bytes();
            if let Ok(document) = parse(kind_of(name).unwrap(), name, text.as_bytes()) {
                check(&document, ChunkOptions { size, overlap: 0 })?;
                check(&document, ChunkOptions { size, overlap })?;
            }
        }

        #[test]
        fn any_bytes_are_parsed_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..400), name in 0..NAMES.len()) {
            let name = NAMES[name].as_bytes();
            let kind = kind_of(name).unwrap();
            let lossy = String::from_utf8_lossy(&bytes).into_owned();
            let printable: Vec<u8> = bytes.iter().map(|byte| b" -#`|>\n\r:[x"[*byte as usize % 11]).collect();
            for bytes in [bytes.as_slice(), lossy.as_bytes(), &printable] {
                match parse(kind, name, bytes) {
                    Ok(document) => check(&document, ChunkOptions::default())?,
                    Err(rejection) => prop_assert!(!rejection.to_string().is_empty()),
                }
            }
        }
    }
}
