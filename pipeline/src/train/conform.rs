//! Rows of another table in the shape of the training rows: columns by name, numbers as the numbers trained on.

use emberline_datasets::recipe::Step;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use emberline_datasets::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array,
};
use emberline_datasets::{
    Batch, Column, ColumnType, DataError, Dataset, Roles, RowOp, Schema, SchemaError, SchemaErrors,
};

use crate::Result;
use crate::pipeline::PipelineModel;
use crate::stage::Stage;

/// `data` in the shape that `model` was trained on.
///
/// Columns are found by name. Surplus ones stay, unless a column that the model writes has their name. An integer or
/// boolean serves where a float was trained on, a float where an integer was if it is whole. Roles of training are taken
/// over where `data` has none.
///
/// # Errors
/// Every required column that is absent or of a type that does not serve, at once.
pub(super) fn conform(model: &PipelineModel, data: &Dataset) -> Result<Dataset> {
    let roles = model.input_schema().roles();
    conform_with(model, data, [&roles.label, &roles.weight])
}

/// As [`conform`], for rows that are predicted and not measured: whatever has the name of the label or the weight stays as it is.
///
/// # Errors
/// As [`conform`].
pub(super) fn conform_features(model: &PipelineModel, data: &Dataset) -> Result<Dataset> {
    conform_with(model, data, [&None, &None])
}

fn conform_with(
    model: &PipelineModel,
    data: &Dataset,
    roles: [&Option<String>; 2],
) -> Result<Dataset> {
    let trained = model.input_schema();
    let given = data.schema();
    let required = model.required_columns();
    let mut errors = Vec::new();
    let mut changed = Vec::new();
    let optional = roles
        .into_iter()
        .flatten()
        .filter(|r| given.index_of(r).is_some());
    for name in required.iter().chain(optional) {
        match fit(trained, given, name) {
            Ok(Some(column)) => changed.push(column),
            Ok(None) => {}
            Err(e) => errors.push(e),
        }
    }
    SchemaErrors::check(errors)?;
    changed.dedup_by(|a, b| a.name == b.name);
    let hidden: Vec<String> = model
        .writes(trained)
        .into_iter()
        .filter(|w| given.index_of(w).is_some() && !required.contains(w))
        .collect();
    let op = Conform {
        changed,
        hidden,
        roles: trained.roles().clone(),
    };
    if op.changed.is_empty() && op.hidden.is_empty() && op.roles_after(given) == *given.roles() {
        return Ok(data.clone());
    }
    Ok(data.with_op(Arc::new(op))?)
}

/// The column as it must become; `None` where it serves as it is.
fn fit(
    trained: &Schema,
    given: &Schema,
    name: &str,
) -> std::result::Result<Option<Column>, SchemaError> {
    let want = trained.get(name)?;
    let have = given.get(name)?;
    let serves = match (&have.ty, &want.ty) {
        (a, b) if a == b => true,
        (a, b) if a.is_numeric() && b.is_numeric() => true,
        // Width, element and layout may differ; the slots are checked by the stage that reads them.
        (ColumnType::Vector { .. }, ColumnType::Vector { .. }) => true,
        _ => false,
    };
    if !serves {
        return Err(SchemaError::Type {
            column: name.to_owned(),
            found: have.ty.to_string(),
            expected: format!("{}, as in training,", want.ty),
        });
    }
    let mut becomes = want.clone();
    becomes.nullable = have.nullable;
    if have.ty.is_vector() {
        becomes.ty = have.ty.clone();
        if !have.slots.is_empty() {
            becomes.slots = have.slots.clone();
        }
    }
    Ok((becomes != *have).then_some(becomes))
}

/// Name of [`Conform`] among the steps of a dataset.
pub(super) const CONFORM: &str = "pipeline/conform";

/// The step that brings rows into shape.
#[derive(Serialize, Deserialize)]
pub(super) struct Conform {
    changed: Vec<Column>,
    hidden: Vec<String>,
    roles: Roles,
}

