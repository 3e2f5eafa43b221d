//! Redis Streams as a carrier. It moves and shares the work; the ledger remembers it.
//!
//! **A Redis entry carries no promise**: losing, repeating, reordering or delaying one never matters. So a flush, a restored older
//! Redis, a deleted entry, a stranger's acknowledgement, a read whose reply was lost and ids that go backwards are one case,
//! which the reader's *rounds* find (`round.rs`).
//!
//! - [`Link`] decides whether Redis can carry: one health connection, a preflight, and the owner of the namespace.
//! - [`Inbox`] is the [`Carrier`](super::Carrier) of one agent: it relays owed deliveries into the agent's stream and reads them back
//!   through the shared consumer group.
//! - [`Ingress`] publishes what other programs have written.
//! - [`Surveyor`] reads the state of the streams, to judge health by.
//!
//! Each of them has a keeper of its connection (`keeper.rs`).
//! All calls and types of fred stay in this folder.

mod client;
mod cloud_event;
mod entry;
mod group;
mod inbox;
mod ingress;
mod keeper;
mod keys;
mod link;
mod outstanding;
mod owner;
mod preflight;
mod remedy;
mod reply;
mod round;
mod scripts;
mod session;
mod survey;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(all(test, feature = "testing"))]
mod tests;

use std::time::Duration;

pub(crate) use cloud_event::event_of_entry;
pub use inbox::Inbox;
pub(crate) use ingress::Ingress;
pub(crate) use link::LinkTask;
pub use link::{Link, LinkState};
pub(crate) use preflight::PreflightFacts;
pub(crate) use survey::{StreamView, Surveyor};

use crate::event::Known;

/// How Redis is used.
#[derive(Clone)]
pub struct RedisSettings {
    /// Where it is, with its password.
    pub url: String,
    /// The same for people, without the password.
    pub shown: String,
    /// Prefix of every key.
    pub namespace: String,
    /// The one consumer group.
    pub group: String,
    /// This process, stable across restarts.
    pub instance: String,
    /// How long a read may wait for entries.
    pub block_time: Duration,
    /// Deliveries of one agent that are carried at a time.
    pub window: usize,
    /// Of these, deliveries of one subject.
    pub window_per_subject: usize,
    /// Entries that the journal keeps, at most.
    pub journal_entries: u64,
    /// Bytes that the journal keeps, at most.
    pub journal_bytes: u64,
    /// Entries of other programs that are kept though they cannot be published.
    pub ingress_dead: u64,
    /// What an entry of another program may be about.
    pub known: Known,
    pub event_size: u64,
    /// The longest backoff of a retry: what is due later than this from now is due now.
    pub backoff_max: Duration,
    /// The embedded carrier takes over while Redis cannot carry.
    pub falls_back: bool,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probed {
    Carries {
        /// What the preflight found.
        facts: PreflightFacts,
        /// The store that the namespace belongs to, if it belongs to one.
        owner: Option<String>,
    },
    /// The namespace belongs to another store.
    Foreign {
        owner: String,
        /// What a person calls to free the name.
        command: String,
    },
}

impl RedisSettings {
    /// What a person calls to have this Redis do something.
    fn cli(&self, command: &str) -> String {
        let place = self.shown.split('?').next().unwrap_or_default();
        match place.split_once("://") {
            Some(("redis+unix", path)) => format!("redis-cli -s {path} {command}"),
            // redis-cli knows a cluster by a flag, not by the scheme.
            Some(("redis-cluster", node)) => format!("redis-cli -c -u redis://{node} {command}"),
            Some(("rediss-cluster", node)) => format!("redis-cli -c -u rediss://{node} {command}"),
            _ => format!("redis-cli -u {place} {command}"),
        }
    }
}

/// Whether a URL names a Redis, as far as the URL itself tells.
///
/// # Errors
/// Why not, for a programmer: the config has rules of its own, which say what to write.
#[cfg(test)]
pub(crate) fn understood(url: &str) -> Result<(), String> {
    client::understood(url)
}

/// Tries whether Redis can carry, without changing anything that lasts, for `docent check`. `is_ours` tells whether an owner of
/// the namespace is the store that is asked for.
///
/// # Errors
/// A sentence that says why not and what to do.
pub(crate) async fn probe(
    settings: &RedisSettings,
    is_ours: impl Fn(&str) -> bool,
) -> Result<Probed, String> {
    let attempt = async {
        let connection = client::Connection::open(&settings.url).await?;
        let owner = owner::read(&connection, &settings.namespace).await?;
        let probed = match owner {
            Some(owner) if !is_ours(&owner) => {
                let key = keys::store(&settings.namespace);
                let command = settings.cli(&format!("DEL {key}"));
                Ok(Probed::Foreign { owner, command })
            }
            owner => {
                let facts = preflight::check(&connection, settings).await;
                facts.map(|facts| Probed::Carries { facts, owner })
            }
        };
        connection.quit().await;
        probed
    };
    let probed: Result<Probed, client::RedisError> = attempt.await;
    probed.map_err(|error| error.to_string())
}
