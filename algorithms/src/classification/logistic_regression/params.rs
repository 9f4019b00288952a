//! Parameters of logistic regression.

use std::collections::BTreeMap;

use emberline_pipeline::datasets::{Classes, DataError};
use emberline_pipeline::{ParamCheck, ParamErrors, ParamSet, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LogisticRegression;

/// How many classes are modelled, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `binomial` for two classes, `multinomial` for more.
    #[default]
    Auto,
    /// One vector of coefficients: the log odds of the second class. Two classes only.
    Binomial,
    /// A vector of coefficients a class; probabilities by softmax.
    Multinomial,
}

/// A rule for the weights of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WeightMode {
    /// Every row counts as it is.
    #[default]
    None,
    /// Every class counts as much as another in sum.
    Balanced,
}

/// How much the rows of each class count, on top of the row weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClassWeights {
    /// `"none"` or `"balanced"`.
    Mode(WeightMode),
    /// A factor for each label; labels that are not listed have 1.
    Table(BTreeMap<String, f64>),
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Mode(WeightMode::None)
    }
}

impl ClassWeights {
    /// The factor of each class; `sums` are the row weights of each class.
    ///
    /// # Errors
    /// A table that names a label which no row has.
    pub fn factors(&self, classes: &Classes, sums: &[f64]) -> Result<Vec<f64>> {
        let names = classes.names();
        match self {
            Self::Mode(WeightMode::None) => Ok(vec![1.0; names.len()]),
            Self::Mode(WeightMode::Balanced) => Ok(balanced(sums)),
            Self::Table(table) => {
                if let Some(unknown) = table.keys().find(|k| !names.contains(k)) {
                    let known = names
                        .iter()
                        .take(20)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ");
                    return Err(DataError::Unusable(format!(
                        "`class_weights` names the label `{unknown}`, the labels are {known}"
                    ))
                    .into());
                }
                let factor = |n| table.get(n).copied().unwrap_or(1.0);
                Ok(names.iter().map(factor).collect())
            }
        }
    }
}

/// `total / (classes * own)`: the mean factor over rows is 1.
fn balanced(sums: &[f64]) -> Vec<f64> {
    let total: f64 = sums.iter().sum();
    let n = sums.iter().filter(|s| **s > 0.0).count() as f64;
    let factor = |s: &f64| if *s > 0.0 { total / (n * s) } else { 1.0 };
    sums.iter().map(factor).collect()
}

/// Parameters of [`LogisticRegression`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogisticRegressionParams {
    /// The vector column of features. Default: `features`.
    pub features_col: String,
    /// The label column, of any type. Default: the column with the role, else `label`.
    pub label_col: Option<String>,
    /// The column of row weights, 0 or more. Default: the column with the role, else none.
    pub weight_col: Option<String>,
    /// Where the predicted label goes. Default: `prediction`.
    pub prediction_col: String,
    /// Where the margin of each class goes. Default: `raw_prediction`.
    pub raw_prediction_col: String,
    /// Where the probability of each class goes. Default: `probability`.
    pub probability_col: String,
    /// `auto`, `binomial` or `multinomial`. Default: `auto`.
    pub family: Family,
    /// Strength of the penalty, 0 or more. Default: 0.
    #[schemars(range(min = 0.0))]
    pub reg_param: f64,
    /// Share of the L1 penalty, 0 (ridge) to 1 (lasso). Default: 0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub elastic_net_param: f64,
    /// Whether to fit intercepts. Default: true.
    pub fit_intercept: bool,
    /// Whether the penalty counts coefficients per standard deviation of their feature. Default: true.
    pub standardization: bool,
    /// Steps at most, 0 or more. Default: 100.
    pub max_iter: u64,
    /// Stops when the gradient, or the fall of the objective over five steps, is at most this share of the objective; 0 or
    /// more. Default: 1e-6.
    #[schemars(range(min = 0.0))]
    pub tol: f64,
    /// `"none"`, `"balanced"`, or a table from label to factor. Default: `"none"`.
    pub class_weights: ClassWeights,
}

impl Default for LogisticRegressionParams {
    fn default() -> Self {
        Self {
            features_col: "features".to_owned(),
            label_col: None,
            weight_col: None,
            prediction_col: "prediction".to_owned(),
            raw_prediction_col: "raw_prediction".to_owned(),
            probability_col: "probability".to_owned(),
            family: Family::Auto,
            reg_param: 0.0,
            elastic_net_param: 0.0,
            fit_intercept: true,
            standardization: true,
            max_iter: 100,
            tol: 1e-6,
            class_weights: ClassWeights::default(),
        }
    }
}

impl ParamSet for LogisticRegressionParams {
    type Stage = LogisticRegression;
}

impl LogisticRegressionParams {
    pub(super) fn check(&self) -> std::result::Result<(), ParamErrors> {
        let mut check = ParamCheck::new();
        let (reg, share) = (self.reg_param, self.elastic_net_param);
        let holds = reg >= 0.0 && reg.is_finite();
        check.require("reg_param", reg, "a number from 0", holds);
        let holds = (0.0..=1.0).contains(&share);
        check.require("elastic_net_param", share, "between 0 and 1", holds);
        let holds = self.tol >= 0.0 && self.tol.is_finite();
        check.require("tol", self.tol, "a number from 0", holds);
        if let ClassWeights::Table(table) = &self.class_weights {
            for (label, factor) in table {
                let holds = *factor >= 0.0 && factor.is_finite();
                let name = format!("class_weights.{label}");
                check.require(&name, factor, "a number from 0", holds);
            }
        }
        check.finish()
    }
}
