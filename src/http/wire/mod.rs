//! What goes over the control socket, as types that the server and the command line share.
//!
//! Other programs read these shapes: fields may be added, never renamed. Times are RFC 3339 in UTC; a path is text as in
//! an event's subject (bytes that are not UTF-8 as `\xNN`, a backslash as `\x5C`).

mod documents;
mod events;
mod health;
mod problem;
mod status;
mod text;

pub use crate::event::codec::{Envelope, Submission};
pub use documents::{
    Boost, Corrected, Document, Explain, History, Hit, Place, SearchAnswer, Version,
};
pub use events::{
    AuditVerdict, Dead, DeadList, DeadView, Delivery, Dropped, EventView, Published, PublishedLine,
    Replayed, Restarted,
};
pub use health::{HealthIssue, HealthList, Job, JobList, JobRun};
pub use problem::{Problem, ProblemKind};
pub use status::{
    Absent, AgentList, AgentView, BusView, Check, CollectionView, Condition, FreeSpace, Freshness,
    IndexView, NamedAgent, Readiness, ScanAnswer, ScanView, ScannedCollection, Status, Unavailable,
    WaitAnswer, Wrong,
};
pub use text::{
    Citation, CiteAnswer, CiteItem, CiteRequest, CiteVerdict, LeftOff, Nearest, ReadAnswer,
};
