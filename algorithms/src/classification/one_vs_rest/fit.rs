//! Fitting: all classes together over logistic regression, else one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use emberline_pipeline::Jobs;
use emberline_pipeline::datasets::arrow::array::BooleanArray;
use emberline_pipeline::datasets::recipe::Step;
use emberline_pipeline::datasets::{
    Batch, Classes, Column, ColumnType, DataError, Dataset, LabelSpec, MissingRule, RowOp, Schema,
    SchemaErrors,
};
use emberline_pipeline::persist::to_state;
use emberline_pipeline::predictor::{ClassColumns, ClassifierModel, FeatureInput, extend};
use emberline_pipeline::{
    AnyStage, Component, ErasedEstimator, Error, Estimator, FitReport, Fitted, Kind, ParamErrors,
    Registry, Result, Run, Stage,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::OneVsRestScorer;
use super::params::{Base, OneVsRestParams};
use crate::classification::logistic_regression::LogisticRegressionParams;
use crate::classification::logistic_regression::fit::{class_moments, log_odds, report};
use crate::labels::class_list;
use crate::learner::LearnerColumns;
use crate::linear::{ClassLink, LinearProblems, LinearScorer, Link, Scale, Side};

/// One binary classifier a class; see the [module](super).
///
/// - in: features `(n, d)`, labels of any type `(n,)`, weights `(n,)`
/// - out: the predicted label, a raw score and a probability a class
/// - cost: over logistic regression O(n d k) a pass for all `k` classes; else `k` fits
/// # Errors
/// As the classifier's own; one class only is refused.
#[derive(Clone)]
pub struct OneVsRest {
    params: OneVsRestParams,
    base: Base,
}

impl Component for OneVsRest {
    const NAME: &'static str = "one_vs_rest";
    const SUMMARY: &'static str = "one binary classifier a class, against all other classes";
    const KIND: Kind = Kind::Classifier;
    type Params = OneVsRestParams;

    fn build(
        params: OneVsRestParams,
        registry: &Registry,
    ) -> std::result::Result<Self, ParamErrors> {
        let base = params.base(registry)?;
        Ok(Self { params, base })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }

    fn jobs(jobs: &mut Jobs) {
        jobs.step::<Against>(AGAINST);
    }
}

impl OneVsRest {
    fn columns(&self) -> LearnerColumns<'_> {
        LearnerColumns {
            features: &self.params.features_col,
            label: self.params.label_col.as_deref(),
            weight: self.params.weight_col.as_deref(),
        }
    }

    fn outputs(&self) -> ClassColumns {
        ClassColumns {
            prediction: self.params.prediction_col.clone(),
            raw_prediction: self.params.raw_prediction_col.clone(),
            probability: self.params.probability_col.clone(),
        }
    }
}

impl Stage for OneVsRest {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        let label = self.columns().check_classes(input)?;
        extend(input, self.outputs().columns(&label, None))
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.columns().reads(input)
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        self.outputs().names()
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

impl Estimator for OneVsRest {
    type Model = ClassifierModel<OneVsRestScorer>;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<Self::Model>> {
        let label = self.columns().label(data.schema());
        let classes = Arc::new(class_list(data, &label, run)?.classes);
        let (scorer, input, report) = match &self.base {
            Base::Logistic(params) => self.fit_together(params, data, (&label, &classes), run)?,
            Base::Other(base) => fit_apart(&**base, data, (&label, &classes), run)?,
        };
        let model = ClassifierModel {
            name: Self::NAME.to_owned(),
            params: self.params(),
            input,
            columns: self.outputs(),
            classes: (*classes).clone(),
            scorer: Arc::new(scorer),
        };
        Ok(Fitted { model, report })
    }

