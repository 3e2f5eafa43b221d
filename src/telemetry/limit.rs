//! A bound on what one fault can write: of lines from one place in the code for one agent or one rule of an alert, the first few
//! of a window pass, the rest are counted.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The length of a window.
const WINDOW: Duration = Duration::from_secs(10);

/// Lines of a window that pass.
const PASS: u32 = 5;

/// The name of the line that tells a count. It is never counted itself.
const SUPPRESSED: &str = "docent.suppressed";

/// The last line of a process: what was counted is told before it.
const LAST: &str = "docent.stopped";

/// A place in the code, and whose line it is.
type Key = (Identifier, Whose);

/// What a line is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Whose {
    agent: String,
    /// Of an alert. There are as many as the config has.
    rule: String,
}

/// What was seen of a key.
struct Window {
    began: Instant,
    seen: u32,
    /// The first line that did not pass.
    message: String,
}

/// Lines that did not pass.
#[derive(Debug, PartialEq, Eq)]
struct Suppressed {
    whose: Whose,
    message: String,
    count: u32,
}

/// A layer that lets through what is within the bound. It has no clock of its own: a count is told when the next line of
/// whatever kind is logged after the end of its window.
#[derive(Default)]
pub(super) struct RepeatLimit(Mutex<HashMap<Key, Window>>);

impl RepeatLimit {
    /// Whether a line may pass, and what is to be told before it.
    fn see(&self, key: Key, message: &str, now: Instant) -> (bool, Vec<Suppressed>) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = take(&mut windows, |window| {
            now.duration_since(window.began) >= WINDOW
        });
        let window = windows.entry(key).or_insert_with(|| Window {
            began: now,
            seen: 0,
            message: String::new(),
        });
        window.seen = window.seen.saturating_add(1);
        if window.seen == PASS + 1 {
            window.message = message.to_owned();
        }
        (window.seen <= PASS, over)
    }

    /// Everything that was counted.
    fn rest(&self) -> Vec<Suppressed> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut windows, |_| true)
    }
}

/// Ends the windows that are over; gives what they have counted.
fn take(windows: &mut HashMap<Key, Window>, over: impl Fn(&Window) -> bool) -> Vec<Suppressed> {
    let ended = windows.extract_if(|_, window| over(window));
    let counted = ended.filter(|(_, window)| window.seen > PASS);
    counted
        .map(|((_, whose), window)| Suppressed {
            whose,
            message: window.message,
            count: window.seen - PASS,
        })
        .collect()
}

impl<S: Subscriber> Layer<S> for RepeatLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Whoever asks for these wants all of them.
        if *metadata.level() > Level::INFO || metadata.name() == SUPPRESSED {
            return true;
        }
        let mut about = CountedFields::default();
        event.record(&mut about);
        let key = (metadata.callsite(), about.whose);
        let (pass, mut told) = self.see(key, &about.message, Instant::now());
        if metadata.name() == LAST {
            told.extend(self.rest());
        }
        // The lock is free again: these come back to this layer.
        for Suppressed {
            whose,
            message,
            count,
        } in told
        {
            let known = |name: String| (!name.is_empty()).then_some(name);
            let (agent, rule) = (known(whose.agent), known(whose.rule));
            tracing::warn!(name: "docent.suppressed", agent, rule, count, "lines like this one were left out: {message}");
        }
        pass
    }
}

/// The fields of a line that count here.
#[derive(Default)]
struct CountedFields {
    whose: Whose,
    message: String,
}

impl Visit for CountedFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "agent" => value.clone_into(&mut self.whose.agent),
            "rule" => value.clone_into(&mut self.whose.rule),
            "message" => value.clone_into(&mut self.message),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "agent" => self.whose.agent = format!("{value:?}"),
            "rule" => self.whose.rule = format!("{value:?}"),
            "message" => self.message = format!("{value:?}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite;
    use tracing::callsite::DefaultCallsite;
    use tracing::field::FieldSet;
    use tracing::metadata::{Kind, Metadata};

    use super::*;

    static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
    static METADATA: Metadata<'static> = Metadata::new(
        "a place",
        "docent",
        Level::WARN,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&CALLSITE)),
        Kind::EVENT,
    );

    fn key(agent: &str) -> Key {
        let whose = Whose {
            agent: agent.to_owned(),
            ..Whose::default()
        };
        (CALLSITE.metadata().callsite(), whose)
    }

    #[test]
    fn the_first_lines_of_a_window_pass_and_the_rest_is_counted() {
        let (limit, start) = (RepeatLimit::default(), Instant::now());
        let passed = (0..400u32).filter(|n| limit.see(key("rag"), &n.to_string(), start).0);
        assert_eq!(passed.collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(
            limit.see(key("scheduler"), "x", start),
            (true, Vec::new()),
            "another agent"
        );
        let told = Suppressed {
            whose: key("rag").1,
            message: "5".to_owned(),
            count: 395,
        };
        let later = start + WINDOW;
        assert_eq!(limit.see(key("scheduler"), "y", later), (true, vec![told]));
        assert_eq!(
            limit.see(key("rag"), "z", later),
            (true, Vec::new()),
            "a new window"
        );
        assert_eq!(limit.0.lock().unwrap().len(), 2, "what is over is not kept");
    }

    #[test]
    fn each_rule_of_an_alert_is_told_of() {
        let (limit, start) = (RepeatLimit::default(), Instant::now());
        for rule in 0..20 {
            let whose = Whose {
                rule: format!("rule {rule}"),
                ..Whose::default()
            };
            let key = (CALLSITE.metadata().callsite(), whose);
            assert!(limit.see(key, "alert raised", start).0, "{rule}");
        }
    }

    #[test]
    fn what_is_left_is_told_at_the_end() {
        let (limit, start) = (RepeatLimit::default(), Instant::now());
        for _ in 0..7 {
            limit.see(key(""), "x", start);
        }
        assert_eq!(
            limit
                .rest()
                .iter()
                .map(|told| told.count)
                .collect::<Vec<_>>(),
            [2]
        );
        assert_eq!(limit.rest(), Vec::new());
    }
}
