//! The addresses of documents as resources: `docent://COLLECTION/PATH[:FIRST[-LAST]]`, percent-encoded.

use super::super::percent;

const SCHEME: &str = "docent://";

/// The address of lines of a document.
pub(super) fn of(collection: &str, path: &str, lines: Option<&str>) -> String {
    let path = percent::encode(path.as_bytes());
    match lines {
        Some(lines) => format!("{SCHEME}{collection}/{path}:{lines}"),
        None => format!("{SCHEME}{collection}/{path}"),
    }
}

/// The reference that a text is, be it an address or a reference already.
pub(super) fn reference(text: &str) -> Result<String, String> {
    let Some(encoded) = text.strip_prefix(SCHEME) else {
        return Ok(text.to_owned());
    };
    String::from_utf8(percent::decode(encoded)).map_err(|_| "the address is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_its_reference() {
        let path = "a b/c:3%41\\xFF ü.md";
        let uri = of("docs", path, Some("3-9"));
        assert!(uri.is_ascii() && !uri.contains(' '), "{uri}");
        assert_eq!(reference(&uri), Ok(format!("docs/{path}:3-9")));
        assert_eq!(of("docs", "a.md", None), "docent://docs/a.md");
        assert_eq!(reference("docs/a%20b.md"), Ok("docs/a%20b.md".to_owned()));
        assert!(reference("docent://docs/%FF").is_err());
    }
}
