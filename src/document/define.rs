//! What a piece of source code defines: the names of its functions, types, constants and methods.
//!
//! As in `code`, no grammar is used: a definition is told by the line that begins it. A line that cannot be told defines
//! nothing.

use super::keywords::{KEYWORDS, MODIFIERS, first_word, indent};
use super::kind::extension;

/// A name that a text defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition<'a> {
    /// The name, without what it is a part of.
    pub name: &'a str,
    /// Whether it is a type, a module or the like, and not a function or a value.
    pub is_type: bool,
}

/// A definition is looked for in this many bytes of a line, and its parameters in this many lines.
const MAX_HEAD_BYTES: usize = 512;
pub(super) const MAX_PARAMETER_LINES: usize = 16;

/// Keywords before the name of a function or a value; the other [`KEYWORDS`] are before a type's or a module's.
const FUNCTIONS: &[&str] = &[
    "fn",
    "def",
    "defp",
    "func",
    "fun",
    "function",
    "macro_rules",
    "sub",
    "proc",
    "message",
];

/// Keywords before the name of a value.
const VALUES: &[&str] = &["const", "static", "let", "var", "val"];

/// Languages in which a method or a function has no keyword: its name, parameters and body tell it.
const WITHOUT_KEYWORD: &[&str] = &[
    "java", "cs", "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "inl", "js", "mjs", "cjs",
    "jsx", "ts", "mts", "cts", "tsx", "vue", "svelte", "php", "swift", "kt", "scala", "groovy",
    "dart", "m", "mm", "cu", "sh", "bash", "zsh", "ksh",
];

/// C and what has its types.
const C_LIKE: &[&str] = &[
    "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "inl", "m", "mm", "cu",
];

/// Languages in which a value within a body that is called `const` may be a variable of a function.
const CONST_IS_LOCAL: &[&str] = &[
    "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "vue", "svelte", "go", "c", "h",
];

/// Words that stand in front of parentheses and are no names, or begin a line that defines nothing.
const NO_NAMES: &[&str] = &[
    "if",
    "for",
    "while",
    "switch",
    "catch",
    "return",
    "else",
    "new",
    "throw",
    "await",
    "sizeof",
    "assert",
    "super",
    "this",
    "match",
    "when",
    "unless",
    "elif",
    "do",
    "try",
    "with",
    "yield",
    "delete",
    "case",
    "foreach",
    "using",
    "lock",
    "synchronized",
    "guard",
    "defer",
    "goto",
    "echo",
];

/// What `text`, a piece of the file at `path`, defines, in order.
pub(crate) fn definitions<'a>(path: &[u8], text: &'a str) -> Vec<Definition<'a>> {
    let extension = extension(path);
    let lines: Vec<&str> = text.lines().map(head).collect();
    let is_c_like = C_LIKE.contains(&extension.as_str());
    let (mut found, mut group) = (Vec::new(), None);
    for (at, line) in lines.iter().enumerate() {
        let content = line.trim();
        if extension == "go" && matches!(content, "const (" | "var (" | "type (" | ")") {
            group = GoGroup::begun_by(content);
            continue;
        }
        let definition = directive(content)
            .or_else(|| group.as_mut()?.member(line))
            .or_else(|| by_keyword(content, is_c_like))
            .or_else(|| table(content))
            .or_else(|| value(line))
            .or_else(|| constant(line, &extension))
            .or_else(|| is_c_like.then(|| end_of_typedef(content)).flatten())
            .or_else(|| assigned(content))
            .or_else(|| (extension == "hs").then(|| with_type(line)).flatten())
            .or_else(|| method(line, &extension, lines[at + 1..].iter().copied()));
        found.extend(definition);
    }
    found
}

/// Definitions of Go in parentheses, one a line: `const (`, `var (`, `type (`.
struct GoGroup {
    is_type: bool,
    /// How far its members are indented; what is further in is a part of one.
    indent: Option<usize>,
}

impl GoGroup {
    fn begun_by(content: &str) -> Option<Self> {
        (content != ")").then_some(GoGroup {
            is_type: content.starts_with("type"),
            indent: None,
        })
    }

