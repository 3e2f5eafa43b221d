//! The data of an event: a JSON object that is kept as it was written.
//!
//! A number is never read into a float and written again: its text is what stands in the ledger, the audit log and every
//! answer. Agents read the object as a [`Value`].

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

/// How deep objects and arrays may be nested.
const DEPTH_MAX: usize = 128;

/// The data of an event.
#[derive(Clone)]
pub struct Data {
    /// The object as it was written, without white space between its parts.
    text: String,
    /// What agents read of it. A number that no float can hold is its text here.
    view: Value,
}

/// Why a text is not the data of an event.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum DataError {
    /// It is no JSON.
    #[error("the data is not JSON: {0}")]
    Malformed(String),
    /// It is JSON of another kind.
    #[error("the data is not a JSON object; write for example {{}}")]
    NotAnObject,
    /// One object has a key twice: readers would disagree about its value.
    #[error("the data has the key `{0}` twice in one object; write each key once")]
    Twice(String),
    /// It is nested too deep.
    #[error("the data is nested deeper than {DEPTH_MAX} levels; write it flatter")]
    TooDeep,
}

impl Data {
    /// An object without a key.
    pub fn empty() -> Self {
        Value::Object(serde_json::Map::new()).into()
    }

    /// Reads the text of a JSON object.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(malformed)?;
        let view = view(raw, 0)?;
        if !view.is_object() {
            return Err(DataError::NotAnObject);
        }
        let text = compact(raw.get());
        Ok(Data { text, view })
    }

    /// The object as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// For data that docent makes itself.
impl From<Value> for Data {
    fn from(view: Value) -> Self {
        let text = view.to_string();
        Data { text, view }
    }
}

impl Deref for Data {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.view
    }
}

/// The same content: keys in any order, strings as they read, numbers as they were written.
impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        let raw = |text| serde_json::from_str::<&RawValue>(text);
        self.text == other.text
            || matches!((raw(&self.text), raw(&other.text)), (Ok(a), Ok(b)) if same(a, b))
    }
}

impl PartialEq<Value> for Data {
    fn eq(&self, other: &Value) -> bool {
        self.view == *other
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.text.clone())
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Data::parse(raw.get()).map_err(D::Error::custom)
    }
}

/// The members of an object in their order, repeated keys too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn malformed(error: serde_json::Error) -> DataError {
    DataError::Malformed(error.to_string())
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, DataError> {
    serde_json::from_str(raw.get()).map_err(malformed)
}

/// What agents read of `raw`, which is nested in `depth` others.
fn view(raw: &RawValue, depth: usize) -> Result<Value, DataError> {
    match raw.get().as_bytes().first() {
        Some(b'{' | b'[') if depth == DEPTH_MAX => Err(DataError::TooDeep),
        Some(b'{') => {
            let mut object = serde_json::Map::new();
            for (key, member) in read::<Members<'_>>(raw)?.0 {
                let member = view(member, depth + 1)?;
                if object.insert(key.clone(), member).is_some() {
                    return Err(DataError::Twice(key));
                }
            }
            Ok(Value::Object(object))
        }
        Some(b'[') => {
            let elements = read::<Vec<&RawValue>>(raw)?.into_iter();
            let elements: Result<Vec<_>, _> = elements.map(|e| view(e, depth + 1)).collect();
            Ok(Value::Array(elements?))
        }
        Some(b'-' | b'0'..=b'9') => {
            let number = serde_json::from_str(raw.get());
            Ok(number.unwrap_or_else(|_| Value::String(raw.get().to_owned())))
        }
        _ => read(raw),
    }
}

fn same(a: &RawValue, b: &RawValue) -> bool {
    let first = |raw: &RawValue| raw.get().as_bytes().first().copied();
    match (first(a), first(b)) {
        (Some(b'{'), Some(b'{')) => match (read::<Members<'_>>(a), read::<Members<'_>>(b)) {
            (Ok(a), Ok(b)) => {
                let found: HashMap<&str, &RawValue> =
                    b.0.iter()
                        .map(|(key, member)| (key.as_str(), *member))
                        .collect();
                let equal = |(key, member): &(String, &RawValue)| {
                    found
                        .get(key.as_str())
                        .is_some_and(|other| same(member, other))
                };
                a.0.len() == b.0.len() && a.0.iter().all(equal)
            }
            _ => false,
        },
        (Some(b'['), Some(b'[')) => match (read::<Vec<&RawValue>>(a), read::<Vec<&RawValue>>(b)) {
            (Ok(a), Ok(b)) => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a, b)),
            _ => false,
        },
        (Some(b'"'), Some(b'"')) => {
            matches!((read::<String>(a), read::<String>(b)), (Ok(a), Ok(b)) if a == b)
        }
        _ => a.get() == b.get(),
    }
}

