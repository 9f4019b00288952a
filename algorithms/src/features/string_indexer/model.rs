//! From a value to the number of its category.

use std::collections::HashMap;
use std::sync::Arc;

use emberline_pipeline::datasets::{Attribute, Column, ColumnType, SchemaError};
use emberline_pipeline::invalid::{Fate, Reason};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapters::{At, Datum, HandleInvalid, Refusal, ScalarMap};
use crate::columns::Choice;

/// Name of the category that missing values and categories not seen in training share under `handle_invalid = "keep"`.
pub const UNKNOWN: &str = "__unknown__";

/// The categories of each column, and the number of each.
#[derive(Debug, Clone)]
pub struct Indexing {
    handle_invalid: HandleInvalid,
    tables: Vec<Table>,
}

#[derive(Debug, Clone)]
struct Table {
    ty: ColumnType,
    categories: Arc<[String]>,
    // Only looked up, never walked: the order of a hash map reaches no result.
    texts: HashMap<String, usize>,
    numbers: HashMap<i64, usize>,
}

impl Table {
    fn new(ty: ColumnType, categories: Vec<String>) -> Result<Self, String> {
        let (mut texts, mut numbers) = (HashMap::new(), HashMap::new());
        for (i, name) in categories.iter().enumerate() {
            let twice = match ty {
                ColumnType::Text => texts.insert(name.clone(), i).is_some(),
                ColumnType::Boolean => numbers.insert(i64::from(name == "true"), i).is_some(),
                ColumnType::Integer => {
                    let value = name
                        .parse()
                        .map_err(|_| format!("category `{name}` is no integer"))?;
                    numbers.insert(value, i).is_some()
                }
                _ => return Err(format!("{ty} cannot be indexed")),
            };
            if twice {
                return Err(format!("category `{name}` occurs twice"));
            }
        }
        Ok(Self {
            ty,
            categories: categories.into(),
            texts,
            numbers,
        })
    }

    fn find(&self, value: Datum<'_>) -> Option<usize> {
        match value {
            Datum::Text(t) => self.texts.get(t).copied(),
            Datum::Number(v) => self.numbers.get(&(v as i64)).copied(),
            Datum::Missing => None,
        }
    }
}

impl Indexing {
    /// The indexing of columns of these types (text, integer or boolean) by these categories, in order.
    ///
    /// # Errors
    /// A category that occurs twice or is no value of its type.
    pub fn new(
        columns: Vec<(ColumnType, Vec<String>)>,
        handle_invalid: HandleInvalid,
    ) -> Result<Self, String> {
        let tables = columns
            .into_iter()
            .map(|(ty, c)| Table::new(ty, c))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            handle_invalid,
            tables,
        })
    }

    /// The categories of input column `k` in the order of their numbers, without the shared one for unknown values.
    #[must_use]
    pub fn categories(&self, k: usize) -> &[String] {
        &self.tables[k].categories
    }
}

pub(super) fn choice() -> Choice {
    Choice {
        expected: "text, boolean or integer; bin numbers with a `bucketizer` first",
        by_name: |c| {
            matches!(
                c.ty,
                ColumnType::Text | ColumnType::Boolean | ColumnType::Integer
            )
        },
        by_glob: |c| c.ty == ColumnType::Text,
        output: |name| format!("{name}_index"),
    }
}

/// The indexed column, with its categories as far as they are known.
pub(super) fn indexed(categories: Vec<String>) -> Column {
    let attribute = Attribute::Nominal {
        categories: categories.into(),
    };
    Column::new("", ColumnType::Integer, false).with_attribute(attribute)
}

impl ScalarMap for Indexing {
    const STAGE: &'static str = "string_indexer";

    fn choice(&self) -> Choice {
        choice()
    }

    fn column(&self, at: At, input: &Column) -> Result<Column, SchemaError> {
        match self.tables.get(at.column) {
            Some(table) if table.ty == input.ty => {
                let unknown =
                    (self.handle_invalid == HandleInvalid::Keep).then(|| UNKNOWN.to_owned());
                Ok(indexed(
                    table.categories.iter().cloned().chain(unknown).collect(),
                ))
            }
            table => Err(SchemaError::Type {
                column: input.name.clone(),
                found: input.ty.to_string(),
                expected: format!(
                    "{}, as in training,",
                    table.map_or(&ColumnType::Text, |t| &t.ty)
                ),
            }),
        }
    }

    fn map<'a>(&'a self, at: At, value: Datum<'a>) -> Result<Datum<'a>, Refusal> {
        let table = &self.tables[at.column];
        match (table.find(value), self.handle_invalid) {
            (Some(i), _) => Ok(Datum::Number(i as f64)),
            (None, HandleInvalid::Keep) => Ok(Datum::Number(table.categories.len() as f64)),
            (None, HandleInvalid::Skip) => Err(Refusal::Skip),
            (None, HandleInvalid::Error) => Err(match value {
                Datum::Missing => Refusal::Missing,
                Datum::Text(t) => unseen(t),
                Datum::Number(v) => unseen(v),
            }),
        }
    }

    fn invalid_fate(&self) -> Option<Fate> {
        self.handle_invalid.fate()
    }

    fn invalid(&self, at: At, value: Datum<'_>) -> Option<Reason> {
        match (self.tables[at.column].find(value), value) {
            (Some(_), _) => None,
            (None, Datum::Missing) => Some(Reason::Missing),
            (None, _) => Some(Reason::Unseen),
        }
    }

    fn save(&self, _: &mut Arrays) -> Value {
        let columns = self
            .tables
            .iter()
            .map(|t| (t.ty.clone(), t.categories.to_vec()))
            .collect();
        to_state(&Saved {
            handle_invalid: self.handle_invalid,
            columns,
        })
    }

    fn load(value: &Value, _: &Arrays, columns: usize) -> Result<Self, ModelError> {
        let saved: Saved = state(Self::STAGE, value)?;
        if saved.columns.len() != columns {
            let message = format!(
                "{} lists of categories for {columns} columns",
                saved.columns.len()
            );
            return Err(ModelError::stage(Self::STAGE, message));
        }
        Self::new(saved.columns, saved.handle_invalid)
            .map_err(|e| ModelError::stage(Self::STAGE, e))
    }
}

fn unseen(value: impl std::fmt::Display) -> Refusal {
    Refusal::Value(format!(
        "category `{value}` was not seen in training; set `handle_invalid` to \"keep\" or \"skip\" in this stage"
    ))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    handle_invalid: HandleInvalid,
    columns: Vec<(ColumnType, Vec<String>)>,
}
