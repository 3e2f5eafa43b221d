//! Pages, each with what it needs of whoever asks for it: there is no other way to register one. They are for people, so the
//! description of the API says nothing of them.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
#[cfg(test)]
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};

use super::super::State;
use super::super::access::{Need, admitted};
#[cfg(test)]
use super::super::openapi::Registered;

/// Pages that are being put together.
#[derive(Default)]
pub(in crate::http) struct PageRoutes {
    router: Router<State>,
    #[cfg(test)]
    list: Vec<Registered>,
}

impl PageRoutes {
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
        self.list.push(Registered::new(method, need, path));
        self
    }

    pub(in crate::http) fn router(self) -> Router<State> {
        self.router
    }

    #[cfg(test)]
    pub(in crate::http) fn list(&self) -> &[Registered] {
        &self.list
    }
}
