//! Whether docent can listen on the address of the API.

use std::net::{SocketAddr, TcpListener};

use super::EnvironmentReport;
use crate::config::Config;
use crate::daemon::listen_hint;

/// Nobody has the address, and this user may listen on it. `runs`: the daemon of this config may have it.
pub(super) fn address(config: &Config, runs: bool, report: &mut EnvironmentReport) {
    match config.http.listen {
        None => {}
        Some(address) if runs => report.notes.push(format!(
            "listening on {address} was not tried, because the daemon of this config may be using it"
        )),
        Some(address) => tried(address, report),
    }
}

/// Tries an address by listening on it for a moment.
fn tried(address: SocketAddr, report: &mut EnvironmentReport) {
    let Err(error) = TcpListener::bind(address) else {
        return;
    };
    let remedy = listen_hint(error.kind(), address);
    let what = format!("[http] listen: cannot listen on {address}: {error}");
    report.unmet("listen", what, remedy);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::config;

    #[test]
    fn an_address_that_somebody_has_is_told_with_who_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        let config = config(folder.path(), &format!("[http]\nlisten = \"{at}\"\n"));
        let mut report = EnvironmentReport::default();
        address(&config, false, &mut report);
        let unmet = &report.unmet[0];
        assert!(
            unmet.what.contains(&format!("cannot listen on {at}")),
            "{unmet:?}"
        );
        assert!(
            unmet.remedy.contains(&format!(":{}", at.port())),
            "{unmet:?}"
        );
        drop(taken);
        let mut report = EnvironmentReport::default();
        address(&config, false, &mut report);
        assert_eq!(report.unmet, []);
    }

    #[test]
    fn the_address_of_a_daemon_that_runs_is_not_tried() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        let config = config(folder.path(), &format!("[http]\nlisten = \"{at}\"\n"));
        let mut report = EnvironmentReport::default();
        address(&config, true, &mut report);
        assert_eq!((report.unmet.len(), report.notes.len()), (0, 1));
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        let mut report = EnvironmentReport::default();
        tried("192.0.2.1:9870".parse().unwrap(), &mut report);
        assert!(report.unmet[0].remedy.contains("does not have the address"));
    }
}
