//! Row blocks: an estimator's columns as matrices.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::schema::{ColumnType, Element, Layout, Schema, SchemaError, SchemaErrors};
use crate::{DataError, Result};

/// Which columns an estimator trains on, and how they become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockSpec {
    /// The vector column of features.
    pub features: String,
    /// The label, if the learner has one.
    pub label: LabelSpec,
    /// The weight column, if any.
    pub weight: Option<String>,
    /// What a missing or non-finite feature means.
    pub missing: MissingRule,
}

/// How the label becomes a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LabelSpec {
    /// No label.
    None,
    /// The column's own numbers (regression).
    Number(String),
    /// The index of each value in a class list (classification).
    Classes {
        /// The label column.
        column: String,
        /// Classes in index order.
        classes: Arc<Classes>,
    },
}

/// What to do with a missing or non-finite feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissingRule {
    /// Refuse it, naming column and row.
    Error,
    /// Keep a missing value as NaN; an infinite one is refused.
    Keep,
}

/// The values a label takes, in the order of their class indices: numbers ascending, text by code point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Classes {
    /// Text labels.
    Text(Vec<String>),
    /// Integer labels.
    Integer(Vec<i64>),
    /// Boolean labels.
    Boolean(Vec<bool>),
    /// Float labels.
    Float(Vec<f64>),
}

impl Classes {
    /// Number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(v) => v.len(),
            Self::Integer(v) => v.len(),
            Self::Boolean(v) => v.len(),
            Self::Float(v) => v.len(),
        }
    }

    /// True without classes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Class names as text, in index order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Text(v) => v.clone(),
            Self::Integer(v) => v.iter().map(ToString::to_string).collect(),
            Self::Boolean(v) => v.iter().map(ToString::to_string).collect(),
            Self::Float(v) => v.iter().map(ToString::to_string).collect(),
        }
    }

    /// The column type of labels and predictions.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Text(_) => ColumnType::Text,
            Self::Integer(_) => ColumnType::Integer,
            Self::Boolean(_) => ColumnType::Boolean,
            Self::Float(_) => ColumnType::Float,
        }
    }

    /// Class indices as a column of the original labels.
    #[must_use]
    pub fn decode(&self, indices: &[usize]) -> arrow::array::ArrayRef {
        use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray};
        match self {
            Self::Text(v) => Arc::new(StringArray::from_iter_values(
                indices.iter().map(|&i| v[i].as_str()),
            )),
            Self::Integer(v) => {
                Arc::new(Int64Array::from_iter_values(indices.iter().map(|&i| v[i])))
            }
            Self::Boolean(v) => Arc::new(
                indices
                    .iter()
                    .map(|&i| Some(v[i]))
                    .collect::<BooleanArray>(),
            ),
            Self::Float(v) => Arc::new(Float64Array::from_iter_values(
                indices.iter().map(|&i| v[i]),
            )),
        }
    }

    /// The class index of each row's label; `None` for a null and for a value that is no class.
    ///
    /// # Errors
    /// No such column, or a type other than the classes'.
    pub fn encode(&self, batch: &Batch, column: &str) -> Result<Vec<Option<usize>>> {
        let found = &batch.schema().get(column)?.ty;
        let is_number = |t: &ColumnType| {
            matches!(
                t,
                ColumnType::Integer | ColumnType::Float | ColumnType::Boolean
            )
        };
        if *found != self.column_type() && !(is_number(found) && is_number(&self.column_type())) {
            let expected = format!("{} as in training", self.column_type());
            return Err(SchemaError::Type {
                column: column.to_owned(),
                found: found.to_string(),
                expected,
            }
            .into());
        }
        if let Self::Text(names) = self {
            let index: BTreeMap<&str, usize> = names
                .iter()
                .enumerate()
                .map(|(i, n)| (n.as_str(), i))
                .collect();
            return Ok(batch
                .text(column)?
                .iter()
                .map(|v| v.and_then(|v| index.get(v).copied()))
                .collect());
        }
        let values: Vec<f64> = match self {
            Self::Integer(v) => v.iter().map(|x| *x as f64).collect(),
            Self::Boolean(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
            Self::Float(v) => v.clone(),
            Self::Text(_) => Vec::new(),
        };
        let find = |x: f64| values.binary_search_by(|v| v.total_cmp(&x)).ok();
        // -0.0 and 0.0 are one label.
        Ok(batch
            .numbers(column)?
            .iter()
            .map(|v| v.and_then(|x| find(x + 0.0)))
            .collect())
    }
}

