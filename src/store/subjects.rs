//! Conditions on subjects.

use super::sql::ToSql;

/// That a subject is one of some collections, or in one of them.
pub(super) struct InCollections(Option<Vec<String>>);

impl InCollections {
    /// `collections`; `None`: any subject will do.
    pub(super) fn new(collections: Option<&[String]>) -> Self {
        // Of what a name may hold, only this means something in a pattern.
        let patterns = |name: &String| {
            let name = name.replace('_', "\\_");
            [format!("{name}/%"), name]
        };
        InCollections(collections.map(|names| names.iter().flat_map(patterns).collect()))
    }

    /// The condition on `column` in SQL; its values are added to those that a statement is `given`.
    pub(super) fn condition<'a>(&'a self, column: &str, given: &mut Vec<&'a dyn ToSql>) -> String {
        let Some(patterns) = &self.0 else {
            return "TRUE".to_owned();
        };
        let mut conditions = vec!["FALSE".to_owned()];
        for pattern in patterns {
            given.push(pattern);
            conditions.push(format!("{column} LIKE ?{} ESCAPE '\\'", given.len()));
        }
        format!("({})", conditions.join(" OR "))
    }
}
