//! The shape of one value: its type, its unit, its range, and a check of its text.

use super::check::quote;
use super::problem::Wrong;
use super::units::{self, UnitError};
use std::ops::Range;
use std::time::Duration;
use toml::Value;
use toml::de::DeValue;

/// Says whether a text will do.
pub(crate) type TextCheck = fn(&str) -> Result<(), Wrong>;

/// What a value must look like. Bounds are inclusive.
pub(crate) enum Shape {
    /// A text that passes a check.
    Text(TextCheck),
    /// A whole number in a range.
    Count(i64, i64),
    /// `true` or `false`.
    Switch,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A duration with a unit, in a range.
    Time(Duration, Duration),
    /// A size in bytes with a unit, in a range.
    Size(u64, u64),
    /// A list of texts each of which passes a check.
    List(TextCheck),
}

/// What is wrong with a value, and which bytes of its source it is about.
pub(crate) type Misfit = (Range<usize>, Wrong);

impl Shape {
    /// Takes a value over, or says everything that is wrong with it.
    pub(crate) fn take(
        &self,
        value: &DeValue<'_>,
        span: Range<usize>,
    ) -> Result<Value, Vec<Misfit>> {
        if let Self::List(check) = self {
            return take_list(*check, value, span);
        }
        let taken = match (self, value) {
            (Self::Switch, DeValue::Boolean(on)) => Ok(Value::Boolean(*on)),
            (Self::Count(min, max), DeValue::Integer(number)) => {
                // Only a number that no `i64` holds fails here, so it is out of any range.
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) if (*min..=*max).contains(&number) => Ok(Value::Integer(number)),
                    _ => Err(Wrong::new(
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
        taken.map_err(|wrong| vec![(span, wrong)])
    }

    /// Whether a value is written as a text in TOML, so that a variable may leave the quotes out.
    pub(crate) fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Text(_) | Self::Choice(_) | Self::Time(..) | Self::Size(..)
        )
    }

    /// Says whether a text will do, where a text can do at all.
    pub(crate) fn check_text(&self, text: &str) -> Result<(), Wrong> {
        match self {
            Self::Text(check) => check(text),
            Self::Choice(names) if names.contains(&text) => Ok(()),
            Self::Choice(names) => Err(Wrong::new(
                format!("{} is not one of {}", quote(text), words(names)),
                format!("write {}", words(names)),
            )),
            Self::Time(min, max) => {
                let duration =
                    units::parse_duration(text).map_err(|error| unit_wrong(text, &error, TIME))?;
                in_range(text, &duration, (min, max), |d| units::format_duration(*d))
            }
            Self::Size(min, max) => {
                let size =
                    units::parse_size(text).map_err(|error| unit_wrong(text, &error, SIZE))?;
                in_range(text, &size, (min, max), |bytes| units::format_size(*bytes))
            }
            Self::Switch | Self::Count(..) | Self::List(_) => {
                Err(self.wrong_type(&DeValue::String(text.into())))
            }
        }
    }

    fn wrong_type(&self, value: &DeValue<'_>) -> Wrong {
        let what = match (self, value) {
            (Self::Time(..) | Self::Size(..), DeValue::Integer(number)) => {
                format!("{number} has no unit")
            }
            _ => format!("is {}, not {}", with_article(value.type_str()), self.name()),
        };
        let remedy = match self {
            Self::Text(_) => "write a text in quotes".to_owned(),
            Self::Count(min, max) => {
                format!("write a whole number from {min} to {max}, without quotes")
            }
            Self::Switch => "write true or false, without quotes".to_owned(),
            Self::Choice(names) => format!("write {}", words(names)),
            Self::Time(min, _) => format!("write {}, such as {}", TIME.remedy, example(min)),
            Self::Size(..) => format!("write {}, such as \"8MiB\"", SIZE.remedy),
            Self::List(_) => "write a list of texts, such as [\"a\", \"b\"]".to_owned(),
        };
        Wrong::new(what, remedy)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Count(..) => "a whole number",
            Self::Switch => "true or false",
            Self::Choice(_) => "one of the words it may be",
            Self::Time(..) => "a duration",
            Self::Size(..) => "a size",
            Self::List(_) => "a list",
        }
    }
}

/// A duration that is likely for a key whose smallest one is `min`.
fn example(min: &Duration) -> &'static str {
    if *min < Duration::from_secs(1) {
        "\"500ms\""
    } else if *min < Duration::from_secs(3_600) {
        "\"30s\""
    } else {
        "\"30d\""
    }
}

fn take_list(
    check: TextCheck,
    value: &DeValue<'_>,
    span: Range<usize>,
) -> Result<Value, Vec<Misfit>> {
    let DeValue::Array(items) = value else {
        return Err(vec![(span, Shape::List(check).wrong_type(value))]);
    };
    let mut taken = Vec::new();
    let mut misfits = Vec::new();
    for item in items {
        let fits = match item.get_ref() {
            DeValue::String(text) => check(text).map(|()| text.clone().into_owned()),
            other => Err(Wrong::new(
                format!("holds {}, not only texts", with_article(other.type_str())),
                "write each item in quotes",
            )),
        };
        match fits {
            Ok(text) => taken.push(Value::String(text)),
            Err(wrong) => misfits.push((item.span(), wrong)),
        }
    }
    if misfits.is_empty() {
        Ok(Value::Array(taken))
    } else {
        Err(misfits)
    }
}

struct UnitWords {
    noun: &'static str,
    remedy: &'static str,
}

