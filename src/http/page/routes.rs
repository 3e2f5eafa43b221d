//! Pages, each with what it needs of whoever asks for it: there is no other way to register one. They are for people, so the
//! description of the API says nothing of them.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::routing::{MethodRouter, get, post};

use super::super::State;
use super::super::access::{Need, guarded};
use super::super::openapi::Registered;

/// Pages that are being put together.
#[derive(Default)]
pub(in crate::http) struct PageRoutes {
    router: Router<State>,
    list: Vec<Registered>,
}

impl PageRoutes {
    /// With one more that is read.
    pub(super) fn get<H, T>(self, need: Need, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        self.add(Registered::new(Method::GET, need, path), get(handler))
    }

    /// With one more that something is sent to.
    pub(super) fn post<H, T>(self, need: Need, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        self.add(Registered::new(Method::POST, need, path), post(handler))
    }

    fn add(mut self, page: Registered, served: MethodRouter<State>) -> Self {
        let need = page.need;
        let guard = from_fn(move |request: Request, next: Next| guarded(need, request, next));
        self.router = self.router.route(page.path, served.route_layer(guard));
        self.list.push(page);
        self
    }

    /// What serves them, and what they are.
    pub(in crate::http) fn finished(self) -> (Router<State>, Vec<Registered>) {
        (self.router, self.list)
    }
}
