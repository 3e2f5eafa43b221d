//! What can be done on the pages. Each act is a path: `GET` asks whether it is to be done, `POST` does it by the API's own
//! handler and says what came of it, to a script at once, else at the top of the next page.

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::super::access::{CSRF_HEADER, Caller, Notice};
use super::super::lines::Json;
use super::super::operate::{self, OfAgent};
use super::super::params::{Named, Params, Sent};
use super::super::wire::{Dropped, Problem, ProblemKind, PublishedId, Replayed, Restarted};
use super::super::{State, publish, restarts};
use super::groups::{GroupVerb, act};
use super::{Html, PageFrame, show};
use crate::amounts::counted;

/// The page that asks.
#[derive(Template)]
#[template(path = "ask.html")]
pub(super) struct AskPage {
    page: PageFrame,
    question: Question,
    /// Where the answer goes: this path.
    path: String,
}

/// What is asked before something is done.
struct Question {
    title: String,
    text: &'static str,
    button: &'static str,
    danger: bool,
    /// Where it leads not to do it.
    back: String,
}

impl Question {
    fn new(title: String, text: &'static str, button: &'static str) -> Self {
        Question {
            title,
            text,
            button,
            danger: false,
            back: "/".to_owned(),
        }
    }

    fn asked(self, page: PageFrame, uri: &Uri) -> Html<AskPage> {
        let path = uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string);
        Html(AskPage {
            page,
            question: self,
            path,
        })
    }
}

pub(super) async fn ask_replay_dead(Named(id): Named, page: PageFrame, uri: Uri) -> Html<AskPage> {
    let title = format!("Replay the dead letter {id}?");
    let text = "It becomes owed again and is handled again.";
    Question::new(title, text, "Replay").asked(page, &uri)
}

/// `POST /acts/dead/{id}/replay`
pub(super) async fn replay_dead(
    state: Shared<State>,
    id: Named,
    agent: Params<OfAgent>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let done = operate::replay_dead(state, id, agent, caller.clone()).await;
    told(&caller, &headers, "/", done.map(replayed))
}

fn replayed(Json(done): Json<Replayed>) -> String {
    let owed = counted(done.replayed, "delivery is", "deliveries are");
    format!("Replayed: {owed} owed again, of the event {}", done.event)
}

pub(super) async fn ask_drop_dead(Named(id): Named, page: PageFrame, uri: Uri) -> Html<AskPage> {
    let title = format!("Drop the dead letter {id}?");
    let text = "It will never be handled. This cannot be undone.";
    let question = Question {
        danger: true,
        ..Question::new(title, text, "Drop")
    };
    question.asked(page, &uri)
}

/// `POST /acts/dead/{id}/drop`
pub(super) async fn drop_dead(
    state: Shared<State>,
    id: Named,
    agent: Params<OfAgent>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let done = operate::drop_dead(state, id, agent, caller.clone()).await;
    let said = done.map(|Json(done): Json<Dropped>| {
        let dropped = counted(done.dropped, "dead letter is", "dead letters are");
        format!("Dropped: {dropped} done with, of the event {}", done.event)
    });
    told(&caller, &headers, "/", said)
}

/// The path of an act on a group of dead letters.
#[derive(Deserialize)]
pub(super) struct OfGroup {
    id: String,
    verb: String,
}

pub(super) async fn ask_group(
    Path(of): Path<OfGroup>,
    page: PageFrame,
    uri: Uri,
) -> Result<Html<AskPage>, Problem> {
    let (title, text, button, danger) = match GroupVerb::parse(&of.verb)? {
        GroupVerb::Replay => (
            "Replay the dead letters of this group?",
            "Each of them becomes owed again and is handled again.",
            "Replay",
            false,
        ),
        GroupVerb::Drop => (
            "Drop the dead letters of this group?",
            "None of them will ever be handled. This cannot be undone.",
            "Drop",
            true,
        ),
    };
    let question = Question {
        danger,
        ..Question::new(title.to_owned(), text, button)
    };
    Ok(question.asked(page, &uri))
}

/// `POST /acts/dead-groups/{id}/{verb}`
pub(super) async fn group(
    Shared(state): Shared<State>,
    Path(of): Path<OfGroup>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let done = match GroupVerb::parse(&of.verb) {
        Ok(verb) => act(&state, &of.id, verb, &caller).await,
        Err(problem) => Err(problem),
    };
    told(&caller, &headers, "/", done)
}

pub(super) async fn ask_replay_event(Named(id): Named, page: PageFrame, uri: Uri) -> Html<AskPage> {
    let title = format!("Replay the event {id}?");
    let text = "Its deliveries that are done or dead become owed again and are handled again.";
    let question = Question {
        back: show::event_link(&id),
        ..Question::new(title, text, "Replay")
    };
    question.asked(page, &uri)
}

