#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = emberline_fuzz::targets::sparse_vector_ops(data);
});
