//! The config's data, opened; a mistake that is the config's has its place there.

use std::ops::Range;

use emberline_datasets::{
    Column, ColumnType, DataError, Dataset, Schema, SchemaErrors, SourceOptions, TypeName, source,
};

use super::super::document::Notes;
use super::{CheckReport, Config, schemas};
use crate::registry::Registry;
use crate::{Error, Result};

impl Config {
    /// Opens the source, and the source of held-out rows where there is one of its own. Reads no more than the samples that
    /// types are inferred from. Columns of the second have the types of the first, whatever its own sample looks like.
    ///
    /// # Errors
    /// A source that cannot be opened; a role for a column that it lacks, with the place in the config; a source of held-out
    /// rows that lacks columns.
    pub fn dataset(&self) -> Result<(Dataset, Option<Dataset>)> {
        let data = self.open(&self.data, "source")?;
        let Some(mut options) = self.test_options() else {
            return Ok((data, None));
        };
        let mut test = self.open(&options, "split.source")?;
        let types = other_types(data.schema(), test.schema());
        if !types.is_empty() {
            for (column, name) in types {
                options.schema.entry(column).or_insert(name);
            }
            test = self.open(&options, "split.source")?;
        }
        let mut notes = Notes::default();
        let span = self.key("data.split.source");
        same_columns(data.schema(), test.schema(), &span, &mut notes);
        self.source.origin.finish(notes)?;
        Ok((data, Some(test)))
    }

    fn open(&self, options: &SourceOptions, key: &str) -> Result<Dataset> {
        source::open_within(options, self.partition_memory()).map_err(|e| self.placed(e, key))
    }

    /// Checks everything that can be told without reading rows: the source opens, every stage fits the columns it will get,
    /// labels exist and do not leak, outputs can be written; and plans the memory of the learners.
    ///
    /// # Errors
    /// All mistakes of the config at once (of the pipeline: up to the first stage that does not fit, since what follows it
    /// cannot be known), or a source that cannot be opened.
    pub fn check(&self, registry: &Registry) -> Result<CheckReport> {
        let outputs = self.output_mistakes();
        match self.dataset() {
            Ok((data, test)) => self.check_data(registry, &data, test.as_ref()),
            Err(Error::Config(mut errors)) => {
                errors
                    .errors
                    .extend(self.source.origin.errors(outputs).errors);
                Err(errors.into())
            }
            Err(other) => Err(other),
        }
    }

    /// An error of the source, with the config's place where the config is at fault.
    fn placed(&self, error: DataError, key: &str) -> Error {
        let DataError::Schema(SchemaErrors(errors)) = error else {
            return error.into();
        };
        let data = self.source.places.find("data").0;
        let mut notes = Notes::default();
        for error in errors {
            let named = schemas::column_of(&error).and_then(|c| {
                let typed = data.children.get("schema").and_then(|s| s.children.get(c));
                typed
                    .map(|p| &p.key)
                    .or(data.find_text(c).map(|p| &p.value))
            });
            let fallback = || self.key(&format!("data.{key}"));
            notes.at(
                named.map_or_else(fallback, Clone::clone),
                format!("data: {error}"),
            );
        }
        self.source.origin.errors(notes).into()
    }
}

/// The training type of each column that the held-out sample looks different in (whole numbers where the training data
/// have fractions).
fn other_types(train: &Schema, test: &Schema) -> Vec<(String, TypeName)> {
    let differs = |c: &&Column| test.get(&c.name).is_ok_and(|other| other.ty != c.ty);
    let columns = train.columns().iter().filter(differs);
    columns
        .filter_map(|c| Some((c.name.clone(), type_name(&c.ty)?)))
        .collect()
}

fn type_name(ty: &ColumnType) -> Option<TypeName> {
    Some(match ty {
        ColumnType::Boolean => TypeName::Boolean,
        ColumnType::Integer => TypeName::Integer,
        ColumnType::Float => TypeName::Float,
        ColumnType::Text => TypeName::Text,
        ColumnType::Date => TypeName::Date,
        ColumnType::Timestamp => TypeName::Timestamp,
        ColumnType::Vector { .. } => return None,
    })
}

/// Notes every column of the training data that the held-out data lack, or have with another type.
fn same_columns(train: &Schema, test: &Schema, span: &Range<usize>, notes: &mut Notes) {
    for column in train.columns() {
        let problem = match test.get(&column.name) {
            Ok(other) if other.ty == column.ty => continue,
            Ok(other) => format!(
                "column `{}` is {} there and {} in the training data",
                column.name, other.ty, column.ty
            ),
            Err(error) => error.to_string(),
        };
        notes.at(span.clone(), format!("`data.split.source`: {problem}"));
    }
}
