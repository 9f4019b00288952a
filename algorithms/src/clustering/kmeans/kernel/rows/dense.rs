//! Dense rows, as they are stored or made strip by strip.

use std::borrow::Cow;
use std::ops::Range;

use emberline_datasets::simd::Vectors;

use super::super::screen::{LANES, Least, Screen, products};
use super::{Number, Rows, distance};

/// Fills a row's numbers in.
pub type Fill<'a, T> = &'a mut dyn FnMut(usize, &mut [T]);

/// Dense rows, as they are stored or made strip by strip.
pub struct Dense<'a, T: Number> {
    /// Of the rows from `first` on.
    values: Cow<'a, [T]>,
    first: usize,
    d: usize,
    fill: Option<Fill<'a, T>>,
    packed: Vec<f32>,
    padded: usize,
}

impl<'a, T: Number> Dense<'a, T> {
    /// All rows of a block, `(n, d)`.
    pub fn stored(values: &'a [T], d: usize) -> Self {
        Self::new(Cow::Borrowed(values), d, None)
    }

    /// Rows that `fill` makes when they are wanted.
    pub fn made(d: usize, fill: Fill<'a, T>) -> Self {
        Self::new(Cow::Owned(Vec::new()), d, Some(fill))
    }

    fn new(values: Cow<'a, [T]>, d: usize, fill: Option<Fill<'a, T>>) -> Self {
        Self {
            values,
            first: 0,
            d,
            fill,
            packed: Vec::new(),
            padded: 0,
        }
    }

    #[inline(always)]
    fn row(&self, i: usize) -> &[T] {
        let start = (i - self.first) * self.d;
        &self.values[start..start + self.d]
    }
}

impl<T: Number> Rows for Dense<'_, T> {
    fn enter(&mut self, strip: Range<usize>) {
        if let Some(fill) = &mut self.fill {
            let values = self.values.to_mut();
            values.resize(strip.len() * self.d, T::default());
            self.first = strip.start;
            for (i, row) in strip.zip(values.chunks_exact_mut(self.d)) {
                fill(i, row);
            }
        }
    }

    #[inline(always)]
    fn distance<S: Vectors>(&mut self, simd: S, i: usize, centre: &[f64]) -> f64 {
        distance(simd, self.row(i), centre)
    }

    #[inline(always)]
    fn add<S: Vectors>(&self, simd: S, i: usize, w: f64, sum: &mut [f64]) {
        let ((x, x_rest), (s, s_rest)) = (self.row(i).as_chunks::<8>(), sum.as_chunks_mut::<8>());
        let weight = simd.splat_wide(w);
        for (x, s) in x.iter().zip(s) {
            let x = simd.mul_wide(weight, T::wide(simd, x));
            simd.store_wide(simd.add_wide(simd.load_wide(s), x), s);
        }
        for (x, s) in x_rest.iter().zip(s_rest) {
            *s += w * (*x).into();
        }
    }

    #[inline(always)]
    fn add_measured<S: Vectors>(
        &mut self,
        simd: S,
        i: usize,
        w: f64,
        centre: &[f64],
        sum: &mut [f64],
    ) -> f64 {
        let (x, x_rest) = self.row(i).as_chunks::<8>();
        if !x_rest.is_empty() {
            self.add(simd, i, w, sum);
            return self.distance(simd, i, centre);
        }
        let ((c, _), (s, _)) = (centre.as_chunks::<8>(), sum.as_chunks_mut::<8>());
        let (weight, mut total) = (simd.splat_wide(w), simd.splat_wide(0.0));
        for ((x, c), s) in x.iter().zip(c).zip(s) {
            let x = T::wide(simd, x);
            let t = simd.sub_wide(x, simd.load_wide(c));
            total = simd.add_wide(total, simd.mul_wide(t, t));
            let x = simd.mul_wide(weight, x);
            simd.store_wide(simd.add_wide(simd.load_wide(s), x), s);
        }
        simd.sum_wide(total)
    }

    #[inline(always)]
    fn reserve(&mut self, slots: usize, screen: &Screen) {
        self.padded = screen.padded();
        // What pads a row is never written and stays 0.
        self.packed
            .resize(self.packed.len().max(slots * screen.shift().len()), 0.0);
    }

    #[inline(always)]
    fn rank<S: Vectors>(
        &mut self,
        simd: S,
        rows: [usize; LANES],
        screen: &Screen,
        least: &mut Least<S>,
    ) -> S::F32 {
        let (columns, _) = self.packed.as_chunks_mut::<LANES>();
        let columns = &mut columns[..self.d];
        let (shifts, _) = screen.shift().as_chunks::<LANES>();
        let mut square = simd.splat(0.0);
        for (t, (shift, columns)) in shifts.iter().zip(columns.chunks_mut(LANES)).enumerate() {
            let mut parts = [square; LANES];
            for (part, i) in parts.iter_mut().zip(rows) {
                let at = (i - self.first) * self.d + t * LANES;
                *part = some(simd, &self.values[at..], shift);
            }
            for (j, part) in simd.transpose(parts).iter().enumerate() {
                if let Some(column) = columns.get_mut(j) {
                    square = simd.mul_add(*part, *part, square);
                    simd.store(*part, column);
                }
            }
        }
        screen.columns.rank(simd, columns, least);
        square
    }

    #[inline(always)]
    fn load<S: Vectors>(
        &mut self,
        simd: S,
        slot: usize,
        rows: [usize; LANES],
        screen: &Screen,
    ) -> [S::F32; LANES] {
        let mut squares = [simd.splat(0.0); LANES];
        let slots = self.packed[slot * self.padded..].chunks_exact_mut(self.padded);
        for ((square, i), to) in squares.iter_mut().zip(rows).zip(slots) {
            let start = (i - self.first) * self.d;
            let row = &self.values[start..start + self.d];
            *square = pack(simd, row, screen.shift(), to);
        }
        squares
    }

    #[inline(always)]
    fn products<S: Vectors, const R: usize>(
        &self,
        simd: S,
        slots: [usize; R],
        group: &[f32],
    ) -> [S::F32; R] {
        let mut rows: [&[f32]; R] = [&[]; R];
        for (row, slot) in rows.iter_mut().zip(slots) {
            *row = &self.packed[slot * self.padded..(slot + 1) * self.padded];
        }
        products(simd, rows, group)
    }
}

