//! Dense rows, as they are stored or made strip by strip.

use std::borrow::Cow;
use std::ops::Range;

use emberline_datasets::simd::{Pair, Vectors};

use super::super::coarse::Coarse;
use super::super::screen::{LANES, Least, Line, Screen, products};
use super::{Group, Number, Rows, all_products, distance, grain};

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
    /// The rows of all slots in whole numbers; `packed` is of the last sixteen alone then.
    pairs: Vec<Pair>,
    /// Of each row of a group, the parts of its squared distance.
    totals: Vec<[f64; 8]>,
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
            pairs: Vec::new(),
            padded: 0,
            totals: Vec::new(),
        }
    }

    #[inline(always)]
    fn row(&self, i: usize) -> &[T] {
        let start = (i - self.first) * self.d;
        &self.values[start..start + self.d]
    }

    /// [`Rows::dots`] for up to `W` centres, two rows at a time.
    #[inline(always)]
    fn pairs<S: Vectors, const W: usize>(
        &self,
        simd: S,
        rows: [usize; LANES],
        screen: &Screen,
        out: &mut [Line],
    ) {
        let (centres, _) = screen.dots::<S>().1.as_chunks::<W>();
        let (shift, _) = screen.shift().as_chunks::<LANES>();
        for (pair, rows) in rows.as_chunks::<2>().0.iter().enumerate() {
            let [(p, p_rest), (q, q_rest)] = [
                self.row(rows[0]).as_chunks::<LANES>(),
                self.row(rows[1]).as_chunks::<LANES>(),
            ];
            let mut sums = [[simd.splat(0.0); W]; 2];
            for (((p, q), shift), centres) in p.iter().zip(q).zip(shift).zip(centres) {
                let x = [T::narrow(simd, p, shift), T::narrow(simd, q, shift)];
                multiply(simd, x, centres, &mut sums);
            }
            if !p_rest.is_empty() {
                let shift = &shift[p.len()];
                let x = [last(simd, p_rest, shift), last(simd, q_rest, shift)];
                multiply(simd, x, &centres[p.len()], &mut sums);
            }
            for (r, sums) in sums.iter().enumerate() {
                for (c, sum) in sums.iter().enumerate() {
                    simd.store(*sum, &mut out[c * LANES + 2 * pair + r].0);
                }
            }
        }
    }

    /// [`Rows::gather`] for the slots from the `8 at`-th on, `8 V` of them at a time while there are as many; how far it came.
    #[inline(always)]
    fn columns<S: Vectors, const V: usize>(
        &self,
        simd: S,
        group: Group<'_>,
        (mut at, c, s): (usize, &[[f64; 8]], &mut [[f64; 8]]),
        totals: &mut [[f64; 8]],
    ) -> usize {
        while let (Some(c), Some(s)) = (c[at..].first_chunk::<V>(), s[at..].first_chunk_mut::<V>())
        {
            let mut sums = [simd.splat_wide(0.0); V];
            for (sum, s) in sums.iter_mut().zip(s.iter()) {
                *sum = simd.load_wide(s);
            }
            for (l, total) in group.members.iter().zip(totals.iter_mut()) {
                let start = (group.start + *l as usize - self.first) * self.d + at * 8;
                let (x, _) = self.values[start..start + 8 * V].as_chunks::<8>();
                let mut sum = simd.load_wide(total);
                for ((x, c), s) in x.iter().zip(c).zip(&mut sums) {
                    let mut x = T::wide(simd, x);
                    let t = simd.sub_wide(x, simd.load_wide(c));
                    sum = simd.add_wide(sum, simd.mul_wide(t, t));
                    if let Some(w) = group.weights {
                        x = simd.mul_wide(simd.splat_wide(w[*l as usize]), x);
                    }
                    *s = simd.add_wide(*s, x);
                }
                simd.store_wide(sum, total);
            }
            for (sum, s) in sums.iter().zip(s.iter_mut()) {
                simd.store_wide(*sum, s);
            }
            at += V;
        }
        at
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
    fn gather<S: Vectors>(
        &mut self,
        simd: S,
        group: Group<'_>,
        centre: &[f64],
        sum: &mut [f64],
        distances: &mut [f64],
    ) {
        let mut totals = std::mem::take(&mut self.totals);
        totals.clear();
        totals.resize(group.members.len(), [0.0; 8]);
        let ((c, c_rest), (s, s_rest)) = (centre.as_chunks::<8>(), sum.as_chunks_mut::<8>());
        let mut at = 0;
        // Sums and centre stay in registers while the rows pass by; fewer registers hold fewer slots.
        if S::F32_LANES == LANES {
            at = self.columns::<S, 8>(simd, group, (at, c, s), &mut totals);
            at = self.columns::<S, 4>(simd, group, (at, c, s), &mut totals);
        }
        at = self.columns::<S, 2>(simd, group, (at, c, s), &mut totals);
        self.columns::<S, 1>(simd, group, (at, c, s), &mut totals);
        if !c_rest.is_empty() {
            let (mut c, mut s) = ([0.0; 8], [0.0; 8]);
            c[..c_rest.len()].copy_from_slice(c_rest);
            s[..c_rest.len()].copy_from_slice(s_rest);
            for (l, total) in group.members.iter().zip(&mut totals) {
                let mut x = [T::default(); 8];
                let row = self.row(group.start + *l as usize);
                x[..c_rest.len()].copy_from_slice(&row[row.len() - c_rest.len()..]);
                let mut x = T::wide(simd, &x);
                let t = simd.sub_wide(x, simd.load_wide(&c));
                let sum = simd.add_wide(simd.load_wide(total), simd.mul_wide(t, t));
                simd.store_wide(sum, total);
                if let Some(w) = group.weights {
                    x = simd.mul_wide(simd.splat_wide(w[*l as usize]), x);
                }
                simd.store_wide(simd.add_wide(simd.load_wide(&s), x), &mut s);
            }
            s_rest.copy_from_slice(&s[..c_rest.len()]);
        }
        for (l, total) in group.members.iter().zip(&totals) {
            distances[*l as usize] = simd.sum_wide(simd.load_wide(total));
        }
        self.totals = totals;
    }

    #[inline(always)]
    fn survey(&self, rows: Range<usize>, totals: &mut [f64], grains: &mut [f64]) {
        for i in rows {
            for ((x, total), least) in self.row(i).iter().zip(&mut *totals).zip(&mut *grains) {
                let magnitude = (*x).into().abs();
                let grain = grain(magnitude);
                *total += magnitude;
                *least = if grain < *least { grain } else { *least };
            }
        }
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
        centres: &[u32; LANES],
        (screen, coarse): (&Screen, Option<&Coarse>),
    ) -> [S::F32; 2] {
        let mut squares = [simd.splat(0.0); LANES];
        let mut products = squares;
        let packs = screen.dots::<S>().0 == 0;
        let first = if coarse.is_some() { 0 } else { slot };
        for (l, (i, c)) in rows.iter().zip(centres).enumerate() {
            let start = (i - self.first) * self.d;
            let row = &self.values[start..start + self.d];
            let c = *c as usize;
            let to = if packs {
                &mut self.packed[(first + l) * self.padded..][..self.padded]
            } else {
                &mut []
            };
            [squares[l], products[l]] = pack(simd, row, screen, c, to);
        }
        let square = simd.sums(squares);
        if let Some(coarse) = coarse {
            let mut lengths = [0.0; LANES];
            simd.store(screen.lengths(simd, square).length, &mut lengths);
            let width = coarse.pairs();
            let end = (slot + LANES) * width;
            if self.pairs.len() < end {
                self.pairs.resize(end, [0; 2]);
            }
            let to = self.pairs[slot * width..end].chunks_exact_mut(width);
            let rows = self.packed.chunks_exact(self.padded);
            for ((to, row), length) in to.zip(rows).zip(lengths) {
                coarse.round(row, length, to);
            }
        }
        [square, simd.sums(products)]
    }

    #[inline(always)]
    fn apart<S: Vectors>(
        &self,
        simd: S,
        (slots, length): ([usize; LANES], S::F32),
        g: usize,
        (screen, coarse): (&Screen, Option<&Coarse>),
    ) -> [S::F32; LANES] {
        let Some(coarse) = coarse else {
            return simd.transpose(all_products(simd, self, slots, screen.group(g)));
        };
        let width = coarse.pairs();
        let mut rows: [&[Pair]; LANES] = [&[]; LANES];
        for (row, slot) in rows.iter_mut().zip(slots) {
            *row = &self.pairs[slot * width..(slot + 1) * width];
        }
        coarse.products(simd, rows, g, length)
    }

    #[inline(always)]
    fn dots<S: Vectors>(&self, simd: S, rows: [usize; LANES], screen: &Screen, out: &mut [Line]) {
        match screen.dots::<S>().0 {
            2 => self.pairs::<S, 2>(simd, rows, screen, out),
            4 => self.pairs::<S, 4>(simd, rows, screen, out),
            6 => self.pairs::<S, 6>(simd, rows, screen, out),
            8 => self.pairs::<S, 8>(simd, rows, screen, out),
            10 => self.pairs::<S, 10>(simd, rows, screen, out),
            _ => self.pairs::<S, 12>(simd, rows, screen, out),
        }
    }

    #[inline(always)]
    fn products<S: Vectors, const R: usize>(
        &self,
        simd: S,
        slots: [usize; R],
        group: &[Line],
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

/// Writes a row as `screen` sees it, where there is room for it; gives back its squared length and its product with centre `c`, each
/// in sixteen parts.
#[inline(always)]
fn pack<S: Vectors, T: Number>(
    simd: S,
    row: &[T],
    screen: &Screen,
    c: usize,
    to: &mut [f32],
) -> [S::F32; 2] {
    let (x, x_rest) = row.as_chunks::<LANES>();
    let (shift, _) = screen.shift().as_chunks::<LANES>();
    let (mut square, mut product) = (simd.splat(0.0), simd.splat(0.0));
    let (whole, rest) = to.as_chunks_mut::<LANES>();
    if let Some(lines) = screen.lines(c)
        && whole.len() >= x.len()
    {
        let lines = lines.iter().zip(whole.iter_mut());
        for ((x, shift), (line, to)) in x.iter().zip(shift).zip(lines) {
            let v = T::narrow(simd, x, shift);
            square = simd.mul_add(v, v, square);
            product = simd.mul_add(v, simd.load(&line.0), product);
            simd.store(v, to);
        }
    } else {
        for (t, (x, shift)) in x.iter().zip(shift).enumerate() {
            let v = T::narrow(simd, x, shift);
            square = simd.mul_add(v, v, square);
            product = simd.mul_add(v, simd.load(screen.line(c, t)), product);
            if let Some(to) = whole.get_mut(t) {
                simd.store(v, to);
            }
        }
    }
    if !x_rest.is_empty() {
        let v = last(simd, x_rest, &shift[x.len()]);
        square = simd.mul_add(v, v, square);
        product = simd.mul_add(v, simd.load(screen.line(c, x.len())), product);
        // Rows are padded to a multiple of eight: a half or a whole vector.
        if let Some(to) = whole.get_mut(x.len()) {
            simd.store(v, to);
        } else {
            let mut t = [0.0; LANES];
            simd.store(v, &mut t);
            rest.copy_from_slice(&t[..rest.len()]);
        }
    }
    [square, product]
}

/// Adds the products of two rows with `W` centres.
#[inline(always)]
fn multiply<S: Vectors, const W: usize>(
    simd: S,
    x: [S::F32; 2],
    centres: &[Line; W],
    sums: &mut [[S::F32; W]; 2],
) {
    for (c, centre) in centres.iter().enumerate() {
        let centre = simd.load(&centre.0);
        sums[0][c] = simd.mul_add(x[0], centre, sums[0][c]);
        sums[1][c] = simd.mul_add(x[1], centre, sums[1][c]);
    }
}

/// The last numbers of a row, fewer than sixteen, and zeros.
#[inline(always)]
fn last<S: Vectors, T: Number>(simd: S, row: &[T], shift: &[f32; LANES]) -> S::F32 {
    // The shift is zero where there are no slots.
    let mut x = [T::default(); LANES];
    x[..row.len()].copy_from_slice(row);
    T::narrow(simd, &x, shift)
}
