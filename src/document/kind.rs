//! Which files are documents, by their names alone: nothing is read to decide it.

use crate::word::words;

/// How a file's text is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// CommonMark with tables and front matter.
    Markdown,
    /// Plain text and markup that is searched as it stands.
    Text,
    Code,
    /// JSON, also with comments or one value a line.
    Json,
    Yaml,
    Toml,
}

words! { Kind:
    Markdown = "markdown",
    Text = "text",
    Code = "code",
    Json = "json",
    Yaml = "yaml",
    Toml = "toml",
}

/// The kind of the file at `path`, by its well-known name or its extension, in either case; `None` = unsupported.
pub(crate) fn kind_of(path: &[u8]) -> Option<Kind> {
    let name = String::from_utf8_lossy(file_name(path)).to_ascii_lowercase();
    let name = name.as_str();
    if CODE_NAMES.contains(&name) || name.starts_with("dockerfile.") {
        return Some(Kind::Code);
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) => (stem, extension),
        None => (name, ""),
    };
    let by_extension = KINDS
        .iter()
        .find(|(_, extensions)| extensions.contains(&extension))
        .map(|(kind, _)| *kind);
    by_extension.or_else(|| {
        // `LICENSE`, `LICENSE-MIT`, `LICENSE-APACHE-2.0`: a number after the dot is no extension.
        let whole = if extension.bytes().all(|byte| byte.is_ascii_digit()) {
            stem
        } else {
            name
        };
        let base = whole.split(['-', '_', '.']).next().unwrap_or(whole);
        let known = TEXT_NAMES.contains(&base) && (extension.is_empty() || whole == stem);
        known.then_some(Kind::Text)
    })
}

/// What follows the last dot of the file's name, in lower case; empty if there is none, or nothing before it.
pub(super) fn extension(path: &[u8]) -> String {
    let name = String::from_utf8_lossy(file_name(path)).to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension.to_owned(),
        _ => String::new(),
    }
}

/// Whether the file at `path` is a page for people to read: its chunks are headed by headings.
pub(crate) fn is_page(path: &[u8]) -> bool {
    matches!(kind_of(path), Some(Kind::Markdown | Kind::Text)) || is_html(path)
}

/// The programming language of the file at `path`, by its extension; `None` where it is none, or not known.
pub(crate) fn language_of(path: &[u8]) -> Option<&'static str> {
    let extension = extension(path);
    let of = |extensions: &str| extensions.split(' ').any(|known| known == extension);
    let named = LANGUAGES
        .iter()
        .find(|(_, extensions)| of(extensions))
        .map(|(name, _)| *name);
    named.or_else(|| {
        let name = file_name(path).to_ascii_lowercase();
        match name.as_slice() {
            b"makefile" | b"gnumakefile" => Some("make"),
            b"dockerfile" | b"containerfile" => Some("dockerfile"),
            b"rakefile" | b"gemfile" | b"vagrantfile" => Some("ruby"),
            b"cmakelists.txt" => Some("cmake"),
            _ => None,
        }
    })
}

/// The languages that `language_of` tells, with their extensions.
pub(crate) const LANGUAGES: &[(&str, &str)] = &[
    ("rust", "rs"),
    ("python", "py pyi pyx"),
    ("javascript", "js mjs cjs jsx"),
    ("typescript", "ts mts cts tsx"),
    ("vue", "vue"),
    ("svelte", "svelte"),
    ("go", "go"),
    ("java", "java"),
    ("kotlin", "kt kts"),
    ("scala", "scala sc"),
    ("groovy", "groovy gradle"),
    ("c", "c h"),
    ("cpp", "cc cpp cxx hh hpp hxx inl"),
    ("objective-c", "m mm"),
    ("csharp", "cs"),
    ("fsharp", "fs fsi fsx"),
    ("visual-basic", "vb"),
    ("swift", "swift"),
    ("ruby", "rb rake gemspec"),
    ("php", "php"),
    ("perl", "pl pm t"),
    ("lua", "lua"),
    ("r", "r"),
    ("julia", "jl"),
    ("dart", "dart"),
    ("elixir", "ex exs"),
    ("erlang", "erl hrl"),
    ("haskell", "hs lhs"),
    ("elm", "elm"),
    ("ocaml", "ml mli"),
    ("clojure", "clj cljs cljc edn"),
    ("lisp", "lisp el scm rkt"),
    ("zig", "zig"),
    ("nim", "nim"),
    ("shell", "sh bash zsh fish ksh"),
    ("powershell", "ps1 psm1"),
    ("batch", "bat cmd"),
    ("sql", "sql"),
    ("graphql", "graphql gql"),
    ("protobuf", "proto"),
    ("html", "html htm xhtml"),
    ("xml", "xml xsd xsl xslt"),
    ("css", "css scss sass less"),
    ("terraform", "hcl tf tfvars"),
    ("nix", "nix"),
    ("make", "mk mak make"),
    ("dockerfile", "dockerfile"),
    ("cmake", "cmake"),
    ("solidity", "sol"),
    ("cuda", "cu"),
    ("assembly", "asm s"),
];

/// What follows the last slash of `path`.
pub(super) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Whether the file at `path` is a page in HTML.
pub(super) fn is_html(path: &[u8]) -> bool {
    let name = file_name(path).to_ascii_lowercase();
    [&b".html"[..], b".htm", b".xhtml"]
        .iter()
        .any(|extension| name.ends_with(extension))
}

