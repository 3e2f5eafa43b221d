//! The shape of one value: its type, its unit, its range, and a check of its text.

use super::check;
use super::limit::Limit;
use super::secret::{redact, redact_webhook};
use super::units::{self, Units};
use super::violation::{Reason, quote};
use std::ops::{Range, RangeInclusive};
use toml::Value;
use toml::de::DeValue;

/// Says whether a text will do.
pub(crate) type TextCheck = fn(&str) -> Result<(), Reason>;

/// What a value must look like. Bounds are inclusive.
pub(crate) enum Shape {
    /// A text that passes a check.
    Text(TextCheck),
    /// A text that passes a check: the address of a webhook. Its path and query are hidden wherever it is shown.
    Webhook(TextCheck),
    /// A text of some of these characters, of a shortest and a longest length.
    Name(&'static str, usize, usize),
    /// A whole number in a range.
    Count(i64, i64),
    Switch,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A duration with a unit, in a range of milliseconds.
    Time(u64, u64),
    /// A size with a unit, in a range of bytes.
    Size(u64, u64),
    /// A number, a duration or a size, or the empty text for none; which of them, a rule between keys says.
    Limit,
    /// A list of texts of this shape.
    List(&'static Shape),
}

impl Shape {
    /// Takes a value over, or says everything that is wrong with it, each with the bytes of its source that it is about.
    pub(crate) fn take(
        &self,
        value: &DeValue<'_>,
        span: Range<usize>,
    ) -> Result<Value, Vec<(Range<usize>, Reason)>> {
        let taken = match (self, value) {
            (Self::List(item), DeValue::Array(_)) => return item.take_list(value),
            (Self::Switch, DeValue::Boolean(on)) => Ok(Value::Boolean(*on)),
            (Self::Limit, DeValue::Integer(number)) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Ok(Value::Integer(number)),
                    Err(_) => Err(self.wrong_type(value)),
                }
            }
            (Self::Limit, DeValue::Float(number)) => match number.as_str().parse() {
                Ok(number) => Ok(Value::Float(number)),
                Err(_) => Err(self.wrong_type(value)),
            },
            (Self::Count(min, max), DeValue::Integer(number)) => {
                // Only a number that no `i64` holds fails here, so it is out of any range.
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) if (*min..=*max).contains(&number) => Ok(Value::Integer(number)),
                    _ => Err(Reason::new(
                        format!("{number} is not between {min} and {max}"),
                        format!("write a whole number from {min} to {max}"),
                    )),
                }
            }
            (_, DeValue::String(text)) => self
                .check_text(text)
                .map(|()| Value::String(text.clone().into_owned())),
            _ => Err(self.wrong_type(value)),
        };
        taken.map_err(|reason| vec![(span, reason)])
    }

    fn take_list(&self, list: &DeValue<'_>) -> Result<Value, Vec<(Range<usize>, Reason)>> {
        let (mut taken, mut wrong) = (Vec::new(), Vec::new());
        for item in list.as_array().into_iter().flatten() {
            match item.get_ref() {
                DeValue::String(_) => match self.take(item.get_ref(), item.span()) {
                    Ok(value) => taken.push(value),
                    Err(reasons) => wrong.extend(reasons),
                },
                other => {
                    let what = format!("holds {}, not only texts", with_article(other.type_str()));
                    let reason = Reason::new(what, "write each item in quotes");
                    wrong.push((item.span(), reason));
                }
            }
        }
        if wrong.is_empty() {
            Ok(Value::Array(taken))
        } else {
            Err(wrong)
        }
    }

    /// Whether a value is written as a text in TOML, so that a variable may leave the quotes out.
    pub(crate) fn is_text(&self) -> bool {
        !matches!(
            self,
            Self::Count(..) | Self::Switch | Self::Limit | Self::List(_)
        )
    }

    fn units(&self) -> Option<&'static Units> {
        match self {
            Self::Time(..) => Some(&units::TIME),
            Self::Size(..) => Some(&units::SIZE),
            _ => None,
        }
    }

    /// What a value amounts to, to compare it with another one: a count, milliseconds, or bytes.
    pub(crate) fn amount(&self, value: &Value) -> Option<u64> {
        match self.units() {
            Some(units) => units.parse(value.as_str()?).ok(),
            None => value.as_integer()?.try_into().ok(),
        }
    }

    /// A value as it would stand in a file, without what is secret in it.
    pub(crate) fn shown(&self, value: &Value) -> String {
        match (self, value) {
            (Self::Webhook(_), Value::String(url)) => Value::from(redact_webhook(url)).to_string(),
            _ => redact(&value.to_string()),
        }
    }

    /// An amount as it is written.
    pub(crate) fn written(&self, amount: u64) -> String {
        match self.units() {
            Some(units) => format!("\"{}\"", units.format(amount)),
            None => amount.to_string(),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), Reason> {
        match self {
            Self::Text(check) | Self::Webhook(check) => check(text),
            Self::Name(characters, shortest, longest) => {
                check::name(text, characters, *shortest..=*longest)
            }
            Self::Choice(names) if names.contains(&text) => Ok(()),
            Self::Choice(names) => Err(Reason::new(
                format!("{} is not one of {}", quote(text), words(names)),
                format!("write {}", words(names)),
            )),
            Self::Time(min, max) => check_amount(text, &units::TIME, *min..=*max),
            Self::Size(min, max) => check_amount(text, &units::SIZE, *min..=*max),
            Self::Limit if text.is_empty() => Ok(()),
            Self::Limit => Limit::parse(text).map(drop),
            Self::Switch | Self::Count(..) | Self::List(_) => {
                Err(self.wrong_type(&DeValue::String(text.into())))
            }
        }
    }

    fn wrong_type(&self, value: &DeValue<'_>) -> Reason {
        let such_as = |units: &Units, example| {
            let remedy = format!("write {}, such as \"{example}\"", units.remedy);
            (units.noun, remedy)
        };
        let (name, remedy) = match self {
            Self::Text(_) | Self::Webhook(_) | Self::Name(..) => {
                ("a text", "write a text in quotes".to_owned())
            }
            Self::Count(min, max) => {
                let range = format!("write a whole number from {min} to {max}, without quotes");
                ("a whole number", range)
            }
            Self::Switch => (
                "true or false",
                "write true or false, without quotes".to_owned(),
            ),
            Self::Choice(names) => (
                "one of the words it may be",
                format!("write {}", words(names)),
            ),
            // One that is likely for a key whose smallest value is this.
            Self::Time(..1_000, _) => such_as(&units::TIME, "500ms"),
            Self::Time(..3_600_000, _) => such_as(&units::TIME, "30s"),
            Self::Time(..) => such_as(&units::TIME, "30d"),
            Self::Size(..) => such_as(&units::SIZE, "8MiB"),
            Self::Limit => (
                "a limit",
                "write a number, a duration such as \"5min\", or a size such as \"1GiB\""
                    .to_owned(),
            ),
            Self::List(_) => (
                "a list",
                "write a list of texts, such as [\"a\", \"b\"]".to_owned(),
            ),
        };
        let what = match (self, value) {
            (Self::Time(..) | Self::Size(..), DeValue::Integer(number)) => {
                format!("{number} has no unit")
            }
            _ => format!("is {}, not {name}", with_article(value.type_str())),
        };
        Reason::new(what, remedy)
    }
}

