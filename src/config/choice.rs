//! Values that are one of a few words.

use super::table::Setting;

/// Makes an enum whose words in the config, in `config show` and in messages have one source.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// Every word, in the order of the variants.
            pub(crate) const NAMES: &'static [&'static str] = &[$($text),+];

            /// The word that stands for it in the config.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl Setting for $name {
            fn read(value: &toml::Value) -> Option<Self> {
                let text = value.as_str()?;
                [$(Self::$variant),+].into_iter().find(|choice| choice.as_str() == text)
            }
        }
    };
}

choice! {
    /// How owed deliveries reach their agents.
    BusMode {
        /// Redis while it answers, else the embedded carrier.
        Auto = "auto",
        Redis = "redis",
        /// From the ledger; docent never connects to Redis.
        Embedded = "embedded",
    }
}

choice! {
    /// How the server of the store proves who it is.
    StoreTls {
        /// By TLS: its certificate is checked, and that it is of the host in the URL.
        VerifyFull = "verify-full",
        /// It does not: the connection is not encrypted.
        Disable = "disable",
    }
}

choice! {
    /// Who may read `/metrics` without a token.
    MetricsAccess {
        /// Whoever may use the control socket, and programs on this machine where `[http] listen` is a loopback address.
        Loopback = "loopback",
        /// Whoever reaches `[http] listen` too.
        Open = "open",
        /// There is no `/metrics`.
        Off = "off",
    }
}

choice! {
    /// The carrier of one agent.
    Carrier {
        /// As `[bus] mode` says.
        Bus = "",
        /// Redis while it answers, else the embedded carrier.
        Auto = "auto",
        Redis = "redis",
        Embedded = "embedded",
    }
}

choice! {
    /// A kind of file that becomes a document.
    FileType {
        Markdown = "markdown",
        Text = "text",
        Code = "code",
        Json = "json",
        Yaml = "yaml",
        Toml = "toml",
    }
}

choice! {
    /// How the changes of a collection are noticed.
    WatchMode {
        /// By notifications where they work, else by frequent scans.
        Auto = "auto",
        /// By notifications, whatever the file system is.
        Native = "native",
        Poll = "poll",
    }
}

choice! {
    /// What happens to the runs of a job that were missed while docent was down.
    Missed {
        /// None is run but one that is at most a minute late.
        Skip = "skip",
        /// One run, the newest, makes up for all of them.
        Once = "once",
        /// Each is run, of more than 100 the newest 100.
        All = "all",
    }
}

choice! {
    /// What a rule of an alert watches.
    AlertWhen {
        OldestOwed = "oldest_owed",
        Dead = "dead",
        ErrorRate = "error_rate",
        /// An agent has work and ends none.
        Silent = "silent",
        JobMissed = "job_missed",
        DiskFree = "disk_free",
        Parked = "parked",
        RedisAway = "redis_away",
        Issue = "issue",
    }
}

choice! {
    /// How severe an alert is.
    AlertSeverity {
        Warning = "warning",
        Error = "error",
    }
}

choice! {
    /// The least severe message that is logged.
    LogLevel {
        /// Data lost, or an operator must act.
        Error = "error",
        /// Unexpected, and recovered from.
        Warn = "warn",
        /// An operator's action completed.
        Info = "info",
        /// What an agent does, for finding faults.
        Debug = "debug",
        Trace = "trace",
    }
}

choice! {
    /// The form of a log line.
    LogFormat {
        /// The journal where stderr is its stream, text on a terminal, else JSON lines.
        Auto = "auto",
        Text = "text",
        /// One JSON object a line.
        Json = "json",
        /// The journal of systemd, with fields.
        Journald = "journald",
    }
}
