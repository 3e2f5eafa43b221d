//! Names of code in a query: `parse_url`, `HttpClient::send`, `createUser`, also in the midst of a sentence.

/// A name that a query has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) name: String,
    /// What stands before it, folded: the type or module that it is to be found in.
    pub(super) within: Option<String>,
    /// It is written as only names are.
    pub(super) certain: bool,
}

/// The names of a query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Symbols {
    pub(super) names: Vec<Symbol>,
    /// The query is one word and no more.
    pub(super) alone: bool,
    /// One of them is written as only names are.
    pub(super) certain: bool,
}

/// At most so many names of a query are looked for.
const NAMES_MAX: usize = 8;

/// A name as it is compared: without case and underscores, for conventions differ in nothing else.
pub(super) fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// The names in `query`. A word by itself may be a name however it is written; in a sentence only what looks like one is.
pub(super) fn symbols(query: &str) -> Symbols {
    let mut symbols = Symbols {
        alone: query.split_whitespace().nth(1).is_none(),
        ..Symbols::default()
    };
    for word in query.split_whitespace() {
        let Some(symbol) = symbol(word) else {
            continue;
        };
        let wanted = (symbols.alone || symbol.certain) && !symbol.name.is_empty();
        if wanted && symbols.names.len() < NAMES_MAX && !symbols.names.contains(&symbol) {
            symbols.certain |= symbol.certain;
            symbols.names.push(symbol);
        }
    }
    symbols
}

/// The name that a word is.
fn symbol(word: &str) -> Option<Symbol> {
    let word = word.trim_start_matches('(');
    // A call: what follows its parenthesis are arguments.
    let (word, called) = match word.split_once('(') {
        // `file(s)`
        Some((word, rest)) => (word, !rest.starts_with("s)") && !rest.starts_with("es)")),
        None => (word.trim_end_matches(')'), false),
    };
    let word = word.trim_matches(|c: char| "`'\".,;:?!".contains(c) || "“”„«»".contains(c));
    let word = word.strip_suffix("'s").unwrap_or(word);
    let word = &without_generics(word);
    let mut parts: Vec<&str> = vec![word.as_str()];
    for separator in ["::", "->", "#", "."] {
        parts = parts
            .iter()
            .flat_map(|part| part.split(separator))
            .collect();
    }
    let is_identifier = |part: &&str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$')
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    if !parts.iter().all(is_identifier) {
        return None;
    }
    let name = parts.pop()?;
    let within = parts.pop();
    let qualified = within.is_some()
        && (word.contains("::") || word.contains("->") || word.contains(char::is_uppercase));
    Some(Symbol {
        name: folded(name),
        within: within.map(folded),
        certain: called || qualified || is_compound(name),
    })
}

/// `Vec<T>::push` as `Vec::push`.
fn without_generics(word: &str) -> String {
    let mut depth = 0_usize;
    let outside = |c: &char| {
        let before = depth;
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before == 0 && *c != '<'
    };
    word.chars().filter(outside).collect()
}

/// Whether a name has several parts: `parse_url`, `createUser`, `HTTPServer`; `Server` and `HTTP` may be words.
fn is_compound(name: &str) -> bool {
    if name.trim_matches('_').contains('_') {
        return true;
    }
    let letters: Vec<char> = name.chars().collect();
    let hump = |pair: &[char]| pair[0].is_lowercase() && pair[1].is_uppercase();
    let acronym =
        |row: &[char]| row[0].is_uppercase() && row[1].is_uppercase() && row[2].is_lowercase();
    // `APIs` and `URLs` are words in the plural.
    let plural = name
        .strip_suffix('s')
        .is_some_and(|rest| !rest.contains(char::is_lowercase));
    letters.windows(2).any(hump) || (letters.windows(3).any(acronym) && !plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str) -> Vec<String> {
        let shown = |s: &Symbol| match &s.within {
            Some(within) => format!("{within}.{}", s.name),
            None => s.name.clone(),
        };
        symbols(query).names.iter().map(shown).collect()
    }

    #[test]
    fn names_are_told_from_words() {
        for (query, expected) in [
            ("parse_url", &["parseurl"][..]),
            ("HttpClient::send", &["httpclient.send"]),
            ("Session", &["session"]),
            ("how does createUser() work?", &["createuser"]),
            ("where is `HTTPAdapter` made", &["httpadapter"]),
            ("Rack::Builder", &["rack.builder"]),
            ("the APIs of the HTTP server", &[]),
            ("e.g. a.b", &[]),
            ("restart the Agent", &[]),
            ("what does run() do", &["run"]),
            ("parse_url(url, strict)", &["parseurl"]),
            ("client.send(request)", &["client.send"]),
            ("where is HTTPAdapter's code", &["httpadapter"]),
            ("Vec<T>::push", &["vec.push"]),
            ("this->open_file", &["this.openfile"]),
            ("a (parenthesis) of words", &[]),
            ("remove the file(s) of it", &[]),
            ("C++", &[]),
            ("config.toml", &["config.toml"]),
            ("", &[]),
        ] {
            assert_eq!(names(query), expected, "{query}");
        }
        assert!(symbols("parse_url").certain && symbols("parse_url").alone);
        assert!(!symbols("Session").certain);
        assert!(!symbols("a parse_url").alone);
        assert_eq!(folded("Parse_URL"), "parseurl");
    }
}
