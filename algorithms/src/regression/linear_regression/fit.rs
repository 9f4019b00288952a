//! Fitting: moments, triangle, solution, report.

use std::sync::Arc;

use emberline_pipeline::Jobs;
use emberline_pipeline::datasets::{
    ColumnType, DataError, Dataset, LabelSpec, MissingRule, Schema, SchemaErrors,
};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::{FeatureInput, ScalarModel, extend};
use emberline_pipeline::{
    AnyStage, Component, Estimator, FitReport, Fitted, Kind, ParamErrors, Pinned, Registry, Result,
    Rounds, Run, Stage, StopReason,
};
use ndarray::Array2;
use serde_json::Value;

use super::coordinate::ElasticNet;
use super::least_squares::solve;
use super::normal::{MAX_CONDITION, products};
use super::params::{LinearRegressionParams, Solver};
use super::triangle::{Triangle, TrianglePass};
use crate::learner::LearnerColumns;
use crate::linear::{
    LinearProblems, Link, Moments, MomentsPass, RegressionScorer, Scale, errors, importances,
};
use crate::optim::Options;

/// Triangles of more features than this are not built unless asked for.
const MAX_QR: usize = 2_000;
/// Standard errors are reported up to this many features.
const MAX_ERRORS: usize = 100;
const SWEEPS_PER_ITER: u64 = 100;
/// Fewer rows than this go through QR without a try of the products: it costs nothing there.
const MIN_ROWS: u64 = 2_048;

/// Linear regression; see the [module](super) for objective and method.
///
/// - in: features `(n, d)` without missing values, label `(n,)`, weights `(n,)`
/// - out: the prediction, a float
/// - report: `objective`, `condition`, `rank`, `r_squared` (about the mean with an intercept, else about zero),
///   `residual_sd` (divisor: rows less rank); without a penalty and for at most 100 features `std_error[NAME]` and
///   `std_error[(intercept)]`
/// - cost: O(n d^2) by QR, O(n d) a step by L-BFGS
/// # Errors
/// A missing or infinite feature or label names column and row.
#[derive(Debug, Clone)]
pub struct LinearRegression {
    params: LinearRegressionParams,
}

impl Component for LinearRegression {
    const NAME: &'static str = "linear_regression";
    const SUMMARY: &'static str = "least squares, ridge, lasso and elastic net";
    const KIND: Kind = Kind::Regressor;
    type Params = LinearRegressionParams;

    fn build(
        params: LinearRegressionParams,
        _: &Registry,
    ) -> std::result::Result<Self, ParamErrors> {
        params.check()?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }

    fn jobs(jobs: &mut Jobs) {
        jobs.round::<super::normal::ProductsPass>()
            .round::<TrianglePass>();
    }
}

impl LinearRegression {
    fn columns(&self) -> LearnerColumns<'_> {
        LearnerColumns {
            features: &self.params.features_col,
            label: self.params.label_col.as_deref(),
            weight: self.params.weight_col.as_deref(),
        }
    }
}

impl Stage for LinearRegression {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        self.columns().check_number(input)?;
        let column = emberline_pipeline::datasets::Column::new(
            &self.params.prediction_col,
            ColumnType::Float,
            false,
        );
        extend(input, vec![column])
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.columns().reads(input)
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec![self.params.prediction_col.clone()]
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl Estimator for LinearRegression {
    type Model = ScalarModel<RegressionScorer>;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<Self::Model>> {
        let params = &self.params;
        let columns = self.columns();
        let label = LabelSpec::Number(columns.label(data.schema()));
        let pinned = run.pin(data, &columns.spec(data.schema(), label))?;
        let Fit {
            moments,
            scale,
            scorer,
            mut report,
        } = match self.by_products(run, &pinned)? {
            Some(fit) => fit,
            None => self.by_rows(run, &pinned)?,
        };
        for warning in &report.warnings {
            run.warn(warning.clone());
        }
        report.rows = moments.rows;
        let sizes: Vec<f64> = scorer
            .coefficients
            .iter()
            .zip(&scale.sd)
            .map(|(w, s)| w.abs() * s)
            .collect();
        report.importances = importances(&sizes, pinned.slots());
        let model = ScalarModel {
            name: Self::NAME.to_owned(),
            params: self.params(),
            input: FeatureInput {
                column: params.features_col.clone(),
                slots: pinned.slots().clone(),
                missing: MissingRule::Error,
            },
            prediction: params.prediction_col.clone(),
            ty: ColumnType::Float,
            scorer: Arc::new(scorer),
        };
        Ok(Fitted { model, report })
    }
}

/// A finished fit, before its report is rounded off.
struct Fit {
    moments: Moments,
    scale: Scale,
    scorer: RegressionScorer,
    report: FitReport,
}

impl LinearRegression {
    /// The fit from products of columns, where they are asked for and serve.
    fn by_products(&self, run: &Run, data: &Pinned) -> Result<Option<Fit>> {
        let params = &self.params;
        let d = data.n_features();
        let worth = (MIN_ROWS.max(4 * d as u64)) <= data.n_rows() && d <= MAX_QR;
        if params.solver != Solver::Auto || !params.fit_intercept || !worth {
            return Ok(None);
        }
        let mut rounds = Rounds::start(run, data.n_rows(), Some(1));
        let Some(products) = products(run, data)? else {
            return Ok(None);
        };
        rounds.finished(None, 8 * (d * d) as u64);
        let moments = products.moments();
        let (Ok(scale), Ok(label)) = (
            Scale::new(&moments, true, data.slots()),
            label_units(&moments, true),
        ) else {
            return Ok(None);
        };
        let Some(triangle) = products.triangle(&scale, label.1) else {
            return Ok(None);
        };
        let task = Task {
            params,
            run,
            data,
            label,
            moments: &moments,
            scale: &scale,
        };
        let found = task.by_triangle(&triangle, MAX_CONDITION);
        Ok(found.map(|(scorer, report)| Fit {
            moments,
            scale,
            scorer,
            report,
        }))
    }