const TIME: UnitWords = UnitWords {
    noun: "a duration",
    remedy: "a whole number and one of ms, s, min, h, d",
};

const SIZE: UnitWords = UnitWords {
    noun: "a size",
    remedy: "a whole number and one of B, KiB, MiB, GiB, TiB",
};

fn unit_wrong(text: &str, error: &UnitError, words: UnitWords) -> Wrong {
    let meant = match error {
        UnitError::UnknownUnit(unit) => units::meant_unit(unit)
            .and_then(|meant| {
                text.strip_suffix(unit.as_str())
                    .map(|n| format!("{n}{meant}"))
            })
            .filter(|meant| match words.noun {
                "a size" => units::parse_size(meant).is_ok(),
                _ => units::parse_duration(meant).is_ok(),
            }),
        _ => None,
    };
    Wrong::new(
        format!("{} is not {}: it {error}", quote(text), words.noun),
        match meant {
            Some(meant) => format!("write \"{meant}\" if that is meant, or {}", words.remedy),
            None => format!("write {}", words.remedy),
        },
    )
}

fn in_range<T: PartialOrd>(
    text: &str,
    value: &T,
    (min, max): (&T, &T),
    show: impl Fn(&T) -> String,
) -> Result<(), Wrong> {
    let (min_text, max_text) = (show(min), show(max));
    let side = if value < min {
        format!("less than {min_text}")
    } else if value > max {
        format!("more than {max_text}")
    } else {
        return Ok(());
    };
    Err(Wrong::new(
        format!("{} is {side}", quote(text)),
        format!("write a value from \"{min_text}\" to \"{max_text}\""),
    ))
}

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
    const TIME: Shape = Shape::Time(Duration::from_secs(1), Duration::from_secs(60));
    const SIZE: Shape = Shape::Size(10, 1 << 20);
    const LIST: Shape = Shape::List(glob);

    /// A shape, a value that does not have it, what is said of it, and what to write.
    const MISFITS: &[(Shape, &str, &str, &str)] = &[
        (
            TEXT,
            "5",
            "is an integer, not a text",
            "write a text in quotes",
        ),
        (
            COUNT,
            "\"5\"",
            "is a text, not a whole number",
            "write a whole number from 1 to 9, without quotes",
        ),
        (
            COUNT,
            "1.5",
            "is a float, not a whole number",
            "write a whole number from 1 to 9, without quotes",
        ),
        (
            COUNT,
            "10",
            "10 is not between 1 and 9",
            "write a whole number from 1 to 9",
        ),
        (
            COUNT,
            "-1",
            "-1 is not between 1 and 9",
            "write a whole number from 1 to 9",
        ),
        (
            COUNT,
            "99999999999999999999",
            "99999999999999999999 is not between 1 and 9",
            "write a whole number from 1 to 9",
        ),
        (
            Shape::Switch,
            "\"yes\"",
            "is a text, not true or false",
            "write true or false, without quotes",
        ),
        (
            CHOICE,
            "\"c\"",
            "\"c\" is not one of \"a\" or \"b\"",
            "write \"a\" or \"b\"",
        ),
        (
            CHOICE,
            "true",
            "is a boolean, not one of the words it may be",
            "write \"a\" or \"b\"",
        ),
        (
            TIME,
            "5",
            "5 has no unit",
            "write a whole number and one of ms, s, min, h, d, such as \"30s\"",
        ),
        (
            TIME,
            "\"1ms\"",
            "\"1ms\" is less than 1s",
            "write a value from \"1s\" to \"1min\"",
        ),
        (
            TIME,
            "\"2min\"",
            "\"2min\" is more than 1min",
            "write a value from \"1s\" to \"1min\"",
        ),
        (
            SIZE,
            "\"1mb\"",
            "\"1mb\" is not a size: it has the unknown unit `mb`",
            "write \"1MiB\" if that is meant, or a whole number and one of B, KiB, MiB, GiB, TiB",
        ),
        (
            SIZE,
            "{ a = 1 }",
            "is a table, not a size",
            "write a whole number and one of B, KiB, MiB, GiB, TiB, such as \"8MiB\"",
        ),
        (
            LIST,
            "\"*.md\"",
            "is a text, not a list",
            "write a list of texts, such as [\"a\", \"b\"]",
        ),
        (
            LIST,
            "[\"*.md\", 5]",
            "holds an integer, not only texts",
            "write each item in quotes",
        ),
    ];

    #[test]
    fn a_value_of_another_type_is_told_with_what_to_write() {
        for (shape, value, what, remedy) in MISFITS {
            let value = DeValue::parse(value).expect("it is TOML");
            let misfits = shape.take(value.get_ref(), value.span()).expect_err(what);
            assert_eq!(misfits.len(), 1);
            assert_eq!(misfits[0].1, Wrong::new(*what, *remedy));
        }
    }

    #[test]
    fn every_bad_item_of_a_list_is_told_where_it_stands() {
        let text = "[\"a\", \"\", \"b\", 5]";
        let value = DeValue::parse(text).expect("it is TOML");
        let misfits = Shape::List(glob)
            .take(value.get_ref(), value.span())
            .expect_err("two are bad");
        let told: Vec<&str> = misfits
            .iter()
            .map(|(span, _)| &text[span.clone()])
            .collect();
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
            take(
                Shape::Time(Duration::ZERO, Duration::from_secs(9)),
                "\"9s\""
            ),
            Value::String("9s".into())
        );
        assert_eq!(take(Shape::List(glob), "[]"), Value::Array(Vec::new()));
    }
}
