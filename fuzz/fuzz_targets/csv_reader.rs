#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = emberline_fuzz::targets::csv_reader(data);
});
