//! The four tree stages, through their public face.

mod apart;
mod bits;
mod edges;
mod iris;
mod learn;
mod naive;
mod packed;

use std::sync::Arc;

use emberline_pipeline::datasets::random::{Draw, Stream};
use emberline_pipeline::datasets::{Attribute, Column, Dataset, Element, Roles, Slot};
use emberline_pipeline::{
    Arrays, Component, Estimator, Fitted, ParamSet, Registry, Run, Transformer,
};
use ndarray::Array2;

use crate::testing::{floats, labelled};

pub fn stream(purpose: &str) -> Stream {
    Draw::new(11, purpose).stream()
}

/// Uniform numbers of so many levels; `missing` of them NaN.
pub fn random_features(
    n: usize,
    d: usize,
    levels: u64,
    missing: f64,
    purpose: &str,
) -> Array2<f64> {
    let mut s = stream(purpose);
    Array2::from_shape_fn((n, d), |_| {
        if s.uniform() < missing {
            f64::NAN
        } else {
            s.below(levels) as f64
        }
    })
}

/// Fits a stage of these parameters.
pub fn fit<P>(
    params: P,
    data: &Dataset,
    run: &Run,
) -> emberline_pipeline::Result<Fitted<<P::Stage as Estimator>::Model>>
where
    P: ParamSet,
    P::Stage: Estimator,
{
    P::Stage::build(params, &Registry::new())
        .unwrap()
        .fit(data, run)
}

/// A fitted stage as state and arrays.
pub fn saved(model: &impl Transformer) -> (serde_json::Value, Arrays) {
    let mut arrays = Arrays::new();
    let state = model.save(&mut arrays);
    (state, arrays)
}

/// A column of numbers that a model writes, for all rows.
pub fn column(model: &impl Transformer, data: &Dataset, name: &str) -> Vec<f64> {
    let mut out = Vec::new();
    for batch in data.batches(None).unwrap() {
        let batch = model.transform(batch.unwrap()).unwrap();
        out.extend(batch.numbers(name).unwrap().iter().flatten());
    }
    out
}

/// As `labelled`, with a weight column.
pub fn weighted(x: &Array2<f64>, y: &[f64], w: &[f64]) -> Dataset {
    let some = |v: &[f64]| v.iter().copied().map(Some).collect::<Vec<_>>();
    let columns = vec![
        crate::testing::vectors(x),
        floats("label", &some(y)),
        floats("w", &some(w)),
    ];
    let roles = Roles {
        weight: Some("w".to_owned()),
        ..Roles::default()
    };
    Dataset::from_columns(columns)
        .unwrap()
        .with_roles(roles)
        .unwrap()
}

/// Rows whose features are categories, `n_categories` in each column.
pub fn categorical(x: &Array2<f64>, y: &[f64], n_categories: usize) -> Dataset {
    let categories: Arc<[String]> = (0..n_categories).map(|c| format!("c{c}")).collect();
    let slot = |j| Slot {
        name: format!("x{j}"),
        column: format!("x{j}"),
        attribute: Attribute::Nominal {
            categories: categories.clone(),
        },
    };
    let array = emberline_pipeline::datasets::batch::dense_vectors(
        x.iter().copied().collect(),
        x.ncols(),
        Element::F64,
        true,
        x.nrows(),
    );
    let features = Column::vector("features", (0..x.ncols()).map(slot).collect());
    let label: Vec<Option<f64>> = y.iter().copied().map(Some).collect();
    Dataset::from_columns(vec![(features, array.unwrap()), floats("label", &label)]).unwrap()
}

/// Labels that depend on the features, with noise.
pub fn noisy_labels(x: &Array2<f64>, k: u64, purpose: &str) -> Vec<f64> {
    let mut s = stream(purpose);
    x.rows()
        .into_iter()
        .map(|r| {
            let signal = r
                .iter()
                .map(|v| if v.is_nan() { 3.0 } else { *v })
                .sum::<f64>() as u64
                / 3;
            ((signal + s.below(2)) % k) as f64
        })
        .collect()
}

pub fn table(n: usize, purpose: &str) -> Dataset {
    let x = random_features(n, 5, 40, 0.05, purpose);
    labelled(&x, &noisy_labels(&x, 3, purpose))
}
