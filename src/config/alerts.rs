//! The rules of `[[alert]]`: which keys a `when` needs and refuses, and what its limit is.

use super::choice::AlertWhen;
use super::keys::{Alert, Config};
use super::layers::Layers;
use super::limit::Limit;
use super::private_file::readable_by_others;
use super::violation::{Origin, Reason, quote};
use std::path::Path;

/// What a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitKind {
    Time,
    /// A whole number, from 0.
    Count,
    /// From 0 up to and without 1.
    Share,
    Size,
}

/// What a `when` takes.
struct AcceptedKeys {
    above: Option<LimitKind>,
    below: Option<LimitKind>,
    agent: bool,
    job: bool,
}

fn takes(when: AlertWhen) -> AcceptedKeys {
    use AlertWhen as When;
    let above = match when {
        When::OldestOwed | When::Silent | When::JobMissed => Some(LimitKind::Time),
        When::Dead => Some(LimitKind::Count),
        When::ErrorRate => Some(LimitKind::Share),
        When::DiskFree | When::Parked | When::RedisAway | When::Issue => None,
    };
    AcceptedKeys {
        above,
        below: (when == When::DiskFree).then_some(LimitKind::Size),
        agent: !matches!(
            when,
            When::JobMissed | When::DiskFree | When::RedisAway | When::Issue
        ),
        job: when == When::JobMissed,
    }
}

impl LimitKind {
    fn fits(self, limit: Limit) -> bool {
        match (self, limit) {
            (LimitKind::Time, Limit::Time(_)) | (LimitKind::Size, Limit::Size(_)) => true,
            (LimitKind::Count, Limit::Number(number)) => number >= 0.0 && number.fract() == 0.0,
            (LimitKind::Share, Limit::Number(number)) => (0.0..1.0).contains(&number),
            _ => false,
        }
    }

    fn example(self) -> &'static str {
        match self {
            LimitKind::Time => "a duration such as \"5min\"",
            LimitKind::Count => "a whole number such as 0, without quotes",
            LimitKind::Share => "a share from 0 to below 1, such as 0.1 or \"10%\"",
            LimitKind::Size => "a size such as \"1GiB\"",
        }
    }
}

impl Alert {
    /// The file of the authorities to trust for the webhook; `None`: those of the system.
    pub(crate) fn authorities(&self) -> Option<&Path> {
        (!self.ca_file.as_os_str().is_empty()).then_some(&*self.ca_file)
    }
}

/// Reports everything that is wrong with the rules of alerts.
pub(crate) fn check(config: &Config, layers: &mut Layers) {
    for (number, alert) in config.alerts.iter().enumerate() {
        let mut rule = Rule {
            alert,
            number,
            layers,
        };
        rule.name(config);
        rule.limits();
        rule.names(config);
        rule.target();
        rule.secret();
        rule.authorities();
    }
}

/// One rule that is being checked.
struct Rule<'a> {
    alert: &'a Alert,
    number: usize,
    layers: &'a mut Layers,
}

