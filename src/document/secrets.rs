//! Private keys, found by what a file holds, whatever its name is.
//!
//! A key is its header *and* the material below it: text that names `BEGIN PRIVATE KEY` and leaves the material out
//! (`...`, a placeholder) is a text like any other. Public keys and certificates are no secrets.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memmem};

/// A private key in the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrivateKey {
    /// How it is written.
    pub form: &'static str,
    /// The line of its header, counted from 1.
    pub line: usize,
}

/// A way to write a private key: what to look for, and whether the text from there on is one.
struct Form {
    name: &'static str,
    mark: &'static [u8],
    holds: fn(before: &[u8], after: &[u8]) -> bool,
}

const FORMS: &[Form] = &[
    form("PEM", b"PRIVATE KEY", pem),
    form("PuTTY", b"PuTTY-User-Key-File-", putty),
    form("age", b"AGE-SECRET-KEY-", age),
    form("age", b"age-secret-key-", age),
    form("WireGuard", b"PrivateKey", wireguard),
    form("JWK", b"\"d\"", jwk),
    form("PEM in base64", b"LS0tLS1CRUdJTi", pem_in_base64),
];

const fn form(
    name: &'static str,
    mark: &'static [u8],
    holds: fn(before: &[u8], after: &[u8]) -> bool,
) -> Form {
    Form { name, mark, holds }
}

/// How much of a text is looked at after a header.
const WINDOW: usize = 8192;
/// And before that, as most often this is enough.
const FIRST: usize = 512;

/// Lines such as `Proc-Type: 4,ENCRYPTED` between a header and the material.
const HEADERS_MAX: usize = 32;

/// Key material: a run of base64 of so many characters, or so many in lines of their own.
const RUN_MIN: usize = 16;
const LINES_MIN: usize = 64;

/// The first private key in `bytes`: anywhere, indented or quoted, with any line ends, also as JSON escapes them, and in
/// UTF-16 or UTF-32.
pub(crate) fn private_key(bytes: &[u8]) -> Option<PrivateKey> {
    // All that is looked for is ASCII, which the wide encodings write with zeros between.
    let text: Cow<'_, [u8]> = match memchr(0, bytes) {
        Some(_) => bytes.iter().copied().filter(|byte| *byte != 0).collect(),
        None => bytes.into(),
    };
    let found = FORMS.iter().filter_map(|form| {
        let mut marks = memmem::find_iter(&text, form.mark);
        let at = marks.find(|at| (form.holds)(&text[..*at], &text[at + form.mark.len()..]))?;
        Some((at, form.name))
    });
    let (at, form) = found.min()?;
    let line = memchr_iter(b'\n', &text[..at]).count() + 1;
    Some(PrivateKey { form, line })
}

/// `-----BEGIN … PRIVATE KEY-----` of any kind, `… BLOCK` as PGP has it, and SSH2's header with spaces.
fn pem(before: &[u8], after: &[u8]) -> bool {
    let head = &before[before.len().saturating_sub(64)..];
    let Some(begin) = memmem::rfind(head, b"BEGIN ") else {
        return false;
    };
    let label = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    if !head[begin + b"BEGIN ".len()..].iter().all(label)
        || !head[..begin].trim_ascii_end().ends_with(b"---")
    {
        return false;
    }
    let rest = after.strip_prefix(b" BLOCK").unwrap_or(after);
    rest.trim_ascii_start().starts_with(b"---") && has_material(rest)
}

/// Whether base64 is the first thing that follows, headers left out.
fn has_material(after: &[u8]) -> bool {
    // Most often the first lines tell: a file may hold many such headers.
    let first = &after[..after.len().min(FIRST)];
    let told = unescaped(first);
    let whole_lines = told.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let told = (first.len() < after.len())
        .then(|| is_material(&told[..whole_lines]))
        .flatten();
    told.or_else(|| is_material(&unescaped(&after[..after.len().min(WINDOW)])))
        .unwrap_or(false)
}

