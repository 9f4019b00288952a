//! Products of whole numbers of 16 bits, on processors that make them at twice the rate of products in `f32`.

/// Two neighbouring slots of a row.
pub type Pair = [i16; 2];

/// The instructions for products of 16 bits that add up in 32: AVX-512 with VNNI. Whoever holds one may use them.
#[derive(Debug, Clone, Copy)]
pub struct Words(instructions::Words);

impl Words {
    /// `None` where this processor lacks them.
    #[must_use]
    pub fn new() -> Option<Self> {
        instructions::Words::new().map(Self)
    }

    /// Products of sixteen rows with sixteen columns: `[r][c]` is the sum over all pairs of slots `t` of
    /// `rows[r][t] . columns[t][c]`, rounded once where every sum on the way fits in 32 bits; else it wraps around.
    ///
    /// # Panics
    /// A row has fewer pairs than the columns.
    #[must_use]
    #[inline]
    pub fn products(self, rows: [&[Pair]; 16], columns: &[[Pair; 16]]) -> [[f32; 16]; 16] {
        self.0.products(rows, columns)
    }
}

#[cfg(target_arch = "x86_64")]
mod instructions {
    use pulp::{NullaryFnOnce, cast};

    use super::Pair;

    pulp::simd_type!({
        #[allow(missing_docs)]
        pub struct Words {
            pub avx512f: f!("avx512f"),
            pub avx512bw: f!("avx512bw"),
            pub avx512vnni: f!("avx512vnni"),
        }
    });

    impl Words {
        pub fn new() -> Option<Self> {
            Self::try_new()
        }

        #[inline]
        pub fn products(self, rows: [&[Pair]; 16], columns: &[[Pair; 16]]) -> [[f32; 16]; 16] {
            self.vectorize(Products(self, rows, columns))
        }
    }

    struct Products<'a>(Words, [&'a [Pair]; 16], &'a [[Pair; 16]]);

    impl NullaryFnOnce for Products<'_> {
        type Output = [[f32; 16]; 16];

        #[inline(always)]
        fn call(self) -> Self::Output {
            let Self(simd, mut rows, columns) = self;
            for row in &mut rows {
                *row = &row[..columns.len()];
            }
            let mut sums = [simd.avx512f._mm512_setzero_si512(); 16];
            // A step multiplies one pair: sums of several products first and of those then would not be one instruction each.
            for (t, column) in columns.iter().enumerate() {
                let column = cast(*column);
                for (sum, row) in sums.iter_mut().zip(&rows) {
                    let pair = simd.avx512f._mm512_set1_epi32(cast(row[t]));
                    let product = simd.avx512bw._mm512_madd_epi16(pair, column);
                    *sum = simd.avx512f._mm512_add_epi32(*sum, product);
                }
            }
            let mut out = [[0.0; 16]; 16];
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = cast(simd.avx512f._mm512_cvtepi32_ps(sum));
            }
            out
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod instructions {
    use super::Pair;

    #[derive(Debug, Clone, Copy)]
    pub enum Words {}

    impl Words {
        pub fn new() -> Option<Self> {
            None
        }

        pub fn products(self, _: [&[Pair]; 16], _: &[[Pair; 16]]) -> [[f32; 16]; 16] {
            match self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_whole_numbers() {
        let Some(words) = Words::new() else {
            return;
        };
        let number = |i: usize| ((i as u32).wrapping_mul(0x9e37_79b9) >> 20) as i16 - 2_048;
        for pairs in [0, 1, 2, 5, 64] {
            let rows: Vec<Vec<Pair>> = (0..16)
                .map(|r| {
                    let pair = |t| [number(r * 997 + 2 * t), number(r * 997 + 2 * t + 1)];
                    (0..pairs).map(pair).collect()
                })
                .collect();
            let columns: Vec<[Pair; 16]> = (0..pairs)
                .map(|t| std::array::from_fn(|c| [number(c * 31 + t), number(c * 57 + t + 9)]))
                .collect();
            let found = words.products(std::array::from_fn(|r| rows[r].as_slice()), &columns);
            for (r, row) in rows.iter().enumerate() {
                for c in 0..16 {
                    let both = row.iter().zip(&columns);
                    let sum: i32 = both
                        .map(|(x, y)| {
                            let [p, q] = [0, 1].map(|s| i32::from(x[s]) * i32::from(y[c][s]));
                            p + q
                        })
                        .sum();
                    assert_eq!(found[r][c], sum as f32);
                }
            }
        }
    }

    #[test]
    fn the_ends_of_their_range_are_multiplied_too() {
        let Some(words) = Words::new() else {
            return;
        };
        let (row, columns) = ([[i16::MIN, i16::MAX]], [[[i16::MAX, i16::MAX]; 16]]);
        let found = words.products([&row; 16], &columns);
        assert_eq!(found, [[-f32::from(i16::MAX); 16]; 16]);
    }
}
