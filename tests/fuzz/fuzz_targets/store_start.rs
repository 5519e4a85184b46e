//! See [`homeostat_fuzz::store_start`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| homeostat_fuzz::store_start::run(bytes));
