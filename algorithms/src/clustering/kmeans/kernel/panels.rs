//! One row against all centres, in `f64`: the kernel of prediction.

use super::Centres;

/// Centres side by side in one lane group: enough independent sums to fill the vector units.
const LANES: usize = 8;

/// Centres laid out for the kernel: groups of [`LANES`], slot by slot.
///
/// The sums are those of [`squared_distance`](super::squared_distance), so a row gets the same bits in training, in a batch and as
/// one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Panels {
    d: usize,
    groups: Vec<Vec<[f64; LANES]>>,
}

impl Panels {
    pub fn new(centres: &Centres) -> Self {
        let group = |first: usize| {
            let lane = |l: usize, j: usize| {
                if first + l < centres.k() {
                    centres.row(first + l)[j]
                } else {
                    f64::INFINITY
                }
            };
            (0..centres.d())
                .map(|j| std::array::from_fn(|l| lane(l, j)))
                .collect()
        };
        Self {
            d: centres.d(),
            groups: (0..centres.k()).step_by(LANES).map(group).collect(),
        }
    }

    /// The nearest centre and the squared distance to it; ties go to the lower index. Infinite without centres.
    pub fn nearest(&self, x: &[f64]) -> (usize, f64) {
        let (mut best, mut least) = (0, f64::INFINITY);
        for (g, group) in self.groups.iter().enumerate() {
            let mut sums = [[0.0; LANES]; 8];
            for (x, centres) in x[..self.d].chunks(8).zip(group.chunks(8)) {
                for ((sums, x), centres) in sums.iter_mut().zip(x).zip(centres) {
                    for (sum, c) in sums.iter_mut().zip(centres) {
                        let t = x - c;
                        *sum += t * t;
                    }
                }
            }
            for l in 0..LANES {
                let sum = super::joined(sums.map(|s| s[l]));
                if sum < least {
                    (best, least) = (g * LANES + l, sum);
                }
            }
        }
        (best, least)
    }
}