impl Rule<'_> {
    fn key(&self, name: &str) -> String {
        format!("alert[{}].{name}", self.number)
    }

    fn is_suspect(&self, name: &str) -> bool {
        self.layers.is_suspect(&self.key(name))
    }

    /// Reports a violation of the key `name`, where it was set or where the rule begins.
    fn violate(&mut self, name: &str, what: impl Into<String>, remedy: impl Into<String>) {
        if self.is_suspect(name) {
            return;
        }
        let key = self.key(name);
        let origin = match self.layers.origin(&key) {
            Origin::Default => self.layers.origin(&format!("alert[{}]", self.number)),
            origin => origin,
        };
        self.layers.violate(Reason::new(what, remedy), origin, &key);
    }

    /// The line of a table of a list, in brackets; nothing where it is in no file.
    fn line(&self, table: &str, number: usize) -> String {
        match self.layers.origin(&format!("{table}[{number}]")) {
            Origin::File { line, .. } if line > 0 => format!(" (line {line})"),
            _ => String::new(),
        }
    }

    /// A name stands for one rule. It is the subject of the rule's events, so one that a collection has too would make them that
    /// collection's, also to a token for that collection alone.
    fn name(&mut self, config: &Config) {
        let name = &self.alert.name;
        let mut before = config.alerts[..self.number].iter();
        let mut collections = config.collections.iter();
        if let Some(number) = before.position(|alert| alert.name == *name) {
            let line = self.line("alert", number);
            let what = format!(
                "{} is also the name of an alert before it{line}",
                quote(name)
            );
            self.violate("name", what, "write another name");
        } else if let Some(number) = collections.position(|c| c.name == *name) {
            let line = self.line("collection", number);
            let what = format!(
                "{} is also the name of a collection{line}, so their events could not be told apart",
                quote(name)
            );
            self.violate("name", what, "write another name");
        }
    }

    fn limits(&mut self) {
        if self.is_suspect("when") {
            return;
        }
        let takes = takes(self.alert.when);
        let limits = [
            ("above", takes.above, self.alert.above),
            ("below", takes.below, self.alert.below),
        ];
        let when = self.alert.when.as_str();
        for (name, kind, limit) in limits {
            match (kind, limit) {
                (None, None) => {}
                (Some(kind), Some(limit)) if kind.fits(limit) => {}
                (Some(kind), Some(limit)) => {
                    let what = format!("{limit} is not a limit for the rule \"{when}\"");
                    self.violate(name, what, format!("write {}", kind.example()));
                }
                (Some(kind), None) => {
                    let what = format!("is missing, and the rule \"{when}\" needs it");
                    self.violate(name, what, format!("write {name} = {}", kind.example()));
                }
                (None, Some(_)) => self.refuse(name),
            }
        }
    }

    /// Reports a key that this `when` does not take.
    fn refuse(&mut self, name: &str) {
        let when = self.alert.when.as_str();
        let what = format!("the rule \"{when}\" does not take it");
        self.violate(name, what, format!("remove {name}"));
    }

    fn names(&mut self, config: &Config) {
        if self.is_suspect("when") {
            return;
        }
        let takes = takes(self.alert.when);
        let agents: Vec<&str> = config.agents.all().iter().map(|(name, _)| *name).collect();
        let jobs: Vec<&str> = config.jobs.all().iter().map(|(name, _)| *name).collect();
        let named = [
            ("agent", takes.agent, &self.alert.agent, agents),
            ("job", takes.job, &self.alert.job, jobs),
        ];
        for (name, taken, value, known) in named {
            if value.is_empty() {
                continue;
            }
            if !taken {
                self.refuse(name);
            } else if !known.contains(&value.as_str()) {
                let what = format!("there is no {name} {}", quote(value));
                self.violate(name, what, format!("write one of {}", known.join(", ")));
            }
        }
    }

    fn target(&mut self) {
        let Alert {
            command, webhook, ..
        } = self.alert;
        if webhook.is_some() && !command.is_empty() {
            let what = "the rule has a webhook too";
            let remedy = "keep one of the two, and write another [[alert]] for the other";
            self.violate("command", what, remedy);
        }
        let Some(program) = command.first() else {
            return;
        };
        let shown = quote(program);
        if command.len() == 1
            && program.contains(char::is_whitespace)
            && !Path::new(program).exists()
        {
            let what = format!("{shown} is a line for a shell, but docent uses no shell");
            self.violate("command", what, "write each argument as a separate text");
        } else if program.contains('/') && Path::new(program).is_relative() {
            let what =
                format!("{shown} is relative, and docent runs it in no particular directory");
            self.violate(
                "command",
                what,
                "write its path in full, or a name that is in PATH",
            );
        }
    }

    /// Authorities vouch for a certificate, which only TLS has.
    fn authorities(&mut self) {
        let is_https = self.alert.webhook.as_ref().is_some_and(|url| url.is_https);
        if self.alert.authorities().is_some() && !is_https && !self.is_suspect("webhook") {
            let what = "is for a webhook with https, but the rule has none";
            let remedy = "write a webhook that begins with https://, or remove ca_file";
            self.violate("ca_file", what, remedy);
        }
    }

    fn secret(&mut self) {
        let file = &self.alert.secret_file;
        let is_set = !file.as_os_str().is_empty();
        let has_webhook = self.alert.webhook.is_some() || self.is_suspect("webhook");
        match (has_webhook, is_set) {
            (true, false) => {
                let what = "is missing, so the receiver could not verify the sender";
                let remedy =
                    "write the path of a file with a secret, made by `openssl rand -hex 32`";
                self.violate("secret_file", what, remedy);
            }
            (false, true) => {
                let what = "signs what is sent to a webhook, but there is no webhook";
                self.violate(
                    "secret_file",
                    what,
                    "write a webhook, or remove secret_file",
                );
            }
            _ => {}
        }
        if let Some(mode) = readable_by_others(file).filter(|_| is_set) {
            let what = format!(
                "others can read {}, whose mode is {mode:03o}",
                file.display()
            );
            let remedy = format!("run `chmod 600 {}`, and write a new secret", file.display());
            self.violate("secret_file", what, remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load::tests::{load, violations};
    use std::os::unix::fs::PermissionsExt;

    fn rule(keys: &str) -> String {
        format!("[[alert]]\nname = \"a\"\n{keys}\n")
    }

    #[test]
    fn each_rule_takes_its_limit() {
        for keys in [
            "when = \"oldest_owed\"\nabove = \"5min\"\nagent = \"rag\"",
            "when = \"dead\"\nabove = 0",
            "when = \"error_rate\"\nabove = \"10%\"",
            "when = \"error_rate\"\nabove = 0.1",
            "when = \"silent\"\nabove = \"5min\"\nfor = \"0s\"",
            "when = \"job_missed\"\nabove = \"1h\"\njob = \"weekly-report\"",
            "when = \"disk_free\"\nbelow = \"1GiB\"\ncommand = [\"/bin/true\", \"a b\"]",
            "when = \"parked\"\ncooldown = \"0s\"",
            "when = \"redis_away\"\ncommand = [\"logger\"]",
            "when = \"issue\"\nseverity = \"error\"",
        ] {
            assert_eq!(violations(&rule(keys)), [""; 0], "{keys}");
        }
    }

    /// The keys of a rule, and how its one violation begins.
    #[rustfmt::skip] // one entry a line
    const MISTAKES: &[(&str, &str)] = &[
        ("when = \"dead\"", "1: alert[0].above: is missing, and the rule \"dead\" needs it"),
        ("when = \"dead\"\nabove = 1.5", "4: alert[0].above: 1.5 is not a limit for the rule \"dead\"; write a whole number"),
        ("when = \"dead\"\nabove = \"1min\"", "4: alert[0].above: 1min is not a limit"),
        ("when = \"dead\"\nabove = \"much\"", "4: alert[0].above: \"much\" is not a limit"),
        ("when = \"error_rate\"\nabove = 5", "4: alert[0].above: 5 is not a limit for the rule \"error_rate\"; write a share"),
        ("when = \"parked\"\nabove = 1", "4: alert[0].above: the rule \"parked\" does not take it; remove above"),
        ("when = \"disk_free\"\nabove = \"1GiB\"\nbelow = \"1GiB\"", "4: alert[0].above: the rule \"disk_free\" does not take it"),
        ("when = \"parked\"\nagent = \"rga\"", "4: alert[0].agent: there is no agent \"rga\"; write one of change_detection"),
        ("when = \"parked\"\njob = \"verify\"", "4: alert[0].job: the rule \"parked\" does not take it"),
        ("when = \"job_missed\"\nabove = \"1h\"\njob = \"x\"", "5: alert[0].job: there is no job \"x\"; write one of maintenance, health, verify, weekly-report"),
        ("when = \"parked\"\nwebhook = \"http://example.org\"\nsecret_file = \"s\"", "4: alert[0].webhook: \"http://example.org\" is not https"),
        ("when = \"parked\"\nwebhook = \"https://example.org\"", "1: alert[0].secret_file: is missing, so the receiver"),
        ("when = \"parked\"\nsecret_file = \"s\"", "4: alert[0].secret_file: signs what is sent to a webhook, but there is no webhook"),
        ("when = \"parked\"\nca_file = \"ca.pem\"", "4: alert[0].ca_file: is for a webhook with https, but the rule has none; write a webhook"),
        ("when = \"parked\"\nwebhook = \"http://127.0.0.1/\"\nsecret_file = \"s\"\nca_file = \"ca.pem\"", "6: alert[0].ca_file: is for a webhook with https"),
        ("when = \"parked\"\ncommand = [\"a\"]\nwebhook = \"https://example.org\"\nsecret_file = \"s\"", "4: alert[0].command: the rule has a webhook too"),
        ("when = \"parked\"\ncommand = [\"mail -s x root\"]", "4: alert[0].command: \"mail -s x root\" is a line for a shell"),
        ("when = \"parked\"\ncommand = [\"bin/tell\"]", "4: alert[0].command: \"bin/tell\" is relative"),
        ("when = \"nothing\"", "3: alert[0].when: \"nothing\" is not one of"),
        ("", "1: alert[0].when: is missing"),
    ];

    #[test]
    fn every_mistake_of_a_rule_is_told_at_its_key() {
        for (keys, said) in MISTAKES {
            let told = violations(&rule(keys));
            assert_eq!(told.len(), 1, "{keys}: {told:#?}");
            let said = format!("docent.toml:{said}");
            assert!(told[0].starts_with(&said), "{keys}: {told:#?}");
        }
    }

    #[test]
    fn a_name_is_taken_once_and_is_no_collections() {
        let parked = "when = \"parked\"";
        let text = rule(parked) + &rule(parked) + "[[collection]]\nname = \"a\"\npath = \"/srv\"\n";
        let told = violations(&text);
        assert_eq!(
            told,
            [
                "docent.toml:2: alert[0].name: \"a\" is also the name of a collection (line 7), so their events could not be told apart; write another name",
                "docent.toml:5: alert[1].name: \"a\" is also the name of an alert before it (line 1); write another name",
            ]
        );
    }

    #[test]
    fn the_path_of_a_webhook_is_shown_nowhere() {
        let webhook = |url: &str| {
            rule(&format!(
                "when = \"parked\"\nwebhook = \"{url}\"\nsecret_file = \"none\""
            ))
        };
        let loaded = load(&webhook("https://example.org/T0/s3cret?token=s3cret")).unwrap();
        let shown = loaded.show().iter();
        let shown: Vec<_> = shown
            .filter(|shown| shown.value.contains("example"))
            .collect();
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].key, "alert[0].webhook");
        assert_eq!(shown[0].value, "\"https://example.org/***\"");
        let hidden = |value: &str| !value.contains("s3cret");
        assert!(loaded.show().iter().all(|shown| hidden(&shown.value)));
        assert!(hidden(&format!("{:?}", loaded.config)));
        let told = violations(&webhook("http://example.org/T0/s3cret"));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(
            told[0].contains("\"http://example.org/***\" is not https") && hidden(&told[0]),
            "{told:#?}"
        );
    }

    #[test]
    fn a_secret_that_others_can_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "x").unwrap();
        let text = rule(&format!(
            "when = \"parked\"\nwebhook = \"https://example.org\"\nsecret_file = \"{}\"",
            file.display()
        ));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
        let told = violations(&text);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(
            told[0].starts_with("docent.toml:5: alert[0].secret_file: others can read "),
            "{told:#?}"
        );
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let loaded = load(&text).unwrap();
        assert!(
            loaded.config.own_files.contains(&file),
            "it never becomes a document"
        );
    }
}
