use super::*;

/// The verdict on a quote, with the lines where it stands, or those of what is most like it.
fn verdict_on(text: &str, expected: Expected, quote: &str) -> (CiteVerdict, Option<[u32; 2]>) {
    let citation = cited(text, expected, quote);
    let nearest = citation.nearest.map(|nearest| nearest.lines);
    (citation.verdict, citation.lines.or(nearest))
}

fn cited(text: &str, expected: Expected, quote: &str) -> Citation {
    let folded = Folded::new(text);
    let words = LazyCell::new(|| FoldedWords::new(&folded));
    judged(&folded, &words, expected, &usable(quote).unwrap())
}

const TEXT: &str = "# Timeouts\n\nThe first timeout is 30 seconds.\nThe second one\n  is 5 minutes.\n\nThe last line, which\nis the last line.\n";

#[test]
fn the_quote_decides_and_its_place_is_only_where_it_is_expected() {
    use CiteVerdict::{Changed, Moved, Ok, Unknown};
    let seconds = "The first timeout is 30 seconds.";
    assert_eq!(verdict_on(TEXT, Some((3, 3)), seconds), (Ok, Some([3, 3])));
    assert_eq!(verdict_on(TEXT, Some((1, 6)), seconds), (Ok, Some([3, 3])));
    assert_eq!(verdict_on(TEXT, None, seconds), (Ok, Some([3, 3])));
    assert_eq!(
        verdict_on(TEXT, Some((4, 5)), seconds),
        (Moved, Some([3, 3]))
    );
    // Line ends and indentation are white space.
    let minutes = "second one is\t5 minutes";
    assert_eq!(verdict_on(TEXT, Some((4, 5)), minutes), (Ok, Some([4, 5])));
    assert_eq!(
        verdict_on(TEXT, Some((4, 0)), minutes),
        (Ok, Some([4, 5])),
        "it begins there"
    );
    assert_eq!(
        verdict_on(TEXT, Some((4, 4)), minutes),
        (Moved, Some([4, 5]))
    );
    assert_eq!(
        verdict_on(TEXT, Some((3, 3)), &seconds.replace("30", "40")),
        (Changed, Some([3, 3]))
    );
    // Parts of words, and letters as they are.
    assert_eq!(
        verdict_on(TEXT, None, "irst timeout is 30 sec"),
        (Ok, Some([3, 3]))
    );
    assert_eq!(verdict_on(TEXT, None, "the first timeout is").0, Changed);
    assert_eq!(
        verdict_on(TEXT, Some((7, 8)), "last line"),
        (Ok, Some([7, 7]))
    );
    let elsewhere = cited(TEXT, Some((1, 1)), "last line");
    assert_eq!((elsewhere.verdict, elsewhere.lines), (Unknown, None));
    let reason = elsewhere.reason.unwrap();
    assert_eq!(reason, "the quote is in several places: lines 7, 8");
    assert!(usable(" \n\t").is_err() && usable(&"x".repeat(QUOTE_MAX + 1)).is_err());
}

#[test]
fn what_has_changed_is_found_by_what_is_left_of_it() {
    let lines =
        |n: u32| (1..=n).map(|i| format!("Entry {i}: the quick brown fox number{i} jumps\n"));
    let text: String = lines(400).collect();
    for line in [1, 17, 399, 400] {
        let quote = format!("Entry {line}: the slow brown fox number{line} jumps");
        let expected = Some((line, line));
        assert_eq!(
            verdict_on(&text, expected, &quote),
            (CiteVerdict::Changed, Some([line, line]))
        );
        assert_eq!(
            verdict_on(&text, Some((200, 200)), &quote).1,
            Some([line, line]),
            "and moved"
        );
        assert_eq!(verdict_on(&text, None, &quote).1, Some([line, line]));
    }
    // Several lines.
    let quote =
        "Entry 7: the quick red fox number7 jumps Entry 8: the quick brown fox number8 leaps";
    assert_eq!(verdict_on(&text, Some((7, 8)), quote).1, Some([7, 8]));
    // At the end of a paragraph on one line, before a heading with a word of it.
    let paragraph = (1..=60).map(|i| format!("filler{i} "));
    let paragraph: String = paragraph.collect();
    let long = format!(
        "{paragraph}the lock is taken before the folder is read.\n## Before the lock\nmore\n"
    );
    let quote = "the lock is taken before the folder is written.";
    assert_eq!(verdict_on(&long, None, quote).1, Some([1, 1]));
    // Nothing but common words is left: the place decides.
    let quote = "Entry: the quick brown fox jumps far";
    assert_eq!(verdict_on(&text, Some((50, 50)), quote).1, Some([50, 50]));
    let nothing = cited(&text, Some((50, 51)), "zebra crossing")
        .nearest
        .unwrap();
    assert_eq!((nothing.lines, nothing.text.lines().count()), ([50, 51], 2));
    assert_eq!(cited(&text, None, "zebra crossing").nearest, None);
    assert_eq!(
        cited(&text, Some((900, 901)), "zebra crossing").nearest,
        None
    );
    assert_eq!(cited("", Some((1, 1)), "zebra").nearest, None);
}

#[test]
fn scripts_without_spaces_and_lines_without_end() {
    let text = "設定は毎日読み込まれる。\n結果は保存される。\n";
    assert_eq!(verdict_on(text, None, "毎日読み込").0, CiteVerdict::Ok);
    assert_eq!(
        verdict_on(text, None, "結果は削除される。"),
        (CiteVerdict::Changed, Some([2, 2]))
    );
    let long = format!(
        "{} needle here {}",
        "hay ".repeat(2000),
        "hay ".repeat(2000)
    );
    let nearest = cited(&long, Some((1, 1)), "a needle was here")
        .nearest
        .unwrap();
    assert!(
        nearest.text.starts_with("needle here hay"),
        "{}",
        nearest.text
    );
    assert!(nearest.text.len() <= NEAREST_BYTES);
}
