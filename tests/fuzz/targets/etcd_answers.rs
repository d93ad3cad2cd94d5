#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| discovery_service_fuzz::etcd_answers(input));