    fn working_memory(&self, input: &Schema, rows: u64) -> Option<u64> {
        match &self.base {
            Base::Logistic(_) => Some(0),
            Base::Other(base) => base.memory_of_fit(input, rows),
        }
    }
}

type Parts = (OneVsRestScorer, FeatureInput, FitReport);

impl OneVsRest {
    fn fit_together(
        &self,
        params: &LogisticRegressionParams,
        data: &Dataset,
        (label, classes): (&str, &Arc<Classes>),
        run: &Run,
    ) -> Result<Parts> {
        let spec = LabelSpec::Classes {
            column: label.to_owned(),
            classes: classes.clone(),
        };
        let pinned = run.pin(data, &self.columns().spec(data.schema(), spec))?;
        let moments = class_moments(run, &pinned, classes)?;
        let total = moments.weight;
        let scale = Scale::new(&moments, params.fit_intercept, pinned.slots())?;
        let sides = Classes::Boolean(vec![false, true]);
        let (mut links, mut weights, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for class in positives(classes.len()) {
            let own = moments.class_weight[class];
            let factors = params.class_weights.factors(&sides, &[total - own, own])?;
            let weight = factors[1] * own + factors[0] * (total - own);
            links.push(Side {
                class,
                positive: factors[1],
                negative: factors[0],
            });
            starts.push(log_odds(factors[1] * own, weight));
            weights.push(weight);
        }
        let penalty = scale.penalty(
            params.reg_param,
            params.elastic_net_param,
            params.standardization,
        );
        let problems = LinearProblems::new(
            (run, &pinned),
            &scale,
            Link::Binary(links),
            penalty,
            params.fit_intercept,
            weights,
        );
        let solution = problems.solve(&starts, &params.options())?;
        let report = report(&solution, &scale, &pinned, &moments, run);
        let two = classes.len() == 2;
        let scorer = OneVsRestScorer::Linear(LinearScorer {
            link: if two {
                ClassLink::Binomial
            } else {
                ClassLink::OneVsRest
            },
            coefficients: solution.coefficients,
            intercepts: solution.intercepts,
        });
        let input = FeatureInput {
            column: self.params.features_col.clone(),
            slots: pinned.slots().clone(),
            missing: MissingRule::Error,
        };
        Ok((scorer, input, report))
    }
}

/// The classes that get a model: all, or of two the second.
fn positives(n_classes: usize) -> std::ops::Range<usize> {
    if n_classes == 2 { 1..2 } else { 0..n_classes }
}

fn fit_apart(
    base: &dyn ErasedEstimator,
    data: &Dataset,
    (label, classes): (&str, &Arc<Classes>),
    run: &Run,
) -> Result<Parts> {
    let mut models = Vec::new();
    let mut input: Option<FeatureInput> = None;
    let mut whole = FitReport::default();
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for class in positives(classes.len()) {
        let relabelled = data.with_op(Arc::new(Against {
            label: label.to_owned(),
            classes: classes.clone(),
            class,
        }))?;
        let Fitted { model, report } = base.fit_boxed(&relabelled, run)?;
        let Some(scorer) = model.as_classifier() else {
            let message = format!(
                "the classifier `{}` cannot score single rows, so `one_vs_rest` cannot use it",
                base.name()
            );
            return Err(Error::Usage(message));
        };
        input.get_or_insert_with(|| scorer.input().clone());
        let name = &classes.names()[class];
        let told = report
            .warnings
            .iter()
            .map(|w| format!("class `{name}`: {w}"));
        whole.warnings.extend(told);
        whole.rows = report.rows;
        whole.rounds += report.rounds;
        for (column, size) in report.importances {
            *sums.entry(column).or_insert(0.0) += size;
        }
        models.push(model);
    }
    let n = models.len() as f64;
    whole.importances = sums.into_iter().map(|(c, s)| (c, s / n)).collect();
    whole.importances.sort_by(|a, b| b.1.total_cmp(&a.1));
    let input = input.ok_or_else(|| Error::Usage("there are no classes".to_owned()))?;
    Ok((OneVsRestScorer::Nested(models), input, whole))
}

/// Name of [`Against`] among the steps of a dataset.
const AGAINST: &str = "one_vs_rest/against";

/// Replaces the label by whether it is a class.
#[derive(Serialize, Deserialize)]
struct Against {
    label: String,
    classes: Arc<Classes>,
    class: usize,
}

impl Against {
    fn column(&self) -> Column {
        Column::new(&self.label, ColumnType::Boolean, true)
    }
}

impl RowOp for Against {
    fn name(&self) -> &str {
        "one_vs_rest"
    }

    fn step(&self) -> Option<std::result::Result<Step, DataError>> {
        Some(Step::of(AGAINST, self))
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        let mut out = input.clone();
        out.push(self.column(), true)?;
        Ok(out)
    }

    fn inputs(&self, _: &Schema) -> Vec<String> {
        vec![self.label.clone()]
    }

    fn outputs(&self, _: &Schema) -> Vec<String> {
        vec![self.label.clone()]
    }

    fn apply(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        let found = self.classes.encode(&batch, &self.label)?;
        // A missing label stays missing: the classifier refuses it by row.
        let is_class: BooleanArray = found.iter().map(|c| c.map(|c| c == self.class)).collect();
        batch.with_column(self.column(), Arc::new(is_class))
    }
}