/// Whether this text begins with base64, headers left out; `None`: it does not tell.
fn is_material(text: &[u8]) -> Option<bool> {
    let mut headers = 0;
    let mut lines: Vec<u8> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = bare(line);
        if line.is_empty() {
            continue;
        }
        if is_header(line) && headers < HEADERS_MAX && lines.is_empty() {
            headers += 1;
            continue;
        }
        let run = run_of(line, is_base64);
        let rest = &line[run.len()..];
        if run.len() >= RUN_MIN && is_mixed(run) {
            // A beginning that is cut off shows a form, not a key.
            if run.len() >= 100 || !(rest.starts_with(b"...") || rest.starts_with("…".as_bytes()))
            {
                return Some(true);
            }
            continue;
        }
        if !rest.is_empty() {
            return Some(false);
        }
        lines.extend_from_slice(run);
        if lines.len() >= LINES_MIN && is_mixed(&lines) {
            return Some(true);
        }
    }
    None
}

/// The text with its escaped line ends as line ends: JSON's, a URL's, HTML's.
fn unescaped(text: &[u8]) -> Vec<u8> {
    const ESCAPES: &[(&[u8], &[u8])] = &[
        (b"\\u000a", b"\n"),
        (b"\\u000A", b"\n"),
        (b"\\u000d", b"\n"),
        (b"\\u000D", b"\n"),
        (b"\\n", b"\n"),
        (b"\\r", b"\n"),
        (b"\\t", b" "),
        (b"\\", b""),
        (b"\r", b"\n"),
        (b"%0A", b"\n"),
        (b"%0a", b"\n"),
        (b"%0D", b"\n"),
        (b"%0d", b"\n"),
        (b"%2B", b"+"),
        (b"%2F", b"/"),
        (b"&#10;", b"\n"),
        (b"&#13;", b"\n"),
        (b"&#xA;", b"\n"),
        (b"&#xa;", b"\n"),
        (b"<br>", b"\n"),
        (b"<br/>", b"\n"),
        (b"<br />", b"\n"),
    ];
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        let escape = ESCAPES.iter().find(|(from, _)| rest.starts_with(from));
        let (from, to) = escape.map_or((1, std::slice::from_ref(first)), |(from, to)| {
            (from.len(), *to)
        });
        out.extend_from_slice(to);
        rest = &rest[from..];
    }
    out
}

/// A line without what stands around its content: quotes, comment signs, dashes, the signs that join strings.
fn bare(line: &[u8]) -> &[u8] {
    let first = line.iter().position(u8::is_ascii_alphanumeric);
    &line[first.unwrap_or(line.len())..]
}

fn is_header(line: &[u8]) -> bool {
    let name = run_of(line, |byte| byte.is_ascii_alphabetic() || byte == b'-');
    !name.is_empty() && line[name.len()..].starts_with(b":")
}

fn run_of(text: &[u8], of: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !of(*byte));
    &text[..end.unwrap_or(text.len())]
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn is_base64_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Capital letters, small ones and digits, as base64 has and words have not.
fn is_mixed(run: &[u8]) -> bool {
    run.iter().any(u8::is_ascii_uppercase)
        && run.iter().any(u8::is_ascii_lowercase)
        && run.iter().any(u8::is_ascii_digit)
}

/// `PuTTY-User-Key-File-3: …` and one of the lines that follow it.
fn putty(_: &[u8], after: &[u8]) -> bool {
    let digits = run_of(after, |byte| byte.is_ascii_digit()).len();
    let window = &after[digits..after.len().min(WINDOW).max(digits)];
    let fields: [&[u8]; 3] = [b"Encryption:", b"Private-Lines:", b"Private-MAC:"];
    digits > 0
        && window.starts_with(b":")
        && fields.iter().any(|f| memmem::find(window, f).is_some())
}

/// `AGE-SECRET-KEY-1…`, also the post-quantum kind.
fn age(_: &[u8], after: &[u8]) -> bool {
    let after = after
        .strip_prefix(b"PQ-")
        .or_else(|| after.strip_prefix(b"pq-"))
        .unwrap_or(after);
    let run = run_of(after, |byte| byte.is_ascii_alphanumeric());
    let mut kinds: Vec<u8> = run.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    run.starts_with(b"1") && run.len() > RUN_MIN && kinds.len() > 4
}

