//! The form of the table of keys: [`tables!`] makes a struct of each table of the config, and the list of its keys.

use super::limit::Limit;
use super::shape::Shape;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Value;

/// A key of the config.
pub(crate) struct Key {
    /// Its name in its table.
    pub(crate) name: &'static str,
    /// What it does and when to change it, for operators: lines that begin with a space.
    pub(crate) text: &'static [&'static str],
    pub(crate) node: Node,
}

/// What stands under a key.
pub(crate) enum Node {
    /// One value; without a default it must be written.
    Value {
        shape: Shape,
        /// As it is written in TOML.
        default: Option<&'static str>,
    },
    /// A table, or a list of tables.
    Table {
        keys: &'static [Key],
        list: bool,
        /// Defaults of this table alone; those of a list are an example.
        defaults: &'static [(&'static str, &'static str)],
    },
}

impl Key {
    /// What it does, on one line.
    pub(crate) fn sentence(&self) -> String {
        self.text.concat().trim().to_owned()
    }
}

/// What can be read of a value that has the shape of its key.
pub(crate) trait Setting: Sized {
    /// None: the type in the table of keys does not fit the shape there, which a test finds.
    fn read(value: &Value) -> Option<Self>;
}

/// A struct made by [`tables!`], or a list of them.
pub(crate) trait Keys {
    const KEYS: &'static [Key];
    const LIST: bool = false;
}

impl<T: Keys> Keys for Vec<T> {
    const KEYS: &'static [Key] = T::KEYS;
    const LIST: bool = true;
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::read).collect()
    }
}

impl Setting for String {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Setting for PathBuf {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(PathBuf::from)
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Setting for u32 {
    fn read(value: &Value) -> Option<Self> {
        value.as_integer()?.try_into().ok()
    }
}

impl Setting for usize {
    fn read(value: &Value) -> Option<Self> {
        value.as_integer()?.try_into().ok()
    }
}

/// A count, or the bytes of a size.
impl Setting for u64 {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => super::units::parse_size(text).ok(),
            _ => value.as_integer()?.try_into().ok(),
        }
    }
}

impl Setting for Duration {
    fn read(value: &Value) -> Option<Self> {
        super::units::parse_duration(value.as_str()?).ok()
    }
}

/// The empty text is none.
impl Setting for Option<SocketAddr> {
    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        }
    }
}

/// The empty text is none.
impl Setting for Option<Limit> {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if text.is_empty() => Some(None),
            Value::String(text) => Limit::parse(text).ok().map(Some),
            // A count is small enough to be exact.
            Value::Integer(number) => Some(Some(Limit::Number(*number as f64))),
            Value::Float(number) => Some(Some(Limit::Number(*number))),
            _ => None,
        }
    }
}

/// Makes a plain struct of each table, its keys, and what reads it.
///
/// A row is `name: type = default, shape;`, the default as TOML has it. A row without a default must be written. A row without
/// a shape is a table, or a list of tables if its type is a `Vec`: `{ name = default }` behind the type holds for it alone, and
/// `as "name"` is what it is called in a file. `+ { … }` behind a table has a
/// field that no file sets.
macro_rules! tables {
    ($(
        $(#[doc = $about:literal])*
        $table:ident {
            $(
                $(#[doc = $line:literal])*
                $(#[cfg($cfg:meta)])?
                $field:ident $(as $alias:literal)?: $type:ty $({ $($own:ident = $own_default:tt),* })?
                    $(= $default:tt)? $(, $shape:expr)?;
            )*
        } $(+ {
            $(#[doc = $extra_line:literal])*
            $extra:ident: $extra_type:ty
        })?
    )*) => { $(
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $table {
            $(
                $(#[doc = $line])*
                $(#[cfg($cfg)])?
                pub $field: $type,
            )*
            $($(#[doc = $extra_line])* pub $extra: $extra_type,)?
        }

        impl Keys for $table {
            const KEYS: &'static [Key] = &[$(
                $(#[cfg($cfg)])?
                Key {
                    name: tables!(@name $field $($alias)?),
                    text: &[$($line),*],
                    node: tables!(@node $type; [$($((stringify!($own), stringify!($own_default))),*)?];
                        $(stringify!($default))?; $($shape)?),
                },
            )*];
        }

        impl Setting for $table {
            fn read(value: &toml::Value) -> Option<Self> {
                Some(Self {
                    $(
                        $(#[cfg($cfg)])?
                        $field: Setting::read(value.get(tables!(@name $field $($alias)?))?)?,
                    )*
                    $($extra: Default::default(),)?
                })
            }
        }
    )* };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $alias:literal) => { $alias };
    (@node $type:ty; $own:tt; ; ) => {
        Node::Table { keys: <$type as Keys>::KEYS, list: <$type as Keys>::LIST, defaults: &$own }
    };
    (@node $type:ty; $own:tt; ; $shape:expr) => { Node::Value { shape: $shape, default: None } };
    (@node $type:ty; $own:tt; $default:expr; $shape:expr) => {
        Node::Value { shape: $shape, default: Some($default) }
    };
}
pub(crate) use tables;
