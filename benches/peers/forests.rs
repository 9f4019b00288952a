//! F1 F2 F3: random forests.

use std::sync::Arc;

use emberline::algorithms::tree::FeatureSubset;
use emberline::prelude::*;

use crate::clock::{led, median, repeat};
use crate::input::{Features, Label, dataset};
use crate::quality::{accuracy, predict, r2};
use crate::record::Record;
use crate::{Options, Outcome};

/// Trees and depth of a workload.
pub struct Shape {
    pub trees: usize,
    pub depth: usize,
    /// Numbers rather than classes.
    regression: bool,
}

/// The same for every tool.
pub fn shape(workload: &str) -> Shape {
    let (trees, depth, regression) = match workload {
        "F2" => (50, 12, false),
        "F3" => (100, 16, true),
        _ => (100, 16, false),
    };
    Shape {
        trees,
        depth,
        regression,
    }
}

/// As many features a node as the others draw: the square root rounded down for classes, a third for numbers.
pub fn features_a_node(columns: usize, regression: bool) -> FeatureSubset {
    FeatureSubset::Count(if regression {
        columns / 3
    } else {
        columns.isqrt()
    })
}

fn learner(workload: &str, columns: usize) -> Outcome<AnyStage> {
    let Shape {
        trees,
        depth,
        regression,
    } = shape(workload);
    let subset = features_a_node(columns, regression);
    Ok(if regression {
        let params = RandomForestRegressorParams {
            num_trees: trees,
            max_depth: depth,
            feature_subset_strategy: subset,
            ..Default::default()
        };
        RandomForestRegressor::build(params, &Registry::new())?.erase()
    } else {
        let params = RandomForestClassifierParams {
            num_trees: trees,
            max_depth: depth,
            feature_subset_strategy: subset,
            ..Default::default()
        };
        RandomForestClassifier::build(params, &Registry::new())?.erase()
    })
}

/// Fits, then predicts the test rows; both are timed.
pub fn forest(workload: &str, options: &Options) -> Outcome<Record> {
    let folder = options.data.join(workload);
    let Shape {
        trees,
        depth,
        regression,
    } = shape(workload);
    let features = Features::dense(&folder, "X")?;
    let label = if regression {
        Label::Numbers(Label::numbers(&folder, "y")?)
    } else {
        Label::Classes(Label::classes(&folder, "y")?)
    };
    let data = dataset(&features, &label)?;
    let AnyStage::Estimator(learner) = learner(workload, features.columns())? else {
        return Err("a forest is learnt".into());
    };
    let (fitted, timing) = led(options, |_| Ok(learner.fit_boxed(&data, &options.run())?))?;
    let test = dataset(&Features::dense(&folder, "Xt")?, &Label::None)?;
    let model: Arc<dyn Transformer> = fitted.model;
    let (predicted, scoring) = repeat(options, |_| predict(model.clone(), &test, &options.run()))?;
    let settings = format!(
        "{trees} trees, depth {depth}, {} features a node, bootstrap, 255 bins",
        features_a_node(features.columns(), regression)
    );
    let record = Record::new(workload, settings, options.threads)
        .input(features.rows(), features.columns(), features.bytes())
        .timing(&timing)
        .with("predict_s", median(&scoring.wall));
    Ok(if regression {
        record.with("r2", r2(&predicted, &Label::numbers(&folder, "yt")?))
    } else {
        let truth = Label::classes(&folder, "yt")?;
        record.with("accuracy", accuracy(&predicted, &truth))
    })
}
