//! Parameters of one-vs-rest, and the classifier they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use emberline_pipeline::{
    AnyStage, Entry, ErasedEstimator, Kind, ParamCheck, ParamErrors, ParamSet, Registry,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OneVsRest;
use crate::classification::logistic_regression::{
    ENTRY as LOGISTIC, Family, LogisticRegressionParams,
};

/// A stage inside another: `stage` names it, the other keys are its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StageTable(#[schemars(with = "BTreeMap<String, serde_json::Value>")] pub toml::Table);

/// Parameters of [`OneVsRest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneVsRestParams {
    /// The vector column of features. Default: `features`.
    pub features_col: String,
    /// The label column, of any type. Default: the column with the role, else `label`.
    pub label_col: Option<String>,
    /// The column of row weights, 0 or more. Default: the column with the role, else none.
    pub weight_col: Option<String>,
    /// Where the predicted label goes. Default: `prediction`.
    pub prediction_col: String,
    /// Where the margin (or probability) of each class against the rest goes. Default: `raw_prediction`.
    pub raw_prediction_col: String,
    /// Where the probability of each class goes; they sum to 1. Default: `probability`.
    pub probability_col: String,
    /// The binary classifier and its parameters, columns excepted: `{ stage = "logistic_regression", reg_param = 0.01 }`.
    /// Default: `{ stage = "logistic_regression" }`.
    pub classifier: StageTable,
}

impl Default for OneVsRestParams {
    fn default() -> Self {
        let stage = toml::Value::String(LOGISTIC.name.to_owned());
        Self {
            features_col: "features".to_owned(),
            label_col: None,
            weight_col: None,
            prediction_col: "prediction".to_owned(),
            raw_prediction_col: "raw_prediction".to_owned(),
            probability_col: "probability".to_owned(),
            classifier: StageTable(toml::Table::from_iter([("stage".to_owned(), stage)])),
        }
    }
}

impl ParamSet for OneVsRestParams {
    type Stage = OneVsRest;
}

/// The classifier of each class.
#[derive(Clone)]
pub(super) enum Base {
    /// Trained for all classes together.
    Logistic(Box<LogisticRegressionParams>),
    /// Trained class by class.
    Other(Arc<dyn ErasedEstimator>),
}

/// Keys that one-vs-rest hands on itself.
const COLUMNS: [&str; 6] = [
    "features_col",
    "label_col",
    "weight_col",
    "prediction_col",
    "raw_prediction_col",
    "probability_col",
];

impl OneVsRestParams {
    /// Builds the classifier that `classifier` names.
    pub(super) fn base(&self, registry: &Registry) -> Result<Base, ParamErrors> {
        let mut check = ParamCheck::new();
        let mut table = self.classifier.0.clone();
        for key in COLUMNS.iter().filter(|k| table.contains_key(**k)) {
            let name = format!("classifier.{key}");
            check.reject(
                &name,
                format!("is set for all classes at once: give `{key}` to `one_vs_rest` itself"),
            );
        }
        COLUMNS.iter().for_each(|k| drop(table.remove(*k)));
        let entry = match table.remove("stage") {
            Some(toml::Value::String(name)) => find(&name, registry, &mut check),
            Some(other) => {
                check.require("classifier.stage", other, "the name of a classifier", false);
                None
            }
            None => {
                let message =
                    "is missing; write `classifier = { stage = \"logistic_regression\" }`";
                check.reject("classifier.stage", message);
                None
            }
        };
        let Some(entry) = entry else {
            check.finish()?;
            return Err(ParamErrors(Vec::new()));
        };
        self.hand_on(&mut table, entry, &mut check);
        let built = entry.build(&table, registry);
        let base = match built {
            Ok(AnyStage::Estimator(estimator)) => {
                Some(logistic(entry, &table).unwrap_or(Base::Other(estimator)))
            }
            Ok(AnyStage::Transformer(_)) => None,
            Err(errors) => {
                check.nested("classifier", errors);
                None
            }
        };
        check.finish()?;
        base.ok_or_else(|| ParamErrors(Vec::new()))
    }

    /// Gives the classifier the columns of this stage.
    fn hand_on(&self, table: &mut toml::Table, entry: &Entry, check: &mut ParamCheck) {
        let known = (entry.defaults)();
        let columns = [
            ("features_col", Some(&self.features_col)),
            ("label_col", self.label_col.as_ref()),
            ("weight_col", self.weight_col.as_ref()),
        ];
        for (key, value) in columns {
            let Some(value) = value else { continue };
            if known.get(key).is_some() {
                table.insert(key.to_owned(), toml::Value::String(value.clone()));
            } else {
                let message = format!(
                    "cannot be used: the classifier `{}` does not take it",
                    entry.name
                );
                check.reject(key, message);
            }
        }
    }
}

fn find<'a>(name: &str, registry: &'a Registry, check: &mut ParamCheck) -> Option<&'a Entry> {
    // A script that builds stages without a registry still has the default classifier.
    let own = (name == LOGISTIC.name).then_some(&LOGISTIC);
    let Some(entry) = registry.get(name).or(own) else {
        let hint = registry
            .nearest(name)
            .map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
        check.reject(
            "classifier.stage",
            format!("names no stage: `{name}`{hint}"),
        );
        return None;
    };
    if entry.kind != Kind::Classifier || entry.name == "one_vs_rest" {
        let message = format!("must be a binary classifier, `{name}` is not one");
        check.reject("classifier.stage", message);
        return None;
    }
    Some(entry)
}

/// The parameters of a logistic regression that can be trained for all classes together.
fn logistic(entry: &Entry, table: &toml::Table) -> Option<Base> {
    if entry.name != LOGISTIC.name {
        return None;
    }
    let params = LogisticRegressionParams::deserialize(toml::Value::Table(table.clone())).ok()?;
    (params.family != Family::Multinomial).then(|| Base::Logistic(Box::new(params)))
}
