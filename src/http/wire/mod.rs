//! What goes over the control socket, as types that the server and the command line share.
//!
//! Other programs read these shapes: fields may be added, never renamed. Times are RFC 3339 in UTC; a path is text as in
//! an event's subject (bytes that are not UTF-8 as `\xNN`, a backslash as `\x5C`). A state is a word of a closed set, which may
//! grow: [`Heard`].

mod alerts;
mod dashboard;
mod documents;
mod events;
mod health;
mod heard;
mod overview;
mod problem;
mod report;
mod status;
mod text;
mod token;
mod words;

pub(crate) use crate::event::codec::{Envelope, Submission};
pub(crate) use crate::runtime::AgentState;
pub(crate) use crate::store::{
    DeliveryState, Detector, DocumentState, ListedState, Severity, TokenRole,
};
pub(crate) use alerts::{AlertsView, FailingReceiver, RaisedAlert};
pub(crate) use dashboard::{LoginMade, NewLogin};
pub(crate) use documents::{
    BoostView, Corrected, DocumentView, Explain, History, OtherPlace, Version,
};
pub use documents::{Hit, SearchAnswer};
pub(crate) use events::{
    AuditHead, AuditRecord, AuditVerdict, Dead, DeadList, DeadView, Delivery, Dropped, EventView,
    PublishedId, PublishedLine, Replayed, Restarted, last_error,
};
pub(crate) use health::{HealthIssue, HealthList, JobList, JobRun, JobView, RunState};
pub(crate) use heard::Heard;
pub(crate) use overview::{
    AgentOverview, CollectionOverview, DeadGroup, DeadOverview, FigureHistory, FixOverview,
    FreshnessOverview, IssueOverview, Measured, Overview, OverviewMessage, OwedDelivery,
    RedisOverview, RejectionReason, Stage, StageName, StreamOverview, Summary, Trend,
};
pub(crate) use problem::{Problem, ProblemKind};
pub(crate) use report::{ReportAnswer, ReportList, ReportName};
pub(crate) use status::{
    Absent, AgentList, AgentView, BusView, Check, CollectionView, Condition, FreeSpace, Freshness,
    HostView, IndexView, IssueText, NamedAgent, Readiness, ScanAnswer, ScanView, ScannedCollection,
    Status, Unavailable, WaitAnswer,
};
pub(crate) use text::{
    Citation, CiteAnswer, CiteItem, CiteRequest, CiteVerdict, LeftOff, Nearest, ReadAnswer, range,
};
pub(crate) use token::{NewToken, Revoked, TokenList, TokenMade, TokenView};
pub(crate) use words::{agent_name, event_type};

/// The header of every answer that names the daemon's `data_dir`, percent-encoded.
pub(crate) const DATA_DIR_HEADER: &str = "docent-data-dir";