/// `PrivateKey = ` and 32 bytes in base64.
fn wireguard(_: &[u8], after: &[u8]) -> bool {
    let sign = |byte: u8| matches!(byte, b' ' | b'\t' | b'=' | b':' | b'"' | b'\'');
    // No further than this: the mark may stand in base64 that has it again and again.
    let after = &after[..after.len().min(8 + 45)];
    let signs = run_of(after, sign).len();
    let run = run_of(&after[signs..], is_base64);
    (1..=8).contains(&signs) && run.len() == 44 && run.ends_with(b"=") && is_mixed(run)
}

/// The private member of a JSON Web Key.
fn jwk(before: &[u8], after: &[u8]) -> bool {
    let sign = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b':');
    let value = &after[run_of(after, sign).len()..];
    let Some(value) = value.strip_prefix(b"\"") else {
        return false;
    };
    let near = |text: &[u8]| memmem::find(text, b"\"kty\"").is_some();
    let run = run_of(value, is_base64_url);
    run.len() >= 40
        && is_mixed(run)
        && (near(&before[before.len().saturating_sub(WINDOW)..])
            || near(&after[..after.len().min(WINDOW)]))
}

/// A whole PEM file in base64, as in the `client-key-data` of a kubeconfig.
fn pem_in_base64(_: &[u8], after: &[u8]) -> bool {
    // What follows `-----BEGIN `, of which the mark is the first part: "", RSA, EC, DSA, OPENSSH, ENCRYPTED, PGP.
    const LABELS: [&[u8]; 7] = [
        b"BQUklWQVRFIEtF",
        b"BSU0EgUFJJVkFURSBL",
        b"BFQyBQUklWQVRFIEtF",
        b"BEU0EgUFJJVkFURSBL",
        b"BPUEVOU1NIIFBSSVZBVEUgS0VZ",
        b"BFTkNSWVBURUQgUFJJVkFURSBL",
        b"BQR1AgUFJJVkFURSBL",
    ];
    LABELS.iter().any(|label| after.starts_with(label))
        && run_of(&after[..after.len().min(LINES_MIN)], is_base64).len() >= LINES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n\
                        MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n";

    fn pem(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n")
    }

    fn form(text: &str) -> Option<&'static str> {
        private_key(text.as_bytes()).map(|key| key.form)
    }

    #[test]
    fn every_kind_of_pem_is_a_key() {
        for kind in ["", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "ANY "] {
            let text = format!("# Notes\n\n{}", pem(&format!("{kind}PRIVATE KEY"), BODY));
            let found = private_key(text.as_bytes());
            assert_eq!(
                found,
                Some(PrivateKey {
                    form: "PEM",
                    line: 3
                }),
                "{text}"
            );
        }
        let pgp = format!("Version: GnuPG v2\nComment: mine\n\n{BODY}=x9Gk\n");
        assert_eq!(form(&pem("PGP PRIVATE KEY BLOCK", &pgp)), Some("PEM"));
        let old = format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,01AB\n\n{BODY}");
        assert_eq!(form(&pem("RSA PRIVATE KEY", &old)), Some("PEM"));
        let ssh2 = format!(
            "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nSubject: me\nComment: \"a key\"\n{BODY}"
        );
        assert_eq!(form(&ssh2), Some("PEM"));
        let short = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXkt and more";
        assert_eq!(form(short), Some("PEM"));
    }

    #[test]
    fn a_key_is_found_however_it_is_written_down() {
        let key = pem("PRIVATE KEY", BODY);
        let with = |from: &str, to: &str| key.replace(from, to);
        for text in [
            with("\n", "\r\n"),
            with("\n", "\r"),
            with("\n", " "),
            with("\n", "\n    "),
            with("\n", "\n# "),
            with("\n", "\n//  "),
            with("\n", "\n> "),
            with("\n", "<br>"),
            with("\n", "%0A"),
            format!("{{\"private_key\": \"{}\"}}", with("\n", "\\n")),
            format!("{{\"json\": \"{}\"}}", with("\n", "\\\\n")),
            format!("[\"{}\"]", with("\n", "\", \"")),
            format!("key = '{}'", with("\n", "\\n' +\n  '")),
            format!("key = \"{}\"", with("\n", "\\\n")),
            format!("{}{key}", "words ".repeat(100_000)),
            // In lines that are too short to be told from words one by one.
            pem(
                "PRIVATE KEY",
                &BODY
                    .replace('\n', "")
                    .as_bytes()
                    .chunks(8)
                    .map(|c| String::from_utf8_lossy(c).into_owned() + "\n")
                    .collect::<String>(),
            ),
        ] {
            assert_eq!(form(&text), Some("PEM"), "{text:.400}");
        }
        let wide =
            |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { key.encode_utf16().flat_map(bytes).collect() };
        for bytes in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
            assert_eq!(private_key(&bytes).unwrap().form, "PEM");
        }
    }

    #[test]
    fn keys_that_are_not_pem_are_found_too() {
        let putty = "PuTTY-User-Key-File-2: ssh-rsa\r\nEncryption: none\r\nComment: x\r\n";
        assert_eq!(form(putty), Some("PuTTY"));
        let age = "# created: today\nAGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n";
        assert_eq!(form(age), Some("age"));
        assert_eq!(form(&age.to_lowercase()), Some("age"));
        let wireguard = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n";
        assert_eq!(form(wireguard), Some("WireGuard"));
        let d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
        let jwk = format!("{{\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"{d}\"}}");
        assert_eq!(form(&jwk), Some("JWK"));
        assert_eq!(form(&jwk.replace("kty", "key")), None);
        let kubeconfig = format!(
            "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ{}",
            BODY.replace('\n', "")
        );
        assert_eq!(form(&kubeconfig), Some("PEM in base64"));
    }

    /// They end: by a time that grew with the square they would not.
    #[test]
    fn marks_again_and_again_take_linear_time() {
        for mark in [
            "PrivateKey=",
            "---BEGIN PRIVATE KEY",
            "-----BEGIN PRIVATE KEY-----\n",
            "PuTTY-User-Key-File-3:",
            "AGE-SECRET-KEY-1",
            "\"kty\" \"d\": \"",
        ] {
            let text = mark.repeat((2 << 20) / mark.len());
            assert_eq!(private_key(text.as_bytes()), None, "{mark}");
        }
    }

    #[test]
    fn what_only_speaks_of_keys_is_none() {
        for text in [
            "The file begins with `-----BEGIN PRIVATE KEY-----`, followed by internationalization and Base64EncodedText1.",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n\nSee commit 3f786850e387550fdab836ED7e6dc881de23001b.",
            "-----BEGIN RSA PRIVATE KEY-----\n[REDACTED]\n-----END RSA PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\n<your private key>\n-----END RSA PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\\nYOUR_PRIVATE_KEY_1_Here\\n-----END RSA PRIVATE KEY-----\\n",
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC...\n-----END PRIVATE KEY-----\n",
            "BEGIN PRIVATE KEY\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n",
            "A PuTTY file begins with PuTTY-User-Key-File-3: and the kind of key.",
            "An identity looks like AGE-SECRET-KEY-1..., or AGE-SECRET-KEY-1XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX.",
            "PrivateKey = <the output of wg genkey>\nPrivateKeyUsagePeriod",
            "PublicKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
            "{\"kty\": \"EC\", \"x\": \"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\", \"d\": \"...\"}",
            "",
        ] {
            assert_eq!(private_key(text.as_bytes()), None, "{text}");
        }
        for label in [
            "CERTIFICATE",
            "PUBLIC KEY",
            "RSA PUBLIC KEY",
            "PGP PUBLIC KEY BLOCK",
        ] {
            assert_eq!(form(&pem(label, BODY)), None, "{label}");
        }
    }
}
