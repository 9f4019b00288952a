//! The compiled path for one record: cells instead of columns, no planning and no allocation per call.

use emberline_datasets::{Column, ColumnType, DataError, Schema, SchemaErrors};

/// One value of a record.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Cell {
    /// Missing.
    #[default]
    Null,
    /// A boolean (0 or 1), integer, float, date or timestamp.
    Number(f64),
    /// Text.
    Text(String),
    /// A vector; a missing slot is NaN.
    Vector(Vec<f64>),
}

impl Cell {
    /// The number, or `None` where it is missing.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        if let Self::Number(v) = self {
            Some(*v)
        } else {
            None
        }
    }

    /// The text, or `None` where it is missing.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(v) = self {
            Some(v)
        } else {
            None
        }
    }

    /// The vector; empty where it is missing.
    #[must_use]
    pub fn vector(&self) -> &[f64] {
        if let Self::Vector(v) = self { v } else { &[] }
    }

    /// Sets text, reusing the buffer.
    pub fn set_text(&mut self, value: &str) {
        if let Self::Text(own) = self {
            own.clear();
            own.push_str(value);
        } else {
            *self = Self::Text(value.to_owned());
        }
    }

    /// The cell as a vector of `width` slots, reusing the buffer; old content is left in it.
    pub fn vector_mut(&mut self, width: usize) -> &mut [f64] {
        if !matches!(self, Self::Vector(v) if v.len() == width) {
            *self = Self::Vector(vec![0.0; width]);
        }
        match self {
            Self::Vector(v) => v,
            _ => &mut [],
        }
    }
}

/// A step of the compiled path.
pub trait RowStep: Send + Sync {
    /// Works on the cells of one record; false drops the record.
    ///
    /// # Errors
    /// A value the stage cannot take. Row ids in messages are 0: there is one record.
    fn run(&self, cells: &mut [Cell]) -> Result<bool, DataError>;
}

impl<F: Fn(&mut [Cell]) -> Result<bool, DataError> + Send + Sync> RowStep for F {
    fn run(&self, cells: &mut [Cell]) -> Result<bool, DataError> {
        self(cells)
    }
}

/// Which cell holds which column while steps are compiled.
#[derive(Debug, Clone)]
pub struct RowLayout {
    schema: Schema,
    cells: Vec<usize>,
    next: usize,
}

impl RowLayout {
    /// The layout of a record with these columns, one cell each, in order.
    #[must_use]
    pub fn new(schema: Schema) -> Self {
        let n = schema.columns().len();
        Self {
            schema,
            cells: (0..n).collect(),
            next: n,
        }
    }

    /// The columns as they stand before the step being compiled.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The cell of a column.
    ///
    /// # Errors
    /// No such column.
    pub fn cell(&self, name: &str) -> Result<usize, SchemaErrors> {
        let column = self.schema.get(name)?;
        let i = self.schema.index_of(&column.name).unwrap_or_default();
        Ok(self.cells[i])
    }

    /// A fresh cell for a column the step writes; a column of that name is hidden from then on.
    pub fn add(&mut self, column: Column) -> usize {
        let cell = self.next;
        self.next += 1;
        match self.schema.index_of(&column.name) {
            Some(i) => self.cells[i] = cell,
            None => self.cells.push(cell),
        }
        // `overwrite` is set, so the push cannot fail.
        let _ = self.schema.push(column, true);
        cell
    }

    /// Number of cells a record needs.
    #[must_use]
    pub fn n_cells(&self) -> usize {
        self.next
    }

    /// The type of a column.
    ///
    /// # Errors
    /// No such column.
    pub fn ty(&self, name: &str) -> Result<&ColumnType, SchemaErrors> {
        Ok(&self.schema.get(name)?.ty)
    }
}
