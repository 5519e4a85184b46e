//! The API: on the owner-only socket everything without a word, on loopback whatever the token allows.
//!
//! | file | is |
//! |---|---|
//! | `api` | what it works with, and the router |
//! | `endpoint` | the table of all endpoints, from which router, scopes and document are made |
//! | [`caller`] | who asks, and how far that goes |
//! | `standing`, `checks`, `repairs`, `investigations`, `health` | what is told: how things stand, one check, repairs, sessions, `/api/sre/health` |
//! | `plots`, `excerpt` | of one check: what is worth drawing; its lines of the rules |
//! | `acting` | what acts on the running system |
//! | `rules` | the rule files |
//! | [`stream`] | what happens, as server-sent events |
//! | `openapi` | the description of all of it |
//! | [`records`] | history and ledger, as scripts read them |
//! | `refusal` | errors, and what is read strictly |
//! | [`socket`] | the owner-only socket `state/homeostat/api.sock` |
//! | [`loopback`] | the API on a loopback address |
//! | [`page`] | what an operator sees in a browser |
//! | `bound` | how many connections there may be at once |
//! | [`client`] | asking a running engine over its socket |

mod acting;
mod api;
mod bound;
pub mod caller;
mod checks;
pub mod client;
mod endpoint;
mod excerpt;
mod health;
mod investigations;
pub mod loopback;
mod openapi;
pub mod page;
mod plots;
pub mod records;
mod refusal;
mod repairs;
mod rules;
pub mod socket;
mod standing;
pub mod stream;

pub use api::{Api, router};

/// What only reads, for loopback.
pub fn read_only(api: Api) -> axum::Router {
    api::routes(api)
}
