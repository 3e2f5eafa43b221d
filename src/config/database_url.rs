//! Which URLs name a database for the store. A message never quotes the URL: it may hold a password.

use std::str::FromStr;

use tokio_postgres::config::{Config, Host};

use super::violation::Reason;

const EXAMPLE: &str =
    "write one such as \"postgres://docent@db.example.org/docent\", or \"\" for a file in data_dir";

/// Whether a text is the URL of a database, or empty.
pub(crate) fn database_url(text: &str) -> Result<(), Reason> {
    if text.is_empty() {
        return Ok(());
    }
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
    {
        return Err(Reason::new(
            "is not the URL of a PostgreSQL database",
            EXAMPLE,
        ));
    }
    let config = Config::from_str(text)
        .map_err(|error| Reason::new(format!("cannot be read: {error}"), EXAMPLE))?;
    if config.get_password().is_some() {
        return Err(Reason::new(
            "contains a password, which other users could read",
            "remove it, write the password to a file that only docent's user can read, and name that file as password_file",
        ));
    }
    if text.contains("sslmode=") {
        return Err(Reason::new(
            "sets sslmode, which docent does not take from the URL",
            "remove it; write tls = \"disable\" for a connection without TLS",
        ));
    }
    if config.get_hosts().is_empty() || config.get_dbname().is_none() || config.get_user().is_none()
    {
        return Err(Reason::new(
            "names no user, no host or no database",
            EXAMPLE,
        ));
    }
    Ok(())
}

/// Whether a good URL leads to sockets of this machine alone.
pub(crate) fn is_local(text: &str) -> bool {
    let local = |host: &Host| matches!(host, Host::Unix(_));
    // An address that the URL gives besides is where the client connects to.
    Config::from_str(text).is_ok_and(|config| {
        config.get_hosts().iter().all(local) && config.get_hostaddrs().is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_without_a_password_and_without_sslmode() {
        for good in [
            "",
            "postgres://docent@db/docent",
            "postgresql://docent@a:5433,b/docent?target_session_attrs=read-write",
            "postgres://docent@%2Frun%2Fpostgresql/docent",
        ] {
            assert!(database_url(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("mysql://docent@db/docent", "is not the URL of a PostgreSQL"),
            ("postgres://docent:hunter2@db/docent", "contains a password"),
            (
                "postgres://docent@db/docent?password=hunter2",
                "contains a password",
            ),
            ("postgres://docent@db/docent?sslmode=prefer", "sets sslmode"),
            ("postgres://db/docent", "names no user"),
            (
                "postgres://docent@db",
                "names no user, no host or no database",
            ),
            ("postgres://docent@db/docent?port=hunter2", "cannot be read"),
        ] {
            let told = format!("{:?}", database_url(bad).unwrap_err());
            assert!(
                told.contains(why) && !told.contains("hunter2"),
                "{bad}: {told}"
            );
        }
        assert!(is_local("postgres://docent@%2Frun%2Fpostgresql/docent"));
        for over_a_network in [
            "postgres://docent@db/docent",
            "postgres://docent@%2Frun%2Fpostgresql/docent?hostaddr=192.0.2.1",
            "postgres://docent@%2Frun%2Fpostgresql,db/docent",
        ] {
            assert!(!is_local(over_a_network), "{over_a_network}");
        }
    }
}
