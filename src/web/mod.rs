//! web
pub mod records;
