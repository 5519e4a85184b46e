//! The table of everything the API answers: for each endpoint its method and path, who may ask, what it is given and what
//! it answers.
//!
//! The router, the scopes and the OpenAPI document are made of this one table, so an endpoint without a scope or a
//! description cannot be served.

use axum::{
    handler::Handler,
    http::Method,
    routing::{MethodFilter, MethodRouter, on},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{api::Api, caller::Scope};

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Larger bodies are refused.
pub(super) const BODY: usize = 1 << 20;

/// What is answered, when all goes well.
pub(super) enum Answers {
    Json(SchemaOf),
    /// Of this content type, with a word on what it is.
    Text(&'static str, &'static str),
}

/// One endpoint.
pub(super) struct Endpoint {
    pub method: Method,
    pub path: &'static str,
    /// `None`: anybody may ask.
    pub scope: Option<Scope>,
    /// The name of the operation in the document.
    pub name: &'static str,
    pub about: &'static str,
    pub query: Option<SchemaOf>,
    pub body: Option<SchemaOf>,
    pub status: u16,
    pub answers: Answers,
    /// What else it may answer, beside the errors that every endpoint may.
    pub errors: Vec<(u16, &'static str)>,
    /// It may wait for something to happen, so no time limit of ours ends it.
    pub waits: bool,
    /// Bytes of its body.
    pub largest: usize,
    pub handler: MethodRouter<Api>,
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Endpoint {
    fn new<H, T>(method: Method, path: &'static str, scope: Scope, handler: H) -> Endpoint
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        Endpoint {
            method,
            path,
            scope: Some(scope),
            name: "",
            about: "",
            query: None,
            body: None,
            status: 200,
            answers: Answers::Text("text/plain", ""),
            errors: Vec::new(),
            waits: false,
            largest: BODY,
            handler: on(filter, handler),
        }
    }

    pub fn get<H, T>(path: &'static str, handler: H) -> Endpoint
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        Endpoint::new(Method::GET, path, Scope::Read, handler)
    }

    pub fn post<H, T>(path: &'static str, handler: H) -> Endpoint
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        Endpoint::new(Method::POST, path, Scope::Operate, handler)
    }

    pub fn put<H, T>(path: &'static str, handler: H) -> Endpoint
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        Endpoint::new(Method::PUT, path, Scope::Admin, handler)
    }

    /// Its name in the document, and what it is for.
    pub fn is(self, name: &'static str, about: &'static str) -> Endpoint {
        Endpoint {
            name,
            about,
            ..self
        }
    }

    pub fn admin(self) -> Endpoint {
        Endpoint {
            scope: Some(Scope::Admin),
            ..self
        }
    }

    /// Nobody need say who they are.
    pub fn open(self) -> Endpoint {
        Endpoint {
            scope: None,
            ..self
        }
    }

    pub fn query<Q: JsonSchema>(self) -> Endpoint {
        Endpoint {
            query: Some(schema_of::<Q>),
            ..self
        }
    }

    pub fn body<B: JsonSchema>(self) -> Endpoint {
        Endpoint {
            body: Some(schema_of::<B>),
            ..self
        }
    }

    pub fn answers<A: JsonSchema>(self) -> Endpoint {
        Endpoint {
            answers: Answers::Json(schema_of::<A>),
            ..self
        }
    }

    pub fn text(self, kind: &'static str, about: &'static str) -> Endpoint {
        Endpoint {
            answers: Answers::Text(kind, about),
            ..self
        }
    }

    pub fn status(self, status: u16) -> Endpoint {
        Endpoint { status, ..self }
    }

    pub fn error(mut self, status: u16, when: &'static str) -> Endpoint {
        self.errors.push((status, when));
        self
    }

    pub fn waits(self) -> Endpoint {
        Endpoint {
            waits: true,
            ..self
        }
    }

    pub fn largest(self, largest: usize) -> Endpoint {
        Endpoint { largest, ..self }
    }

    /// Whether it only tells how things stand.
    pub fn only_reads(&self) -> bool {
        self.method == Method::GET
    }
}
