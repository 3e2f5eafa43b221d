//! What is known of one operation, while it is put together.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{
    Content, HttpMethod, Paths, Ref, RefOr, Required, Response, ResponseBuilder,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::super::access::Need;
use super::super::wire::{Problem, ProblemKind};
use super::About;

/// Schemas by their names.
pub(super) type Schemas = BTreeMap<String, RefOr<Schema>>;

/// What every request can end with, whatever it asks for.
const ALWAYS: &[ProblemKind] = &[
    ProblemKind::Unauthorized,
    ProblemKind::Forbidden,
    ProblemKind::Busy,
    ProblemKind::Stopping,
    ProblemKind::StoreUnavailable,
    ProblemKind::Internal,
];

/// What sending a body can end with, also to those who look at none.
const OF_BODIES: &[ProblemKind] = &[
    ProblemKind::BadRequest,
    ProblemKind::TooSlow,
    ProblemKind::TooLarge,
];

/// A route as it was registered.
#[derive(Debug, Clone)]
pub(in crate::http) struct Registered {
    pub(in crate::http) method: Method,
    /// Below `/api/v1`.
    pub(in crate::http) path: &'static str,
    pub(in crate::http) need: Need,
}

/// An operation as the document has it, and the schemas that it refers to.
pub(in crate::http) struct Description {
    route: Registered,
    building: OperationBuilder,
    answers: BTreeMap<u16, Response>,
    problems: BTreeMap<u16, Vec<&'static str>>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Registered {
    pub(in crate::http) fn new(method: Method, need: Need, path: &'static str) -> Self {
        Registered { method, path, need }
    }
}

impl Description {
    /// What is known of an operation before its handler is looked at.
    pub(in crate::http) fn new(route: Registered, about: About) -> Self {
        let words = route
            .path
            .split(['/', '{', '}', '.'])
            .filter(|w| !w.is_empty());
        let id = std::iter::once(route.method.as_str()).chain(words);
        let id = id.collect::<Vec<_>>().join("_").to_lowercase();
        let mut this = Description {
            building: OperationBuilder::new()
                .operation_id(Some(id))
                .summary(Some(about.summary))
                .description(Some(route.need.text())),
            route,
            answers: BTreeMap::new(),
            problems: BTreeMap::new(),
            schemas: Vec::new(),
        };
        let of_body: &[_] = if this.route.method == Method::POST {
            OF_BODIES
        } else {
            &[]
        };
        let hidden: &[_] = if this.route.need.hides() {
            &[ProblemKind::NotFound]
        } else {
            &[]
        };
        for kinds in [ALWAYS, of_body, hidden, about.problems] {
            kinds.iter().for_each(|kind| this.problem(*kind));
        }
        this
    }

    /// Parameters in the query.
    pub(in crate::http) fn query<T: IntoParams>(&mut self) {
        for mut parameter in T::into_params(|| Some(ParameterIn::Query)) {
            if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
                without_null(&mut schema.schema_type);
            }
            self.add(|building| building.parameter(parameter));
        }
        self.problem(ProblemKind::BadRequest);
    }

    /// The parameters that the path names.
    pub(super) fn path(&mut self) {
        let names = self
            .route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for name in names {
            let what = match name {
                "id" => {
                    "The id of an event, or at least four digits of its beginning or end; of a dead letter also that of an entry"
                }
                _ => "The name",
            };
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(what))
                .schema(Some(String::schema()));
            self.add(|building| building.parameter(parameter));
        }
        self.problem(ProblemKind::BadRequest);
    }

    /// A header that may be there.
    pub(super) fn header(&mut self, name: &str, what: &str) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(what))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        self.add(|building| building.parameter(parameter));
    }

    pub(super) fn body<T: ToSchema>(&mut self, media: &str, what: &str) {
        let content = Content::new(Some(self.schema::<T>()));
        let mut body = RequestBodyBuilder::new()
            .content(media, content)
            .required(Some(Required::True));
        if !what.is_empty() {
            body = body.description(Some(what));
        }
        self.add(|building| building.request_body(Some(body.build())));
    }

    /// The answer when all is well.
    pub(super) fn answer<T: ToSchema>(&mut self, status: StatusCode, media: &str, what: &str) {
        let content = Content::new(Some(self.schema::<T>()));
        let answer = ResponseBuilder::new()
            .description(what)
            .content(media, content);
        self.answers.insert(status.as_u16(), answer.build());
    }

    /// A problem that may be the answer.
    pub(super) fn problem(&mut self, kind: ProblemKind) {
        let titles = self.problems.entry(kind.status()).or_default();
        if !titles.contains(&kind.title()) {
            titles.push(kind.title());
        }
    }

    pub(in crate::http) fn route(&self) -> &Registered {
        &self.route
    }

    /// Every status that it may be answered with.
    pub(in crate::http) fn statuses(&self) -> Vec<u16> {
        let all = self.answers.keys().chain(self.problems.keys());
        all.copied().collect()
    }

    /// Puts it where the document has its paths and its schemas.
    pub(super) fn put_into(mut self, paths: &mut Paths, schemas: &mut Schemas) {
        let problem = self.schema::<Problem>();
        let mut building = self.building;
        for (status, answer) in self.answers {
            building = building.response(status.to_string(), answer);
        }
        for (status, titles) in self.problems {
            let content = Content::new(Some(problem.clone()));
            let answer = ResponseBuilder::new()
                .description(titles.join("; "))
                .content("application/problem+json", content);
            building = building.response(status.to_string(), answer.build());
        }
        let method = match self.route.method {
            Method::POST => HttpMethod::Post,
            _ => HttpMethod::Get,
        };
        let path = format!("/api/v1{}", self.route.path);
        paths.add_path_operation(path, vec![method], building);
        schemas.extend(self.schemas);
    }

    /// A reference to the schema of a type, which is noted.
    fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        RefOr::Ref(Ref::from_schema_name(T::name()))
    }

    fn add(&mut self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) {
        self.building = change(std::mem::take(&mut self.building));
    }
}

/// A parameter that may be left out is not null: a query has none.
fn without_null(schema: &mut SchemaType) {
    if let SchemaType::Array(types) = schema
        && let [found, Type::Null] = &types[..]
    {
        *schema = SchemaType::Type(found.clone());
    }
}
