//! Small stages, an evaluator and data for the tests of this crate.

use std::sync::Arc;

use emberline_datasets::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray,
};
use emberline_datasets::batch::dense_vectors;
use emberline_datasets::{
    Batch, Block, BlockSpec, Column, ColumnType, DataError, Dataset, Element, LabelSpec,
    MissingRule, Roles, Schema, SchemaErrors, Slot,
};
use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Partial, Round};
use crate::evaluate::{Evaluator, EvaluatorColumns, EvaluatorEntry, Metrics};
use crate::param::{ParamCheck, ParamErrors, ParamSet};
use crate::persist::{Arrays, ModelError, state, to_state};
use crate::predictor::{FeatureInput, RowScorer, ScalarModel, extend};
use crate::registry::{Component, Entry, Kind, Load, Registry};
use crate::row::{Cell, RowLayout, RowStep};
use crate::stage::{AnyStage, Estimator, FitReport, Fitted, Stage, Transformer};
use crate::{Pipeline, Result, Run};

type Schemas<T> = std::result::Result<T, SchemaErrors>;

/// Writes `tag`, the text of `name` in capitals; drops rows named `drop`; refuses rows named `bad`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToyTag {
    /// Makes the one-record path differ from the batch path, to show that it is found out.
    pub crooked: bool,
}

impl ParamSet for ToyTag {
    type Stage = Self;
}

impl Component for ToyTag {
    const NAME: &'static str = "toy_tag";
    const SUMMARY: &'static str = "capitals";
    const KIND: Kind = Kind::Transformer;
    type Params = Self;

    fn build(params: Self, _: &Registry) -> std::result::Result<Self, ParamErrors> {
        Ok(params)
    }

    fn erase(self) -> AnyStage {
        AnyStage::Transformer(Arc::new(self))
    }
}

fn tag_column() -> Column {
    Column::new("tag", ColumnType::Text, true)
}

impl Stage for ToyTag {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> Schemas<Schema> {
        input.get("name")?;
        extend(input, vec![tag_column()])
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec!["name".to_owned()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec!["tag".to_owned()]
    }

    fn params(&self) -> Value {
        to_state(self)
    }
}

impl Transformer for ToyTag {
    fn transform(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        let names = batch.text("name")?;
        let tags: StringArray = names.iter().map(|n| n.map(str::to_uppercase)).collect();
        let keep: BooleanArray = names.iter().map(|n| Some(n != Some("drop"))).collect();
        batch
            .with_column(tag_column(), Arc::new(tags))?
            .filter(&keep)
    }

    fn drops_rows(&self) -> bool {
        true
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(self)
    }

    fn row_step(&self, layout: &mut RowLayout) -> Schemas<Box<dyn RowStep>> {
        let (from, to, crooked) = (layout.cell("name")?, layout.add(tag_column()), self.crooked);
        Ok(Box::new(move |cells: &mut [Cell]| {
            cells[to] = match cells[from].text() {
                Some(_) if crooked => Cell::Text("?".to_owned()),
                Some(text) => Cell::Text(text.to_uppercase()),
                None => Cell::Null,
            };
            Ok(cells[from].text() != Some("drop"))
        }))
    }
}

impl Load for ToyTag {
    fn load(value: &Value, _: &Arrays, _: &Registry) -> std::result::Result<Self, ModelError> {
        state(Self::NAME, value)
    }
}

/// Predicts the mean label, shifted by how far the features are from theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToyMean {
    /// Weight of each feature, positive.
    pub slope: f64,
    /// Column of predictions.
    pub prediction_col: String,
}

impl Default for ToyMean {
    fn default() -> Self {
        Self {
            slope: 0.1,
            prediction_col: "prediction".to_owned(),
        }
    }
}

impl ParamSet for ToyMean {
    type Stage = Self;
}

impl Component for ToyMean {
    const NAME: &'static str = "toy_mean";
    const SUMMARY: &'static str = "means";
    const KIND: Kind = Kind::Regressor;
    type Params = Self;

