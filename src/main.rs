//! The program. Everything is in [`homeostat::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    homeostat::cli::main()
}