/// JSON without the white space between its parts.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |c: &char| {
        let keep = quoted || !c.is_ascii_whitespace();
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        keep
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Numbers that a float does not hold, or that would be written otherwise.
    const NUMBERS: &str = r#"[12345678901234567890123,-0,-0.0,1.0,1,1e5,1E+05,1e400,0.1000000000000000055511151231257827,18446744073709551616]"#;

    #[test]
    fn an_object_is_kept_as_it_was_written_but_for_white_space() {
        let text =
            format!("\t{{ \"n\" : {NUMBERS} ,\n \"a \\\" b\": [ {{}} , \"\\u00e9 \\\\\" ] }} ");
        let data = Data::parse(&text).unwrap();
        let kept = format!(r#"{{"n":{NUMBERS},"a \" b":[{{}},"\u00e9 \\"]}}"#);
        assert_eq!(data.text(), kept);
        assert_eq!(serde_json::to_string(&data).unwrap(), kept);
        assert_eq!(Data::parse(&kept).unwrap(), data);
        let read: Data = serde_json::from_str(&kept).unwrap();
        assert_eq!(read.to_string(), kept);
        assert_eq!(data["a \" b"], json!([{}, "é \\"]));
        assert_eq!(data["n"][4], 1);
        assert_eq!(data["n"][7], "1e400");
    }

    #[test]
    fn numbers_are_the_same_as_they_were_written_and_the_rest_as_it_reads() {
        let data = |text: &str| Data::parse(text).unwrap();
        assert_eq!(
            data(r#"{"a":1,"b":["é"]}"#),
            data(r#"{"b":["\u00e9"],"a":1}"#)
        );
        for (one, other) in [
            (
                r#"{"n":12345678901234567890123}"#,
                r#"{"n":12345678901234567890124}"#,
            ),
            (r#"{"n":9007199254740992}"#, r#"{"n":9007199254740993}"#),
            (r#"{"n":1}"#, r#"{"n":1.0}"#),
            (r#"{"n":[0.1]}"#, r#"{"n":[0.10000000000000000001]}"#),
            (r#"{"n":{"m":0}}"#, r#"{"n":{"m":-0}}"#),
            (r#"{"n":"1"}"#, r#"{"n":1}"#),
            (r#"{"n":[1]}"#, r#"{"n":[1,1]}"#),
            (r#"{"n":1}"#, r#"{"n":1,"m":1}"#),
        ] {
            assert_ne!(data(one), data(other), "{one} {other}");
        }
    }

    #[test]
    fn names_that_the_library_gives_a_meaning_to_are_ordinary_keys() {
        for name in [
            "$serde_json::private::Number",
            "$serde_json::private::RawValue",
        ] {
            let text = format!(r#"{{"x":{{"{name}":"7"}}}}"#);
            let data = Data::parse(&text).unwrap();
            assert_eq!(data.text(), text);
            assert_eq!(data["x"][name], "7");
            let read: Data = serde_json::from_str(&text).unwrap();
            assert_eq!(read.text(), text);
        }
    }

    #[test]
    fn what_is_no_data_says_why() {
        let why = |text: &str| Data::parse(text).unwrap_err();
        assert!(matches!(why("{"), DataError::Malformed(_)));
        assert!(matches!(why(r#"{"a":"\ud800"}"#), DataError::Malformed(_)));
        assert_eq!(why("[]"), DataError::NotAnObject);
        assert_eq!(why("7"), DataError::NotAnObject);
        assert_eq!(
            why(r#"{"a":{"b":1,"\u0062":2}}"#),
            DataError::Twice("b".to_owned())
        );
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Data::parse(&nested(DEPTH_MAX - 1)).is_ok());
        assert_eq!(why(&nested(DEPTH_MAX)), DataError::TooDeep);
        assert_eq!(why(&nested(30_000)), DataError::TooDeep);
    }
}
