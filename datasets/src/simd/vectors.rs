//! Vectors of one width on every instruction set, for kernels that a loop does not express.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use pulp::{Scalar, Simd, cast};

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

    /// All lanes equal.
    fn splat_bits(self, value: u32) -> Self::U32;
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

#[cfg(target_arch = "x86_64")]
impl Vectors for V4 {
    type F32 = pulp::f32x16;
    type U32 = pulp::u32x16;
    type F64 = pulp::f64x8;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        self.splat_f32x16(value)
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F32 {
        cast(*from)
    }
    #[inline(always)]
    fn store(self, a: Self::F32, to: &mut [f32; 16]) {
        *to = cast(a);
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        self.add_f32x16(a, b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        self.sub_f32x16(a, b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        self.mul_add_f32x16(a, b, c)
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        self.min_f32x16(a, b)
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        self.max_f32x16(a, b)
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F32) -> Self::F32 {
        self.sqrt_f32x16(a)
    }
    #[inline(always)]
    fn transpose(self, a: [Self::F32; 16]) -> [Self::F32; 16] {
        // Plain loops and no closures: what is not inlined is not compiled for the instruction set.
        let simd = self.avx512f;
        let low = |p, q| -> Self::F32 { cast(simd._mm512_unpacklo_ps(cast(p), cast(q))) };
        let high = |p, q| -> Self::F32 { cast(simd._mm512_unpackhi_ps(cast(p), cast(q))) };
        let lower = |p, q| -> Self::F32 { cast(simd._mm512_unpacklo_pd(cast(p), cast(q))) };
        let upper = |p, q| -> Self::F32 { cast(simd._mm512_unpackhi_pd(cast(p), cast(q))) };
        // Of each four rows, the four numbers of each quarter.
        let mut quarters = a;
        for rows in quarters.as_chunks_mut::<4>().0 {
            let [p, q, r, s] = *rows;
            let (pq, rs) = (low(p, q), low(r, s));
            [rows[0], rows[1]] = [lower(pq, rs), upper(pq, rs)];
            let (pq, rs) = (high(p, q), high(r, s));
            [rows[2], rows[3]] = [lower(pq, rs), upper(pq, rs)];
        }
        let mut out = a;
        for e in 0..4 {
            let [p, q] = [cast(quarters[e]), cast(quarters[4 + e])];
            let [r, s] = [cast(quarters[8 + e]), cast(quarters[12 + e])];
            let pq = simd._mm512_shuffle_f32x4::<0x44>(p, q);
            let rs = simd._mm512_shuffle_f32x4::<0x44>(r, s);
            out[e] = cast(simd._mm512_shuffle_f32x4::<0x88>(pq, rs));
            out[4 + e] = cast(simd._mm512_shuffle_f32x4::<0xdd>(pq, rs));
            let pq = simd._mm512_shuffle_f32x4::<0xee>(p, q);
            let rs = simd._mm512_shuffle_f32x4::<0xee>(r, s);
            out[8 + e] = cast(simd._mm512_shuffle_f32x4::<0x88>(pq, rs));
            out[12 + e] = cast(simd._mm512_shuffle_f32x4::<0xdd>(pq, rs));
        }
        out
    }
    #[inline(always)]
    fn splat_bits(self, value: u32) -> Self::U32 {
        self.splat_u32x16(value)
    }
    #[inline(always)]
    fn store_bits(self, a: Self::U32, to: &mut [u32; 16]) {
        *to = cast(a);
    }
    #[inline(always)]
    fn select_less(
        self,
        a: Self::F32,
        b: Self::F32,
        then: Self::U32,
        otherwise: Self::U32,
    ) -> Self::U32 {
        self.select_u32x16(self.cmp_lt_f32x16(a, b), then, otherwise)
    }
    #[inline(always)]
    fn splat_wide(self, value: f64) -> Self::F64 {
        self.splat_f64x8(value)
    }
    #[inline(always)]
    fn load_wide(self, from: &[f64; 8]) -> Self::F64 {
        cast(*from)
    }
    #[inline(always)]
    fn widen(self, from: &[f32; 8]) -> Self::F64 {
        self.convert_f32x8_to_f64x8(cast(*from))
    }
    #[inline(always)]
    fn store_wide(self, a: Self::F64, to: &mut [f64; 8]) {
        *to = cast(a);
    }
    #[inline(always)]
    fn add_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        self.add_f64x8(a, b)
    }
    #[inline(always)]
    fn sub_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        self.sub_f64x8(a, b)
    }
    #[inline(always)]
    fn mul_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        self.mul_f64x8(a, b)
    }
    #[inline(always)]
    fn sum_wide(self, a: Self::F64) -> f64 {
        let [low, high]: [pulp::f64x4; 2] = cast(a);
        let [p, q, r, s]: [f64; 4] = cast(self.add_f64x4(low, high));
        (p + r) + (q + s)
    }
}

