# What is done daily. `just` lists it.

default:
    @just --list

# Format, lint and test as the gate does.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test

# The engine on the shipped rules and data.
run:
    cargo run --release -- run

# What the engine would do now.
dry:
    cargo run --release -- dry-run

# The shipped rules: complaints, then their tests.
rules:
    cargo run --release -- lint
    cargo run --release -- test

# Show what changed in the snapshots.
review:
    cargo insta review

bench:
    cargo bench --bench engine
