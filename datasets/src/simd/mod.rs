//! The one place where the instruction set is chosen: at run time, by what the processor has.
//!
//! A kernel is written once, as plain loops or over [`Simd`] vectors, and compiled for AVX-512, AVX2 with FMA, and the
//! baseline. Results may differ between instruction sets (sums are formed in lanes), never between threads or partitions.

mod vectors;
mod words;

pub use pulp::{Simd, WithSimd};
pub use vectors::{VectorKernel, Vectors, vectors};
pub use words::{Pair, Words};

/// Runs a kernel with the widest vectors of this processor: written over [`Simd`], or a closure of plain loops, which the
/// compiler then vectorises for that instruction set. To profit, the closure and what it calls must be inlined.
///
/// ```
/// let x = [1.0_f32; 100];
/// let sum = emberline_datasets::simd::dispatch(#[inline(always)] || x.iter().sum::<f32>());
/// assert_eq!(sum, 100.0);
/// ```
#[inline(always)]
pub fn dispatch<K: WithSimd>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(kernel)
}

/// Name of the instruction set in use, for reports of measurements.
#[must_use]
pub fn name() -> &'static str {
    struct Name;
    impl WithSimd for Name {
        type Output = &'static str;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> &'static str {
            match S::F32_LANES {
                16 => "AVX-512",
                8 => "AVX2",
                _ => "baseline",
            }
        }
    }
    dispatch(Name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_kernel_runs_on_some_instruction_set() {
        assert!(!super::name().is_empty());
        assert_eq!(super::dispatch(|| 2 + 2), 4);
    }
}
