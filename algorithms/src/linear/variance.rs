//! Standard errors of a binary logistic regression, from the information matrix at its optimum.

use emberline_pipeline::datasets::{Block, DataError};
use emberline_pipeline::{Partial, Pinned, Result, Round, Run};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::algebra::inverse_of_positive;
use super::gram::Gram;
use super::{Scale, Tiles, dot, sigmoid};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InformationPass {
    scale: Scale,
    coefficients: Vec<f64>,
    intercept: f64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Information(Array2<f64>);

impl Partial for Information {
    fn merge(&mut self, later: Self) {
        self.0 += &later.0;
    }
}

impl Round for InformationPass {
    const NAME: &'static str = "linear/information";
    type Unit = Block;
    type Partial = Information;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> std::result::Result<Information, DataError> {
        let d = block.n_features();
        let mut gram = Gram::new(d + 1);
        let mut tiles = Tiles::new(block.n_rows(), d, 1);
        tiles.for_each(block, &self.scale, |start, tile| {
            for i in 0..tile.rows {
                let row = tile.row_mut(i);
                let margin = dot(&row[..d], &self.coefficients) + self.intercept;
                let weight = block.weight(start + i) * sigmoid(margin) * sigmoid(-margin);
                row[d] = 1.0;
                let root = weight.sqrt();
                row.iter_mut().for_each(|z| *z *= root);
            }
            gram.add(tile);
        });
        Ok(Information(gram.into_matrix()))
    }
}

/// Standard errors of the coefficients `(d,)` and of the intercept, in units of the features; 0 for a feature that was left
/// out as constant. Row weights count rows. `None` where the information matrix is singular to rounding.
///
/// # Errors
/// The data cannot be passed over.
pub fn information(
    (run, data): (&Run, &Pinned),
    scale: &Scale,
    coefficients: &[f64],
    intercept: Option<f64>,
) -> Result<Option<(Vec<f64>, f64)>> {
    let pass = InformationPass {
        scale: scale.clone(),
        coefficients: coefficients.to_vec(),
        intercept: intercept.unwrap_or(0.0),
    };
    let Some(Information(whole)) = run.round(data, &pass)? else {
        return Ok(None);
    };
    let d = coefficients.len();
    let mut kept: Vec<usize> = (0..d).filter(|&j| scale.inverse[j] > 0.0).collect();
    kept.extend(intercept.map(|_| d));
    let part = Array2::from_shape_fn((kept.len(), kept.len()), |(a, b)| whole[(kept[a], kept[b])]);
    let Some(covariance) = inverse_of_positive(&part) else {
        return Ok(None);
    };
    Ok(Some(errors(&covariance, &kept, scale)))
}

/// Standard errors in units of the features, from the covariance of the kept ones in units of training.
pub(crate) fn errors(covariance: &Array2<f64>, kept: &[usize], scale: &Scale) -> (Vec<f64>, f64) {
    let d = scale.inverse.len();
    let mut own = vec![0.0; d];
    // The intercept at x = 0 is that of training less the sum of centre * coefficient.
    let mut load = vec![0.0; kept.len()];
    for (a, &j) in kept.iter().enumerate() {
        if j < d {
            own[j] = covariance[(a, a)].sqrt() * scale.inverse[j];
            load[a] = -scale.centre[j] * scale.inverse[j];
        } else {
            load[a] = 1.0;
        }
    }
    let mut variance = 0.0;
    for (a, la) in load.iter().enumerate() {
        for (b, lb) in load.iter().enumerate() {
            variance += la * lb * covariance[(a, b)];
        }
    }
    (own, variance.max(0.0).sqrt())
}
