//! The pass that reduces the rows to one triangle.

use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Partial, Round};
use faer::Mat;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::linear::algebra::{stacked_triangle, triangle};
use crate::linear::{Scale, Tiles};

/// Reduces the rows `sqrt(w) [1 | z | target]` to the triangle of their QR factorisation; `z` and the target are in units of
/// training. The column of ones is there with an intercept only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TrianglePass {
    pub scale: Scale,
    pub label: (f64, f64),
    pub intercept: bool,
}

/// A triangle of at most `p` rows and `p` columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Triangle(pub Array2<f64>);

impl Partial for Triangle {
    fn merge(&mut self, later: Self) {
        self.0 = stacked_triangle(&[&self.0, &later.0], self.0.ncols());
    }
}

impl Round for TrianglePass {
    const NAME: &'static str = "linear_regression/triangle";
    type Unit = Block;
    type Partial = Triangle;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> Result<Triangle, DataError> {
        let (n, d) = (block.n_rows(), block.n_features());
        let first = usize::from(self.intercept);
        let p = first + d + 1;
        let mut whole = Mat::zeros(n, p);
        let mut tiles = Tiles::new(n, d, 0);
        tiles.for_each(block, &self.scale, |start, tile| {
            for (i, z) in tile.view().outer_iter().enumerate() {
                let row = start + i;
                let root = block.weight(row).sqrt();
                if self.intercept {
                    whole[(row, 0)] = root;
                }
                for (j, z) in z.iter().enumerate() {
                    whole[(row, first + j)] = root * z;
                }
                whole[(row, p - 1)] = root * (block.label(row) - self.label.0) * self.label.1;
            }
        });
        Ok(Triangle(triangle(whole)))
    }
}
