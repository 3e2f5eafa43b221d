//! The errors that Redis answers, with what a person can do about them.

/// What to do about each code that Redis puts before its errors.
const REMEDIES: &[(&str, &str)] = &[
    (
        "READONLY",
        "it is a replica: write the address of its primary into [redis] url",
    ),
    (
        "MASTERDOWN",
        "it is a replica that cannot reach its primary: restore their connection, or write the address of the primary into [redis] url",
    ),
    (
        "LOADING",
        "it is loading its data from disk: wait until that is done",
    ),
    (
        "BUSY",
        "a script of another program does not end: stop it with `redis-cli SCRIPT KILL`, or `FUNCTION KILL`",
    ),
    (
        "MISCONF",
        "it cannot write to its disk: its own log says why",
    ),
    (
        "NOREPLICAS",
        "too few of its replicas are connected: reconnect them, or lower min-replicas-to-write",
    ),
    (
        "OOM",
        "its memory is used up: raise its maxmemory, or delete data that nobody needs",
    ),
    (
        "NOAUTH",
        "it asks for a password: write it into [redis] url, as in redis://:PASSWORD@HOST or redis://USER:PASSWORD@HOST",
    ),
    (
        "WRONGPASS",
        "correct the user and the password in [redis] url",
    ),
    ("NOPERM", ACL),
    (
        "CLUSTERDOWN",
        "its cluster is incomplete: `redis-cli CLUSTER INFO` says what is missing",
    ),
    ("MOVED", CLUSTER),
    ("CROSSSLOT", CLUSTER),
];

/// What to do about a missing permission.
pub(super) const ACL: &str = "the ACL of docent's user must allow all commands except administrative ones on the keys of its namespace";

const CLUSTER: &str = "it is one node of a cluster: write redis-cluster:// in [redis] url";

/// An error that Redis has answered, on one line, with what to do about it if that is known.
pub(super) fn explained(details: &str) -> String {
    // What follows is of use only to the author of the script.
    let said = details.split(" script: ").next().unwrap_or(details);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let code = said.split(' ').next().unwrap_or_default();
    let of_code = REMEDIES.iter().find(|(known, _)| *known == code);
    let remedy = match of_code {
        Some((_, remedy)) => remedy,
        // In a script, Redis 7.0 gives no code.
        None if said.contains("The user executing the script can't") => ACL,
        None if said.contains("max number of clients") => {
            "raise its maxclients, or close connections that nobody needs"
        }
        None => return said,
    };
    format!("{} ({remedy})", said.trim_end_matches('.'))
}

/// Why a TLS connection was not made, as a sentence.
pub(super) fn of_tls(details: &str) -> String {
    let what = |what: &str| format!("{what} ({details})");
    if details.contains("UnknownIssuer") || details.contains("CaUsedAsEndEntity") {
        what(
            "the certificate of this Redis is signed by an authority that this machine does not trust; \
             add the authority's certificate to the system's, or name its file in SSL_CERT_FILE of docent's environment",
        )
    } else if details.contains("NotValidForName") {
        what(
            "the certificate of this Redis is not for the name in [redis] url; \
             write the name that is in the certificate, or issue one for this name",
        )
    } else if details.contains("Expired") {
        what("the certificate of this Redis has expired; renew it")
    } else if details.contains("NotValidYet") {
        what("the certificate of this Redis is not valid yet; check the clocks of both machines")
    } else if details.contains("CertificateRequired") {
        what(
            "this Redis asks for a client certificate, and docent has none; \
             set `tls-auth-clients no` there, and use a password or an ACL instead",
        )
    } else if details.contains("InvalidContentType") {
        what(
            "the server at this address does not use TLS; write redis:// in [redis] url, or the port for TLS",
        )
    } else {
        details.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do_about_it() {
        let replica = explained("READONLY You can't write against a read only replica.");
        assert_eq!(
            replica,
            "READONLY You can't write against a read only replica (it is a replica: write the address of its primary into [redis] url)"
        );
        let script = "ERR The user executing the script can't run this command or subcommand script: 3f, on @user_script:1.";
        let script = explained(script);
        assert!(script.contains("ACL") && !script.contains("3f"), "{script}");
        assert_eq!(explained("ERR syntax\r\nerror"), "ERR syntax error");
    }
}
