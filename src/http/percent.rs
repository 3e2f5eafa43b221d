//! Percent-encoding, for the query of a request and the name of a folder in a header.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// What is encoded: everything but letters, digits and `-_.~/`.
const SPECIAL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// `bytes` as a text that is safe in a query's value and in a header.
pub(crate) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, SPECIAL).to_string()
}

/// The bytes that [`encode`] made text of; a `%` that two hexadecimal digits do not follow stands for itself.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
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
