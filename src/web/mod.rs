//! The API: on the owner-only socket everything, on loopback what only reads.
//!
//! | file | is |
//! |---|---|
//! | `api` | what is answered |
//! | `health` | `/api/sre/health` |
//! | [`incidents`] | what people are told of, and how that goes |
//! | [`records`] | history and ledger, as scripts read them |
//! | `refusal` | errors, and bodies that are read strictly |
//! | [`socket`] | the owner-only socket `state/homeostat/api.sock` |
//! | [`loopback`] | the read-only API on a loopback address |
//! | `bound` | how many connections there may be at once |
//! | [`client`] | asking a running engine over its socket |

mod api;
mod bound;
pub mod client;
mod health;
pub mod incidents;
pub mod loopback;
pub mod records;
mod refusal;
pub mod socket;

pub use api::{Api, read_only, router};
