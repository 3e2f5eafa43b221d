//! What the lists share: the rows of a page, where the list goes on, and how far was read.

use super::show;
use crate::event::Millis;
use crate::http::wire::Problem;

/// The rows of a page of a list; `older.html` shows what is beside them.
#[derive(Debug)]
pub(super) struct Listed<R> {
    pub(super) rows: Vec<R>,
    /// The page with the rows behind these.
    pub(super) next: Option<String>,
    /// How far was read, in a sentence, where that did not fill the page.
    pub(super) read_to: Option<String>,
}

impl<R> Default for Listed<R> {
    fn default() -> Self {
        Listed {
            rows: Vec::new(),
            next: None,
            read_to: None,
        }
    }
}

impl<R> Listed<R> {
    /// What is listed, and why that is nothing.
    pub(super) fn split(found: Result<Self, Problem>) -> (Self, Option<Problem>) {
        match found {
            Ok(list) => (list, None),
            Err(problem) => (Listed::default(), Some(problem)),
        }
    }
}

/// That a search in the past has reached this moment.
pub(super) fn read_back_to(time: Millis) -> String {
    format!("Searched back to {} UTC.", show::clock(time.to_string()))
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::*;
    use crate::http::wire::ProblemKind;

    #[derive(Template)]
    #[template(path = "older.html")]
    struct OlderPart {
        list: Listed<u32>,
    }

    fn older(next: Option<&str>, read_to: Option<&str>) -> String {
        let list = Listed {
            rows: vec![1],
            next: next.map(str::to_owned),
            read_to: read_to.map(str::to_owned),
        };
        OlderPart { list }.render().unwrap()
    }

    #[test]
    fn a_list_goes_on_or_ends_and_a_page_that_is_not_full_says_how_far_was_read() {
        assert_eq!(older(None, None).trim(), "");
        let full = older(Some("/events?before=7&type=a"), None);
        assert!(
            full.contains("href=\"/events?before=7&#38;type=a\">Next</a>"),
            "{full}"
        );
        assert!(!full.contains("Search"), "{full}");
        let part = older(Some("/events?before=7"), Some("Searched back to <then>."));
        assert!(part.contains("Searched back to &#60;then&#62;."), "{part}");
        assert!(part.contains(">Search further</a>"), "{part}");
    }

    #[test]
    fn with_a_problem_nothing_is_listed() {
        let problem = Problem::new(ProblemKind::BadRequest, "no");
        let (list, told) = Listed::<u32>::split(Err(problem.clone()));
        assert!(list.rows.is_empty() && list.next.is_none());
        assert_eq!(told, Some(problem));
        assert_eq!(
            read_back_to(Millis(0)),
            "Searched back to 1970-01-01 00:00:00 UTC."
        );
    }
}