impl Conform {
    fn roles_after(&self, given: &Schema) -> Roles {
        let own = given.roles();
        let pick = |own: &Option<String>, trained: &Option<String>| {
            own.clone()
                .or_else(|| trained.clone().filter(|t| given.index_of(t).is_some()))
        };
        Roles {
            label: pick(&own.label, &self.roles.label),
            weight: pick(&own.weight, &self.roles.weight),
            id: pick(&own.id, &self.roles.id),
            group: pick(&own.group, &self.roles.group),
        }
    }

    fn shaped(&self, schema: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        let shape = |c: &Column| {
            self.changed
                .iter()
                .find(|n| n.name == c.name)
                .unwrap_or(c)
                .clone()
        };
        let kept = schema
            .columns()
            .iter()
            .filter(|c| !self.hidden.contains(&c.name));
        let shaped = Schema::new(kept.map(shape).collect())?;
        let has = |role: Option<String>| role.filter(|r| shaped.index_of(r).is_some());
        let roles = self.roles_after(schema);
        let roles = Roles {
            label: has(roles.label),
            weight: has(roles.weight),
            id: has(roles.id),
            group: has(roles.group),
        };
        shaped.with_roles(roles)
    }
}

impl RowOp for Conform {
    fn name(&self) -> &str {
        "input columns"
    }

    fn step(&self) -> Option<std::result::Result<Step, DataError>> {
        Some(Step::of(CONFORM, self))
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        self.shaped(input)
    }

    fn inputs(&self, _: &Schema) -> Vec<String> {
        self.changed.iter().map(|c| c.name.clone()).collect()
    }

    fn outputs(&self, input: &Schema) -> Vec<String> {
        self.inputs(input)
    }

    fn apply(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        let schema = self.shaped(batch.schema())?;
        let columns = schema
            .columns()
            .iter()
            .map(|c| {
                if c.ty.is_vector() {
                    batch.column(&c.name).cloned()
                } else {
                    cast(&batch, c)
                }
            })
            .collect::<std::result::Result<_, _>>()?;
        Batch::new(Arc::new(schema), columns, batch.row_ids().clone())
    }
}

/// The numbers of a column in another type, if every one of them fits.
fn cast(batch: &Batch, to: &Column) -> std::result::Result<ArrayRef, DataError> {
    let array = batch.column(&to.name)?;
    if batch.schema().get(&to.name)?.ty == to.ty {
        return Ok(array.clone());
    }
    if let (Some(flags), ColumnType::Integer) = (array.as_boolean_opt(), &to.ty) {
        return Ok(Arc::new(
            flags
                .iter()
                .map(|v| v.map(i64::from))
                .collect::<Int64Array>(),
        ));
    }
    let numbers = batch.numbers(&to.name)?;
    let refuse = |i: usize, rule: &str| DataError::Value {
        column: to.name.clone(),
        row: batch.row_ids()[i],
        message: format!(
            "{} is {rule}, which the model was trained on; convert the column",
            numbers.value(i)
        ),
    };
    let whole = |v: f64| v.fract() == 0.0 && v.abs() <= 9_007_199_254_740_992.0;
    match to.ty {
        ColumnType::Integer => match first_bad(&numbers, whole) {
            Some(i) => Err(refuse(i, "no whole number")),
            None => Ok(Arc::new(
                numbers
                    .iter()
                    .map(|v| v.map(|v| v as i64))
                    .collect::<Int64Array>(),
            )),
        },
        ColumnType::Boolean => match first_bad(&numbers, |v| v == 0.0 || v == 1.0) {
            Some(i) => Err(refuse(i, "neither 0 nor 1")),
            None => Ok(Arc::new(
                numbers
                    .iter()
                    .map(|v| v.map(|v| v == 1.0))
                    .collect::<BooleanArray>(),
            )),
        },
        _ => Ok(Arc::new(numbers.into_owned())),
    }
}

fn first_bad(numbers: &Float64Array, holds: impl Fn(f64) -> bool) -> Option<usize> {
    (0..numbers.len()).find(|&i| numbers.is_valid(i) && !holds(numbers.value(i)))
}
