//! What is found of a text by its words, by quoted parts of it, and under which title and heading it is shown.

use serde_json::{Value, json};

use crate::helper::World;

/// The hits for a query.
fn hits(world: &World, query: &str) -> Vec<Value> {
    let run = world.cli(["search", "--json", "--limit", "100", query]);
    let answer = run.json().unwrap_or_else(|| panic!("{}", run.stderr()));
    answer["hits"].as_array().expect("hits").clone()
}

/// The paths of the hits, sorted, each once.
fn paths(world: &World, query: &str) -> Vec<String> {
    let mut paths: Vec<String> = hits(world, query)
        .iter()
        .map(|hit| hit["path"].as_str().expect("a path").to_owned())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

#[test]
fn a_word_is_found_however_it_is_written() {
    let world = World::new("");
    world.write("zh.md", "这是一个正常的虚拟机数据\n");
    world.write("ja.md", "東京都の明日の天気は晴れです、ﾃﾞｰﾀ\n");
    world.write("th.md", "สวัสดีชาวโลกวันนี้อากาศดี\n");
    world.write("ko.md", "데이터를 저장한다\n");
    world.write("km.md", "ភាសាខ្មែរគឺជាភាសា\n");
    world.write("soft.md", "Das Do\u{AD}nau\u{AD}dampf\u{AD}schiff\n");
    world.write("joiner.md", "word\u{2060}joined and zero\u{200B}width\n");
    world.write(
        "case.md",
        "Straße, İstanbul, ΟΔΟΣ, cafe\u{301}, ﬁnal, Ｆｕｌｌ\n",
    );
    let daemon = world.start();
    world.wait();
    for (query, path) in [
        ("虚拟机", "zh.md"),
        ("机", "zh.md"),
        ("天気", "ja.md"),
        ("データ", "ja.md"),
        ("อากาศ", "th.md"),
        ("데이터", "ko.md"),
        ("ខ្មែរ", "km.md"),
        ("Donaudampfschiff", "soft.md"),
        ("\"Donaudampfschiff\"", "soft.md"),
        ("do\u{AD}naudampfschiff", "soft.md"),
        ("\"wordjoined\"", "joiner.md"),
        ("zerowidth", "joiner.md"),
        ("STRASSE", "case.md"),
        ("istanbul", "case.md"),
        ("\"οδος\"", "case.md"),
        ("\"CAFÉ\"", "case.md"),
        ("final", "case.md"),
        ("full", "case.md"),
    ] {
        // Others may be near by their vectors.
        let mut found = hits(&world, query);
        found.retain(|hit| hit["keyword"].as_f64().is_some_and(|score| score > 0.0));
        let found: Vec<&Value> = found.iter().map(|hit| &hit["path"]).collect();
        assert_eq!(found, [path], "{query}");
    }
    // Positions are those of the text as it stands.
    let hit = &hits(&world, "Donaudampfschiff")[0];
    assert_eq!(
        hit["marks"],
        json!([[4, "Das Do\u{AD}nau\u{AD}dampf\u{AD}schiff".len()]])
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_quoted_part_is_found_as_it_stands() {
    let world = World::new("");
    world.write("with.md", "Release party 🎉 today\n");
    world.write("without.md", "Another party yesterday\n");
    world.write("cpp.md", "We write it in C++ here, and x->y\n");
    world.write("c.md", "Vitamin C is good, a.b is not a b\n");
    let daemon = world.start();
    world.wait();
    let none: [&str; 0] = [];
    assert_eq!(
        paths(&world, "party \"🎉\""),
        ["with.md"],
        "a sign is meant as it stands"
    );
    let both = hits(&world, "party \"Release\"");
    assert_eq!(both[0]["path"], "with.md");
    assert!(both.len() > 1, "the others are raised less, not left out");
    let exact = ["search", "--exact", "party \"Release\""];
    let exact = world.cli(exact).stdout();
    assert!(
        exact.contains("with.md") && !exact.contains("without.md"),
        "{exact}"
    );
    assert_eq!(paths(&world, "“party 🎉”"), ["with.md"]);
    assert_eq!(paths(&world, "🎉"), ["with.md"]);
    assert_eq!(paths(&world, "\"C++\""), ["cpp.md"]);
    assert_eq!(paths(&world, "\"C\""), ["c.md", "cpp.md"]);
    assert_eq!(paths(&world, "\"->\""), ["cpp.md"]);
    assert_eq!(paths(&world, "«A.B»"), ["c.md"]);
    assert_eq!(paths(&world, "\"a. b\""), none);
    assert_eq!(paths(&world, "\"part\""), none);
    assert_eq!(paths(&world, "\"not a\n b\""), ["c.md"]);
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn what_only_resembles_a_quoted_part_takes_no_place() {
    let world = World::new("");
    for n in 0..450 {
        world.write(
            &format!("a/{n}.md"),
            format!("Call {n}: foo. Bar, foo. Bar\n"),
        );
    }
    let filler = "Many other words stand around it in this page. ".repeat(9);
    let long = format!("# Call\n\nNo call. {filler}{filler}\n\n# Next\n\nSee foo.bar. {filler}\n");
    world.write("long.md", long);
    for n in 0..3 {
        world.write(
            &format!("b/{n}.md"),
            format!("Page {n}. {filler}See foo.bar.\n"),
        );
    }
    let daemon = world.start();
    world.wait();
    let found = paths(&world, "\"foo.bar\"");
    assert_eq!(found, ["b/0.md", "b/1.md", "b/2.md", "long.md"]);
    let query = "call \"foo.bar\"";
    let explained = ["search", "--json", "--explain", "--path", "long.md", query];
    let answer = world.cli(explained).json().expect("hits");
    let hits = answer["hits"].as_array().expect("hits");
    assert_eq!(hits.len(), 2, "the one before what is quoted is there too");
    for hit in hits {
        let boosts = hit["explain"]["boosts"].as_array();
        let is_quoted = boosts.is_some_and(|all| all.iter().any(|b| b["name"] == "quoted"));
        let has_it = hit["text"].as_str().unwrap().contains("foo.bar");
        assert_eq!(is_quoted, has_it, "{hit}");
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_quoted_part_is_found_across_a_cut() {
    let world = World::new("");
    let words: Vec<String> = (1..=600).map(|n| format!("w{n}x")).collect();
    world.write("line.md", words.join(" "));
    let lines: Vec<String> = (1..=300).map(|n| format!("v{n}y and v{n}z")).collect();
    world.write("lines.txt", lines.join("\n"));
    let daemon = world.start();
    world.wait();
    assert!(world.status()["chunks"].as_u64().unwrap() > 5);
    for first in (0..590).step_by(7) {
        for length in [2, 9] {
            let quoted = words[first..first + length].join(" ");
            let found = hits(&world, &format!("\"{quoted}\""));
            let [hit] = found.as_slice() else {
                panic!("{quoted}: {found:?}");
            };
            assert_eq!(hit["lines"], json!([1, 1]));
            assert!(hit["text"].as_str().unwrap().contains(&quoted), "{hit}");
        }
    }
    for first in (0..270).step_by(3) {
        for length in [2, 30] {
            let text = &lines[first..first + length];
            let found = hits(&world, &format!("\"{}\"", text.join(" ")));
            let [hit] = found.as_slice() else {
                panic!("{first}+{length}: {found:?}");
            };
            let line = |at: usize| hit["lines"][at].as_u64().unwrap() as usize;
            assert!(line(0) <= first + 1 && line(1) >= first + length, "{hit}");
            assert_eq!(hit["text"], lines[line(0) - 1..line(1)].join("\n"));
        }
    }
    assert!(hits(&world, "\"w1x w3x\"").is_empty());
    assert!(hits(&world, &format!("\"{} w1x\"", words[100..140].join(" "))).is_empty());
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_header_that_cannot_be_read_is_reported_and_hides_nothing() {
    let world = World::new("");
    let aliases = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let before = vec![format!("*a{}", n - 1); 9].join(",");
        format!("{text}a{n}: &a{n} [{before}]\n")
    });
    let broken = [
        (
            "colon.md",
            "---\ntitle: Meeting: planning\n---\n\nthe aardvark text\n".to_owned(),
        ),
        (
            "tab.md",
            "---\na:\n\tb: c\n---\n\nthe aardvark text\n".to_owned(),
        ),
        ("open.md", "---\ntitle: x\n\nthe aardvark text\n".to_owned()),
        (
            "bomb.md",
            format!("---\n{aliases}---\n\nthe aardvark text\n"),
        ),
        (
            "bom.md",
            "\u{FEFF}---\na: [\n---\n\nthe aardvark text\n".to_owned(),
        ),
        (
            "long.md",
            format!("---\n{}---\n\nthe aardvark text\n", "a: b\n".repeat(2_000)),
        ),
        (
            "twice.md",
            "---\na: 1\na: 2\n---\n\nthe aardvark text\n".to_owned(),
        ),
        (
            "toml.md",
            "+++\na = \n+++\n\nthe aardvark text\n".to_owned(),
        ),
        (
            "json.md",
            "{\n\"a\": x\n}\n\nthe aardvark text\n".to_owned(),
        ),
    ];
    for (path, text) in &broken {
        world.write(path, text);
    }
    world.write(
        "toml-good.md",
        "+++\ntitle = 'A title'\n+++\n\nthe aardvark text\n",
    );
    let daemon = world.start();
    world.wait();
    let documents = world.documents();
    assert_eq!(documents["toml-good.md"]["title"], "A title");
    let found = paths(&world, "\"aardvark text\"");
    for (path, _) in &broken {
        let document = &documents[*path];
        assert_eq!(document["state"], "stored", "{document}");
        let reason = document["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("front matter: line "), "{document}");
        assert!(found.contains(&(*path).to_owned()), "{path}: {found:?}");
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn titles_and_headings_are_shown_as_they_are_written() {
    let world = World::new("");
    let titles = [
        "1.10",
        "007",
        "1e3",
        "0x1F",
        "1_000",
        "yes",
        "null",
        "~",
        "2024-01-02",
    ];
    for (number, title) in titles.iter().enumerate() {
        world.write(
            &format!("{number}.md"),
            format!("---\ntitle: {title}\n---\n\ntext\n"),
        );
    }
    world.write("braces.md", "# GET /users/{id}\n\nquokka\n");
    world.write("anchor.md", "# Anchor {#id .class}\n\nnumbat\n");
    world.write(
        "return.md",
        "# One\r\rfirst text\r\r# Two\r\rsecond zebrafish\r",
    );
    world.write(
        "page.html",
        "<title>A &amp; b</title>\r<h1>Head</h1>\r<p>\rtarsier\r",
    );
    let daemon = world.start();
    world.wait();
    let documents = world.documents();
    for (number, title) in titles.iter().enumerate() {
        assert_eq!(documents[&format!("{number}.md")]["title"], *title);
    }
    assert_eq!(documents["page.html"]["title"], "A & b");
    for (query, heading, lines) in [
        ("quokka", "GET /users/{id}", [1, 3]),
        ("numbat", "Anchor", [1, 3]),
        ("zebrafish", "Two", [5, 7]),
        ("tarsier", "A & b > Head", [2, 4]),
    ] {
        let hit = &hits(&world, query)[0];
        assert_eq!(
            (&hit["heading"], &hit["lines"]),
            (&json!(heading), &json!(lines))
        );
    }
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn good_hits_are_not_followed_by_noise() {
    let world = World::new("");
    world.write(
        "good.md",
        "# Restart\n\nThe supervisor restarts a parked agent.\n",
    );
    for number in 0..8 {
        let text = format!("# Note {number}\n\nAn agent of the estate sold house {number}.\n");
        world.write(&format!("noise/{number}.md"), text);
    }
    let daemon = world.start();
    world.wait();
    let query = ["search", "restart", "a", "parked", "agent"];
    let shown = world.cli(query).stdout();
    assert!(shown.contains("docs/good.md:1-3"), "{shown}");
    assert!(!shown.contains("noise/"), "{shown}");
    let all = world.cli(query.iter().chain(&["--all"])).stdout();
    assert!(all.contains("noise/"), "{all}");
    assert!(paths(&world, "restart a parked agent").len() > 1);

    let far = world
        .cli(["search", "how do volcanoes erupt", "below the agent's sea"])
        .stdout();
    let lines: Vec<&str> = far.lines().collect();
    assert!(
        lines[0].starts_with("nothing here seems to be about "),
        "{far}"
    );
    assert!(lines.len() <= 4, "{far}");
    assert_eq!(
        world.cli(["search", "house", "-3", "--limit", "1"]).code(),
        0
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_typing_error_is_corrected_and_told() {
    let world = World::new("");
    world.write("a.md", "# Links\n\nThe connection is closed by the peer.\n");
    world.write(
        "b.md",
        "# Others\n\nA queue that has nothing to do with it.\n",
    );
    let daemon = world.start();
    world.wait();
    let answer = |arguments: &[&str]| {
        let arguments = ["search", "--json"].iter().chain(arguments);
        let run = world.cli(arguments);
        run.json().unwrap_or_else(|| panic!("{}", run.stderr()))
    };
    let corrected = answer(&["conection closed"]);
    let pair = json!([{"from": "conection", "to": "connection"}]);
    assert_eq!(corrected["corrected"], pair);
    assert_eq!(corrected["hits"][0]["path"], "a.md");
    let right = answer(&["connection closed"]);
    assert_eq!(corrected["hits"], right["hits"]);
    assert_eq!(answer(&["--exact", "conection"])["corrected"], Value::Null);
    let said = world.cli(["search", "conection"]).stdout();
    assert!(
        said.contains("searched for connection instead of conection"),
        "{said}"
    );
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}

#[test]
fn a_search_may_be_narrowed_explained_and_may_wait() {
    let world = World::new("");
    world.write("docs/a.md", "# Apple\n\nAn apple a day.\n");
    world.write("src/a.rs", "fn apple() {}\n");
    world.write("src/old/b.py", "def apple(): pass\n");
    let daemon = world.start();
    world.wait();
    let of = |flags: &[&str]| {
        let run = world.cli(["search", "--json", "apple"].iter().chain(flags));
        let answer = run.json().unwrap_or_else(|| panic!("{}", run.stderr()));
        let hits = answer["hits"].as_array().expect("hits").clone();
        let mut paths: Vec<String> = hits
            .iter()
            .map(|hit| hit["path"].as_str().expect("a path").to_owned())
            .collect();
        paths.sort();
        (paths, hits)
    };
    assert_eq!(of(&[]).0.len(), 3);
    assert_eq!(of(&["--path", "docs/*.md"]).0, ["docs/a.md"]);
    assert_eq!(
        of(&["--path", "src/**", "--path", "!src/old"]).0,
        ["src/a.rs"]
    );
    assert_eq!(of(&["--kind", "markdown"]).0, ["docs/a.md"]);
    assert_eq!(of(&["--language", "python"]).0, ["src/old/b.py"]);
    assert_eq!(of(&["--since", "1d"]).0.len(), 3);
    assert_eq!(of(&["--since", "2100-01-01"]).0.len(), 0);
    let none = world.cli(["search", "apple", "--path", "sources/**", "--kind", "code"]);
    assert_eq!(none.code(), 1);
    let filters = "searched only with --path sources/** --kind code";
    assert!(none.stderr().contains(filters), "{}", none.stderr());
    let (_, hits) = of(&["--explain"]);
    for hit in hits {
        let number = |value: &Value| value.as_f64().expect("a number");
        let explain = &hit["explain"];
        let both = 0.55 * number(&explain["keyword"]) + 0.45 * number(&explain["vector"]);
        let boosts = explain["boosts"].as_array().expect("boosts").iter();
        let factors: f64 = boosts.map(|boost| number(&boost["factor"])).product();
        assert!(
            (number(&hit["score"]) - both * factors).abs() < 1e-9,
            "{hit}"
        );
    }
    world.write("docs/new.md", "# Apple tree\n\nNew.\n");
    assert!(of(&["--wait", "30s"]).0.contains(&"docs/new.md".to_owned()));
    assert_eq!(daemon.stop(), Some(0), "{}", world.log());
}
