//! The live driver: performs the core's outputs, returns inputs.

pub mod answer;
pub mod handle;
pub mod look;

pub use handle::Handle;
