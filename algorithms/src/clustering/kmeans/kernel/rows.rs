//! Rows of a block as the assignment sees them: dense in either width, scaled to length 1, or sparse.

use std::borrow::Cow;
use std::ops::Range;

use emberline_datasets::simd::Vectors;
use emberline_pipeline::datasets::Csr;

use super::assignment::all_products;
use super::screen::{LANES, Least, Screen, joined, products};

/// Rows by their number in the block.
pub trait Rows {
    /// Called before the rows of a strip are asked for.
    fn enter(&mut self, strip: Range<usize>);

    /// [`squared_distance`](super::squared_distance) of row `i` to `centre`.
    fn distance<S: Vectors>(&mut self, simd: S, i: usize, centre: &[f64]) -> f64;

    /// Adds `w` times row `i`.
    fn add<S: Vectors>(&self, simd: S, i: usize, w: f64, sum: &mut [f64]);

    /// Adds `w` times row `i` and gives back its squared distance to `centre`.
    fn add_measured<S: Vectors>(
        &mut self,
        simd: S,
        i: usize,
        w: f64,
        centre: &[f64],
        sum: &mut [f64],
    ) -> f64 {
        self.add(simd, i, w, sum);
        self.distance(simd, i, centre)
    }

    /// Makes room for `slots` rows to be bounded.
    fn reserve(&mut self, slots: usize, screen: &Screen);

    /// Puts these rows in the slots from `slot` on and gives back their squared lengths as `screen` sees them, each in parts.
    fn load<S: Vectors>(
        &mut self,
        simd: S,
        slot: usize,
        rows: [usize; LANES],
        screen: &Screen,
    ) -> [S::F32; LANES];

    /// Products of the rows in `slots` with the centres of a group.
    fn products<S: Vectors, const R: usize>(
        &self,
        simd: S,
        slots: [usize; R],
        group: &[f32],
    ) -> [S::F32; R];

    /// Takes the values `|c|^2 - 2 x.c`, nearly, of sixteen rows and all centres into `least`; gives back the squared lengths of the
    /// rows. Room for them has to be reserved.
    fn rank<S: Vectors>(
        &mut self,
        simd: S,
        rows: [usize; LANES],
        screen: &Screen,
        least: &mut Least<S>,
    ) -> S::F32;
}

/// A feature as it is stored.
pub trait Number: Copy + Default + Into<f64> {
    /// Eight numbers in `f64`.
    fn wide<S: Vectors>(simd: S, from: &[Self; 8]) -> S::F64;
    /// Sixteen numbers seen from `shift`, in `f32`.
    fn narrow<S: Vectors>(simd: S, from: &[Self; LANES], shift: &[f32; LANES]) -> S::F32;
}

impl Number for f32 {
    #[inline(always)]
    fn wide<S: Vectors>(simd: S, from: &[Self; 8]) -> S::F64 {
        simd.widen(from)
    }
    #[inline(always)]
    fn narrow<S: Vectors>(simd: S, from: &[Self; LANES], shift: &[f32; LANES]) -> S::F32 {
        simd.sub(simd.load(from), simd.load(shift))
    }
}

impl Number for f64 {
    #[inline(always)]
    fn wide<S: Vectors>(simd: S, from: &[Self; 8]) -> S::F64 {
        simd.load_wide(from)
    }
    #[inline(always)]
    fn narrow<S: Vectors>(simd: S, from: &[Self; LANES], shift: &[f32; LANES]) -> S::F32 {
        let mut to = [0.0; LANES];
        for ((to, v), shift) in to.iter_mut().zip(from).zip(shift) {
            *to = (v - f64::from(*shift)) as f32;
        }
        simd.load(&to)
    }
}

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
                let rest = &self.values[(i - self.first) * self.d + t * LANES..];
                // What follows the row is loaded too, and not used.
                *part = match rest.first_chunk() {
                    Some(x) => T::narrow(simd, x, shift),
                    None => {
                        let mut x = [T::default(); LANES];
                        x[..rest.len()].copy_from_slice(rest);
                        T::narrow(simd, &x, shift)
                    }
                };
            }
            let parts = simd.transpose(parts);
            #[expect(
                clippy::needless_range_loop,
                reason = "counted, so that all stay in registers"
            )]
            for j in 0..LANES {
                if let Some(column) = columns.get_mut(j) {
                    square = simd.mul_add(parts[j], parts[j], square);
                    simd.store(parts[j], column);
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

/// Sparse rows: products and sums take the stored values only. A distance is measured over all slots, so that it has the bits of
/// the same row stored densely.
pub struct Sparse<'a> {
    csr: &'a Csr,
    /// Stored values, scaled where the distance is the cosine's.
    values: Cow<'a, [f64]>,
    /// The row measured last, written out, and which it is.
    dense: Vec<f64>,
    held: Option<usize>,
    slots: Vec<usize>,
}

impl<'a> Sparse<'a> {
    pub fn new(csr: &'a Csr, values: Cow<'a, [f64]>) -> Self {
        Self {
            csr,
            values,
            dense: vec![0.0; csr.width],
            held: None,
            slots: Vec::new(),
        }
    }

    #[inline(always)]
    fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.csr.offsets[i]..self.csr.offsets[i + 1];
        (&self.csr.indices[range.clone()], &self.values[range])
    }

    fn hold(&mut self, i: usize) {
        if self.held == Some(i) {
            return;
        }
        if let Some(before) = self.held.replace(i) {
            let range = self.csr.offsets[before]..self.csr.offsets[before + 1];
            for j in &self.csr.indices[range] {
                self.dense[*j as usize] = 0.0;
            }
        }
        let range = self.csr.offsets[i]..self.csr.offsets[i + 1];
        for (j, v) in self.csr.indices[range.clone()]
            .iter()
            .zip(&self.values[range])
        {
            self.dense[*j as usize] = *v;
        }
    }
}

