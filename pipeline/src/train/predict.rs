//! Predictions for the rows of a table.

use emberline_datasets::recipe::Step;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use emberline_datasets::{Batch, DataError, Dataset, RowOp, Schema, SchemaErrors};

use super::conform::conform_features;
use crate::Result;
use crate::invalid::{InvalidRows, invalid_rows};
use crate::pipeline::PipelineModel;
use crate::run::Run;

/// The rows of `data` with the model's columns, computed as they are read.
///
/// `columns` picks and orders columns; by default all of `data`, then those of the last predictor and of stages after it.
/// Input columns are found by name, the label may be absent, surplus columns stay. A column of `data` that has the name of
/// one the model writes gives way.
///
/// # Errors
/// Every required column that is absent or of a type that does not serve, and every name in `columns` that is unknown.
pub fn predict(
    model: &PipelineModel,
    data: &Dataset,
    columns: Option<&[String]>,
) -> Result<Dataset> {
    let shaped = conform_features(model, data)?;
    let output = model.transform_dataset(&shaped)?;
    let names = match columns {
        Some(names) => names.to_vec(),
        None => default_columns(model, shaped.schema())?,
    };
    let select = Select { names };
    select.output_schema(output.schema())?;
    Ok(output.with_op(Arc::new(select))?)
}

/// What the stages of the model skip or keep of the rows of `data` by their policies, in order. One pass over the columns that they need;
/// none where no stage has a policy.
///
/// # Errors
/// As [`predict`]; a stage refuses a value, reading fails, or the run was stopped.
pub fn invalid_in(model: &PipelineModel, data: &Dataset, run: &Run) -> Result<Vec<InvalidRows>> {
    let shaped = conform_features(model, data)?;
    Ok(invalid_rows(model.stages(), &shaped, run)?.concat())
}

/// All input columns, then what the last predictor (else the last stage) and the stages after it write.
fn default_columns(model: &PipelineModel, input: &Schema) -> Result<Vec<String>> {
    let stages = model.stages();
    let predicts = |s: &Arc<dyn crate::Transformer>| s.params().get("prediction_col").is_some();
    let from = stages
        .iter()
        .rposition(predicts)
        .unwrap_or(stages.len().saturating_sub(1));
    let mut names: Vec<String> = input.columns().iter().map(|c| c.name.clone()).collect();
    let mut schema = input.clone();
    for (i, stage) in stages.iter().enumerate() {
        if i >= from {
            let new = stage
                .writes(&schema)
                .into_iter()
                .filter(|w| !names.contains(w));
            names.extend(new.collect::<Vec<_>>());
        }
        schema = stage.output_schema(&schema)?;
    }
    Ok(names)
}

/// Name of [`Select`] among the steps of a dataset.
pub(super) const SELECT: &str = "pipeline/select";

/// Keeps some columns. Reading drops the others by itself, so only the schema changes.
#[derive(Serialize, Deserialize)]
pub(super) struct Select {
    names: Vec<String>,
}

impl RowOp for Select {
    fn name(&self) -> &str {
        "columns"
    }

    fn step(&self) -> Option<std::result::Result<Step, DataError>> {
        Some(Step::of(SELECT, self))
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        input.select(&self.names)
    }

    fn inputs(&self, _: &Schema) -> Vec<String> {
        Vec::new()
    }

    fn outputs(&self, _: &Schema) -> Vec<String> {
        Vec::new()
    }

    fn apply(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        Ok(batch)
    }
}
