//! From text to book: what people write in `rules/` is read, checked and compiled as one generation, or refused with
//! everything that is wrong in it.
//!
//! | file | is |
//! |---|---|
//! | [`load`] | the way from a directory to a [`book`], and its cache |
//! | [`sources`] | which files belong to a directory |
//! | [`yaml`] | text to a tree with places; the only place that knows serde_yaml |
//! | [`format`], [`values`] | what may stand in a rule file |
//! | [`compile`] | one file, check by check, to a [`unit`] |
//! | `link`, `vars` | what only the whole directory can check |
//! | [`complaint`], [`explain`] | mistakes as people see them |
//! | [`diff`] | what a reload changes |
//! | [`ending`] | what time does to rules |
//! | [`schema`], [`settings`] | for editors; `homeostat.yaml` |

pub mod book;
pub mod compile;
pub mod complaint;
mod cycle;
pub mod diff;
pub mod ending;
pub mod explain;
pub mod fingerprint;
pub mod format;
mod link;
pub mod load;
mod names;
mod parallel;
mod reading;
pub mod schema;
pub mod settings;
pub mod sources;
pub mod testing;
#[cfg(test)]
mod tests;
pub mod unit;
pub mod values;
mod vars;
pub mod yaml;
