//! The API: on the owner-only socket everything, on loopback what only reads.
//!
//! | file | is |
//! |---|---|
//! | `api` | what is answered |
//! | `health` | `/api/sre/health` |
//! | [`records`] | history and ledger, as scripts read them |
//! | `refusal` | errors, and bodies that are read strictly |
//! | [`socket`] | the owner-only socket `state/homeostat/api.sock` |
//! | [`loopback`] | the read-only API on a loopback address |
//! | [`page`] | what an operator sees in a browser |
//! | `bound` | how many connections there may be at once |
//! | [`client`] | asking a running engine over its socket |

mod api;
mod bound;
pub mod client;
mod health;
pub mod loopback;
pub mod page;
pub mod records;
mod refusal;
pub mod socket;

pub use api::{Api, read_only, router};
