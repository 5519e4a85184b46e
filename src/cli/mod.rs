//! cli
pub mod arguments;
mod help;
mod outcome;
mod screen;
pub mod show;
mod site;
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