    /// The fit from the rows themselves, which takes any condition.
    fn by_rows(&self, run: &Run, data: &Pinned) -> Result<Fit> {
        let params = &self.params;
        let moments = run.round(data, &MomentsPass::new(0))?.unwrap_or_default();
        if moments.rows == 0 {
            let message = "there are no rows with a positive weight to learn from";
            return Err(DataError::Unusable(message.to_owned()).into());
        }
        let scale = Scale::new(&moments, params.fit_intercept, data.slots())?;
        let task = Task {
            params,
            run,
            data,
            label: label_units(&moments, params.fit_intercept)?,
            moments: &moments,
            scale: &scale,
        };
        let by_qr = match params.solver {
            Solver::Auto => data.n_features() <= MAX_QR,
            Solver::Qr => true,
            Solver::Lbfgs => false,
        };
        let (scorer, report) = if by_qr {
            task.by_qr()?
        } else {
            task.by_lbfgs()?
        };
        Ok(Fit {
            moments,
            scale,
            scorer,
            report,
        })
    }
}

/// `(centre, inverse spread)` of the label; the spread of a constant one is 1.
fn label_units(moments: &Moments, intercept: bool) -> Result<(f64, f64)> {
    let sd = (moments.label_square / moments.weight).sqrt();
    let (centre, spread) = if intercept {
        (moments.label_mean, sd)
    } else {
        (0.0, moments.label_mean.hypot(sd))
    };
    if !spread.is_finite() {
        let message = "the squares of the label overflow; scale it first";
        return Err(DataError::Unusable(message.to_owned()).into());
    }
    let usable = spread > 0.0 && (1.0 / spread).is_finite();
    Ok((centre, if usable { 1.0 / spread } else { 1.0 }))
}

struct Task<'a> {
    params: &'a LinearRegressionParams,
    run: &'a Run,
    data: &'a Pinned,
    label: (f64, f64),
    moments: &'a Moments,
    scale: &'a Scale,
}

/// A solution in units of training: coefficients of all features, and the intercept.
struct Found {
    trained: Vec<f64>,
    intercept: f64,
}

