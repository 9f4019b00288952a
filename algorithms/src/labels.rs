//! The classes of a label column.

use emberline_pipeline::datasets::{Batch, Classes, DataError, Dataset, LabelValues, SchemaErrors};
use emberline_pipeline::{Jobs, Partial, Result, Round, Run};
use serde::{Deserialize, Serialize};

/// More distinct labels than this are taken for a mistake: a number to be regressed on, or an identifier.
pub const MAX_CLASSES: usize = 10_000;

/// The classes of a label column, and the rows of each.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassList {
    /// Classes in index order.
    pub classes: Classes,
    /// Rows per class.
    pub counts: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct LabelRound {
    column: String,
}

#[derive(Serialize, Deserialize)]
struct Found(LabelValues);

impl Partial for Found {
    fn merge(&mut self, later: Self) {
        self.0.merge(later.0);
    }
}

impl Round for LabelRound {
    const NAME: &'static str = "labels/distinct";
    type Unit = Batch;
    type Partial = Found;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<Found, DataError> {
        LabelValues::of(batch, &self.column).map(Found)
    }
}

/// Adds the round of [`class_list`].
pub fn jobs(jobs: &mut Jobs) {
    jobs.round::<LabelRound>();
}

/// Lists the classes of `column` in one pass.
///
/// # Errors
/// No rows, a missing label, one class only, or more than [`MAX_CLASSES`].
pub fn class_list(data: &Dataset, column: &str, run: &Run) -> Result<ClassList> {
    let round = LabelRound {
        column: column.to_owned(),
    };
    let unusable = |message: String| Err(DataError::Unusable(message).into());
    let Some(Found(values)) = run.scan(data, &[column.to_owned()], &round)? else {
        return unusable(format!("there are no rows to learn `{column}` from"));
    };
    let found = data.schema().get(column).map_err(SchemaErrors::from)?;
    let classes = values.classes(&found.ty);
    match classes.len() {
        1 => unusable(format!(
            "all rows have the label `{}` in column `{column}`; a classifier needs at least two classes",
            classes.names()[0]
        )),
        n if n > MAX_CLASSES => unusable(format!(
            "column `{column}` has {n} distinct values, at most {MAX_CLASSES} can be classes; to predict a number use a regressor"
        )),
        _ => Ok(ClassList {
            counts: values.counts(),
            classes,
        }),
    }
}
