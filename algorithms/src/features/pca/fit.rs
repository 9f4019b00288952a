//! Principal components by eigen-decomposition of the covariance.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Result;
use emberline_pipeline::Jobs;
use emberline_pipeline::datasets::{
    BlockSpec, ColumnType, DataError, Dataset, LabelSpec, MissingRule, Schema, SchemaError,
    SchemaErrors,
};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::{FeatureInput, extend};
use emberline_pipeline::{
    AnyStage, Component, Estimator, FitReport, Fitted, Kind, ParamErrors, Registry, Run, Stage,
};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Par};
use ndarray::{Array2, Axis};
use serde_json::Value;

use super::model::{PcaModel, output_column};
use super::moments::{MomentRound, Moments};
use super::params::PcaParams;

/// More slots than this would need a covariance of over two gigabytes.
const MAX_WIDTH: usize = 16_384;

/// Projects vectors onto the directions along which they vary most.
///
/// - in: a vector column `(n, d)`, finite, dense or sparse, `n >= 2`, `d >= k`
/// - out: a vector column `(n, k)` of scores, in the order of falling variance
/// - report: `explained_variance_1` .. and `explained_variance_ratio_1` .. of each component, and their sum
///   `explained_variance_ratio`
/// - cost: O(n d^2 + d^3); O(d^2) memory a block being merged, one pass
///
/// The covariance is the sample one (divided by `n - 1`). Each direction has its sign set so that its loading of largest
/// absolute value is positive (ties to the lower slot). Columns that do not vary load on no component that does.
/// Directions beyond the rank of the data (`n <= k`, or columns that follow from others) carry no variance and are arbitrary,
/// though the same in every run; a warning says how many.
/// # Errors
/// `k` exceeds the number of slots; fewer than two rows; a missing or infinite feature, by column and row.
/// # Source
/// Jolliffe 2002, Principal Component Analysis, 2nd ed., chapters 1 and 3; merging: Chan, Golub, LeVeque 1983, Am. Stat. 37(3).
#[derive(Debug, Clone)]
pub struct Pca {
    params: PcaParams,
}

impl Component for Pca {
    const NAME: &'static str = "pca";
    const SUMMARY: &'static str = "projects vectors onto the directions along which they vary most";
    const KIND: Kind = Kind::Feature;
    type Params = PcaParams;

    fn build(params: PcaParams, _: &Registry) -> Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }

    fn jobs(jobs: &mut Jobs) {
        jobs.round::<MomentRound>();
    }
}

impl Pca {
    fn spec(&self) -> BlockSpec {
        BlockSpec {
            features: self.params.input.clone(),
            label: LabelSpec::None,
            weight: None,
            missing: MissingRule::Error,
        }
    }

    fn check_width(&self, width: usize) -> Result<(), SchemaErrors> {
        let message = if self.params.k > width {
            format!(
                "`k` is {}, but column `{}` has {width} slots; lower `k`",
                self.params.k, self.params.input
            )
        } else if width > MAX_WIDTH {
            format!(
                "column `{}` has {width} slots, `pca` takes at most {MAX_WIDTH}; select columns first",
                self.params.input
            )
        } else {
            return Ok(());
        };
        Err(SchemaError::Rule(message).into())
    }
}

