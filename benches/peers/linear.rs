//! L1 L2 L3: logistic regression. LR: least squares.

use std::sync::Arc;

use emberline::algorithms::classification::one_vs_rest::{OneVsRest, StageTable};
use emberline::algorithms::linear::LinearScorer;
use emberline::prelude::*;
use ndarray::Array2;

use crate::clock::{led, median, repeat};
use crate::input::{Features, Label, dataset};
use crate::quality::{Linear, accuracy, predict, r2};
use crate::record::Record;
use crate::{Options, Outcome};

/// Strength of the penalty, for every tool: `mean loss + PENALTY / 2 |w|^2`, intercept free, features as they are.
const PENALTY: f64 = 1e-4;
const TOL: f64 = 1e-6;
const MAX_ITER: u64 = 500;
/// Columns of the sparse images of L2.
const PIXELS: usize = 784;

fn features(workload: &str, options: &Options, name: &str) -> Outcome<Features> {
    let folder = options.data.join(workload);
    if workload == "L2" {
        Features::sparse(&folder, name, PIXELS)
    } else {
        Features::dense(&folder, name)
    }
}

fn params() -> LogisticRegressionParams {
    LogisticRegressionParams {
        reg_param: PENALTY,
        standardization: false,
        tol: TOL,
        max_iter: MAX_ITER,
        ..Default::default()
    }
}

fn one_vs_rest() -> Outcome<OneVsRest> {
    let table = format!(
        "stage = \"logistic_regression\"\nreg_param = {PENALTY:?}\nstandardization = false\ntol = {TOL:?}\nmax_iter = {MAX_ITER}"
    );
    let params = OneVsRestParams {
        classifier: StageTable(table.parse()?),
        ..Default::default()
    };
    Ok(OneVsRest::build(params, &Registry::new())?)
}

/// A fitted linear classifier, and the model it came from.
struct Found {
    scorer: LinearScorer,
    rounds: u64,
    model: Arc<dyn Transformer>,
}

fn fit(workload: &str, data: &Dataset, run: &Run) -> Outcome<Found> {
    if workload == "L3" {
        let learner = LogisticRegression::build(params(), &Registry::new())?;
        let fitted = learner.fit(data, run)?;
        return Ok(Found {
            scorer: (*fitted.model.scorer).clone(),
            rounds: fitted.report.rounds,
            model: Arc::new(fitted.model),
        });
    }
    let fitted = one_vs_rest()?.fit(data, run)?;
    let OneVsRestScorer::Linear(scorer) = &*fitted.model.scorer else {
        return Err("one-vs-rest over logistic regression is linear".into());
    };
    Ok(Found {
        scorer: scorer.clone(),
        rounds: fitted.report.rounds,
        model: Arc::new(fitted.model),
    })
}

/// One-vs-rest over ten classes (L1, L2), or two classes (L3).
pub fn logistic(workload: &str, options: &Options) -> Outcome<Record> {
    let folder = options.data.join(workload);
    let train = features(workload, options, "X")?;
    let labels = Label::classes(&folder, "y")?;
    let data = dataset(&train, &Label::Classes(labels.clone()))?;
    let (found, timing) = led(options, |_| fit(workload, &data, &options.run()))?;
    let optimum = Linear {
        features: &train,
        coefficients: &found.scorer.coefficients,
        intercepts: &found.scorer.intercepts,
    }
    .logistic(&labels, PENALTY);
    let test = dataset(&features(workload, options, "Xt")?, &Label::None)?;
    let model = found.model;
    let (predicted, scoring) = repeat(options, |_| predict(model.clone(), &test, &options.run()))?;
    let settings = format!("logistic regression, penalty {PENALTY:?}, tol {TOL:?}, f32");
    let record = Record::new(workload, settings, options.threads)
        .input(train.rows(), train.columns(), train.bytes())
        .timing(&timing)
        .with("objective", optimum.objective)
        .with("grad_max", optimum.grad_max)
        .with("rounds", found.rounds)
        .with(
            "accuracy",
            accuracy(&predicted, &Label::classes(&folder, "yt")?),
        )
        .with("predict_s", median(&scoring.wall));
    Ok(record)
}

/// Least squares on the features of L3.
pub fn least_squares(options: &Options) -> Outcome<Record> {
    let folder = options.data.join("L3");
    let train = Features::dense(&folder, "X")?;
    let labels = Label::numbers(&folder, "yr")?;
    let data = dataset(&train, &Label::Numbers(labels.clone()))?;
    let learner = LinearRegression::build(LinearRegressionParams::default(), &Registry::new())?;
    let (fitted, timing) = led(options, |_| Ok(learner.fit(&data, &options.run())?))?;
    let scorer = &fitted.model.scorer;
    let optimum = Linear {
        features: &train,
        coefficients: &Array2::from_shape_vec((1, train.columns()), scorer.coefficients.clone())?,
        intercepts: &[scorer.intercept],
    }
    .squares(&labels);
    let test = dataset(&Features::dense(&folder, "Xt")?, &Label::None)?;
    let predicted = predict(Arc::new(fitted.model), &test, &options.run())?;
    let record = Record::new("LR", "least squares, f32", options.threads)
        .input(train.rows(), train.columns(), train.bytes())
        .timing(&timing)
        .with("objective", optimum.objective)
        .with("grad_max", optimum.grad_max)
        .with("r2", r2(&predicted, &Label::numbers(&folder, "yrt")?));
    Ok(record)
}
