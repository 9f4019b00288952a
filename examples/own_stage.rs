//! A stage of one's own: it joins the registry, TOML configs, model files and the one-record path like any other.
//!
//! `log1p` replaces columns by `ln(1 + x)`, which tames the long tails of counts and prices. The script trains diamonds' prices with
//! it from a TOML config. Run with `cargo run --release --example own_stage`.

use std::sync::Arc;

use emberline::datasets::SchemaErrors;
use emberline::pipeline::persist::{Arrays, ModelError, state, to_state};
use emberline::pipeline::row::{Cell, RowLayout, RowStep};
use emberline::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parameters of `log1p`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Log1pParams {
    /// Numeric columns to replace. At least one. Default: none.
    inputs: Vec<String>,
}

impl ParamSet for Log1pParams {
    type Stage = Log1p;
}

/// Replaces columns by the logarithm of one plus their values.
#[derive(Debug, Clone)]
struct Log1p(Log1pParams);

impl Component for Log1p {
    const NAME: &'static str = "log1p";
    const SUMMARY: &'static str = "replaces columns by ln(1 + x)";
    const KIND: Kind = Kind::Transformer;
    type Params = Log1pParams;

    fn build(params: Log1pParams, _: &Registry) -> std::result::Result<Self, ParamErrors> {
        let mut check = ParamCheck::new();
        check.require(
            "inputs",
            "an empty list",
            "a list of at least one column",
            !params.inputs.is_empty(),
        );
        check.finish()?;
        Ok(Self(params))
    }

    fn erase(self) -> AnyStage {
        AnyStage::Transformer(Arc::new(self))
    }
}

impl Log1p {
    /// `ln(1 + x)`; a value of -1 or less has none and becomes missing.
    fn of(x: f64) -> Option<f64> {
        (x > -1.0).then(|| x.ln_1p())
    }

    fn column(input: &Schema, name: &str) -> std::result::Result<Column, SchemaErrors> {
        let origin = input.get(name)?.origin().to_owned();
        Ok(Column::new(name, ColumnType::Float, true).with_origin(origin))
    }
}

impl Stage for Log1p {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        let mut out = input.clone();
        for name in &self.0.inputs {
            out.push(Self::column(input, name)?, true)?;
        }
        Ok(out)
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        self.0.inputs.clone()
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        self.0.inputs.clone()
    }

    fn params(&self) -> Value {
        to_state(&self.0)
    }
}

impl Transformer for Log1p {
    fn transform(&self, mut batch: Batch) -> std::result::Result<Batch, DataError> {
        for name in &self.0.inputs {
            let logs: emberline::arrow::array::Float64Array = batch
                .numbers(name)?
                .iter()
                .map(|v| v.and_then(Self::of))
                .collect();
            let column = Self::column(batch.schema(), name)?;
            batch = batch.with_column(column, Arc::new(logs))?;
        }
        Ok(batch)
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(&self.0)
    }

    fn row_step(
        &self,
        layout: &mut RowLayout,
    ) -> std::result::Result<Box<dyn RowStep>, SchemaErrors> {
        let mut cells = Vec::new();
        for name in &self.0.inputs {
            let from = layout.cell(name)?;
            cells.push((from, layout.add(Self::column(layout.schema(), name)?)));
        }
        Ok(Box::new(move |row: &mut [Cell]| {
            for &(from, to) in &cells {
                row[to] = row[from]
                    .number()
                    .and_then(Self::of)
                    .map_or(Cell::Null, Cell::Number);
            }
            Ok(true)
        }))
    }
}

impl Load for Log1p {
    fn load(
        value: &Value,
        _: &Arrays,
        registry: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        Self::build(state(Self::NAME, value)?, registry)
            .map_err(|e| ModelError::stage(Self::NAME, e))
    }
}

const CONFIG: &str = r#"
name = "diamonds"
seed = 42

[data]
source = "bundled:diamonds"

[data.split]
test = 0.25

[[pipeline]]
stage = "log1p"
inputs = ["carat", "x", "y", "z"]

[[pipeline]]
stage = "string_indexer"
inputs = ["*"]
string_order_type = "alphabet_asc"

[[pipeline]]
stage = "vector_assembler"

[[pipeline]]
stage = "linear_regression"
"#;

fn main() -> Result<()> {
    let mut registry = emberline::registry();
    registry.register(Entry::transformer::<Log1p>());

    let config = Config::parse("diamonds.toml", CONFIG, &[], &registry)?;
    let (data, test) = config.dataset()?;
    let plan = TrainPlan::with_data(&config, data, test, &registry)?;
    let trained = train(&plan, &registry, &config.run())?;
    if let Some(metrics) = &trained.metrics {
        println!("held-out R2 {:.4}", metrics.values["r2"]);
    }

    // The model file needs the same registry to load, and predicts the same bits.
    let path = std::env::temp_dir().join("emberline-own-stage.ember");
    trained.model_file.save(&path, true)?;
    let loaded = ModelFile::load(&path, &registry)?;
    println!("probe rows replayed: {}", loaded.verify()?);
    Ok(())
}
