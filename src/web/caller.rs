//! Who asks, and how far that goes.
//!
//! A *scope* is what a token allows: `read` tells how things stand, `operate` acts on the running system as a person at
//! the command line does, `admin` changes the rules themselves. Each includes those before it.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
pub use crate::permission::settings::Scope;

/// Whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token; `None` without one.
    pub name: Option<Arc<str>>,
    /// What may be done; `None`: only what is open to everybody.
    pub scope: Option<Scope>,
}

impl Caller {
    /// Whoever may open the owner-only socket: everything is allowed, and there is no name to it.
    pub fn owner() -> Caller {
        Caller {
            name: None,
            scope: Some(Scope::Admin),
        }
    }

    /// Somebody without a token.
    pub fn nobody() -> Caller {
        Caller {
            name: None,
            scope: None,
        }
    }

    pub fn may(&self, scope: Scope) -> bool {
        self.scope.is_some_and(|it| it >= scope)
    }

    /// Under whose name something is done: what they say, with the token that said it.
    pub(super) fn by(&self, said: Option<String>) -> Result<String, Refusal> {
        let said = said.filter(|said| !said.trim().is_empty());
        let said = said.map(|said| limited("by", said)).transpose()?;
        Ok(match (said, &self.name) {
            (None, None) => "the API".to_owned(),
            (None, Some(token)) => token.to_string(),
            (Some(said), None) => said,
            (Some(said), Some(token)) if said == **token => said,
            (Some(said), Some(token)) => format!("{said} ({token})"),
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Refusal> {
        // Put there by the door; a request that came in by none may do nothing.
        let found = parts.extensions.get::<Caller>();
        Ok(found.cloned().unwrap_or_else(Caller::nobody))
    }
}

/// Longer reasons and names are refused, in characters.
pub(super) const TEXT: usize = 500;

pub(super) fn limited(what: &str, text: String) -> Result<String, Refusal> {
    match text.chars().count() <= TEXT {
        true => Ok(text),
        false => Err(Refusal::bad(format!(
            "{what} is longer than {TEXT} characters"
        ))),
    }
}

/// What `/api/whoami` says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WhoAnswer {
    /// The name of the token; `null` without one.
    pub name: Option<String>,
    /// What the token allows; `null` without one.
    pub scope: Option<Scope>,
    /// Whether reading needs a token.
    pub reading: crate::permission::settings::Reading,
    /// Of the program.
    pub version: String,
    /// The last part of the path of the root.
    pub root_name: String,
    pub can: Can,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Can {
    pub operate: bool,
    pub admin: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_includes_those_before_it() {
        let with = |scope| Caller {
            name: None,
            scope: Some(scope),
        };
        assert!(with(Scope::Admin).may(Scope::Operate));
        assert!(with(Scope::Operate).may(Scope::Read));
        assert!(!with(Scope::Read).may(Scope::Operate));
        assert!(!Caller::nobody().may(Scope::Read));
    }

    #[test]
    fn whoever_acts_is_named_with_the_token() {
        let token = Caller {
            name: Some("deploy".into()),
            scope: Some(Scope::Operate),
        };
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(token.by(None).unwrap(), "deploy");
        assert_eq!(token.by(said("ann")).unwrap(), "ann (deploy)");
        assert_eq!(token.by(said(" ")).unwrap(), "deploy");
        assert_eq!(Caller::owner().by(said("ann")).unwrap(), "ann");
        assert_eq!(Caller::owner().by(None).unwrap(), "the API");
        assert!(token.by(Some("x".repeat(TEXT + 1))).is_err());
    }
}
