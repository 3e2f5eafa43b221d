//! Percent-encoding, for the query of a request and the name of a folder in a header.

/// `bytes` with everything but letters, digits and `-_.~/` as `%NN`: safe in a query's value and in a header.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                text.push(char::from(*byte))
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// The bytes that [`encode`] made text of; a `%` that two hexadecimal digits do not follow stands for itself.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .filter(|digits| bytes[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_query_gives_a_meaning_is_encoded() {
        assert_eq!(
            encode(b"/srv/a b&c=d+e%\xff"),
            "/srv/a%20b%26c%3Dd%2Be%25%FF"
        );
        assert_eq!(decode("100%, %4"), b"100%, %4");
    }

    proptest! {
        #[test]
        fn every_text_of_bytes_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(decode(&encode(&bytes)), bytes);
        }
    }
}
