//! cli
pub mod arguments;
mod help;
mod outcome;
mod screen;
mod site;
pub mod show;
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