impl Rows for Sparse<'_> {
    fn enter(&mut self, _: Range<usize>) {}

    #[inline(always)]
    fn distance<S: Vectors>(&mut self, simd: S, i: usize, centre: &[f64]) -> f64 {
        self.hold(i);
        distance(simd, &self.dense, centre)
    }

    #[inline(always)]
    fn add<S: Vectors>(&self, _: S, i: usize, w: f64, sum: &mut [f64]) {
        let (slots, values) = self.row(i);
        for (j, v) in slots.iter().zip(values) {
            sum[*j as usize] += w * v;
        }
    }

    fn reserve(&mut self, slots: usize, _: &Screen) {
        self.slots.resize(self.slots.len().max(slots), 0);
    }

    #[inline(always)]
    fn rank<S: Vectors>(
        &mut self,
        simd: S,
        rows: [usize; LANES],
        screen: &Screen,
        least: &mut Least<S>,
    ) -> S::F32 {
        let parts = self.load(simd, 0, rows, screen);
        let mut slots = [0; LANES];
        for (l, slot) in slots.iter_mut().enumerate() {
            *slot = l;
        }
        for g in 0..screen.groups() {
            let products = all_products(simd, self, slots, screen.group(g));
            screen.rank(simd, g, products, least);
        }
        joined(simd, simd.transpose(parts))
    }

    #[inline(always)]
    fn load<S: Vectors>(
        &mut self,
        simd: S,
        slot: usize,
        rows: [usize; LANES],
        _: &Screen,
    ) -> [S::F32; LANES] {
        self.slots[slot..slot + LANES].copy_from_slice(&rows);
        let mut squares = [simd.splat(0.0); LANES];
        for (square, i) in squares.iter_mut().zip(rows) {
            let mut parts = [0.0; LANES];
            parts[0] = self.row(i).1.iter().map(|v| v * v).sum::<f64>() as f32;
            *square = simd.load(&parts);
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
        let (centres, _) = group.as_chunks::<LANES>();
        let mut out = [simd.splat(0.0); R];
        for (out, slot) in out.iter_mut().zip(slots) {
            let (slots, values) = self.row(self.slots[slot]);
            // Two sums, so that one multiply-add need not wait for the other.
            let mut sums = [*out; 2];
            for (t, (j, v)) in slots.iter().zip(values).enumerate() {
                let c = simd.load(&centres[*j as usize]);
                sums[t % 2] = simd.mul_add(simd.splat(*v as f32), c, sums[t % 2]);
            }
            *out = simd.add(sums[0], sums[1]);
        }
        out
    }
}

/// Squared distance in `f64`, in the order of [`squared_distance`](super::squared_distance).
#[inline(always)]
pub fn distance<S: Vectors, T: Number>(simd: S, row: &[T], centre: &[f64]) -> f64 {
    let ((x, x_rest), (c, c_rest)) = (row.as_chunks::<8>(), centre.as_chunks::<8>());
    let mut sum = simd.splat_wide(0.0);
    for (x, c) in x.iter().zip(c) {
        let t = simd.sub_wide(T::wide(simd, x), simd.load_wide(c));
        sum = simd.add_wide(sum, simd.mul_wide(t, t));
    }
    if !x_rest.is_empty() {
        let (mut x, mut c) = ([T::default(); 8], [0.0; 8]);
        x[..x_rest.len()].copy_from_slice(x_rest);
        c[..c_rest.len()].copy_from_slice(c_rest);
        let t = simd.sub_wide(T::wide(simd, &x), simd.load_wide(&c));
        sum = simd.add_wide(sum, simd.mul_wide(t, t));
    }
    simd.sum_wide(sum)
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