const KINDS: [(Kind, &[&str]); 6] = [
    (
        Kind::Markdown,
        &[
            "md", "markdown", "mdown", "mkd", "mkdn", "mdx", "qmd", "rmd",
        ],
    ),
    (Kind::Text, TEXT_EXTENSIONS),
    (Kind::Code, CODE_EXTENSIONS),
    (
        Kind::Json,
        &["json", "jsonc", "json5", "jsonl", "ndjson", "webmanifest"],
    ),
    (Kind::Yaml, &["yaml", "yml"]),
    (Kind::Toml, &["toml"]),
];

#[rustfmt::skip]
const TEXT_EXTENSIONS: &[&str] = &[
    "txt", "text", "rst", "adoc", "asciidoc", "asc", "org", "tex", "textile", "wiki", "mediawiki", "pod", "rdoc", "man",
    "log", "ini", "cfg", "conf", "config", "properties", "desktop", "service", "socket", "timer", "mount", "target",
    "diff", "patch", "eml", "srt", "vtt", "bib", "gitignore", "gitattributes", "gitmodules", "dockerignore",
    "docentignore", "editorconfig", "mailmap",
];

#[rustfmt::skip]
const CODE_EXTENSIONS: &[&str] = &[
    "rs", "py", "pyi", "pyx", "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "vue", "svelte", "astro", "c", "h",
    "cc", "cpp", "cxx", "hh", "hpp", "hxx", "inl", "m", "mm", "go", "java", "kt", "kts", "scala", "sc", "groovy",
    "gradle", "cs", "fs", "fsi", "fsx", "vb", "swift", "rb", "rake", "gemspec", "php", "pl", "pm", "t", "lua", "r",
    "jl", "dart", "ex", "exs", "erl", "hrl", "hs", "lhs", "elm", "ml", "mli", "clj", "cljs", "cljc", "edn", "lisp",
    "el", "scm", "rkt", "zig", "nim", "v", "sv", "vhd", "vhdl", "d", "pas", "f", "f90", "f95", "for", "cob", "ada",
    "adb", "ads", "asm", "s", "sql", "graphql", "gql", "proto", "thrift", "capnp", "avdl", "sh", "bash", "zsh", "fish",
    "ksh", "ps1", "psm1", "bat", "cmd", "awk", "sed", "tcl", "vim", "html", "htm", "xhtml", "xml", "xsd", "xsl",
    "xslt", "css", "scss", "sass", "less", "hcl", "tf", "tfvars", "nix", "dhall", "cue", "rego", "bzl", "bazel",
    "star", "cmake", "mk", "mak", "make", "ninja", "jinja", "j2", "tmpl", "tpl", "hbs", "ejs", "erb", "sol", "wat",
    "cu", "glsl", "hlsl", "wgsl", "metal", "qml", "justfile", "dockerfile",
];

#[rustfmt::skip]
const CODE_NAMES: &[&str] = &[
    "makefile", "gnumakefile", "dockerfile", "containerfile", "justfile", ".justfile", "rakefile", "gemfile",
    "vagrantfile", "jenkinsfile", "procfile", "brewfile", "podfile", "fastfile", "cmakelists.txt", "meson.build",
    "meson_options.txt", "sconstruct", "sconscript", "build", "workspace", "tiltfile", "earthfile", "pkgbuild",
    "configure.ac", "makefile.am", "makefile.in", "go.mod", "kconfig", "kbuild", ".bashrc", ".bash_profile",
    ".profile", ".zshrc", ".vimrc",
];

#[rustfmt::skip]
const TEXT_NAMES: &[&str] = &[
    "readme", "license", "licence", "copying", "copyright", "notice", "authors", "contributors", "contributing",
    "maintainers", "codeowners", "changelog", "changes", "history", "news", "releases", "todo", "install", "upgrading",
    "thanks", "credits", "patents", "unlicense", "faq", "security", "support", "hacking", "roadmap", "design", "about",
    "version",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::Word;

    #[test]
    fn words_and_kinds_correspond() {
        for kind in Kind::ALL.iter().copied() {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("Markdown"), None);
    }

    #[test]
    fn a_name_tells_the_kind() {
        let table: &[(&str, Option<Kind>)] = &[
            ("a/b/guide.md", Some(Kind::Markdown)),
            ("GUIDE.MD", Some(Kind::Markdown)),
            (".md", Some(Kind::Markdown)),
            ("README", Some(Kind::Text)),
            ("x/LICENSE-MIT", Some(Kind::Text)),
            ("LICENSE-APACHE-2.0", Some(Kind::Text)),
            ("COPYING.3", Some(Kind::Text)),
            ("readme.png", None),
            ("readme-logo.svg", None),
            ("license-server", Some(Kind::Text)),
            ("readme_image.v2.jpg", None),
            ("notes.txt", Some(Kind::Text)),
            ("CMakeLists.txt", Some(Kind::Code)),
            ("Makefile", Some(Kind::Code)),
            ("Dockerfile.dev", Some(Kind::Code)),
            ("src/main.rs", Some(Kind::Code)),
            ("Cargo.toml", Some(Kind::Toml)),
            ("Cargo.lock", None),
            ("a.json", Some(Kind::Json)),
            ("a.yml", Some(Kind::Yaml)),
            (".gitignore", Some(Kind::Text)),
            ("md", None),
            ("dir.md/file", None),
            ("photo.jpg", None),
            ("archive.7", None),
            ("", None),
            ("dir/", None),
        ];
        for (path, kind) in table {
            assert_eq!(kind_of(path.as_bytes()), *kind, "{path}");
        }
        assert_eq!(kind_of(b"caf\xe9.md"), Some(Kind::Markdown));
    }
}
