//! AVX-512 and AVX2.

use pulp::cast;
use pulp::x86::{V3, V4};

use super::Vectors;

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
    fn sums(self, a: [Self::F32; 16]) -> Self::F32 {
        let simd = self.avx512f;
        // Two vectors become one at each step: of pairs, of fours, of eights, of all.
        let mut fours = [a[0]; 4];
        for (four, a) in fours.iter_mut().zip(a.as_chunks::<4>().0) {
            let [p, q, r, s] = *a;
            let (p, q, r, s) = (cast(p), cast(q), cast(r), cast(s));
            let (low, high) = (simd._mm512_unpacklo_ps(p, q), simd._mm512_unpackhi_ps(p, q));
            let pq: Self::F32 = self.add_f32x16(cast(low), cast(high));
            let (low, high) = (simd._mm512_unpacklo_ps(r, s), simd._mm512_unpackhi_ps(r, s));
            let rs: Self::F32 = self.add_f32x16(cast(low), cast(high));
            let low = simd._mm512_unpacklo_pd(cast(pq), cast(rs));
            let high = simd._mm512_unpackhi_pd(cast(pq), cast(rs));
            *four = self.add_f32x16(cast(low), cast(high));
        }
        let mut pairs = [a[0]; 2];
        for (pair, fours) in pairs.iter_mut().zip(fours.as_chunks::<2>().0) {
            let [p, q] = *fours;
            let even = simd._mm512_shuffle_f32x4::<0x88>(cast(p), cast(q));
            let odd = simd._mm512_shuffle_f32x4::<0xdd>(cast(p), cast(q));
            *pair = self.add_f32x16(cast(even), cast(odd));
        }
        let [p, q] = pairs;
        let even = simd._mm512_shuffle_f32x4::<0x88>(cast(p), cast(q));
        let odd = simd._mm512_shuffle_f32x4::<0xdd>(cast(p), cast(q));
        self.add_f32x16(cast(even), cast(odd))
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
    fn load_bits(self, from: &[u32; 16]) -> Self::U32 {
        cast(*from)
    }
    #[inline(always)]
    fn select_equal(
        self,
        a: Self::U32,
        b: Self::U32,
        then: Self::F32,
        otherwise: Self::F32,
    ) -> Self::F32 {
        let equal = self.avx512f._mm512_cmpeq_epi32_mask(cast(a), cast(b));
        self.select_f32x16(pulp::b16(equal), then, otherwise)
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
    fn load_bits(self, from: &[u32; 16]) -> Self::U32 {
        cast(*from)
    }
    #[inline(always)]
    fn select_equal(
        self,
        a: Self::U32,
        b: Self::U32,
        then: Self::F32,
        otherwise: Self::F32,
    ) -> Self::F32 {
        let half = |a: pulp::u32x8, b: pulp::u32x8, then, otherwise| {
            let equal = self.avx2._mm256_cmpeq_epi32(cast(a), cast(b));
            self.select_f32x8(cast(equal), then, otherwise)
        };
        [
            half(a[0], b[0], then[0], otherwise[0]),
            half(a[1], b[1], then[1], otherwise[1]),
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
