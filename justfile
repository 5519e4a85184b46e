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

# A bot is broken, repaired and trades again: side by side with the engine. `just demo all --pause`
demo *what:
    cargo run --release --example side_by_side -- {{what}}

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

# Fuzz a target (loader, expressions, jsonl_window, plugin, store_start) with coverage; needs `cargo install cargo-fuzz`.
fuzz target seconds="600":
    mkdir -p tests/fuzz/corpus/{{target}}
    HOMEOSTAT_SEEDS=tests/fuzz/corpus HOMEOSTAT_FUZZ=0 cargo test --test seeds {{target}}
    cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none {{target}} -- \
        -max_total_time={{seconds}} -rss_limit_mb=2048 -timeout=10 -max_len=8192 -print_final_stats=1