    fn build(params: Self, _: &Registry) -> std::result::Result<Self, ParamErrors> {
        let mut check = ParamCheck::new();
        check.require("slope", params.slope, "positive", params.slope > 0.0);
        check.finish()?;
        Ok(params)
    }

    fn erase(self) -> AnyStage {
        AnyStage::Estimator(Arc::new(self))
    }
}

impl Stage for ToyMean {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> Schemas<Schema> {
        input.get("features")?;
        extend(
            input,
            vec![Column::new(&self.prediction_col, ColumnType::Float, false)],
        )
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec!["features".to_owned(), "y".to_owned()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec![self.prediction_col.clone()]
    }

    fn params(&self) -> Value {
        to_state(self)
    }
}

#[derive(Serialize, Deserialize)]
struct Sums {
    rows: f64,
    label: f64,
    slots: Vec<f64>,
}

impl Partial for Sums {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.label += later.label;
        self.slots
            .iter_mut()
            .zip(later.slots)
            .for_each(|(a, b)| *a += b);
    }
}

#[derive(Serialize, Deserialize)]
struct SumRound;

impl Round for SumRound {
    const NAME: &'static str = "toy/sums";
    type Unit = Block;
    type Partial = Sums;
    type Scratch = ();

    fn map(&self, block: &Block, (): &mut ()) -> std::result::Result<Sums, DataError> {
        let x = block.dense();
        Ok(Sums {
            rows: block.n_rows() as f64,
            label: (0..block.n_rows()).map(|i| block.label(i)).sum(),
            slots: x
                .columns()
                .into_iter()
                .map(|c| c.iter().filter(|v| !v.is_nan()).sum())
                .collect(),
        })
    }
}

impl Estimator for ToyMean {
    type Model = ScalarModel<ToyKernel>;

    fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<Self::Model>> {
        let spec = BlockSpec {
            features: "features".to_owned(),
            label: LabelSpec::Number("y".to_owned()),
            weight: None,
            missing: MissingRule::Keep,
        };
        let pinned = run.pin(data, &spec)?;
        let sums = run
            .round(&pinned, &SumRound)?
            .ok_or_else(|| DataError::Unusable("no rows".to_owned()))?;
        let kernel = ToyKernel {
            bias: sums.label / sums.rows,
            slope: self.slope,
            means: sums.slots.iter().map(|s| s / sums.rows).collect(),
        };
        let report = FitReport {
            rows: pinned.n_rows(),
            rounds: 1,
            history: vec![sums.label, f64::NAN],
            importances: vec![("x1".to_owned(), 0.75), ("x0".to_owned(), 0.25)],
            ..FitReport::default()
        };
        let model = ScalarModel {
            name: Self::NAME.to_owned(),
            params: self.params(),
            input: FeatureInput {
                column: "features".to_owned(),
                slots: pinned.slots().clone(),
                missing: MissingRule::Keep,
            },
            prediction: self.prediction_col.clone(),
            ty: ColumnType::Float,
            scorer: Arc::new(kernel),
        };
        Ok(Fitted { model, report })
    }
}

#[derive(Debug, Clone)]
pub struct ToyKernel {
    bias: f64,
    slope: f64,
    means: Array1<f64>,
}

impl RowScorer for ToyKernel {
    fn predict(&self, x: &[f64]) -> f64 {
        let shift = |(x, m): (&f64, &f64)| {
            if x.is_nan() {
                0.0
            } else {
                self.slope * (x - m)
            }
        };
        self.bias + x.iter().zip(&self.means).map(shift).sum::<f64>()
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        arrays.put_f64("means", &self.means.to_vec());
        to_state(&(self.bias, self.slope))
    }

    fn load(
        value: &Value,
        arrays: &Arrays,
        n: usize,
        _: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        let (bias, slope) = state(ToyMean::NAME, value)?;
        Ok(Self {
            bias,
            slope,
            means: arrays.vector(ToyMean::NAME, "means", n)?,
        })
    }
}

/// Root of the mean squared error, and the number of rows.
struct ToyEvaluator(EvaluatorColumns);

