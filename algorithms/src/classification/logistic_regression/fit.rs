//! Fitting: classes, moments, search, report.

use std::sync::Arc;

use emberline_pipeline::datasets::{
    Classes, DataError, Dataset, LabelSpec, MissingRule, Schema, SchemaErrors,
};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::{ClassColumns, ClassifierModel, FeatureInput, extend};
use emberline_pipeline::{
    AnyStage, Component, Estimator, FitReport, Fitted, Kind, ParamErrors, Pinned, Registry, Result,
    Run, Stage, StopReason,
};
use serde_json::Value;

use super::params::{ClassWeights, Family, LogisticRegressionParams, WeightMode};
use crate::labels::class_list;
use crate::learner::LearnerColumns;
use crate::linear::{
    ClassLink, LinearProblems, LinearScorer, Link, Moments, MomentsPass, Scale, Side, Solution,
    importances, information,
};
use crate::optim::Options;

/// Standard errors are reported up to this many features.
const MAX_ERRORS: usize = 100;

/// Logistic regression; see the [module](super) for the objective.
///
/// - in: features `(n, d)` without missing values, labels of any type `(n,)`, weights `(n,)`
/// - out: the predicted label, a margin and a probability a class
/// - report: `objective`, `gradient_norm`, `log_likelihood`, `null_log_likelihood`; without a penalty, for two classes and
///   at most 100 features, `std_error[NAME]` and `std_error[(intercept)]`
/// - cost: O(n d k) a pass; sparse features cost their stored values
/// # Errors
/// A missing or infinite feature or label names column and row; one class only, and a family that does not fit the classes, are
/// refused.
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    params: LogisticRegressionParams,
}

impl Component for LogisticRegression {
    const NAME: &'static str = "logistic_regression";
    const SUMMARY: &'static str =
        "linear log odds of two classes or more, with L1 and L2 penalties";
    const KIND: Kind = Kind::Classifier;
    type Params = LogisticRegressionParams;

    fn build(
        params: LogisticRegressionParams,
        _: &Registry,
    ) -> std::result::Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }
}

impl LogisticRegressionParams {
    pub(crate) fn columns(&self) -> LearnerColumns<'_> {
        LearnerColumns {
            features: &self.features_col,
            label: self.label_col.as_deref(),
            weight: self.weight_col.as_deref(),
        }
    }

    fn outputs(&self) -> ClassColumns {
        ClassColumns {
            prediction: self.prediction_col.clone(),
            raw_prediction: self.raw_prediction_col.clone(),
            probability: self.probability_col.clone(),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            max_iter: self.max_iter,
            tol: self.tol,
            ..Options::default()
        }
    }
}

impl Stage for LogisticRegression {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        let label = self.params.columns().check_classes(input)?;
        extend(input, self.params.outputs().columns(&label, None))
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.params.columns().reads(input)
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        self.params.outputs().names()
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl Estimator for LogisticRegression {
    type Model = ClassifierModel<LinearScorer>;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<Self::Model>> {
        let params = &self.params;
        let columns = params.columns();
        let label = columns.label(data.schema());
        let classes = Arc::new(class_list(data, &label, run)?.classes);
        let link = self.link(classes.len())?;
        let spec = LabelSpec::Classes {
            column: label,
            classes: classes.clone(),
        };
        let pinned = run.pin(data, &columns.spec(data.schema(), spec))?;
        let moments = class_moments(run, &pinned, &classes)?;
        let factors = params
            .class_weights
            .factors(&classes, &moments.class_weight)?;
        let weights: Vec<f64> = factors
            .iter()
            .zip(&moments.class_weight)
            .map(|(f, w)| f * w)
            .collect();
        let scale = Scale::new(&moments, params.fit_intercept, pinned.slots())?;
        let mut solution = self.solve((run, &pinned), &scale, link, &factors, &weights)?;
        if link == ClassLink::Multinomial {
            centre(&mut solution, params.reg_param == 0.0);
        }
        let mut report = report(&solution, &scale, &pinned, &moments, run);
        self.add_likelihood((run, &pinned), &scale, &solution, &weights, &mut report)?;
        let scorer = LinearScorer {
            link,
            coefficients: solution.coefficients,
            intercepts: solution.intercepts,
        };
        let model = ClassifierModel {
            name: Self::NAME.to_owned(),
            params: self.params(),
            input: FeatureInput {
                column: params.features_col.clone(),
                slots: pinned.slots().clone(),
                missing: MissingRule::Error,
            },
            columns: params.outputs(),
            classes: (*classes).clone(),
            scorer: Arc::new(scorer),
        };
        Ok(Fitted { model, report })
    }
}

impl LogisticRegression {
    fn link(&self, n_classes: usize) -> Result<ClassLink> {
        match (self.params.family, n_classes) {
            (Family::Auto | Family::Binomial, 2) => Ok(ClassLink::Binomial),
            (Family::Binomial, n) => Err(DataError::Unusable(format!(
                "`family = \"binomial\"` takes two classes, the label has {n}; use \"multinomial\" or \"auto\""
            ))
            .into()),
            _ => Ok(ClassLink::Multinomial),
        }
    }