/// The first sixteen numbers of a row; what follows the row is loaded too, and of no use.
#[inline(always)]
fn some<S: Vectors, T: Number>(simd: S, row: &[T], shift: &[f32; LANES]) -> S::F32 {
    if let Some(x) = row.first_chunk() {
        return T::narrow(simd, x, shift);
    }
    let mut x = [T::default(); LANES];
    x[..row.len()].copy_from_slice(row);
    T::narrow(simd, &x, shift)
}

/// Writes a row seen from `shift` and gives back its squared length in sixteen parts.
#[inline(always)]
fn pack<S: Vectors, T: Number>(simd: S, row: &[T], shift: &[f32], to: &mut [f32]) -> S::F32 {
    let (x, x_rest) = row.as_chunks::<LANES>();
    let (s, s_rest) = shift[..row.len()].as_chunks::<LANES>();
    let (t, t_rest) = to.as_chunks_mut::<LANES>();
    let mut square = simd.splat(0.0);
    for ((x, s), t) in x.iter().zip(s).zip(t) {
        let v = T::narrow(simd, x, s);
        square = simd.mul_add(v, v, square);
        simd.store(v, t);
    }
    if !x_rest.is_empty() {
        let (mut x, mut s, mut t) = ([T::default(); LANES], [0.0; LANES], [0.0; LANES]);
        x[..x_rest.len()].copy_from_slice(x_rest);
        s[..s_rest.len()].copy_from_slice(s_rest);
        let v = T::narrow(simd, &x, &s);
        square = simd.mul_add(v, v, square);
        simd.store(v, &mut t);
        // A row of one to sixteen slots more than a multiple of sixteen is padded to the next multiple of eight.
        if t_rest.is_empty() {
            let last = to.len() - LANES;
            to[last..].copy_from_slice(&t);
        } else {
            let n = t_rest.len();
            t_rest.copy_from_slice(&t[..n]);
        }
    }
    square
}