/// Distinct label values of some rows; merged over all rows they become [`Classes`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelValues {
    text: BTreeMap<String, u64>,
    numbers: BTreeMap<i128, (f64, u64)>,
}

impl LabelValues {
    /// The distinct values of `column` with their counts.
    ///
    /// # Errors
    /// A null or non-finite label, or a type that is no label.
    pub fn of(batch: &Batch, column: &str) -> Result<Self> {
        let mut values = Self {
            text: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        let missing = |i: usize| DataError::Value {
            column: column.to_owned(),
            row: batch.row_ids()[i],
            message: "the label is missing; drop such rows before training".to_owned(),
        };
        match batch.schema().get(column)?.ty {
            ColumnType::Text => {
                for (i, v) in batch.text(column)?.iter().enumerate() {
                    let v = v.ok_or_else(|| missing(i))?;
                    match values.text.get_mut(v) {
                        Some(n) => *n += 1,
                        None => drop(values.text.insert(v.to_owned(), 1)),
                    }
                }
            }
            _ => {
                for (i, v) in batch.numbers(column)?.iter().enumerate() {
                    let v = v.ok_or_else(|| missing(i))? + 0.0;
                    if !v.is_finite() {
                        return Err(DataError::NotFinite {
                            column: column.to_owned(),
                            row: batch.row_ids()[i],
                            value: v,
                        });
                    }
                    values.numbers.entry(ordered(v)).or_insert((v, 0)).1 += 1;
                }
            }
        }
        Ok(values)
    }

    /// Adds the values of other rows.
    pub fn merge(&mut self, other: Self) {
        for (k, n) in other.text {
            *self.text.entry(k).or_insert(0) += n;
        }
        for (k, (v, n)) in other.numbers {
            self.numbers.entry(k).or_insert((v, 0)).1 += n;
        }
    }

    /// Number of distinct values.
    #[must_use]
    pub fn n_distinct(&self) -> usize {
        self.text.len() + self.numbers.len()
    }

    /// The class list, under the label's column type.
    #[must_use]
    pub fn classes(&self, ty: &ColumnType) -> Classes {
        let numbers = || self.numbers.values().map(|(v, _)| *v);
        match ty {
            ColumnType::Text => Classes::Text(self.text.keys().cloned().collect()),
            ColumnType::Integer => Classes::Integer(numbers().map(|v| v as i64).collect()),
            ColumnType::Boolean => Classes::Boolean(numbers().map(|v| v != 0.0).collect()),
            _ => Classes::Float(numbers().collect()),
        }
    }

    /// Rows per class, in class order.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.text
            .values()
            .copied()
            .chain(self.numbers.values().map(|(_, n)| *n))
            .collect()
    }
}

/// A key that sorts like the number (total order of finite values).
fn ordered(v: f64) -> i128 {
    let bits = v.to_bits() as i64;
    i128::from(bits ^ (((bits >> 63) as u64) >> 1) as i64)
}

/// A block's features.
#[derive(Debug, Clone, PartialEq)]
pub enum Features {
    /// `(n, d)`, eight bytes a number.
    F64(Array2<f64>),
    /// `(n, d)`, four bytes a number.
    F32(Array2<f32>),
    /// Sparse rows.
    Csr(Csr),
}

impl Features {
    /// Rows and slots.
    #[must_use]
    pub fn dim(&self) -> (usize, usize) {
        match self {
            Self::F64(x) => x.dim(),
            Self::F32(x) => x.dim(),
            Self::Csr(x) => (x.rows(), x.width),
        }
    }

    /// The features as a dense `f64` matrix; borrowed where they are one.
    #[must_use]
    pub fn to_f64(&self) -> std::borrow::Cow<'_, Array2<f64>> {
        match self {
            Self::F64(x) => std::borrow::Cow::Borrowed(x),
            Self::F32(x) => std::borrow::Cow::Owned(x.mapv(f64::from)),
            Self::Csr(x) => std::borrow::Cow::Owned(x.to_dense()),
        }
    }
}

/// Compressed sparse rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr {
    /// Start of each row in `indices` and `values`; `rows + 1` long.
    pub offsets: Vec<usize>,
    /// Slot of each stored value, ascending in each row.
    pub indices: Vec<u32>,
    /// Stored values.
    pub values: Vec<f64>,
    /// Number of slots.
    pub width: usize,
}