impl Stage for Pca {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> Result<Schema, SchemaErrors> {
        self.spec().check(input)?;
        if let ColumnType::Vector {
            width: Some(width), ..
        } = input.get(&self.params.input)?.ty
        {
            self.check_width(width)?;
        }
        extend(
            input,
            vec![output_column(&self.params.output, self.params.k)],
        )
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec![self.params.input.clone()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec![self.params.output.clone()]
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl Estimator for Pca {
    type Model = PcaModel;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<PcaModel>> {
        let pinned = run.pin(data, &self.spec())?;
        if pinned.n_rows() == 0 {
            return Err(DataError::Unusable("there are no rows to learn from".to_owned()).into());
        }
        self.check_width(pinned.n_features())?;
        let moments = run.round(&pinned, &MomentRound)?.filter(|m| m.rows >= 2.0);
        let Some(moments) = moments else {
            return Err(DataError::Unusable(format!(
                "{} rows have no covariance; `pca` needs at least 2",
                pinned.n_rows()
            ))
            .into());
        };
        let (variances, directions) = eigen(&moments)?;
        let k = self.params.k;
        let total: f64 = (0..variances.len())
            .map(|i| moments.products[(i, i)] / (moments.rows - 1.0))
            .sum();
        let input = FeatureInput {
            column: self.params.input.clone(),
            slots: pinned.slots().clone(),
            missing: MissingRule::Error,
        };
        let report = report(&variances[..k], total, pinned.n_rows());
        let loadings = directions.slice_axis(Axis(1), (..k).into()).to_owned();
        let model = PcaModel::new(
            &self.params,
            input,
            loadings,
            moments.mean.to_vec(),
            variances[..k].to_vec(),
            total,
        );
        Ok(Fitted { model, report })
    }
}

/// Variances from the largest down, and the directions `(d, d)` as columns, signs settled.
///
/// On one thread whatever the machine has: the library adds in another order on more.
fn eigen(moments: &Moments) -> Result<(Vec<f64>, Array2<f64>)> {
    let d = moments.mean.len();
    let scale = 1.0 / (moments.rows - 1.0);
    let covariance = Mat::from_fn(d, d, |i, j| moments.products[(i, j)] * scale);
    let finite = moments.products.iter().all(|v| v.is_finite());
    let (mut values, mut vectors) = (Diag::<f64>::zeros(d), Mat::<f64>::zeros(d, d));
    let scratch =
        self_adjoint_evd_scratch::<f64>(d, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let solved = finite
        && self_adjoint_evd(
            covariance.as_ref(),
            values.as_mut(),
            Some(vectors.as_mut()),
            Par::Seq,
            MemStack::new(&mut memory),
            Default::default(),
        )
        .is_ok();
    if !solved {
        return Err(DataError::Unusable(
            "the features are too large: their covariance overflows; scale them first".to_owned(),
        )
        .into());
    }
    // Ascending as they come; rounding can leave a variance of 0 a little below it.
    let variances = (0..d)
        .rev()
        .map(|c| values.column_vector()[c].max(0.0))
        .collect();
    let mut directions = Array2::from_shape_fn((d, d), |(i, c)| vectors[(i, d - 1 - c)]);
    for mut direction in directions.columns_mut() {
        let largest = direction.iter().fold(
            0.0_f64,
            |best, v| if v.abs() > best.abs() { *v } else { best },
        );
        if largest < 0.0 {
            direction.mapv_inplace(|v| -v);
        }
    }
    Ok((variances, directions))
}

fn report(variances: &[f64], total: f64, rows: u64) -> FitReport {
    let ratio = |v: f64| if total > 0.0 { v / total } else { 0.0 };
    let mut figures = BTreeMap::new();
    for (c, v) in variances.iter().enumerate() {
        figures.insert(format!("explained_variance_{}", c + 1), *v);
        figures.insert(format!("explained_variance_ratio_{}", c + 1), ratio(*v));
    }
    figures.insert(
        "explained_variance_ratio".to_owned(),
        ratio(variances.iter().sum()),
    );
    // A variance of 0 comes out as rounding of the largest one, by the size of the matrix.
    let noise = variances.first().copied().unwrap_or(0.0) * f64::EPSILON * 1e2;
    let empty = variances.iter().filter(|v| **v <= noise).count();
    let warning = format!(
        "{empty} of {} components carry no variance: the {rows} rows span fewer directions; lower `k`",
        variances.len()
    );
    FitReport {
        rows,
        rounds: 1,
        figures,
        warnings: (empty > 0).then_some(warning).into_iter().collect(),
        ..FitReport::default()
    }
}
