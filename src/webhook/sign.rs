//! Signatures of Standard Webhooks, version 1: HMAC with SHA-256 over id, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use thiserror::Error;

/// What stands before a secret that is written in Base64.
const PREFIX: &str = "whsec_";

/// Bytes of the shortest secret.
const SHORTEST: usize = 16;

/// Why a text is no secret. The text is not shown.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SecretError {
    #[error("what follows whsec_ is not Base64; write what the receiver shows")]
    NotBase64,
    #[error("it has {0} bytes, fewer than {SHORTEST}; write one made by `openssl rand -hex 32`")]
    TooShort(usize),
}

pub(super) struct Secret(hmac::Key);

impl Secret {
    /// The secret in a file: `whsec_` and Base64, or the bytes themselves without white space around them.
    pub(super) fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let bytes = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .map_err(|_| SecretError::NotBase64)?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < SHORTEST {
            return Err(SecretError::TooShort(bytes.len()));
        }
        Ok(Secret(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The header `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: &str, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let tag = hmac::sign(&self.0, signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_standards_own_example() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
            .unwrap_or_else(|e| panic!("{e}"));
        let signature = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_text_that_is_no_secret_is_told_and_not_shown() {
        let refused = |text: &str| Secret::parse(text).err();
        assert_eq!(refused("whsec_!!"), Some(SecretError::NotBase64));
        assert_eq!(refused(" short \n"), Some(SecretError::TooShort(5)));
        assert_eq!(refused(""), Some(SecretError::TooShort(0)));
        assert_eq!(refused("0123456789abcdef"), None);
    }
}
