//! cli
pub mod arguments;
mod help;
pub mod show;
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