pub const RMSE: EvaluatorEntry = EvaluatorEntry {
    name: "toy",
    summary: "errors",
    kind: Kind::Regressor,
    metrics: &[
        ("rmse", "root mean squared error"),
        ("worst", "largest error"),
    ],
    defaults: &["rmse"],
    fits: |schema, columns| {
        schema
            .get(&columns.prediction)
            .map(|_| ())
            .map_err(Into::into)
    },
    build: |columns| Box::new(ToyEvaluator(columns)),
    jobs: |_| {},
};

impl Evaluator for ToyEvaluator {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn evaluate(&self, data: &Dataset, metrics: &[String], _: &Run) -> Result<Metrics> {
        let label = self.0.label.clone().unwrap_or_else(|| "label".to_owned());
        let mut errors = Vec::new();
        for batch in data.batches(Some(&[label.clone(), self.0.prediction.clone()]))? {
            let batch = batch?;
            let (a, b) = (batch.numbers(&label)?, batch.numbers(&self.0.prediction)?);
            errors.extend(
                a.values()
                    .iter()
                    .zip(b.values())
                    .map(|(a, b)| (a - b).abs()),
            );
        }
        let mse = errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
        let all = [
            ("rmse", mse.sqrt()),
            ("worst", errors.iter().copied().fold(0.0, f64::max)),
        ];
        let asked = all
            .iter()
            .filter(|(name, _)| metrics.iter().any(|m| m == name));
        Ok(Metrics {
            rows: errors.len() as u64,
            values: asked.map(|(name, v)| ((*name).to_owned(), *v)).collect(),
            curves: [("errors".to_owned(), vec![(0.0, 1.0)])].into(),
            ..Metrics::default()
        })
    }

    fn larger_is_better(&self, _: &str) -> bool {
        false
    }
}

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.register(Entry::transformer::<ToyTag>());
    registry.register(Entry::estimator::<ToyMean>());
    registry.register_evaluator(RMSE);
    registry
}

pub fn pipeline() -> Pipeline {
    Pipeline::builder()
        .stage(ToyTag::default())
        .stage(ToyMean::default())
        .build()
        .unwrap()
}

/// Rows `from..to` of an endless table: text with nulls and rows to drop, a vector with a missing slot, an integer and a
/// float label, and an identifier beyond 2^53.
pub fn table(from: usize, to: usize) -> Dataset {
    let name: StringArray = (from..to)
        .map(|i| match i % 7 {
            0 => None,
            1 => Some("drop"),
            2 => Some("käse"),
            _ => Some("plain"),
        })
        .collect();
    let slots = |i: usize| {
        [
            (i as f64).sin(),
            if i.is_multiple_of(5) {
                f64::NAN
            } else {
                0.1 * i as f64
            },
            1.0 / (1 + i) as f64,
        ]
    };
    let flat: Vec<f64> = (from..to).flat_map(slots).collect();
    let size: Int64Array = (from..to).map(|i| Some(i as i64 % 150)).collect();
    let big: Int64Array = (from..to).map(|i| Some(i64::MAX - i as i64)).collect();
    let y: Float64Array = (from..to).map(|i| Some((i as f64).cos() / 3.0)).collect();
    let vectors = dense_vectors(flat, 3, Element::F64, true, to - from).unwrap();
    let scalar = |name: &str, ty: ColumnType, array: Arc<dyn Array>| -> (Column, ArrayRef) {
        (Column::new(name, ty, true), array)
    };
    let roles = Roles {
        label: Some("y".to_owned()),
        ..Roles::default()
    };
    Dataset::from_columns(vec![
        scalar("name", ColumnType::Text, Arc::new(name)),
        (
            Column::vector("features", ["x0", "x1", "x2"].map(Slot::numeric).to_vec()),
            vectors,
        ),
        scalar("size", ColumnType::Integer, Arc::new(size)),
        scalar("big", ColumnType::Integer, Arc::new(big)),
        scalar("y", ColumnType::Float, Arc::new(y)),
    ])
    .unwrap()
    .with_roles(roles)
    .unwrap()
}
