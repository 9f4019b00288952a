//! Parameters of linear regression.

use emberline_pipeline::{ParamCheck, ParamErrors, ParamSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LinearRegression;

/// How the optimum is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// Up to 2,000 features one pass of products where they lose no more than four digits (see the page), else `qr`; `lbfgs`
    /// beyond.
    #[default]
    Auto,
    /// One pass to a triangle, solved exactly; coordinate descent on it with an L1 part. No standard errors with a penalty.
    Qr,
    /// A pass a step; memory grows with the features, not with their square. No condition estimate.
    Lbfgs,
}

/// Parameters of [`LinearRegression`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinearRegressionParams {
    /// The vector column of features. Default: `features`.
    pub features_col: String,
    /// The label column, a number. Default: the column with the role, else `label`.
    pub label_col: Option<String>,
    /// The column of row weights, 0 or more. Default: the column with the role, else none.
    pub weight_col: Option<String>,
    /// Where the prediction goes. Default: `prediction`.
    pub prediction_col: String,
    /// Strength of the penalty, 0 or more; not scaled by the label's spread. Default: 0.
    #[schemars(range(min = 0.0))]
    pub reg_param: f64,
    /// Share of the L1 penalty, 0 (ridge) to 1 (lasso). Default: 0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub elastic_net_param: f64,
    /// Whether to fit an intercept. Default: true.
    pub fit_intercept: bool,
    /// Whether the penalty counts coefficients per standard deviation of their feature. Default: true.
    pub standardization: bool,
    /// `auto`, `qr` or `lbfgs`. Default: `auto`.
    pub solver: Solver,
    /// Steps of L-BFGS, or sweeps of coordinate descent in hundreds, at most. Default: 100.
    pub max_iter: u64,
    /// L-BFGS stops when the gradient, or the fall of the objective over five steps, is at most this share of the objective;
    /// 0 or more. Default: 1e-6.
    #[schemars(range(min = 0.0))]
    pub tol: f64,
}

impl Default for LinearRegressionParams {
    fn default() -> Self {
        Self {
            features_col: "features".to_owned(),
            label_col: None,
            weight_col: None,
            prediction_col: "prediction".to_owned(),
            reg_param: 0.0,
            elastic_net_param: 0.0,
            fit_intercept: true,
            standardization: true,
            solver: Solver::Auto,
            max_iter: 100,
            tol: 1e-6,
        }
    }
}

impl ParamSet for LinearRegressionParams {
    type Stage = LinearRegression;
}

impl LinearRegressionParams {
    pub(super) fn check(&self) -> Result<(), ParamErrors> {
        let mut check = ParamCheck::new();
        let (reg, share) = (self.reg_param, self.elastic_net_param);
        let holds = reg >= 0.0 && reg.is_finite();
        check.require("reg_param", reg, "a number from 0", holds);
        let holds = (0.0..=1.0).contains(&share);
        check.require("elastic_net_param", share, "between 0 and 1", holds);
        let holds = self.tol >= 0.0 && self.tol.is_finite();
        check.require("tol", self.tol, "a number from 0", holds);
        check.finish()
    }
}
