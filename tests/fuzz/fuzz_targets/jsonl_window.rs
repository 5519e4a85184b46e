//! See [`homeostat_fuzz::jsonl_window`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| homeostat_fuzz::jsonl_window::run(bytes));
