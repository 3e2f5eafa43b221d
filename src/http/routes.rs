//! Routes, each with what it needs of whoever uses it and what is said of it: there is no other way to register one.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::routing::{MethodRouter, get, post};

use super::State;
use super::access::{Need, guarded};
use super::openapi::{About, Described, Description, Registered};

/// What the document says of a route with this handler.
fn described<H: Described<T>, T>(route: Registered, about: About) -> Description {
    let mut description = Description::new(route, about);
    H::describe(&mut description);
    description
}

/// Routes that are being put together.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<State>,
    list: Vec<Description>,
}

impl Routes {
    /// With one more that is read.
    pub(super) fn get<H, T>(self, need: Need, path: &'static str, about: About, handler: H) -> Self
    where
        H: Handler<T, State> + Described<T>,
        T: 'static,
    {
        let route = Registered::new(Method::GET, need, path);
        self.add(described::<H, T>(route, about), get(handler))
    }

    /// With one more that something is sent to.
    pub(super) fn post<H, T>(self, need: Need, path: &'static str, about: About, handler: H) -> Self
    where
        H: Handler<T, State> + Described<T>,
        T: 'static,
    {
        let route = Registered::new(Method::POST, need, path);
        self.add(described::<H, T>(route, about), post(handler))
    }

    fn add(mut self, description: Description, served: MethodRouter<State>) -> Self {
        let described: Arc<[u16]> = description.statuses().into();
        let Registered { path, need, .. } = *description.route();
        let guard = from_fn(move |request: Request, next: Next| {
            let described = described.clone();
            async move {
                let response = guarded(need, request, next).await;
                let status = response.status().as_u16();
                debug_assert!(
                    described.contains(&status),
                    "{path} answers {status}, which its description does not have"
                );
                response
            }
        });
        self.router = self.router.route(path, served.route_layer(guard));
        self.list.push(description);
        self
    }

    /// What serves them, and what they are.
    pub(super) fn finished(self) -> (Router<State>, Vec<Description>) {
        (self.router, self.list)
    }
}