    fn member<'a>(&mut self, line: &'a str) -> Option<Definition<'a>> {
        let definition = function(identifier(line.trim()))?;
        let is_member = *self.indent.get_or_insert(indent(line)) == indent(line);
        is_member.then_some(Definition {
            is_type: self.is_type,
            ..definition
        })
    }
}

fn head(line: &str) -> &str {
    &line[..line.floor_char_boundary(MAX_HEAD_BYTES)]
}

fn function(name: &str) -> Option<Definition<'_>> {
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$');
    (is_name && !NO_NAMES.contains(&name)).then_some(Definition {
        name,
        is_type: false,
    })
}

fn directive(content: &str) -> Option<Definition<'_>> {
    let rest = content.strip_prefix('#')?.trim_start();
    function(identifier(rest.strip_prefix("define ")?.trim_start()))
}

/// `pub fn name`, `class Name`, `func (s *Server) Name`, `def self.name`: the name behind a keyword.
fn by_keyword(content: &str, is_c_like: bool) -> Option<Definition<'_>> {
    let (mut keyword, mut rest) = behind_keyword(without_template(content))?;
    if keyword == "typedef" {
        return typedef(rest);
    }
    if is_c_like && matches!(keyword, "struct" | "union" | "enum" | "class") {
        return c_type(rest);
    }
    // `enum class Name`, `record struct Name`, `class func name()`
    let second = first_word(rest);
    let behind = rest[second.len()..].trim_start_matches(' ');
    let is_named = behind.len() < rest.len() - second.len() && !identifier(behind).is_empty();
    if KEYWORDS.contains(&second) && is_named && keyword != "type" {
        (keyword, rest) = (second, behind);
    }
    let mut rest = rest.strip_prefix('!').unwrap_or(rest).trim_start();
    // The receiver of a method in Go, the parameters of a generic implementation, the star of a generator.
    for (open, close) in [('(', ')'), ('<', '>')] {
        if rest.starts_with(open) {
            rest = rest.split_once(close)?.1.trim_start();
        }
    }
    let rest = rest.trim_start_matches(['*', ' ']);
    let is_type = !FUNCTIONS.contains(&keyword);
    // `impl Trait for Type` and `type = 3` define nothing; a sentence that begins so does not either.
    let sentence = !rest.contains(['(', '{', ':', ';', '=', '<'])
        && rest.split_whitespace().nth(1).is_some_and(|word| {
            word.chars().all(char::is_alphabetic)
                && !matches!(
                    word,
                    "struct" | "interface" | "implements" | "extends" | "do" | "where"
                )
        });
    if matches!(keyword, "impl" | "extension") || sentence {
        return None;
    }
    let mut name = identifier(rest);
    let mut rest = &rest[name.len()..];
    while let Some(next) = rest
        .strip_prefix("::")
        .or_else(|| rest.strip_prefix(['.', ':']))
    {
        let part = identifier(next);
        if part.is_empty() {
            break;
        }
        (name, rest) = (part, &next[part.len()..]);
    }
    Some(Definition {
        is_type,
        ..function(name)?
    })
}

/// What stands behind `template <…>` on its line.
fn without_template(content: &str) -> &str {
    let Some(rest) = content.strip_prefix("template") else {
        return content;
    };
    let rest = rest.trim_start();
    if !rest.starts_with('<') {
        return content;
    }
    let mut depth = 0_i32;
    for (at, c) in rest.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return rest[at + c.len_utf8()..].trim_start();
        }
    }
    content
}

/// `struct name {`, `enum class Name : int {`, `class EXPORTED Name final : public Base {`, or one of these with its brace on the
/// next line. `struct name *function(…)`, `struct name value;` and `class Name;` define no type.
fn c_type(rest: &str) -> Option<Definition<'_>> {
    let mut name = "";
    let mut rest = rest;
    loop {
        let word = identifier(rest);
        let after = rest[word.len()..].trim_start();
        if word == "final" {
            rest = after;
            break;
        }
        if !word.is_empty() && !matches!(word, "class" | "struct") {
            name = word;
        }
        let specialised = after
            .starts_with('<')
            .then(|| after.split_once('>'))
            .flatten();
        rest = specialised.map_or(after, |(_, after)| after.trim_start());
        if word.is_empty() || !rest.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            break;
        }
    }
    let begins = rest.is_empty()
        || rest.starts_with('{')
        || rest.starts_with("/*")
        || rest.starts_with("//")
        || (rest.starts_with(':') && !rest.starts_with("::"));
    function(name)
        .filter(|_| begins)
        .map(|definition| Definition {
            is_type: true,
            ..definition
        })
}