#[cfg(target_arch = "x86_64")]
impl Vectors for V3 {
    type F32 = [pulp::f32x8; 2];
    type U32 = [pulp::u32x8; 2];
    type F64 = [pulp::f64x4; 2];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        [self.splat_f32x8(value); 2]
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F32 {
        cast(*from)
    }
    #[inline(always)]
    fn store(self, a: Self::F32, to: &mut [f32; 16]) {
        *to = cast(a);
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        [self.add_f32x8(a[0], b[0]), self.add_f32x8(a[1], b[1])]
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        [self.sub_f32x8(a[0], b[0]), self.sub_f32x8(a[1], b[1])]
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        [
            self.mul_add_f32x8(a[0], b[0], c[0]),
            self.mul_add_f32x8(a[1], b[1], c[1]),
        ]
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        [self.min_f32x8(a[0], b[0]), self.min_f32x8(a[1], b[1])]
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        [self.max_f32x8(a[0], b[0]), self.max_f32x8(a[1], b[1])]
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F32) -> Self::F32 {
        a.map(|half| self.sqrt_f32x8(half))
    }
    #[inline(always)]
    fn transpose(self, a: [Self::F32; 16]) -> [Self::F32; 16] {
        let mut out = a;
        for (rows, half) in [(0, 0), (8, 0), (0, 1), (8, 1)] {
            let mut eight = [a[0][0]; 8];
            for (i, row) in eight.iter_mut().enumerate() {
                *row = a[rows + i][half];
            }
            for (i, row) in transposed_eight(self, eight).iter().enumerate() {
                out[8 * half + i][rows / 8] = *row;
            }
        }
        out
    }
    #[inline(always)]
    fn splat_bits(self, value: u32) -> Self::U32 {
        [self.splat_u32x8(value); 2]
    }
    #[inline(always)]
    fn store_bits(self, a: Self::U32, to: &mut [u32; 16]) {
        *to = cast(a);
    }
    #[inline(always)]
    fn select_less(
        self,
        a: Self::F32,
        b: Self::F32,
        then: Self::U32,
        otherwise: Self::U32,
    ) -> Self::U32 {
        [
            self.select_u32x8(self.cmp_lt_f32x8(a[0], b[0]), then[0], otherwise[0]),
            self.select_u32x8(self.cmp_lt_f32x8(a[1], b[1]), then[1], otherwise[1]),
        ]
    }
    #[inline(always)]
    fn splat_wide(self, value: f64) -> Self::F64 {
        [self.splat_f64x4(value); 2]
    }
    #[inline(always)]
    fn load_wide(self, from: &[f64; 8]) -> Self::F64 {
        cast(*from)
    }
    #[inline(always)]
    fn widen(self, from: &[f32; 8]) -> Self::F64 {
        let [low, high]: [pulp::f32x4; 2] = cast(*from);
        [
            self.convert_f32x4_to_f64x4(low),
            self.convert_f32x4_to_f64x4(high),
        ]
    }
    #[inline(always)]
    fn store_wide(self, a: Self::F64, to: &mut [f64; 8]) {
        *to = cast(a);
    }
    #[inline(always)]
    fn add_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        [self.add_f64x4(a[0], b[0]), self.add_f64x4(a[1], b[1])]
    }
    #[inline(always)]
    fn sub_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        [self.sub_f64x4(a[0], b[0]), self.sub_f64x4(a[1], b[1])]
    }
    #[inline(always)]
    fn mul_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        [self.mul_f64x4(a[0], b[0]), self.mul_f64x4(a[1], b[1])]
    }
    #[inline(always)]
    fn sum_wide(self, a: Self::F64) -> f64 {
        let [p, q, r, s]: [f64; 4] = cast(self.add_f64x4(a[0], a[1]));
        (p + r) + (q + s)
    }
}

