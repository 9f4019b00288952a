//! A linfa learner inside an Emberline pipeline: Gaussian naive Bayes on three cultivars of wine.
//!
//! Features: linfa
//!
//! Run with `cargo run --release --features linfa --example linfa_naive_bayes`.

use emberline::linfa::{LinfaData, LinfaLearner, LinfaStage};
use emberline::prelude::*;
use linfa::traits::{Fit, Predict};
use linfa_bayes::GaussianNb;
use ndarray016::{Array1, ArrayView2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `gaussian_nb`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct GaussianNbParams {
    /// Share of the largest variance that is added to all variances. At least 0. Default: 1e-9.
    var_smoothing: f64,
}

impl Default for GaussianNbParams {
    fn default() -> Self {
        Self {
            var_smoothing: 1e-9,
        }
    }
}

impl ParamSet for GaussianNbParams {
    type Stage = LinfaStage<NaiveBayes>;
}

/// linfa's Gaussian naive Bayes.
#[derive(Debug, Clone)]
struct NaiveBayes;

impl LinfaLearner for NaiveBayes {
    const NAME: &'static str = "gaussian_nb";
    const SUMMARY: &'static str = "Gaussian naive Bayes (linfa)";
    const KIND: Kind = Kind::Classifier;
    type Params = GaussianNbParams;
    type Model = GaussianNb<f64, usize>;

    fn check(params: &GaussianNbParams) -> std::result::Result<(), ParamErrors> {
        let mut check = ParamCheck::new();
        let value = params.var_smoothing;
        check.require(
            "var_smoothing",
            value,
            "finite and at least 0",
            value.is_finite() && value >= 0.0,
        );
        check.finish()
    }

    fn fit(
        params: &GaussianNbParams,
        data: LinfaData,
    ) -> std::result::Result<Self::Model, Box<dyn std::error::Error + Send + Sync>> {
        Ok(GaussianNb::params()
            .var_smoothing(params.var_smoothing)
            .fit(&data.classification())?)
    }

    fn predict(model: &Self::Model, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        model.predict(&rows).mapv(|class| class as f64)
    }
}

fn main() -> Result<()> {
    let mut registry = emberline::registry();
    registry.register(Entry::estimator::<LinfaStage<NaiveBayes>>());

    let data = open(&SourceOptions::new("bundled:wine"))?;
    let pipeline = Pipeline::builder()
        .stage(VectorAssemblerParams::default())
        .stage(StandardScalerParams {
            with_mean: true,
            ..Default::default()
        })
        .stage(GaussianNbParams::default())
        .build()?;
    let plan =
        TrainPlan::new("wine", data, pipeline).split(Split::new(0.25, 42).stratified("cultivar"));
    let trained = train(&plan, &registry, &Run::local(42, 0))?;
    if let Some(metrics) = &trained.metrics {
        println!("held-out accuracy {:.4}", metrics.values["accuracy"]);
        assert!(metrics.values["accuracy"] > 0.9);
    }
    Ok(())
}