impl Csr {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Slots and values of row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.offsets[i]..self.offsets[i + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// Every slot written out.
    #[must_use]
    pub fn to_dense(&self) -> Array2<f64> {
        let mut dense = Array2::zeros((self.rows(), self.width));
        for i in 0..self.rows() {
            let (indices, values) = self.row(i);
            for (j, v) in indices.iter().zip(values) {
                dense[(i, *j as usize)] = *v;
            }
        }
        dense
    }
}

/// At most [`crate::BLOCK_ROWS`] rows, ready for a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Features `(n, d)`.
    pub features: Features,
    /// Label `(n,)`: a number, or a class index.
    pub label: Option<Vec<f64>>,
    /// Weight `(n,)`, finite and not negative; `None` means 1 each.
    pub weight: Option<Vec<f64>>,
    /// Row ids `(n,)`.
    pub row_ids: Arc<[u64]>,
}

impl Block {
    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.row_ids.len()
    }

    /// Number of feature slots.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.features.dim().1
    }

    /// The label of row `i`; 0 where the block has none.
    #[must_use]
    pub fn label(&self, i: usize) -> f64 {
        self.label.as_ref().map_or(0.0, |y| y[i])
    }

    /// The weight of row `i`.
    #[must_use]
    pub fn weight(&self, i: usize) -> f64 {
        self.weight.as_ref().map_or(1.0, |w| w[i])
    }

    /// The features as a dense `f64` matrix.
    #[must_use]
    pub fn dense(&self) -> std::borrow::Cow<'_, Array2<f64>> {
        self.features.to_f64()
    }

    /// Bytes held, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let features = match &self.features {
            Features::F64(x) => 8 * x.len(),
            Features::F32(x) => 4 * x.len(),
            Features::Csr(x) => 12 * x.values.len() + 8 * x.offsets.len(),
        };
        features
            + 8 * self.n_rows()
                * (1 + usize::from(self.label.is_some()) + usize::from(self.weight.is_some()))
    }
}

impl BlockSpec {
    /// The columns to read.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let label = match &self.label {
            LabelSpec::None => None,
            LabelSpec::Number(column) | LabelSpec::Classes { column, .. } => Some(column.clone()),
        };
        let mut columns = vec![self.features.clone()];
        for extra in label.into_iter().chain(self.weight.clone()) {
            if !columns.contains(&extra) {
                columns.push(extra);
            }
        }
        columns
    }

    /// Whether these columns exist with fitting types.
    ///
    /// # Errors
    /// Every column that is missing or mistyped.
    pub fn check(&self, schema: &Schema) -> std::result::Result<(), SchemaErrors> {
        let mut errors = Vec::new();
        match schema.get(&self.features) {
            Ok(column) if !column.ty.is_vector() => errors.push(SchemaError::Type {
                column: self.features.clone(),
                found: column.ty.to_string(),
                expected: "a vector (put a `vector_assembler` before this stage)".to_owned(),
            }),
            Ok(_) => {}
            Err(e) => errors.push(e),
        }
        if let LabelSpec::Number(label) = &self.label {
            check_number(schema, label, &mut errors);
        }
        if let LabelSpec::Classes { column, .. } = &self.label
            && let Err(e) = schema.get(column)
        {
            errors.push(e);
        }
        if let Some(weight) = &self.weight {
            check_number(schema, weight, &mut errors);
        }
        SchemaErrors::check(errors)
    }

    /// Turns a batch into a block.
    ///
    /// # Errors
    /// A feature, label or weight that the rules refuse; column and row are named.
    pub fn block(&self, batch: &Batch) -> Result<Block> {
        let features = self.features(batch)?;
        let label = match &self.label {
            LabelSpec::None => None,
            LabelSpec::Number(column) => Some(finite(batch, column)?),
            LabelSpec::Classes { column, classes } => Some(class_indices(batch, column, classes)?),
        };
        let weight = self
            .weight
            .as_deref()
            .map(|w| weights(batch, w))
            .transpose()?;
        Ok(Block {
            features,
            label,
            weight,
            row_ids: batch.row_ids().clone(),
        })
    }

    fn features(&self, batch: &Batch) -> Result<Features> {
        let column = batch.schema().get(&self.features)?;
        let vectors = batch.vector(&self.features)?;
        let (n, d) = (vectors.rows(), vectors.width());
        let refuse = |i: usize, j: usize, value: f64| {
            let slot = column
                .slots
                .get(j)
                .map_or_else(|| j.to_string(), |s| s.name.clone());
            let column = format!("{}[{slot}]", self.features);
            let row = batch.row_ids()[i];
            if value.is_nan() {
                DataError::Missing { column, row }
            } else {
                DataError::NotFinite { column, row, value }
            }
        };
        let bad = |v: f64| v.is_infinite() || (v.is_nan() && self.missing == MissingRule::Error);
        let (layout, element) = match &column.ty {
            ColumnType::Vector {
                layout, element, ..
            } => (*layout, *element),
            _ => (Layout::Dense, Element::F64),
        };
        if layout == Layout::Sparse {
            let mut csr = Csr {
                offsets: vec![0],
                indices: Vec::new(),
                values: Vec::new(),
                width: d,
            };
            let mut fault = None;
            for i in 0..n {
                vectors.for_each_stored(i, |j, v| {
                    if bad(v) {
                        fault.get_or_insert((i, j, v));
                    }
                    csr.indices.push(j as u32);
                    csr.values.push(v);
                });
                csr.offsets.push(csr.values.len());
            }
            return match fault {
                Some((i, j, v)) => Err(refuse(i, j, v)),
                None => Ok(Features::Csr(csr)),
            };
        }
        if element == Element::F32 {
            let flat = match vectors.as_f32_slice() {
                Some(slice) => slice.to_vec(),
                None => read_rows(&vectors).into_iter().map(|v| v as f32).collect(),
            };
            if let Some(k) = flat.iter().position(|v| bad(f64::from(*v))) {
                return Err(refuse(k / d, k % d, f64::from(flat[k])));
            }
            return Ok(Features::F32(shaped(n, d, flat)?));
        }
        let flat = vectors
            .as_f64_slice()
            .map_or_else(|| read_rows(&vectors), <[f64]>::to_vec);
        if let Some(k) = flat.iter().position(|v| bad(*v)) {
            return Err(refuse(k / d, k % d, flat[k]));
        }
        Ok(Features::F64(shaped(n, d, flat)?))
    }
}