/// Rows of eight as columns.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transposed_eight(simd: V3, a: [pulp::f32x8; 8]) -> [pulp::f32x8; 8] {
    let simd = simd.avx;
    let low = |p, q| -> pulp::f32x8 { cast(simd._mm256_unpacklo_ps(cast(p), cast(q))) };
    let high = |p, q| -> pulp::f32x8 { cast(simd._mm256_unpackhi_ps(cast(p), cast(q))) };
    let lower = |p, q| -> pulp::f32x8 { cast(simd._mm256_unpacklo_pd(cast(p), cast(q))) };
    let upper = |p, q| -> pulp::f32x8 { cast(simd._mm256_unpackhi_pd(cast(p), cast(q))) };
    let mut halves = a;
    for rows in halves.as_chunks_mut::<4>().0 {
        let [p, q, r, s] = *rows;
        let (pq, rs) = (low(p, q), low(r, s));
        [rows[0], rows[1]] = [lower(pq, rs), upper(pq, rs)];
        let (pq, rs) = (high(p, q), high(r, s));
        [rows[2], rows[3]] = [lower(pq, rs), upper(pq, rs)];
    }
    let mut out = a;
    for e in 0..4 {
        let [p, q] = [cast(halves[e]), cast(halves[4 + e])];
        out[e] = cast(simd._mm256_permute2f128_ps::<0x20>(p, q));
        out[4 + e] = cast(simd._mm256_permute2f128_ps::<0x31>(p, q));
    }
    out
}

/// Lane by lane, for processors without vectors that we know; the compiler makes of it what it can.
#[inline(always)]
fn each<T: Copy, const N: usize>(a: [T; N], b: [T; N], f: impl Fn(T, T) -> T) -> [T; N] {
    std::array::from_fn(|l| f(a[l], b[l]))
}

impl Vectors for Scalar {
    type F32 = [f32; 16];
    type U32 = [u32; 16];
    type F64 = [f64; 8];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        [value; 16]
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F32 {
        *from
    }
    #[inline(always)]
    fn store(self, a: Self::F32, to: &mut [f32; 16]) {
        *to = a;
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        self.add(each(a, b, |a, b| a * b), c)
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F32) -> Self::F32 {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn transpose(self, a: [Self::F32; 16]) -> [Self::F32; 16] {
        std::array::from_fn(|i| std::array::from_fn(|j| a[j][i]))
    }
    #[inline(always)]
    fn splat_bits(self, value: u32) -> Self::U32 {
        [value; 16]
    }
    #[inline(always)]
    fn store_bits(self, a: Self::U32, to: &mut [u32; 16]) {
        *to = a;
    }
    #[inline(always)]
    fn select_less(
        self,
        a: Self::F32,
        b: Self::F32,
        then: Self::U32,
        otherwise: Self::U32,
    ) -> Self::U32 {
        std::array::from_fn(|l| if a[l] < b[l] { then[l] } else { otherwise[l] })
    }
    #[inline(always)]
    fn splat_wide(self, value: f64) -> Self::F64 {
        [value; 8]
    }
    #[inline(always)]
    fn load_wide(self, from: &[f64; 8]) -> Self::F64 {
        *from
    }
    #[inline(always)]
    fn widen(self, from: &[f32; 8]) -> Self::F64 {
        from.map(f64::from)
    }
    #[inline(always)]
    fn store_wide(self, a: Self::F64, to: &mut [f64; 8]) {
        *to = a;
    }
    #[inline(always)]
    fn add_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul_wide(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn sum_wide(self, a: Self::F64) -> f64 {
        let [p, q, r, s] = [a[0] + a[4], a[1] + a[5], a[2] + a[6], a[3] + a[7]];
        (p + r) + (q + s)
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