impl Task<'_> {
    /// In units of features and label.
    fn scorer(&self, found: &Found) -> RegressionScorer {
        let spread = 1.0 / self.label.1;
        let trained: Vec<f64> = found.trained.iter().map(|v| v * spread).collect();
        let (coefficients, intercept) = self.scale.restore(&trained, found.intercept * spread);
        // Without an intercept nothing was centred.
        let intercept = if self.params.fit_intercept {
            intercept + self.label.0
        } else {
            0.0
        };
        RegressionScorer {
            coefficients,
            intercept,
        }
    }

    /// The penalty where loss and label are in units of training: the loss shrank by the square of the label's spread, the
    /// coefficients by the spread, so that L2 strengths stay and L1 strengths shrink.
    fn penalty(&self) -> crate::linear::Penalty {
        let params = self.params;
        let mut penalty = self.scale.penalty(
            params.reg_param,
            params.elastic_net_param,
            params.standardization,
        );
        penalty.l1.iter_mut().for_each(|l| *l *= self.label.1);
        penalty
    }

    fn by_qr(&self) -> Result<(RegressionScorer, FitReport)> {
        let pass = TrianglePass {
            scale: self.scale.clone(),
            label: self.label,
            intercept: self.params.fit_intercept,
        };
        let mut rounds = Rounds::start(self.run, self.data.n_rows(), Some(1));
        let Some(Triangle(triangle)) = self.run.round(self.data, &pass)? else {
            let message = "there are no rows to learn from";
            return Err(DataError::Unusable(message.to_owned()).into());
        };
        rounds.finished(None, 8 * triangle.len() as u64);
        let found = self.by_triangle(&triangle, f64::INFINITY);
        Ok(found.expect("no condition number is above infinity"))
    }

    /// The solution behind a triangle; `None` where the condition number is above `most`.
    fn by_triangle(
        &self,
        triangle: &Array2<f64>,
        most: f64,
    ) -> Option<(RegressionScorer, FitReport)> {
        let kept = self.kept();
        let triangle = self.keep(triangle, &kept);
        let penalty = self.penalty();
        let of = |strengths: &[f64]| -> Vec<f64> {
            kept.iter()
                .map(|k| k.map_or(0.0, |j| strengths[j]))
                .collect()
        };
        let (l1, l2) = (of(&penalty.l1), of(&penalty.l2));
        let ridge: Vec<f64> = l2.iter().map(|l| l * self.moments.weight).collect();
        let solved = solve(&triangle, &ridge);
        if solved.condition > most {
            return None;
        }
        let mut report = FitReport {
            rounds: 1,
            ..FitReport::default()
        };
        let x = if l1.iter().any(|l| *l > 0.0) {
            self.descend(&triangle, l1, l2, &mut report)
        } else {
            if solved.rank < kept.len() {
                report.warnings.push(format!(
                    "features are linearly dependent: {} of {} columns (intercept included) are independent to working \
                     precision; of all solutions the one of least norm was taken",
                    solved.rank,
                    kept.len()
                ));
            }
            solved.x
        };
        let found = self.spread_out(&kept, &x);
        let scorer = self.scorer(&found);
        let figures = &mut report.figures;
        if solved.condition.is_finite() {
            figures.insert("condition".to_owned(), solved.condition);
        }
        figures.insert("rank".to_owned(), solved.rank as f64);
        self.add_fit(&triangle, &x, &found, solved.rank, &mut report);
        let plain = self.params.reg_param == 0.0 && self.data.n_features() <= MAX_ERRORS;
        if let (true, Some(covariance), Some(sd)) = (
            plain,
            solved.covariance,
            report.figures.get("residual_sd").copied(),
        ) {
            self.add_errors(&covariance, &kept, sd, &mut report);
        }
        Some((scorer, report))
    }

    /// Columns of the triangle that take part, in order: `None` for the intercept, else the feature.
    fn kept(&self) -> Vec<Option<usize>> {
        let features = (0..self.data.n_features()).filter(|&j| self.scale.inverse[j] > 0.0);
        let mut kept: Vec<Option<usize>> = Vec::new();
        kept.extend(self.params.fit_intercept.then_some(None));
        kept.extend(features.map(Some));
        kept
    }

    /// The triangle's columns of `kept`, and the label's.
    fn keep(&self, triangle: &Array2<f64>, kept: &[Option<usize>]) -> Array2<f64> {
        let first = usize::from(self.params.fit_intercept);
        let last = triangle.ncols() - 1;
        let from = |c: usize| kept.get(c).map_or(last, |k| k.map_or(0, |j| first + j));
        Array2::from_shape_fn((triangle.nrows(), kept.len() + 1), |(i, c)| {
            triangle[(i, from(c))]
        })
    }

    fn spread_out(&self, kept: &[Option<usize>], x: &[f64]) -> Found {
        let mut found = Found {
            trained: vec![0.0; self.data.n_features()],
            intercept: 0.0,
        };
        for (k, v) in kept.iter().zip(x) {
            match k {
                Some(j) => found.trained[*j] = *v,
                None => found.intercept = *v,
            }
        }
        found
    }

    fn descend(
        &self,
        triangle: &Array2<f64>,
        l1: Vec<f64>,
        l2: Vec<f64>,
        report: &mut FitReport,
    ) -> Vec<f64> {
        let q = l1.len();
        let whole = triangle.t().dot(triangle) / self.moments.weight;
        let net = ElasticNet {
            gram: Array2::from_shape_fn((q, q), |(i, j)| whole[(i, j)]),
            target: (0..q).map(|j| whole[(j, q)]).collect(),
            l1,
            l2,
        };
        let descent = net.minimise(self.params.max_iter.saturating_mul(SWEEPS_PER_ITER));
        report.rounds += descent.sweeps;
        report.stop = StopReason::Converged;
        report
            .figures
            .insert("gradient_norm".to_owned(), descent.violation);
        if !descent.converged {
            report.stop = StopReason::MaxIter;
            report.warnings.push(format!(
                "coordinate descent stopped after {} sweeps, {:.3e} from the optimality conditions; raise `max_iter`",
                descent.sweeps, descent.violation
            ));
        }
        descent.x
    }

    /// Objective, R squared and residual standard deviation, from the triangle alone.
    fn add_fit(
        &self,
        triangle: &Array2<f64>,
        x: &[f64],
        found: &Found,
        rank: usize,
        report: &mut FitReport,
    ) {
        let q = x.len();
        let left =
            |row: ndarray::ArrayView1<'_, f64>| row[q] - (0..q).map(|j| row[j] * x[j]).sum::<f64>();
        let lost: f64 = triangle.outer_iter().map(|row| left(row).powi(2)).sum();
        // With an intercept the first row of the triangle holds what the mean explains.
        let skip = usize::from(self.params.fit_intercept);
        let total: f64 = triangle.column(q).iter().skip(skip).map(|v| v * v).sum();
        let variance = 1.0 / (self.label.1 * self.label.1);
        self.add_objective(lost / self.moments.weight, found, report);
        if total > 0.0 {
            report
                .figures
                .insert("r_squared".to_owned(), 1.0 - lost / total);
        }
        let freedom = self.moments.rows.saturating_sub(rank as u64);
        if freedom > 0 {
            let sd = (lost * variance / freedom as f64).sqrt();
            report.figures.insert("residual_sd".to_owned(), sd);
        }
    }

    /// The objective in units of the label, given the mean squared error in units of training.
    fn add_objective(&self, mean_square: f64, found: &Found, report: &mut FitReport) {
        let penalty = self.penalty();
        let pairs = found.trained.iter().zip(penalty.l1.iter().zip(&penalty.l2));
        let cost: f64 = pairs
            .map(|(v, (l1, l2))| l1 * v.abs() + 0.5 * l2 * v * v)
            .sum();
        let objective = (0.5 * mean_square + cost) / (self.label.1 * self.label.1);
        report.figures.insert("objective".to_owned(), objective);
        report.history.push(objective);
    }

    fn add_errors(
        &self,
        covariance: &Array2<f64>,
        kept: &[Option<usize>],
        sd: f64,
        report: &mut FitReport,
    ) {
        let d = self.data.n_features();
        let places: Vec<usize> = kept.iter().map(|k| k.unwrap_or(d)).collect();
        let (own, intercept) = errors(covariance, &places, self.scale);
        for (slot, error) in self.data.slots().iter().zip(own) {
            report
                .figures
                .insert(format!("std_error[{}]", slot.name), error * sd);
        }
        if self.params.fit_intercept {
            report
                .figures
                .insert("std_error[(intercept)]".to_owned(), intercept * sd);
        }
    }

    fn by_lbfgs(&self) -> Result<(RegressionScorer, FitReport)> {
        let problems = LinearProblems::new(
            (self.run, self.data),
            self.scale,
            Link::Squares(self.label.0, self.label.1),
            self.penalty(),
            self.params.fit_intercept,
            vec![self.moments.weight],
        );
        let options = Options {
            max_iter: self.params.max_iter,
            tol: self.params.tol,
            ..Options::default()
        };
        let solution = problems.solve(&[0.0], &options)?;
        let found = Found {
            trained: solution.trained.row(0).to_vec(),
            intercept: solution.trained_intercepts[0],
        };
        let variance = 1.0 / (self.label.1 * self.label.1);
        let stop = solution.stop();
        let history: Vec<f64> = solution.history().iter().map(|f| f * variance).collect();
        let mut report = FitReport {
            rounds: history.len().saturating_sub(1) as u64,
            stop,
            history,
            ..FitReport::default()
        };
        let figures = [
            ("objective", solution.objective() * variance),
            ("gradient_norm", solution.gradient_norm()),
        ];
        report
            .figures
            .extend(figures.map(|(k, v)| (k.to_owned(), v)));
        if stop == StopReason::MaxIter {
            report.warnings.push(format!(
                "stopped after {} steps with a gradient of {:.3e}; raise `max_iter` or `tol`",
                report.rounds,
                solution.gradient_norm()
            ));
        }
        Ok((self.scorer(&found), report))
    }
}