fn check_amount(text: &str, units: &Units, range: RangeInclusive<u64>) -> Result<(), Reason> {
    let amount = units.parse(text).map_err(|error| {
        Reason::new(
            format!("{} is not {}: it {error}", quote(text), units.noun),
            match units.meant(text, &error) {
                Some(meant) => format!("write \"{meant}\" if that is meant, or {}", units.remedy),
                None => format!("write {}", units.remedy),
            },
        )
    })?;
    if range.contains(&amount) {
        return Ok(());
    }
    let (min, max) = (units.format(*range.start()), units.format(*range.end()));
    let side = if amount < *range.start() {
        format!("less than {min}")
    } else {
        format!("more than {max}")
    };
    Err(Reason::new(
        format!("{} is {side}", quote(text)),
        format!("write a value from \"{min}\" to \"{max}\""),
    ))
}

/// Words in quotes, the last behind *or*.
fn words(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

/// The name of a type of TOML in a sentence.
pub(crate) fn with_article(noun: &str) -> String {
    match noun {
        "string" => "a text".to_owned(),
        "integer" | "array" => format!("an {noun}"),
        _ => format!("a {noun}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::{glob, path};

    const TEXT: Shape = Shape::Text(path);
    const COUNT: Shape = Shape::Count(1, 9);
    const CHOICE: Shape = Shape::Choice(&["a", "b"]);
    const TIME: Shape = Shape::Time(1_000, 60_000);
    const SIZE: Shape = Shape::Size(10, 1 << 20);
    const LIST: Shape = Shape::List(&Shape::Text(glob));

    /// A shape, a value that does not have it, what is said of it, and what to write.
    #[rustfmt::skip] // one entry a line
    const MISTAKES: &[(Shape, &str, &str, &str)] = &[
        (TEXT, "5", "is an integer, not a text", "write a text in quotes"),
        (COUNT, "\"5\"", "is a text, not a whole number", "write a whole number from 1 to 9, without quotes"),
        (COUNT, "1.5", "is a float, not a whole number", "write a whole number from 1 to 9, without quotes"),
        (COUNT, "10", "10 is not between 1 and 9", "write a whole number from 1 to 9"),
        (COUNT, "-1", "-1 is not between 1 and 9", "write a whole number from 1 to 9"),
        (COUNT, "99999999999999999999", "99999999999999999999 is not between 1 and 9", "write a whole number from 1 to 9"),
        (Shape::Switch, "\"yes\"", "is a text, not true or false", "write true or false, without quotes"),
        (CHOICE, "\"c\"", "\"c\" is not one of \"a\" or \"b\"", "write \"a\" or \"b\""),
        (CHOICE, "true", "is a boolean, not one of the words it may be", "write \"a\" or \"b\""),
        (TIME, "5", "5 has no unit", "write a whole number and one of ms, s, min, h, d, such as \"30s\""),
        (TIME, "\"1ms\"", "\"1ms\" is less than 1s", "write a value from \"1s\" to \"1min\""),
        (TIME, "\"2min\"", "\"2min\" is more than 1min", "write a value from \"1s\" to \"1min\""),
        (SIZE, "\"1mb\"", "\"1mb\" is not a size: it has the unknown unit `mb`", "write \"1MiB\" if that is meant, or a whole number and one of B, KiB, MiB, GiB, TiB"),
        (SIZE, "{ a = 1 }", "is a table, not a size", "write a whole number and one of B, KiB, MiB, GiB, TiB, such as \"8MiB\""),
        (LIST, "\"*.md\"", "is a text, not a list", "write a list of texts, such as [\"a\", \"b\"]"),
        (LIST, "[\"*.md\", 5]", "holds an integer, not only texts", "write each item in quotes"),
    ];

    #[test]
    fn a_value_of_another_type_is_told_with_what_to_write() {
        for (shape, value, what, remedy) in MISTAKES {
            let value = DeValue::parse(value).expect("it is TOML");
            let wrong = shape.take(value.get_ref(), value.span()).expect_err(what);
            assert_eq!(wrong.len(), 1);
            assert_eq!(wrong[0].1, Reason::new(*what, *remedy));
        }
    }

    #[test]
    fn every_bad_item_of_a_list_is_told_where_it_stands() {
        let text = "[\"a\", \"\", \"b\", 5]";
        let value = DeValue::parse(text).expect("it is TOML");
        let wrong = Shape::List(&Shape::Text(glob))
            .take(value.get_ref(), value.span())
            .expect_err("two are bad");
        let told: Vec<&str> = wrong.iter().map(|(span, _)| &text[span.clone()]).collect();
        assert_eq!(told, ["\"\"", "5"]);
    }

    #[test]
    fn takes_what_fits() {
        let take = |shape: Shape, text: &str| {
            let value = DeValue::parse(text).expect("it is TOML");
            shape.take(value.get_ref(), value.span()).expect("it fits")
        };
        assert_eq!(take(Shape::Count(0, 100), "0x1_f"), Value::Integer(31));
        assert_eq!(take(Shape::Switch, "true"), Value::Boolean(true));
        assert_eq!(
            take(Shape::Time(0, 9_000), "\"9s\""),
            Value::String("9s".into())
        );
        assert_eq!(
            take(Shape::List(&Shape::Text(glob)), "[]"),
            Value::Array(Vec::new())
        );
    }
}
