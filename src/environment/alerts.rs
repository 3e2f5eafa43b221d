//! Whether the receivers of alerts can be notified: when there is an alert, it is too late to find out.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::EnvironmentReport;
use crate::config::{Alert, Config};
use crate::webhook;

/// Programs can be started, and webhooks have a secret that signs and authorities to trust. Nobody is told anything.
pub(super) fn receivers(config: &Config, report: &mut EnvironmentReport) {
    for alert in &config.alerts {
        if let Some(url) = &alert.webhook
            && let Err(error) = webhook::Receiver::new(url, &alert.secret_file, alert.authorities())
        {
            unmet(alert, error.to_string(), report);
        }
        if let Some(program) = alert.command.first()
            && let Err(why) = startable(program)
        {
            unmet(alert, why, report);
        }
    }
}

fn unmet(alert: &Alert, why: String, report: &mut EnvironmentReport) {
    let what = format!(
        "cannot notify the receiver of the alert {}: {why}",
        alert.name
    );
    report.unmet(
        "alert",
        what,
        "until this is fixed, its alerts are in the log only",
    );
}

/// Whether there is a program of this name that may be started, as the daemon looks for it.
fn startable(program: &str) -> Result<(), String> {
    let path = Path::new(program);
    if program.contains('/') {
        return executable(path).map_err(|error| format!("{program} cannot be started: {error}"));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    match places
        .iter()
        .any(|place| executable(&place.join(path)).is_ok())
    {
        true => Ok(()),
        false => Err(format!(
            "there is no program {program} in PATH; write its full path"
        )),
    }
}

/// Checks that `path` is a file that may be started. A folder that may be entered looks the same to the kernel.
fn executable(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(access(path, Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::config;
    use super::*;

    #[test]
    fn what_cannot_be_told_is_said_before_there_is_an_alert() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "a secret that is long enough").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let rule = "when = \"parked\"";
        let over_tls = "webhook = \"https://127.0.0.1:1/x\"\nsecret_file = \"secret\"";
        let text = format!(
            "data_dir = \"data\"\n[[collection]]\nname = \"d\"\npath = \"docs\"\n\
             [[alert]]\nname = \"a\"\n{rule}\nwebhook = \"http://127.0.0.1:1/x\"\nsecret_file = \"none\"\n\
             [[alert]]\nname = \"b\"\n{rule}\ncommand = [\"/no/such\"]\n\
             [[alert]]\nname = \"c\"\n{rule}\ncommand = [\"no-such-program\"]\n\
             [[alert]]\nname = \"d2\"\n{rule}\ncommand = [\"sh\", \"-c\", \"true\"]\n\
             [[alert]]\nname = \"e\"\n{rule}\ncommand = [\"/usr\"]\n\
             [[alert]]\nname = \"f\"\n{rule}\n{over_tls}\nca_file = \"none.pem\"\n\
             [[alert]]\nname = \"g\"\n{rule}\n{over_tls}\nca_file = \"docent.toml\"\n\
             [[alert]]\nname = \"h\"\n{rule}\n{over_tls}\n"
        );
        let mut report = EnvironmentReport::default();
        receivers(&config(folder.path(), &text), &mut report);
        let said: Vec<&str> = report.unmet.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(said.len(), 6, "{said:?}");
        for (said, part) in said.iter().zip([
            "none",
            "/no/such cannot be started",
            "in PATH",
            "/usr cannot be started: is a directory",
            "none.pem: No such file",
            "docent.toml has no certificate in PEM",
        ]) {
            assert!(said.contains(part), "{said}");
        }
    }
}
