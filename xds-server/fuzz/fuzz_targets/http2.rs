#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| heddle_xds_server::fuzzing::http2(data));
