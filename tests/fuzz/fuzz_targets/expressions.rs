//! See [`homeostat_fuzz::expressions`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| homeostat_fuzz::expressions::run(bytes));
