//! Processors without vectors that we know.

use pulp::Scalar;

use super::Vectors;

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
    fn load_bits(self, from: &[u32; 16]) -> Self::U32 {
        *from
    }
    #[inline(always)]
    fn select_equal(
        self,
        a: Self::U32,
        b: Self::U32,
        then: Self::F32,
        otherwise: Self::F32,
    ) -> Self::F32 {
        std::array::from_fn(|l| if a[l] == b[l] { then[l] } else { otherwise[l] })
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