/// The keyword that `content` begins with, behind modifiers and annotations, and what follows it.
fn behind_keyword(content: &str) -> Option<(&str, &str)> {
    let mut rest = content;
    for _ in 0..8 {
        if let Some(annotation) = rest.strip_prefix('@') {
            let name = identifier(annotation);
            rest = annotation[name.len()..].trim_start();
            if let Some(arguments) = rest.strip_prefix('(') {
                rest = arguments.split_once(')')?.1.trim_start();
            }
            continue;
        }
        let word = first_word(rest);
        let after = &rest[word.len()..];
        if KEYWORDS.contains(&word)
            || matches!(
                word,
                "typedef" | "typealias" | "actor" | "newtype" | "defmacro"
            )
        {
            let named = after.starts_with([' ', '\t', '!', '<', '*'])
                || (word == "func" && after.starts_with('('));
            return named.then(|| (word, after.trim_start()));
        }
        if !MODIFIERS.contains(&word) {
            return None;
        }
        rest = after.trim_start();
        if let Some(scope) = rest.strip_prefix('(') {
            rest = scope.split_once(')')?.1.trim_start();
        }
        if let Some(abi) = rest.strip_prefix('"') {
            rest = abi.split_once('"')?.1.trim_start();
        }
    }
    None
}

fn table(content: &str) -> Option<Definition<'_>> {
    let mut words = content.split_whitespace();
    if !words.next()?.eq_ignore_ascii_case("create") {
        return None;
    }
    let kinds = [
        "table",
        "view",
        "function",
        "procedure",
        "trigger",
        "index",
        "type",
        "schema",
    ];
    let other = [
        "or",
        "replace",
        "if",
        "not",
        "exists",
        "temporary",
        "temp",
        "unique",
        "materialized",
        "virtual",
        "recursive",
    ];
    let is = |list: &[&str], word: &str| list.iter().any(|w| w.eq_ignore_ascii_case(word));
    let mut kind = false;
    for word in words {
        match word {
            _ if is(&kinds, word) => kind = true,
            _ if is(&other, word) => {}
            _ if kind => {
                let name = word.split(['(', ';']).next()?.rsplit('.').next()?;
                let name = identifier(name.trim_matches(['"', '`', '[', ']', '\'']));
                return function(name).map(|d| Definition { is_type: true, ..d });
            }
            _ => return None,
        }
    }
    None
}

/// `const NAME = …`, `NAME = …`: a value that is nobody's own, so it is not indented.
fn value(line: &str) -> Option<Definition<'_>> {
    let mut rest = line;
    let mut keyword = false;
    for _ in 0..6 {
        let word = first_word(rest);
        let is_value = VALUES.contains(&word);
        if !is_value && !MODIFIERS.contains(&word) && word != "mut" {
            break;
        }
        keyword |= is_value;
        rest = rest[word.len()..].trim_start();
        if let Some(scope) = rest.strip_prefix('(') {
            rest = scope.split_once(')')?.1.trim_start();
        }
    }
    let name = identifier(rest);
    let after = rest[name.len()..].trim_start();
    let constant = name.len() > 1 && !name.contains(char::is_lowercase);
    let given =
        (after.starts_with('=') && !after.starts_with("==")) || (keyword && after.starts_with(':'));
    // Go and C have no sign between a constant's name and its type.
    let typed = keyword && after.starts_with(char::is_alphabetic) && after.contains('=');
    ((keyword || constant) && (given || typed))
        .then(|| function(name))
        .flatten()
}

