//! See [`homeostat_fuzz::loader`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| homeostat_fuzz::loader::run(bytes));
