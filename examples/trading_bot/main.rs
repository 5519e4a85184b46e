//! A small options-flow trading bot: see README.md.
mod bot;
fn main() {}
