//! Fitted pipelines: over batches, and over one record at a time.

use std::sync::Arc;

use emberline_datasets::{Batch, DataError, Dataset, Schema, SchemaErrors};
use serde_json::{Value, json};

use super::{PIPELINE, required, written};
use crate::Result;
use crate::persist::{Arrays, ModelError, SavedStage};
use crate::registry::{Load, Registry};
use crate::row::{Cell, RowLayout, RowStep};
use crate::stage::{Stage, Transformer, apply};

/// Fitted stages in order. Itself a transformer, so models nest.
#[derive(Clone)]
pub struct PipelineModel {
    stages: Vec<Arc<dyn Transformer>>,
    input: Arc<Schema>,
}

impl PipelineModel {
    /// A model of these stages over rows of `input`.
    #[must_use]
    pub fn new(stages: Vec<Arc<dyn Transformer>>, input: Arc<Schema>) -> Self {
        Self { stages, input }
    }

    /// The fitted stages.
    #[must_use]
    pub fn stages(&self) -> &[Arc<dyn Transformer>] {
        &self.stages
    }

    /// The schema the model was trained on.
    #[must_use]
    pub fn input_schema(&self) -> &Arc<Schema> {
        &self.input
    }

    /// Columns of the training data that prediction needs (the label is not one of them).
    #[must_use]
    pub fn required_columns(&self) -> Vec<String> {
        required(self.stages.iter().map(|s| &**s as &dyn Stage), &self.input)
    }

    /// Adds the model's columns to every batch as it is read: all stages in one pass.
    ///
    /// # Errors
    /// The columns do not fit.
    pub fn transform_dataset(&self, data: &Dataset) -> Result<Dataset> {
        self.stages
            .iter()
            .try_fold(data.clone(), |data, stage| apply(&data, stage.clone()))
    }

    /// The compiled path for one record with the columns of `input` (a subset of the training columns will do, as long
    /// as [`PipelineModel::required_columns`] are in it).
    ///
    /// # Errors
    /// A stage does not fit.
    pub fn scorer(&self, input: &Schema) -> Result<Scorer> {
        let mut layout = RowLayout::new(input.clone());
        let mut steps = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            steps.push(
                stage
                    .row_step(&mut layout)
                    .map_err(|e| crate::Error::from(e).in_stage(stage.name()))?,
            );
        }
        Ok(Scorer {
            cells: vec![Cell::Null; layout.n_cells()],
            steps,
            layout,
        })
    }

    /// Every stage as data, arrays scoped by position.
    #[must_use]
    pub fn save_stages(&self, arrays: &mut Arrays) -> Vec<SavedStage> {
        let mut saved = Vec::with_capacity(self.stages.len());
        for (i, stage) in self.stages.iter().enumerate() {
            let mut own = Arrays::new();
            let state = stage.save(&mut own);
            arrays.nest(&i.to_string(), own);
            saved.push(SavedStage {
                stage: stage.name().to_owned(),
                state,
            });
        }
        saved
    }

    /// One stage, which may be a pipeline itself.
    pub(crate) fn load_stage(
        saved: &SavedStage,
        arrays: &Arrays,
        registry: &Registry,
    ) -> std::result::Result<Arc<dyn Transformer>, ModelError> {
        if saved.stage == PIPELINE {
            return Ok(Arc::new(Self::load(&saved.state, arrays, registry)?));
        }
        registry.load(saved, arrays)
    }

    /// Reads the stages back.
    ///
    /// # Errors
    /// A stage is unknown or makes no sense.
    pub fn load_stages(
        saved: &[SavedStage],
        arrays: &Arrays,
        input: Arc<Schema>,
        registry: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        let mut stages = Vec::with_capacity(saved.len());
        for (i, stage) in saved.iter().enumerate() {
            let own = arrays.scope(&i.to_string());
            stages.push(Self::load_stage(stage, &own, registry)?);
        }
        Ok(Self::new(stages, input))
    }
}

impl Stage for PipelineModel {
    fn name(&self) -> &str {
        PIPELINE
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        self.stages
            .iter()
            .try_fold(input.clone(), |schema, stage| stage.output_schema(&schema))
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        self.required_columns()
    }

    fn writes(&self, input: &Schema) -> Vec<String> {
        written(self.stages.iter().map(|s| &**s as &dyn Stage), input)
    }

    fn params(&self) -> Value {
        Value::Array(
            self.stages
                .iter()
                .map(|s| json!({ "stage": s.name(), "params": s.params() }))
                .collect(),
        )
    }
}

impl Transformer for PipelineModel {
    fn transform(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        self.stages.iter().try_fold(batch, |batch, stage| {
            stage.transform(batch).map_err(|e| e.in_stage(stage.name()))
        })
    }

    fn drops_rows(&self) -> bool {
        self.stages.iter().any(|s| s.drops_rows())
    }

    fn parts(&self) -> Option<&[Arc<dyn Transformer>]> {
        Some(&self.stages)
    }

    fn save(&self, arrays: &mut Arrays) -> Value {
        let stages = self.save_stages(arrays);
        json!({ "input": *self.input, "stages": stages })
    }

    fn row_step(
        &self,
        layout: &mut RowLayout,
    ) -> std::result::Result<Box<dyn RowStep>, SchemaErrors> {
        let steps = self
            .stages
            .iter()
            .map(|s| s.row_step(layout))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(Box::new(move |cells: &mut [Cell]| {
            for step in &steps {
                if !step.run(cells)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }))
    }
}

impl Load for PipelineModel {
    fn load(
        state: &Value,
        arrays: &Arrays,
        registry: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        #[derive(serde::Deserialize)]
        struct Saved {
            input: Schema,
            stages: Vec<SavedStage>,
        }
        let saved: Saved = crate::persist::state(PIPELINE, state)?;
        Self::load_stages(&saved.stages, arrays, Arc::new(saved.input), registry)
    }
}

/// A model compiled for one record at a time: the record's cells are kept and reused.
pub struct Scorer {
    cells: Vec<Cell>,
    steps: Vec<Box<dyn RowStep>>,
    layout: RowLayout,
}

impl Scorer {
    /// The cells of the input columns, in the order of the schema the scorer was compiled for. Fill them, then [`Scorer::score`].
    pub fn input(&mut self) -> &mut [Cell] {
        &mut self.cells
    }

    /// Runs every stage; false where a stage drops the record.
    ///
    /// # Errors
    /// A stage refuses a value.
    pub fn score(&mut self) -> std::result::Result<bool, DataError> {
        for step in &self.steps {
            if !step.run(&mut self.cells)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The position of a column's cell, to be looked up once.
    ///
    /// # Errors
    /// No such column.
    pub fn position(&self, column: &str) -> std::result::Result<usize, SchemaErrors> {
        self.layout.cell(column)
    }

    /// The value at a position after [`Scorer::score`].
    #[must_use]
    pub fn cell(&self, position: usize) -> &Cell {
        &self.cells[position]
    }

    /// Columns after all stages.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.layout.schema()
    }
}
