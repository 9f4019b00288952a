//! Any linfa learner as a stage.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use emberline_algorithms::columns::label_column;
use emberline_datasets::{
    Batch, BlockSpec, Classes, Column, ColumnType, DataError, Dataset, LabelSpec, LabelValues,
    MissingRule, Schema, SchemaErrors,
};
use emberline_pipeline::persist::{Arrays, ModelError, state, to_state};
use emberline_pipeline::predictor::{
    ClassColumns, ClassScorer, ClassifierModel, FeatureInput, RowScorer, ScalarModel, extend,
};
use emberline_pipeline::row::{RowLayout, RowStep};
use emberline_pipeline::{
    AnyStage, Component, Error, Estimator, FitReport, Fitted, Jobs, Kind, Load, ParamErrors,
    ParamSet, Partial, Registry, Result, Round, Run, Stage, StopReason, Transformer,
};
use ndarray016::{Array1, ArrayView2};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::convert::{LinfaData, to_linfa};

/// How a linfa learner is fitted and how its model predicts. Reads `features` and the label; writes `prediction`.
pub trait LinfaLearner: Debug + Clone + Send + Sync + 'static {
    /// Name in configs.
    const NAME: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// `Kind::Classifier`, `Kind::Regressor` or `Kind::Clusterer`.
    const KIND: Kind;
    /// Its parameters.
    type Params: ParamSet<Stage = LinfaStage<Self>> + Debug;
    /// linfa's model, with linfa's `serde` feature.
    type Model: Serialize + DeserializeOwned + Debug + Send + Sync + 'static;

    /// Checks the parameters.
    ///
    /// # Errors
    /// Every parameter out of its range.
    fn check(params: &Self::Params) -> std::result::Result<(), ParamErrors>;

    /// Fits on all rows; for classifiers targets are class indices `0..`.
    ///
    /// # Errors
    /// What linfa says.
    fn fit(
        params: &Self::Params,
        data: LinfaData,
    ) -> std::result::Result<Self::Model, Box<dyn std::error::Error + Send + Sync>>;

    /// Predicts rows `(n, d)`: numbers, class indices or cluster indices `(n,)`.
    fn predict(model: &Self::Model, rows: ArrayView2<'_, f64>) -> Array1<f64>;
}

/// A linfa learner as a stage.
#[derive(Debug, Clone)]
pub struct LinfaStage<L: LinfaLearner> {
    params: L::Params,
}

const FEATURES: &str = "features";

impl<L: LinfaLearner> Component for LinfaStage<L> {
    const NAME: &'static str = L::NAME;
    const SUMMARY: &'static str = L::SUMMARY;
    const KIND: Kind = L::KIND;
    type Params = L::Params;

    fn build(params: L::Params, _: &Registry) -> std::result::Result<Self, ParamErrors> {
        L::check(&params)?;
        Ok(Self { params })
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }

    fn jobs(jobs: &mut Jobs) {
        jobs.round::<ListLabels>();
    }
}

fn class_columns() -> ClassColumns {
    ClassColumns {
        prediction: "prediction".to_owned(),
        raw_prediction: "raw_prediction".to_owned(),
        probability: "probability".to_owned(),
    }
}

fn scalar_type(kind: Kind) -> ColumnType {
    if kind == Kind::Clusterer {
        ColumnType::Integer
    } else {
        ColumnType::Float
    }
}

impl<L: LinfaLearner> LinfaStage<L> {
    fn spec(&self, schema: &Schema, classes: Option<Arc<Classes>>) -> BlockSpec {
        let column = label_column(None, schema);
        let label = match (L::KIND, classes) {
            (Kind::Classifier, Some(classes)) => LabelSpec::Classes { column, classes },
            (Kind::Regressor, _) => LabelSpec::Number(column),
            _ => LabelSpec::None,
        };
        BlockSpec {
            features: FEATURES.to_owned(),
            label,
            weight: schema.roles().weight.clone(),
            missing: MissingRule::Error,
        }
    }
}

impl<L: LinfaLearner> Stage for LinfaStage<L> {
    fn name(&self) -> &str {
        L::NAME
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        self.spec(input, None).check(input)?;
        if L::KIND == Kind::Classifier {
            let label = input.get(&label_column(None, input))?.ty.clone();
            return extend(input, class_columns().columns(&label, None));
        }
        extend(
            input,
            vec![Column::new("prediction", scalar_type(L::KIND), false)],
        )
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.spec(input, None).columns()
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        if L::KIND == Kind::Classifier {
            class_columns().names()
        } else {
            vec!["prediction".to_owned()]
        }
    }

    fn params(&self) -> Value {
        to_state(&self.params)
    }
}

/// Lists the values of the label.
#[derive(Serialize, Deserialize)]
struct ListLabels {
    column: String,
}

#[derive(Serialize, Deserialize)]
struct Labels(LabelValues);

impl Partial for Labels {
    fn merge(&mut self, later: Self) {
        self.0.merge(later.0);
    }
}

impl Round for ListLabels {
    const NAME: &'static str = "linfa/labels";
    type Unit = Batch;
    type Partial = Labels;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<Labels, DataError> {
        LabelValues::of(batch, &self.column).map(Labels)
    }
}

