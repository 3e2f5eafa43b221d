//! Certificates of an authority of the test's own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn openssl(dir: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("openssl runs; install it: apt-get install openssl");
    assert!(done.success(), "openssl {arguments}");
}

/// Makes the authority `ca.pem` in `dir`, and a certificate `server.pem` with its key `server.key` for `names`, such as
/// `DNS:localhost`.
pub(crate) fn issue(dir: &Path, names: &str) {
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
    );
    openssl(
        dir,
        "req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr",
    );
    fs::write(dir.join("names"), format!("subjectAltName={names}\n")).expect("a file");
    openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}