/// `POST /acts/events/{id}/replay`
pub(super) async fn replay_event(
    state: Shared<State>,
    Named(id): Named,
    agent: Params<OfAgent>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let back = show::event_link(&id);
    let done = operate::replay_event(state, Named(id), agent, caller.clone()).await;
    told(&caller, &headers, &back, done.map(replayed))
}

pub(super) async fn ask_restart(Named(name): Named, page: PageFrame, uri: Uri) -> Html<AskPage> {
    let title = format!("Restart the agent {name}?");
    let text = "Its work in progress is given back, and handled again after the restart.";
    Question::new(title, text, "Restart").asked(page, &uri)
}

/// `POST /acts/agents/{name}/restart`
pub(super) async fn restart(
    state: Shared<State>,
    name: Named,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let done = restarts::restart(state, name, caller.clone()).await;
    let said = done.map(|Json(done): Json<Restarted>| {
        let on = done.instance.map(|instance| format!(" on {instance}"));
        let on = on.unwrap_or_default();
        format!(
            "{}{on} was asked to restart; it is {}",
            done.agent, done.state
        )
    });
    told(&caller, &headers, "/", said)
}

/// What can be done with a job.
#[derive(Clone, Copy)]
enum JobVerb {
    Run,
    Pause,
    Resume,
}

impl JobVerb {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "run" => Ok(JobVerb::Run),
            "pause" => Ok(JobVerb::Pause),
            "resume" => Ok(JobVerb::Resume),
            _ => {
                let detail = format!("`{text}` is not an act on a job");
                Err(Problem::new(ProblemKind::NotFound, detail))
            }
        }
    }
}

/// The path of an act on a job.
#[derive(Deserialize)]
pub(super) struct OfJob {
    name: String,
    verb: String,
}

pub(super) async fn ask_job(
    Path(of): Path<OfJob>,
    page: PageFrame,
    uri: Uri,
) -> Result<Html<AskPage>, Problem> {
    let name = of.name;
    let (title, text, button) = match JobVerb::parse(&of.verb)? {
        JobVerb::Run => (
            format!("Run the job {name} now?"),
            "It runs at once, even if it is paused; its schedule does not change.",
            "Run",
        ),
        JobVerb::Pause => (
            format!("Pause the job {name}?"),
            "It does not run on its schedule until you resume it.",
            "Pause",
        ),
        JobVerb::Resume => (
            format!("Resume the job {name}?"),
            "It runs on its schedule again.",
            "Resume",
        ),
    };
    Ok(Question::new(title, text, button).asked(page, &uri))
}

/// `POST /acts/jobs/{name}/{verb}`: publishes what `docent jobs` does.
pub(super) async fn job(
    state: Shared<State>,
    Path(of): Path<OfJob>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    let name = of.name;
    let asked = match JobVerb::parse(&of.verb) {
        Ok(verb) => verb,
        Err(problem) => return problem.into_response(),
    };
    let (kind, data, said) = match asked {
        JobVerb::Run => ("job.requested", json!({}), "was asked to run"),
        JobVerb::Pause => ("job.changed", json!({"paused": true}), "is paused"),
        JobVerb::Resume => (
            "job.changed",
            json!({"paused": false}),
            "runs on its schedule again",
        ),
    };
    let event = json!({"type": kind, "subject": format!("job/{name}"), "data": data});
    let body = Sent::of(event.to_string());
    let done = publish::publish(state, caller.clone(), body).await;
    let said = done.map(|answer: (StatusCode, Json<PublishedId>)| {
        let id = answer.1.0.id;
        format!("The job {name} {said} (event {id})")
    });
    told(&caller, &headers, "/", said)
}

/// Says what came of an act. `back`: the page that says it where no script does.
fn told(
    caller: &Caller,
    headers: &HeaderMap,
    back: &str,
    done: Result<String, Problem>,
) -> Response {
    if headers.contains_key(CSRF_HEADER) {
        return match done {
            Ok(said) => Json(json!({"said": said})).into_response(),
            Err(problem) => problem.into_response(),
        };
    }
    let Some(session) = caller.session() else {
        return match done {
            Ok(said) => said.into_response(),
            Err(problem) => problem.into_response(),
        };
    };
    let failed = done.is_err();
    let text = done.unwrap_or_else(|problem| match problem.hint {
        Some(hint) => format!("{}; {hint}", problem.detail),
        None => problem.detail,
    });
    session.note(Notice { text, failed });
    let back = HeaderValue::from_str(back).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, back)]).into_response()
}