impl<L: LinfaLearner> Estimator for LinfaStage<L> {
    type Model = LinfaModel<L>;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<LinfaModel<L>>> {
        let schema = data.schema();
        let classes = if L::KIND == Kind::Classifier {
            let column = label_column(None, schema);
            let ty = schema.get(&column).map_err(SchemaErrors::from)?.ty.clone();
            let labels = run.scan(
                data,
                std::slice::from_ref(&column),
                &ListLabels {
                    column: column.clone(),
                },
            )?;
            labels.map(|l| Arc::new(l.0.classes(&ty)))
        } else {
            None
        };
        let spec = self.spec(schema, classes.clone());
        let pinned = run.pin(data, &spec)?;
        if pinned.n_rows() == 0 {
            return Err(DataError::Unusable("there are no rows to learn from".to_owned()).into());
        }
        let input = FeatureInput {
            column: FEATURES.to_owned(),
            slots: pinned.slots().clone(),
            missing: MissingRule::Error,
        };
        let linfa = L::fit(&self.params, to_linfa(&pinned)?)
            .map_err(|e| Error::from(DataError::Unusable(format!("linfa refused: {e}"))))?;
        let scorer = Arc::new(LinfaScorer::<L> {
            model: linfa,
            learner: PhantomData,
        });
        let (name, params) = (L::NAME.to_owned(), to_state(&self.params));
        let model = match classes {
            Some(classes) => LinfaModel::Classes(ClassifierModel {
                name,
                params,
                input,
                columns: class_columns(),
                classes: (*classes).clone(),
                scorer,
            }),
            None => LinfaModel::Number(ScalarModel {
                name,
                params,
                input,
                prediction: "prediction".to_owned(),
                ty: scalar_type(L::KIND),
                scorer,
            }),
        };
        let report = FitReport {
            rows: pinned.n_rows(),
            stop: StopReason::Done,
            ..FitReport::default()
        };
        Ok(Fitted { model, report })
    }
}

/// linfa's model as a scorer of rows. Each row is predicted by itself, so a batch and a record agree to the bit.
#[derive(Debug)]
pub struct LinfaScorer<L: LinfaLearner> {
    model: L::Model,
    learner: PhantomData<L>,
}

impl<L: LinfaLearner> LinfaScorer<L> {
    fn one(&self, x: &[f64]) -> f64 {
        // A slice of `d` numbers always has the shape (1, d).
        ArrayView2::from_shape((1, x.len()), x)
            .map_or(f64::NAN, |row| L::predict(&self.model, row)[0])
    }

    fn read(value: &Value) -> std::result::Result<Self, ModelError> {
        Ok(Self {
            model: state(L::NAME, value)?,
            learner: PhantomData,
        })
    }
}

impl<L: LinfaLearner> RowScorer for LinfaScorer<L> {
    fn predict(&self, x: &[f64]) -> f64 {
        self.one(x)
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(&self.model)
    }

    fn load(
        value: &Value,
        _: &Arrays,
        _: usize,
        _: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        Self::read(value)
    }
}

impl<L: LinfaLearner> ClassScorer for LinfaScorer<L> {
    /// linfa gives the class alone: it scores 1, the others 0.
    fn raw(&self, x: &[f64], raw: &mut [f64]) {
        raw.fill(0.0);
        let class = self.one(x) as usize;
        if let Some(score) = raw.get_mut(class) {
            *score = 1.0;
        }
    }

    fn probability(&self, raw: &[f64], probability: &mut [f64]) {
        probability.copy_from_slice(raw);
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(&self.model)
    }

    fn load(
        value: &Value,
        _: &Arrays,
        _: usize,
        _: usize,
        _: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        Self::read(value)
    }
}

/// A fitted linfa learner.
#[derive(Debug)]
pub enum LinfaModel<L: LinfaLearner> {
    /// Predicts original labels.
    Classes(ClassifierModel<LinfaScorer<L>>),
    /// Predicts a number or a cluster.
    Number(ScalarModel<LinfaScorer<L>>),
}

impl<L: LinfaLearner> LinfaModel<L> {
    fn inner(&self) -> &dyn Transformer {
        match self {
            Self::Classes(model) => model,
            Self::Number(model) => model,
        }
    }
}

impl<L: LinfaLearner> Stage for LinfaModel<L> {
    fn name(&self) -> &str {
        self.inner().name()
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        self.inner().output_schema(input)
    }

    fn reads(&self, input: &Schema) -> Vec<String> {
        self.inner().reads(input)
    }

    fn writes(&self, input: &Schema) -> Vec<String> {
        self.inner().writes(input)
    }

    fn params(&self) -> Value {
        self.inner().params()
    }
}

impl<L: LinfaLearner> Transformer for LinfaModel<L> {
    fn as_classifier(&self) -> Option<&dyn emberline_pipeline::predictor::ScoreClasses> {
        self.inner().as_classifier()
    }

    fn transform(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        self.inner().transform(batch)
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        self.inner().save(arrays)
    }

    fn row_step(
        &self,
        layout: &mut RowLayout,
    ) -> std::result::Result<Box<dyn RowStep>, SchemaErrors> {
        self.inner().row_step(layout)
    }
}

impl<L: LinfaLearner> Load for LinfaModel<L> {
    fn load(
        value: &Value,
        arrays: &Arrays,
        registry: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        if L::KIND == Kind::Classifier {
            Ok(Self::Classes(ClassifierModel::load(
                value, arrays, registry,
            )?))
        } else {
            Ok(Self::Number(ScalarModel::load(value, arrays, registry)?))
        }
    }
}