/// `typedef unsigned int u32;`, `typedef struct foo foo_t;`, `typedef int (*callback)(void*);`, `typedef struct foo {`
fn typedef(rest: &str) -> Option<Definition<'_>> {
    let name = match (rest.split_once("(*"), rest.split_once('=')) {
        (Some((_, pointer)), _) => identifier(pointer.trim_start()),
        (None, Some((alias, _))) => identifier(alias.trim()),
        (None, None) => {
            let named = rest.split(['{', ';', '[', '(']).next()?.trim_end();
            let mut words = named.rsplit(|c: char| !c.is_alphanumeric() && c != '_');
            words.next()?
        }
    };
    let is_keyword = matches!(name, "struct" | "union" | "enum" | "class");
    function(name)
        .filter(|_| !is_keyword)
        .map(|d| Definition { is_type: true, ..d })
}

/// `} foo_t;`
fn end_of_typedef(content: &str) -> Option<Definition<'_>> {
    let rest = content.strip_prefix('}')?.trim_start();
    let name = identifier(rest);
    (name.len() > 1 && rest[name.len()..].trim_start() == ";")
        .then(|| function(name))
        .flatten()
        .map(|d| Definition { is_type: true, ..d })
}

/// A constant of a class or another body: `public static final int MAX = 3;`, `const MAX: usize = 3;`, `MAX = 3`.
fn constant<'a>(line: &'a str, extension: &str) -> Option<Definition<'a>> {
    let content = line.trim_start();
    let (before, value) = content.split_once('=')?;
    let before = before.trim_end();
    let is_plain = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_<>[],:?$&'".contains(c);
    if content.len() == line.len()
        || value.starts_with(['=', '>', '~'])
        || !before.chars().all(is_plain)
    {
        return None;
    }
    // `NAME: type` or `type NAME`
    let named = before.split(": ").next()?.trim_end();
    let name = named.rsplit(char::is_whitespace).next()?;
    let lead = &named[..named.len() - name.len()];
    let has = |word: &str| lead.split_whitespace().any(|part| part == word);
    let is_const =
        has("const") || has("constexpr") || (has("static") && (has("final") || has("readonly")));
    let is_capital =
        name.len() > 1 && name.contains(char::is_alphabetic) && !name.contains(char::is_lowercase);
    let is_constant = match is_capital {
        true => {
            is_const
                || has("static")
                || has("final")
                || has("val")
                || (lead.is_empty() && !content.ends_with([',', '(']))
        }
        false => is_const && !CONST_IS_LOCAL.contains(&extension),
    };
    (is_constant && identifier(name) == name)
        .then(|| function(name))
        .flatten()
}

/// `name = function`, `app.name = (a) =>`, `name: async function`
fn assigned(content: &str) -> Option<Definition<'_>> {
    let at = content.find([':', '='])?;
    let rest = content[at + 1..].trim_start();
    let rest = rest.strip_prefix("async").map_or(rest, str::trim_start);
    let is_function = first_word(rest) == "function"
        || (rest.starts_with('(')
            && rest
                .split_once(')')
                .is_some_and(|(_, after)| after.trim_start().starts_with("=>")));
    let before = content[..at].trim_end();
    let target = before.rsplit(char::is_whitespace).next()?;
    let name = target.rsplit('.').next()?;
    (is_function && identifier(name) == name)
        .then(|| function(name))
        .flatten()
}

fn with_type(line: &str) -> Option<Definition<'_>> {
    let name = identifier(line);
    let after = line[name.len()..].trim_start_matches('\'').trim_start();
    after.starts_with("::").then(|| function(name)).flatten()
}

/// `type name(parameters) {`: what has parameters and a body, in a language where no keyword tells it.
pub(super) fn method<'a, 'b>(
    line: &'a str,
    extension: &str,
    following: impl Iterator<Item = &'b str>,
) -> Option<Definition<'a>> {
    if !WITHOUT_KEYWORD.contains(&extension) {
        return None;
    }
    let content = line.trim();
    let at = content.find('(')?;
    let before = content[..at].trim_end();
    let start = before
        .rfind(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$' | '~'))
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    let (lead, name) = before.split_at(start);
    let plain = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_:<>,.?[]*&@#".contains(c);
    let first = first_word(content);
    let is_call = NO_NAMES.contains(&first)
        || lead.ends_with(['.', '>', '@', '#'])
        || content.starts_with(['.', '*', '/']);
    if is_call || !lead.chars().all(plain) || lead.trim_end().ends_with([',', '?']) {
        return None;
    }
    // A macro that opens a block is used within a body, and has no type before it.
    if extension == "c" && line != content && !before.contains(' ') {
        return None;
    }
    let definition = function(name.trim_start_matches('~'))?;
    has_body(&content[at..], following).then_some(definition)
}

