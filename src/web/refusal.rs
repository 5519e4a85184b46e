//! Errors as `{"error": …}` with a proper code, and bodies, queries and parts of paths that are read strictly.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{engine::handle::Gone, store::StoreError};

/// Why something was not done.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    error: String,
    /// What is told beside the error.
    more: Map<String, Value>,
    /// Seconds after which it is worth trying again.
    again: Option<u64>,
}

/// What every refusal says.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ErrorAnswer {
    /// What is wrong, in a sentence for people.
    pub error: String,
}

impl Refusal {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Refusal {
        Refusal {
            status,
            error: error.into(),
            more: Map::new(),
            again: None,
        }
    }

    pub fn bad(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, error)
    }

    pub fn absent(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, error)
    }

    pub fn conflict(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::CONFLICT, error)
    }

    /// Too many at once; try again after so many seconds.
    pub fn busy(error: impl Into<String>, again: u64) -> Refusal {
        Refusal {
            again: Some(again.max(1)),
            ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, error)
        }
    }

    /// Also tells this.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Refusal {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Refusal {
        self.again = Some(seconds.max(1));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut told = Map::new();
        told.insert("error".to_owned(), self.error.into());
        told.extend(self.more);
        let mut response = (self.status, Json(Value::Object(told))).into_response();
        if let Some(seconds) = self.again {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"homeostat\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<Gone> for Refusal {
    fn from(gone: Gone) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, gone.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.chain())
    }
}

/// A JSON body. None at all is `{}`, whatever its content type says.
pub struct Said<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Said<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Said<T>, Refusal> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error| Refusal::new(error.status(), error.body_text()))?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        // By themselves structures would be read from lists as well, field after field.
        if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(Refusal::bad("the body is no JSON object"));
        }
        serde_json::from_slice(text)
            .map(Said)
            .map_err(|error| Refusal::bad(format!("could not read the body: {error}")))
    }
}

/// A query string.
pub struct Wanted<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Wanted<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Wanted<T>, Refusal> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(wanted)| Wanted(wanted))
            .map_err(|error| Refusal::new(error.status(), error.body_text()))
    }
}

/// The largest number that every reader of JSON has whole.
pub(super) const LARGEST_NUMBER: u64 = (1 << 53) - 1;

/// A number of something that is counted: whole, also when it is written `7.0`, as JSON has only one kind of number.
pub(super) fn number<'de, D: serde::Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let given = serde_json::Number::deserialize(input)?;
    let whole = given.as_u64().or_else(|| {
        let real = given.as_f64()?;
        (real.fract() == 0.0 && (0.0..=LARGEST_NUMBER as f64).contains(&real))
            .then_some(real as u64)
    });
    whole
        .filter(|number| *number <= LARGEST_NUMBER)
        .ok_or_else(|| serde::de::Error::custom(format!("{given} is no number of that kind")))
}

/// The same where nothing may be said.
pub(super) fn perhaps_number<'de, D: serde::Deserializer<'de>>(
    input: D,
) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Counted(#[serde(deserialize_with = "number")] u64);
    Ok(Option::<Counted>::deserialize(input)?.map(|counted| counted.0))
}

/// The one changing part of a path.
pub struct Part<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Part<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Part<T>, Refusal> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(part)| Part(part))
            .map_err(|error| Refusal::new(error.status(), error.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Counted(#[serde(deserialize_with = "number")] u64);

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let read = |text: &str| serde_json::from_str::<Counted>(text).map(|it| it.0).ok();
        assert_eq!(
            (read("7"), read("7.0"), read("0")),
            (Some(7), Some(7), Some(0))
        );
        assert_eq!(read("9007199254740991"), Some(LARGEST_NUMBER));
        for wrong in ["7.5", "-1", "9007199254740992", "1e300", "\"7\"", "null"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