    fn solve(
        &self,
        on: (&Run, &Pinned),
        scale: &Scale,
        link: ClassLink,
        factors: &[f64],
        weights: &[f64],
    ) -> Result<Solution> {
        let params = &self.params;
        let total: f64 = weights.iter().sum();
        let (link, start) = if link == ClassLink::Binomial {
            let side = Side {
                class: 1,
                positive: factors[1],
                negative: factors[0],
            };
            (Link::Binary(vec![side]), vec![log_odds(weights[1], total)])
        } else {
            let logs: Vec<f64> = weights.iter().map(|w| log_share(*w, total)).collect();
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            let start = logs.iter().map(|l| l - mean).collect();
            (Link::Softmax(factors.to_vec()), start)
        };
        let penalty = scale.penalty(
            params.reg_param,
            params.elastic_net_param,
            params.standardization,
        );
        let problems =
            LinearProblems::new(on, scale, link, penalty, params.fit_intercept, vec![total]);
        problems.solve(&start, &params.options())
    }

    /// Likelihoods, and standard errors where they mean something: no penalty, no class weights, two classes.
    fn add_likelihood(
        &self,
        on: (&Run, &Pinned),
        scale: &Scale,
        solution: &Solution,
        weights: &[f64],
        report: &mut FitReport,
    ) -> Result<()> {
        let total: f64 = weights.iter().sum();
        let figures = &mut report.figures;
        figures.insert("log_likelihood".to_owned(), -solution.loss[0] * total);
        let null = |w: &f64| if *w > 0.0 { w * (w / total).ln() } else { 0.0 };
        let null: f64 = if self.params.fit_intercept {
            weights.iter().map(null).sum()
        } else {
            -total * (weights.len() as f64).ln()
        };
        figures.insert("null_log_likelihood".to_owned(), null);
        let slots = on.1.slots();
        let plain = self.params.class_weights == ClassWeights::Mode(WeightMode::None)
            && self.params.reg_param == 0.0
            && solution.coefficients.nrows() == 1
            && !solution.separated[0];
        if !plain || slots.len() > MAX_ERRORS {
            return Ok(());
        }
        let trained = solution.trained.row(0).to_vec();
        let intercept = self
            .params
            .fit_intercept
            .then_some(solution.trained_intercepts[0]);
        if let Some((errors, of_intercept)) = information(on, scale, &trained, intercept)? {
            for (slot, error) in slots.iter().zip(errors) {
                figures.insert(format!("std_error[{}]", slot.name), error);
            }
            if self.params.fit_intercept {
                figures.insert("std_error[(intercept)]".to_owned(), of_intercept);
            }
        }
        Ok(())
    }
}

/// Moments of the features and weights of the classes.
///
/// # Errors
/// No rows, or fewer than two classes with a positive weight.
pub(crate) fn class_moments(run: &Run, pinned: &Pinned, classes: &Classes) -> Result<Moments> {
    let pass = MomentsPass::new(classes.len());
    let moments = run.round(pinned, &pass)?.unwrap_or_default();
    if moments.class_weight.iter().filter(|w| **w > 0.0).count() < 2 {
        return Err(DataError::Unusable(
            "fewer than two classes have rows with a positive weight".to_owned(),
        )
        .into());
    }
    Ok(moments)
}

/// The log odds of a class with `own` of `total` weight, kept finite for one without any.
pub(crate) fn log_odds(own: f64, total: f64) -> f64 {
    log_share(own, total) - log_share(total - own, total)
}

fn log_share(own: f64, total: f64) -> f64 {
    (own / total).max(1e-12).ln()
}

/// Takes off what the multinomial likelihood leaves free: the mean over classes.
fn centre(solution: &mut Solution, coefficients: bool) {
    let k = solution.intercepts.len() as f64;
    let mean = solution.intercepts.iter().sum::<f64>() / k;
    solution.intercepts.iter_mut().for_each(|b| *b -= mean);
    if coefficients {
        for mut column in solution.coefficients.columns_mut() {
            let mean = column.sum() / k;
            column.iter_mut().for_each(|w| *w -= mean);
        }
    }
}

/// The report of a linear classifier, with warnings told.
pub(crate) fn report(
    solution: &Solution,
    scale: &Scale,
    pinned: &Pinned,
    moments: &Moments,
    run: &Run,
) -> FitReport {
    let stop = solution.stop();
    let mut warnings = Vec::new();
    if stop == StopReason::MaxIter {
        warnings.push(format!(
            "stopped after {} steps with a gradient of {:.3e}; raise `max_iter` or `tol`",
            solution.history().len().saturating_sub(1),
            solution.gradient_norm()
        ));
    }
    let n = solution.separated.iter().filter(|s| **s).count();
    let free = solution
        .minima
        .iter()
        .zip(&solution.loss)
        .any(|(m, loss)| m.objective - loss <= 0.0);
    if n > 0 && free {
        warnings.push(format!(
            "the features separate the classes perfectly ({n} of {} models), so that coefficients grow without bound and \
             were stopped on their way; set `reg_param` above 0",
            solution.separated.len()
        ));
    }
    for warning in &warnings {
        run.warn(warning.clone());
    }
    let figures = [
        ("objective", solution.objective()),
        ("gradient_norm", solution.gradient_norm()),
    ];
    let history = solution.history();
    FitReport {
        rows: moments.rows,
        rounds: history.len().saturating_sub(1) as u64,
        stop,
        history,
        importances: importances(&solution.sizes(scale), pinned.slots()),
        figures: figures
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect(),
        warnings,
    }
}
