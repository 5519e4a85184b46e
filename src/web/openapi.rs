//! `/api/openapi.json`: the description of the API, made of the table of endpoints and of the very types that are read
//! and written. OpenAPI 3.1, whose schemas are JSON Schema 2020-12 as [`schemars`] makes it.

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::header,
    response::{IntoResponse, Response},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    api,
    caller::Scope,
    endpoint::{Answers, Endpoint},
    refusal::{ErrorAnswer, LARGEST_NUMBER},
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/openapi.json", show)
            .is("openapi", "This document.")
            .text("application/json", "OpenAPI 3.1."),
    ]
}

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document(&api::endpoints()).to_string().into());

async fn show() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, DOCUMENT.clone()).into_response()
}

/// The description of these endpoints.
pub(super) fn document(endpoints: &[Endpoint]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut given = settings.clone().for_deserialize().into_generator();
    let mut told = settings.for_serialize().into_generator();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &mut given, &mut told);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_lowercase()] = operation;
    }
    told.subschema_for::<ErrorAnswer>();
    let mut schemas = told.take_definitions(true);
    for (name, schema) in given.take_definitions(true) {
        // What is read and what is written under one name is one thing, or the document would say neither.
        let known = schemas
            .entry(name.clone())
            .or_insert_with(|| schema.clone());
        debug_assert!(
            *known == schema,
            "{name} is read otherwise than it is written"
        );
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "homeostat",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The API of a running engine, on its owner-only socket and on the loopback address. On the address, whatever changes something needs a token; `Host` must name this machine, and an `Origin`, where there is one, the address itself. All times are epoch seconds, unless it is said otherwise.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The owner's token stands in state/homeostat/token; others are listed in homeostat.yaml. Scopes: read, operate, admin.",
                },
            },
        },
    })
}

fn operation(
    endpoint: &Endpoint,
    given: &mut SchemaGenerator,
    told: &mut SchemaGenerator,
) -> Value {
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.about,
        "responses": responses(endpoint, told),
    });
    let scope = match endpoint.scope {
        None => "Open to everybody on this machine.".to_owned(),
        Some(Scope::Read) => {
            "Scope `read`, where `api: { reading: token }` asks for one.".to_owned()
        }
        Some(scope) => format!("Scope `{}`.", scope.word()),
    };
    operation["description"] = scope.into();
    operation["security"] = match endpoint.scope {
        None => json!([{}, {"token": []}]),
        Some(Scope::Read) => json!([{}, {"token": ["read"]}]),
        Some(scope) => json!([{"token": [scope.word()]}]),
    };
    if let Some(scope) = endpoint.scope {
        operation["x-scope"] = scope.word().into();
    }
    let mut parameters = parts(endpoint.path);
    if let Some(query) = endpoint.query {
        parameters.extend(queries(query(given), given));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = endpoint.body {
        let schema = body(given);
        operation["requestBody"] = json!({
            "required": is_required(&schema, given),
            "content": {"application/json": {"schema": schema}},
        });
    }
    operation
}

/// The changing parts of a path.
fn parts(path: &str) -> Vec<Value> {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            let schema = match name {
                "id" => json!({"type": "integer", "format": "uint64", "minimum": 0, "maximum": LARGEST_NUMBER}),
                _ => json!({"type": "string", "minLength": 1}),
            };
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect()
}

/// The parameters of a query, one for each property of its type.
fn queries(schema: schemars::Schema, given: &mut SchemaGenerator) -> Vec<Value> {
    let whole = resolved(&schema.to_value(), given);
    let required = whole
        .get("required")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let properties = whole.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let mut schema = without_null(schema.clone());
            let about = schema
                .as_object_mut()
                .and_then(|map| map.remove("description"));
            let mut parameter = json!({
                "name": name,
                "in": "query",
                "required": required.iter().any(|it| it == name),
                "schema": schema,
            });
            if let Some(about) = about {
                parameter["description"] = about;
            }
            parameter
        })
        .collect()
}

/// A query has no null: what is not said is left out.
fn without_null(mut schema: Value) -> Value {
    if let Some(map) = schema.as_object_mut() {
        map.remove("default");
        if let Some(Value::Array(kinds)) = map.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = &kinds[..] {
                let only = only.clone();
                map.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(any)) = map.get_mut("anyOf") {
            any.retain(|one| one.get("type").is_none_or(|kind| kind != "null"));
            if any.len() == 1
                && let Some(Value::Object(only)) = any.pop()
            {
                map.remove("anyOf");
                for (key, value) in only {
                    map.entry(key).or_insert(value);
                }
            }
        }
    }
    schema
}

