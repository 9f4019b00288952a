//! Vectors of one width on every instruction set, for kernels that a loop does not express.

mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use pulp::{Scalar, Simd};

/// Sixteen numbers in `f32` or as bits, eight in `f64`: one register of AVX-512, two of AVX2. No operation but
/// [`Vectors::mul_add`] gives other bits on another instruction set.
pub trait Vectors: Simd {
    /// Sixteen `f32`.
    type F32: Copy;
    /// Sixteen `u32`.
    type U32: Copy;
    /// Eight `f64`.
    type F64: Copy;

    /// All lanes equal.
    fn splat(self, value: f32) -> Self::F32;
    /// From memory.
    fn load(self, from: &[f32; 16]) -> Self::F32;
    /// To memory.
    fn store(self, a: Self::F32, to: &mut [f32; 16]);
    /// `a + b`.
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`.
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once where the instruction set can, else twice.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// The smaller; `b` where one is not a number.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The larger; `b` where one is not a number.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The square root, rounded to nearest.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// Lane `i` of `a[j]` becomes lane `j` of the `i`-th.
    fn transpose(self, a: [Self::F32; 16]) -> [Self::F32; 16];

    /// Lane `i` is the sum of all lanes of `a[i]`: of each four those two apart, then the last two; then the fours.
    #[inline(always)]
    fn sums(self, a: [Self::F32; 16]) -> Self::F32 {
        let t = self.transpose(a);
        let mut fours = [t[0]; 4];
        for (q, four) in fours.iter_mut().enumerate() {
            let even = self.add(t[4 * q], t[4 * q + 2]);
            let odd = self.add(t[4 * q + 1], t[4 * q + 3]);
            *four = self.add(even, odd);
        }
        let [p, q, r, s] = fours;
        self.add(self.add(p, q), self.add(r, s))
    }

    /// All lanes equal.
    fn splat_bits(self, value: u32) -> Self::U32;
    /// From memory.
    fn load_bits(self, from: &[u32; 16]) -> Self::U32;
    /// To memory.
    fn store_bits(self, a: Self::U32, to: &mut [u32; 16]);
    /// `then` where `a` is less than `b`, else `otherwise`; the latter where one is not a number.
    fn select_less(
        self,
        a: Self::F32,
        b: Self::F32,
        then: Self::U32,
        otherwise: Self::U32,
    ) -> Self::U32;
    /// `then` where `a` is `b`, else `otherwise`.
    fn select_equal(
        self,
        a: Self::U32,
        b: Self::U32,
        then: Self::F32,
        otherwise: Self::F32,
    ) -> Self::F32;

    /// All lanes equal.
    fn splat_wide(self, value: f64) -> Self::F64;
    /// From memory.
    fn load_wide(self, from: &[f64; 8]) -> Self::F64;
    /// From memory, exact in `f64`.
    fn widen(self, from: &[f32; 8]) -> Self::F64;
    /// To memory.
    fn store_wide(self, a: Self::F64, to: &mut [f64; 8]);
    /// `a + b`.
    fn add_wide(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a - b`.
    fn sub_wide(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a * b`.
    fn mul_wide(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// All lanes added up: those four apart, then those two apart, then the last two.
    fn sum_wide(self, a: Self::F64) -> f64;
}

/// A kernel over [`Vectors`].
pub trait VectorKernel {
    /// What it yields.
    type Output;

    /// Runs it. Must be `#[inline(always)]`, and all that it calls in loops too: only what is inlined is compiled for the
    /// instruction set.
    fn run<S: Vectors>(self, simd: S) -> Self::Output;
}

/// Runs a kernel with the widest vectors of this processor.
#[inline(always)]
pub fn vectors<K: VectorKernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match pulp::Arch::new() {
        pulp::Arch::V4(simd) => simd.vectorize(On(kernel, simd)),
        pulp::Arch::V3(simd) => simd.vectorize(On(kernel, simd)),
        _ => kernel.run(Scalar),
    }
    #[cfg(not(target_arch = "x86_64"))]
    kernel.run(Scalar)
}

#[cfg(target_arch = "x86_64")]
struct On<K, S>(K, S);

#[cfg(target_arch = "x86_64")]
impl<K: VectorKernel, S: Vectors> pulp::NullaryFnOnce for On<K, S> {
    type Output = K::Output;

    #[inline(always)]
    fn call(self) -> K::Output {
        self.0.run(self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Everything;

    impl VectorKernel for Everything {
        type Output = (Vec<u32>, Vec<f64>);

        #[inline(always)]
        fn run<S: Vectors>(self, s: S) -> Self::Output {
            let a: [f32; 16] = std::array::from_fn(|l| l as f32 * 1.25 - 7.0);
            let b: [f32; 16] = std::array::from_fn(|l| 3.0 / (l as f32 + 1.0));
            let (x, y) = (s.load(&a), s.load(&b));
            let mut out = [0.0; 16];
            let mut bits = Vec::new();
            // Small whole numbers and halves: rounding once or twice is the same.
            let fused = s.mul_add(s.splat(2.0), x, s.splat(0.5));
            let nan = s.splat(f32::NAN);
            for v in [
                s.add(x, y),
                s.sub(x, y),
                fused,
                s.min(x, y),
                s.max(x, y),
                s.min(nan, x),
                s.max(nan, x),
                s.sqrt(y),
            ] {
                s.store(v, &mut out);
                bits.extend(out.map(f32::to_bits));
            }
            let rows = std::array::from_fn(|i| s.load(&a.map(|v| v + 100.0 * i as f32)));
            for v in s.transpose(rows) {
                s.store(v, &mut out);
                bits.extend(out.map(f32::to_bits));
            }
            let mut lanes = [0; 16];
            for (a, b) in [(x, y), (y, x), (nan, x), (x, nan)] {
                let less = s.select_less(a, b, s.splat_bits(1), s.splat_bits(2));
                s.store_bits(less, &mut lanes);
                bits.extend(lanes);
            }
            let columns = s.transpose(rows);
            s.store(s.sums(columns), &mut out);
            bits.extend(out.map(f32::to_bits));
            let marks: [u32; 16] = std::array::from_fn(|l| l as u32 / 3);
            let chosen = s.select_equal(s.load_bits(&marks), s.splat_bits(2), x, y);
            s.store(chosen, &mut out);
            bits.extend(out.map(f32::to_bits));
            let narrow: [f32; 8] = std::array::from_fn(|l| a[l]);
            let wide: [f64; 8] = std::array::from_fn(|l| 0.1 * l as f64);
            let (p, q) = (s.widen(&narrow), s.load_wide(&wide));
            let sum = s.add_wide(s.mul_wide(p, q), s.sub_wide(s.splat_wide(0.3), q));
            let mut out = [0.0; 8];
            s.store_wide(sum, &mut out);
            let total = s.sum_wide(sum);
            (bits, out.into_iter().chain([total]).collect())
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        assert_eq!(vectors(Everything), Everything.run(Scalar));
    }
}
