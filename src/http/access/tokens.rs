//! The tokens that count at this moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_util::sync::CancellationToken;

use crate::event::Millis;
use crate::hex;
use crate::store::{ReadError, Store, TokenRow};

/// How often the tokens are read again where other hosts may change them.
const REREAD: Duration = Duration::from_secs(1);

/// What a token begins with, so that a scanner of secrets recognises one.
const BEGINNING: &str = "docent_";

/// Random bytes of a token.
const BYTES: usize = 32;

/// What subjects of docent itself begin with: a collection of such a name cannot be told from them. The last two are periods of
/// reports.
pub(in crate::http) const SYSTEM_SUBJECTS: &[&str] =
    &["agent", "dead", "disk", "job", "store", "day", "week"];

/// A new token and its hash.
///
/// # Errors
/// The operating system gives no random bytes.
pub(in crate::http) fn fresh_token() -> Result<(String, String), String> {
    let token = format!("{BEGINNING}{}", fresh_secret()?);
    let hash = hash(&token);
    Ok((token, hash))
}

/// A text that nobody guesses.
pub(super) fn fresh_secret() -> Result<String, String> {
    let mut bytes = [0; BYTES];
    let random = default_provider().secure_random;
    random
        .fill(&mut bytes)
        .map_err(|_| "the operating system gives no random bytes".to_owned())?;
    Ok(hex::encode(&bytes))
}

/// What is kept of a secret. It is random and long: nobody finds it by its hash.
pub(super) fn hash(secret: &str) -> String {
    hex::encode(&Sha256::digest(secret.as_bytes()))
}

/// The tokens that count, by their hashes: as the store has them.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: watch::Sender<HashMap<String, Arc<TokenRow>>>,
}

impl Tokens {
    /// Those of the store.
    pub(crate) async fn load(store: &Store) -> Result<Self, ReadError> {
        let rows = store.tokens().await?.into_iter();
        let known = rows.map(|row| (row.hash.clone(), Arc::new(row))).collect();
        Ok(Tokens {
            known: watch::Sender::new(known),
        })
    }

    /// Follows the store while other hosts may change it, until told to stop.
    pub(crate) async fn follow(self: Arc<Self>, store: Store, stop: CancellationToken) {
        while store.leases().are_shared() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(REREAD) => {}
            }
            // A store that cannot be read is asked again; what was known counts meanwhile.
            if let Ok(rows) = store.tokens().await {
                let rows = rows
                    .into_iter()
                    .map(|row| (row.hash.clone(), Arc::new(row)));
                let rows: HashMap<_, _> = rows.collect();
                self.known.send_if_modified(|known| {
                    let changed = *known != rows;
                    *known = rows;
                    changed
                });
            }
        }
    }

    /// One more, which the store has by now.
    pub(in crate::http) fn add(&self, row: TokenRow) {
        self.known.send_modify(|known| {
            known.insert(row.hash.clone(), Arc::new(row));
        });
    }

    /// One less. Whatever its bearer has open ends.
    pub(in crate::http) fn remove(&self, name: &str) {
        self.known
            .send_modify(|known| known.retain(|_, row| row.name != name));
    }

    /// The row of a token that counts.
    pub(super) fn find(&self, token: &str) -> Option<Arc<TokenRow>> {
        let known = self.known.borrow();
        let row = known.get(&hash(token))?;
        (!row.is_expired(Millis::now())).then(|| row.clone())
    }

    /// Waits until a token counts no more.
    pub(super) async fn ended(self: Arc<Self>, row: Arc<TokenRow>) {
        let mut known = self.known.subscribe();
        let expires = async {
            match row.expires_at {
                Some(at) => {
                    let left = at.saturating_sub(Millis::now().0);
                    sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            gone = known.wait_for(|known| !known.contains_key(&row.hash)) => drop(gone),
            () = expires => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TokenRole;

    #[tokio::test]
    async fn a_token_counts_until_it_is_taken_away_or_expires() {
        let tokens = Arc::new(Tokens::default());
        let (token, hash) = fresh_token().unwrap();
        assert_ne!(token, fresh_token().unwrap().0);
        assert_eq!(token.len(), BEGINNING.len() + 2 * BYTES);
        assert!(!hash.contains(&token[BEGINNING.len()..]));
        let row = |expires_at| TokenRow {
            name: "a".to_owned(),
            hash: hash.clone(),
            role: TokenRole::Read,
            collections: None,
            created_at: 0,
            expires_at,
        };
        assert!(tokens.find(&token).is_none());
        tokens.add(row(None));
        assert!(tokens.find("docent_").is_none() && tokens.find(&hash).is_none());
        let found = tokens.find(&token).unwrap();
        let ended = tokens.clone().ended(found);
        tokio::pin!(ended);
        tokio::select! {
            biased;
            () = &mut ended => panic!("it counts"),
            () = tokio::task::yield_now() => {}
        }
        tokens.remove("a");
        ended.await;
        assert!(tokens.find(&token).is_none());

        let soon = Millis::now().0 + 20;
        tokens.add(row(Some(soon)));
        tokens.clone().ended(Arc::new(row(Some(soon)))).await;
        assert!(tokens.find(&token).is_none());
    }
}