fn read_rows(vectors: &crate::batch::VectorColumn<'_>) -> Vec<f64> {
    let mut flat = vec![0.0; vectors.rows() * vectors.width()];
    for (i, row) in flat.chunks_exact_mut(vectors.width().max(1)).enumerate() {
        vectors.read(i, row);
    }
    flat
}

fn shaped<T>(n: usize, d: usize, flat: Vec<T>) -> Result<Array2<T>> {
    Array2::from_shape_vec((n, d), flat).map_err(|e| DataError::format("block", e))
}

fn check_number(schema: &Schema, name: &str, errors: &mut Vec<SchemaError>) {
    match schema.get(name) {
        Ok(column) if !column.ty.is_numeric() => errors.push(SchemaError::Type {
            column: name.to_owned(),
            found: column.ty.to_string(),
            expected: "a number".to_owned(),
        }),
        Ok(_) => {}
        Err(e) => errors.push(e),
    }
}

fn finite(batch: &Batch, column: &str) -> Result<Vec<f64>> {
    let numbers = batch.numbers(column)?;
    let mut out = Vec::with_capacity(numbers.len());
    for (i, v) in numbers.iter().enumerate() {
        let row = batch.row_ids()[i];
        let v = v.ok_or_else(|| DataError::Missing {
            column: column.to_owned(),
            row,
        })?;
        if !v.is_finite() {
            return Err(DataError::NotFinite {
                column: column.to_owned(),
                row,
                value: v,
            });
        }
        out.push(v);
    }
    Ok(out)
}

fn weights(batch: &Batch, column: &str) -> Result<Vec<f64>> {
    let out = finite(batch, column)?;
    match out.iter().position(|w| *w < 0.0) {
        None => Ok(out),
        Some(i) => Err(DataError::Value {
            column: column.to_owned(),
            row: batch.row_ids()[i],
            message: format!("the weight {} is negative; weights are 0 or more", out[i]),
        }),
    }
}

fn class_indices(batch: &Batch, column: &str, classes: &Classes) -> Result<Vec<f64>> {
    let encoded = classes.encode(batch, column)?;
    let mut out = Vec::with_capacity(encoded.len());
    for (i, index) in encoded.into_iter().enumerate() {
        let index = index.ok_or_else(|| DataError::Value {
            column: column.to_owned(),
            row: batch.row_ids()[i],
            message: "the label is missing or was not there when the classes were listed"
                .to_owned(),
        })?;
        out.push(index as f64);
    }
    Ok(out)
}

/// The features as a borrowed matrix, where they are dense `f64`.
#[must_use]
pub fn dense_view(features: &Features) -> Option<ArrayView2<'_, f64>> {
    if let Features::F64(x) = features {
        Some(x.view())
    } else {
        None
    }
}