/// Whether a body follows the parameters that begin at the start of `rest` and may go on in the lines after it.
fn has_body<'b>(rest: &str, following: impl Iterator<Item = &'b str>) -> bool {
    let mut depth = 0_i32;
    let mut following = following.take(MAX_PARAMETER_LINES);
    let mut next = Some(rest);
    while let Some(line) = next {
        for (at, c) in line.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                '{' | ';' if depth <= 0 => return c == '{',
                '=' if depth <= 0 && line[at..].starts_with("=>") => return true,
                _ => {}
            }
        }
        next = following.next();
        if depth <= 0 {
            return next.is_some_and(|next| next.trim_start().starts_with('{'));
        }
    }
    false
}

/// The identifier that `text` begins with.
fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, text: &str) -> Vec<String> {
        definitions(path.as_bytes(), text)
            .into_iter()
            .map(|d| format!("{}{}", if d.is_type { "type " } else { "" }, d.name))
            .collect()
    }

    #[rustfmt::skip]
    const NAMES: &[(&str, &str, &[&str])] = &[
            ("a.rs", "pub(crate) async fn run(x: u8) {", &["run"]),
            ("a.rs", "pub struct Server<T> {", &["type Server"]),
            ("a.rs", "impl<T> Trait for Server<T> {", &[]),
            ("a.rs", "macro_rules! check {", &["check"]),
            ("a.rs", "pub const MAX: usize = 1;", &["MAX"]),
            ("a.rs", "    let x = 1;", &[]),
            ("a.py", "class Client(Base):", &["type Client"]),
            ("a.py", "    async def send(self,", &["send"]),
            ("a.py", "DEFAULT_LIMIT = 3", &["DEFAULT_LIMIT"]),
            ("a.py", "value = 3", &[]),
            ("a.go", "func (s *Server) Run() error {", &["Run"]),
            ("a.go", "type Point struct {", &["type Point"]),
            ("a.go", "type (\n\tPoint struct {\n\t\tX int\n\t}\n\tName = string\n)", &["type Point", "type Name"]),
            ("a.c", "struct sk_buff *alloc_skb(unsigned int n)\n{", &["alloc_skb"]),
            ("a.c", "struct inode *inode = f(x);", &[]),
            ("a.c", "\tstruct inode *inode,", &[]),
            ("a.c", "struct inode;", &[]),
            ("a.c", "struct inode {", &["type inode"]),
            ("a.c", "struct inode\n{", &["type inode"]),
            ("a.h", "enum state { ON };", &["type state"]),
            ("a.cc", "enum class Color : int {", &["type Color"]),
            ("a.cc", "class EXPORTED Reader final : public Base {", &["type Reader"]),
            ("a.cc", "template <typename T, size_t N = f<T>()> class buffer : base<T> {", &["type buffer"]),
            ("a.cc", "template <> struct formatter<int> {", &["type formatter"]),
            ("a.cc", "class Foo;", &[]),
            ("a.kt", "enum class Color {", &["type Color"]),
            ("a.cs", "public record struct Point(int X);", &["type Point"]),
            ("a.swift", "class func make() -> Self {", &["make"]),
            ("a.rs", "pub mod message {", &["type message"]),
            ("a.pl", "sub type {", &["type"]),
            ("a.go", "const Max int = 3", &["Max"]),
            ("a.js", "app.use = function use(fn) {", &["use"]),
            (
                "a.ts",
                "export const handler = async (a) => {",
                &["handler"],
            ),
            ("a.ts", "  dispatch(action: A): void {", &["dispatch"]),
            (
                "a.ts",
                "export default function createUser(",
                &["createUser"],
            ),
            (
                "a.ts",
                "export interface State<S> extends Base<S> {",
                &["type State"],
            ),
            (
                "A.java",
                "  public static List<String> names(int x) {",
                &["names"],
            ),
            ("A.java", "  return names(x) {", &[]),
            ("A.java", "  void open();", &[]),
            (
                "a.c",
                "static int uv__open(const char* path,\n                    int flags) {",
                &["uv__open"],
            ),
            ("a.c", "int uv_run(uv_loop_t* loop)\n{", &["uv_run"]),
            ("a.c", "  call(x, y);", &[]),
            ("a.c", "#define MAX_SIZE 3", &["MAX_SIZE"]),
            ("a.cpp", "void Server::start(int port) const {", &["start"]),
            ("a.cs", "public class Mapper : IMapper", &["type Mapper"]),
            ("a.rb", "def self.call(env)", &["call"]),
            ("a.rb", "class Rack::Builder < Base", &["type Builder"]),
            (
                "a.php",
                "final class Logger implements Base",
                &["type Logger"],
            ),
            ("a.php", "    public function log($level): void", &["log"]),
            ("a.sh", "run_tests() {", &["run_tests"]),
            ("a.lua", "function finders.new_table(opts)", &["new_table"]),
            ("a.hs", "decode :: Text -> Value", &["decode"]),
            ("a.kt", "data class Point(val x: Int)", &["type Point"]),
            ("a.ex", "defmodule Phoenix.Router do", &["type Router"]),
            (
                "a.sql",
                "CREATE TABLE IF NOT EXISTS public.users (",
                &["type users"],
            ),
            ("a.c", "typedef unsigned int u32;", &["type u32"]),
            ("a.h", "typedef struct foo foo_t;", &["type foo_t"]),
            ("a.h", "typedef int (*callback)(void*);", &["type callback"]),
            ("a.h", "typedef struct foo {\n  int a;\n} foo_t;", &["type foo", "type foo_t"]),
            ("a.h", "typedef struct {", &[]),
            ("a.c", "  list_for_each(a, b) {", &[]),
            ("a.c", "main(a, b)\n{", &["main"]),
            ("A.java", "  private static final int MAX_TRIES = 3;", &["MAX_TRIES"]),
            ("A.java", "  int count = 3;", &[]),
            ("A.java", "    if (a == MAX) {", &[]),
            ("a.rs", "    const MAX: usize = 1;", &["MAX"]),
            ("a.cs", "    public const int MaxTries = 3;", &["MaxTries"]),
            ("a.php", "    const MAX = 3;", &["MAX"]),
            ("a.rb", "  MAX_TRIES = 3", &["MAX_TRIES"]),
            ("a.py", "    call(MAX=3)", &[]),
            ("a.py", "    self.MAX = 3", &[]),
            ("a.ts", "  static MAX = 3;", &["MAX"]),
            ("a.ts", "  const found = 3;", &[]),
            ("a.hpp", "  static constexpr int kMax = 3;", &["kMax"]),
            ("a.go", "const (\n\tMaxTries = 3\n\tother\n)\nfoo = 1", &["MaxTries", "other"]),
            ("a.rs", "// type of thing", &[]),
            ("a.rs", "class of things that are", &[]),
        ];

    #[test]
    fn names_of_several_languages() {
        for (path, text, expected) in NAMES {
            assert_eq!(names(path, text), *expected, "{path}: {text}");
        }
    }

    #[test]
    fn any_text_is_read() {
        for text in [
            "(",
            "=",
            "#",
            "@",
            "@(",
            "fn",
            "fn <",
            "pub(",
            "extern \"",
            "create",
            "é(\n{",
            "𝒳 = function",
            "typedef int «é» ·x;",
            "typedef (*é",
            "typedef «",
            "} é;",
            "\té» = 1",
            "  ·A = 1",
            "  A·: B = 1",
            "const (\n·\n",
        ] {
            for path in ["a.ts", "a.hs", "a.h", "a.c", "a.go", "A.java"] {
                names(path, text);
            }
        }
    }
}
