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
//! | [`incidents`] | what people are told of, and how that goes |
//! | `rules`, `writing` | the rule files; saving one, whole |
//! | `metrics`, `exposition` | `/metrics`; how metrics are written |
//! | [`stream`] | what happens, as server-sent events |
//! | `openapi` | the description of all of it |
//! | [`records`] | history and ledger, as scripts read them |
//! | `refusal` | errors, and what is read strictly |
//! | [`door`], [`tokens`], `limits` | what is judged before an endpoint is asked: where from, by whom, how often |
//! | [`socket`] | the owner-only socket `state/homeostat/api.sock` |
//! | [`loopback`] | the API on a loopback address |
//! | [`page`] | what an operator sees in a browser |
//! | `serve`, `bound` | serving connections; how many there may be, and how slow |
//! | [`client`] | asking a running engine over its socket |

mod acting;
mod api;
mod bound;
pub mod caller;
mod checks;
pub mod client;
pub mod door;
mod endpoint;
mod excerpt;
mod exposition;
mod health;
pub mod incidents;
mod investigations;
mod limits;
pub mod loopback;
mod metrics;
mod openapi;
pub mod page;
mod plots;
pub mod records;
mod refusal;
mod repairs;
mod rules;
mod serve;
pub mod socket;
mod standing;
pub mod stream;
pub mod tokens;
mod writing;

pub use api::{Api, loopback_router, router};