/// A body without required properties may be left out altogether.
fn is_required(schema: &schemars::Schema, given: &SchemaGenerator) -> bool {
    let whole = resolved(&schema.clone().to_value(), given);
    whole
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|all| !all.is_empty())
}

/// What a reference means.
fn resolved(schema: &Value, generator: &SchemaGenerator) -> Value {
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.rsplit('/').next());
    match name.and_then(|name| generator.definitions().get(name)) {
        Some(found) => found.clone(),
        None => schema.clone(),
    }
}

fn responses(endpoint: &Endpoint, told: &mut SchemaGenerator) -> Value {
    let good = match &endpoint.answers {
        Answers::Json(schema) => json!({
            "description": "What was asked for.",
            "content": {"application/json": {"schema": schema(told)}},
        }),
        Answers::Text("application/json", about) => json!({
            "description": about,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }),
        Answers::Text(kinds, about) => {
            let kinds = kinds
                .split(", ")
                .map(|kind| (kind.to_owned(), json!({"schema": {"type": "string"}})));
            json!({"description": about, "content": kinds.collect::<Map<_, _>>()})
        }
    };
    let mut responses = Map::new();
    responses.insert(endpoint.status.to_string(), good);
    for (status, when) in errors(endpoint) {
        let known = responses.entry(status.to_string()).or_insert_with(|| {
            json!({
                "description": "",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
            })
        });
        let before = known["description"].as_str().unwrap_or_default();
        known["description"] = match before {
            "" => when.into(),
            before => format!("{before}; or {when}").into(),
        };
    }
    responses.into()
}

/// Everything that may go wrong.
fn errors(endpoint: &Endpoint) -> Vec<(u16, &'static str)> {
    let mut all = endpoint.errors.clone();
    let reads = endpoint.query.is_some() || endpoint.path.contains('{') || endpoint.body.is_some();
    if reads {
        all.push((
            400,
            "what was asked cannot be read, or is outside its bounds",
        ));
    }
    all.push((
        401,
        "there is no token where one is needed, or none of that value",
    ));
    if endpoint.scope.is_some() {
        all.push((
            403,
            "the scope of the token is too small, or the `Origin` is foreign",
        ));
    } else {
        all.push((403, "the `Origin` is foreign"));
    }
    if !endpoint.only_reads() {
        all.push((408, "the body did not come in time"));
        all.push((413, "the body is too large"));
    }
    all.push((421, "`Host` names another machine"));
    all.push((
        429,
        "too many requests; `Retry-After` says when to come again",
    ));
    all.push((500, "something broke; the log says what"));
    all.push((503, "the engine has ended, or does not answer"));
    all.sort_by_key(|(status, _)| *status);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_once_and_every_reference_leads_somewhere() {
        let all = api::endpoints();
        let document = document(&all);
        let mut names = std::collections::BTreeSet::new();
        for endpoint in &all {
            assert!(
                !endpoint.name.is_empty() && !endpoint.about.is_empty(),
                "{}",
                endpoint.path
            );
            assert!(names.insert(endpoint.name), "{} twice", endpoint.name);
            let method = endpoint.method.as_str().to_lowercase();
            let operation = &document["paths"][endpoint.path][method];
            assert_eq!(operation["operationId"], endpoint.name);
            assert!(
                endpoint.only_reads() || endpoint.scope >= Some(Scope::Operate),
                "{}",
                endpoint.path
            );
        }
        let text = document.to_string();
        let reference = regex::Regex::new(r##""\$ref":"#/components/schemas/([^"]+)""##).unwrap();
        let mut found = 0;
        for name in reference.captures_iter(&text) {
            let schema = &document["components"]["schemas"][&name[1]];
            assert!(schema.is_object(), "{}", &name[1]);
            found += 1;
        }
        assert!(found > 20, "{found}");
        assert!(!text.contains("#/$defs/"));
    }

    #[test]
    fn a_query_is_told_by_its_properties() {
        let document = document(&api::endpoints());
        let parameters = document["paths"]["/api/repairs"]["get"]["parameters"]
            .as_array()
            .unwrap();
        insta::assert_json_snapshot!(parameters, @r#"
        [
          {
            "name": "limit",
            "in": "query",
            "required": false,
            "schema": {
              "type": "integer",
              "format": "uint",
              "minimum": 0,
              "maximum": 500
            },
            "description": "So many at most; 20 if it is not said."
          },
          {
            "name": "check",
            "in": "query",
            "required": false,
            "schema": {
              "type": "string"
            },
            "description": "Only of this check."
          }
        ]
        "#);
    }
}
