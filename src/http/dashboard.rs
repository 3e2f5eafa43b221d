//! Logins to the dashboard: asked for on the control socket alone.

use std::net::SocketAddr;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::json;

use super::State;
use super::access::{Caller, LOGIN, SessionOwner};
use super::acted::acted;
use super::lines::Json;
use super::openapi::About;
use super::params::Sent;
use super::problem::stopping;
use super::read::internal;
use super::wire::{LoginMade, NewLogin, Problem, ProblemKind};
use crate::event::{Millis, Subject};

/// Where the dashboard is served.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// What the listener is bound to.
    pub address: SocketAddr,
    pub tls: bool,
    /// The address that clients know it by, or empty.
    pub public_url: String,
}

impl Served {
    /// The beginning of the address that a browser is to open.
    fn origin(&self) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.trim_end_matches('/').to_owned();
        }
        let scheme = if self.tls { "https" } else { "http" };
        // An address that stands for all of them leads nowhere.
        match self.address.ip().is_unspecified() {
            true => format!("{scheme}://localhost:{}", self.address.port()),
            false => format!("{scheme}://{}", self.address),
        }
    }
}

pub(super) const LOGIN_OFFERED: About =
    About::new("Create a login to the dashboard").or(&[ProblemKind::NotFound]);

/// `POST /api/v1/dashboard/logins`: the address that logs a browser in, once, within a minute.
pub(super) async fn login(
    Shared(state): Shared<State>,
    caller: Caller,
    body: Sent<NewLogin>,
) -> Result<(StatusCode, Json<LoginMade>), Problem> {
    let NewLogin { role } = body.parsed("{\"role\"}")?;
    if state.is_draining() {
        return Err(stopping());
    }
    let Some(served) = &state.info.dashboard else {
        let detail = "there is no dashboard: docent does not listen on any address";
        return Err(Problem::new(ProblemKind::NotFound, detail).hint(
            "write listen = \"127.0.0.1:9870\" into [http] of the config, and restart docent",
        ));
    };
    let Some(uid) = caller.uid() else {
        return Err(internal("the kernel does not tell who asks".to_owned()));
    };
    let record = acted(
        &state,
        "dashboard",
        Subject::store(),
        &caller,
        json!({"role": role.as_str()}),
    );
    state.store.publish(record).await?;
    let now = Millis::now();
    let login = state.sessions.offer(SessionOwner { uid, role }, now);
    Ok((
        StatusCode::CREATED,
        Json(LoginMade {
            address: format!("{}/login#{}", served.origin(), login.map_err(internal)?),
            expires_at: now.plus(LOGIN).to_string(),
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_one_that_a_browser_can_open() {
        for (address, tls, public_url, origin) in [
            ("127.0.0.1:9870", false, "", "http://127.0.0.1:9870"),
            ("[::1]:9870", true, "", "https://[::1]:9870"),
            ("0.0.0.0:9870", true, "", "https://localhost:9870"),
            (
                "127.0.0.1:9870",
                false,
                "https://docs.example.org/",
                "https://docs.example.org",
            ),
        ] {
            let served = Served {
                address: address.parse().unwrap(),
                tls,
                public_url: public_url.to_owned(),
            };
            assert_eq!(served.origin(), origin);
        }
    }
}
