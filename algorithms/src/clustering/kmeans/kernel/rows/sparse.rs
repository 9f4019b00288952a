//! Sparse rows.

use std::borrow::Cow;
use std::ops::Range;

use emberline_datasets::simd::Vectors;
use emberline_pipeline::datasets::Csr;

use super::super::coarse::Coarse;
use super::super::screen::{LANES, Least, Line, Screen};
use super::{Rows, all_products, distance, grain};

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
        let [square, _] = self.load(simd, 0, rows, &[0; LANES], (screen, None));
        let mut slots = [0; LANES];
        for (l, slot) in slots.iter_mut().enumerate() {
            *slot = l;
        }
        for g in 0..screen.groups() {
            let products = all_products(simd, self, slots, screen.group(g));
            screen.rank(simd, g, products, least);
        }
        square
    }

    #[inline(always)]
    fn survey(&self, rows: Range<usize>, totals: &mut [f64], grains: &mut [f64]) {
        for i in rows {
            let (slots, values) = self.row(i);
            for (j, v) in slots.iter().zip(values) {
                let magnitude = v.abs();
                totals[*j as usize] += magnitude;
                grains[*j as usize] = grains[*j as usize].min(grain(magnitude));
            }
        }
    }

    #[inline(always)]
    fn load<S: Vectors>(
        &mut self,
        simd: S,
        slot: usize,
        rows: [usize; LANES],
        centres: &[u32; LANES],
        (screen, _): (&Screen, Option<&Coarse>),
    ) -> [S::F32; 2] {
        self.slots[slot..slot + LANES].copy_from_slice(&rows);
        let (mut squares, mut products) = ([0.0; LANES], [0.0; LANES]);
        for (l, (i, c)) in rows.iter().zip(centres).enumerate() {
            let (slots, values) = self.row(*i);
            squares[l] = values.iter().map(|v| v * v).sum::<f64>() as f32;
            for (j, v) in slots.iter().zip(values) {
                let line = screen.line(*c as usize, *j as usize / LANES);
                products[l] += *v as f32 * line[*j as usize % LANES];
            }
        }
        [simd.load(&squares), simd.load(&products)]
    }

    #[inline(always)]
    fn products<S: Vectors, const R: usize>(
        &self,
        simd: S,
        slots: [usize; R],
        group: &[Line],
    ) -> [S::F32; R] {
        let mut out = [simd.splat(0.0); R];
        for (out, slot) in out.iter_mut().zip(slots) {
            let (slots, values) = self.row(self.slots[slot]);
            // Two sums, so that one multiply-add need not wait for the other.
            let mut sums = [*out; 2];
            for (t, (j, v)) in slots.iter().zip(values).enumerate() {
                let c = simd.load(&group[*j as usize].0);
                sums[t % 2] = simd.mul_add(simd.splat(*v as f32), c, sums[t % 2]);
            }
            *out = simd.add(sums[0], sums[1]);
        }
        out
    }
}
