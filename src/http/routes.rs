//! Routes, each with what it needs of whoever uses it: there is no other way to register one.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
#[cfg(test)]
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};

use super::State;
use super::access::{Need, admitted};

/// A route as it was registered.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) method: Method,
    /// Below `/api/v1`.
    pub(super) path: &'static str,
    pub(super) need: Need,
}

/// Routes that are being put together.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<State>,
    #[cfg(test)]
    list: Vec<Registered>,
}

impl Routes {
    /// With one more that is read.
    pub(super) fn get<H, T>(self, need: Need, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        #[cfg(test)]
        let this = self.noted(Method::GET, need, path);
        #[cfg(not(test))]
        let this = self;
        this.add(need, path, get(handler))
    }

    /// With one more that something is sent to.
    pub(super) fn post<H, T>(self, need: Need, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        #[cfg(test)]
        let this = self.noted(Method::POST, need, path);
        #[cfg(not(test))]
        let this = self;
        this.add(need, path, post(handler))
    }

    fn add(mut self, need: Need, path: &'static str, served: MethodRouter<State>) -> Self {
        let guard = from_fn(move |request: Request, next: Next| async move {
            match admitted(need, &request) {
                Ok(()) => next.run(request).await,
                Err(problem) => problem.into_response(),
            }
        });
        self.router = self.router.route(path, served.route_layer(guard));
        self
    }

    #[cfg(test)]
    fn noted(mut self, method: Method, need: Need, path: &'static str) -> Self {
        self.list.push(Registered { method, path, need });
        self
    }

    /// What serves them.
    pub(super) fn router(self) -> Router<State> {
        self.router
    }

    /// What was registered.
    #[cfg(test)]
    pub(super) fn list(&self) -> &[Registered] {
        &self.list
    }
}
