//! cli
pub mod arguments;
mod help;
pub fn main() -> std::process::ExitCode { std::process::ExitCode::SUCCESS }
