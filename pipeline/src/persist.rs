//! How a fitted stage becomes data and comes back: a JSON state and named arrays of numbers.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A model file, or a part of one, that cannot be used. The owner of the file acts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a model, or was damaged or cut short.
    #[error("{file}: {message}")]
    Damaged {
        /// The file.
        file: String,
        /// What does not hold.
        message: String,
    },
    /// The file was written by a newer version.
    #[error(
        "{file}: format {found} is newer than {supported}, which this program reads; use a newer emberline"
    )]
    Newer {
        /// The file.
        file: String,
        /// Format version of the file.
        found: u32,
        /// Newest version that can be read.
        supported: u32,
    },
    /// The target exists.
    #[error("{file} exists already; pass `--overwrite` or name another file")]
    Exists {
        /// The file.
        file: String,
    },
    /// The model cannot be written: it is too large, or holds something that is no data.
    #[error("model `{name}` cannot be written: {message}")]
    Unwritable {
        /// Name of the model.
        name: String,
        /// What stands in the way.
        message: String,
    },
    /// A stage gives one record other values than the same row in a batch: a fault of the stage.
    #[error(
        "row {row}, column `{column}`: the batch path gives {batch}, the one-record path {record}; the stage that writes it is at fault, please report it"
    )]
    Paths {
        /// Row id.
        row: u64,
        /// Output column, or `*` for the row itself.
        column: String,
        /// Value of the batch path.
        batch: String,
        /// Value of the one-record path.
        record: String,
    },
    /// The content of a stage makes no sense: a missing array, an index out of range, a number that is not finite.
    #[error("the saved stage `{stage}` is invalid: {message}")]
    Stage {
        /// Stage name.
        stage: String,
        /// What does not hold.
        message: String,
    },
}

impl ModelError {
    /// A stage whose content makes no sense.
    pub fn stage(stage: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self::Stage {
            stage: stage.into(),
            message: message.to_string(),
        }
    }

    /// The same error under the stage's own name, where the code that found it serves several.
    #[must_use]
    pub(crate) fn of_stage(self, name: &str) -> Self {
        match self {
            Self::Stage { message, .. } => Self::stage(name, message),
            other => other,
        }
    }
}

/// The numbers of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Signed 64-bit integers.
    I64(Vec<i64>),
    /// Unsigned 32-bit integers.
    U32(Vec<u32>),
    /// Bytes.
    U8(Vec<u8>),
}

impl Numbers {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F64(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::U8(v) => v.len(),
        }
    }

    /// True without numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An array with a shape, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Length of each axis; the product is the number of values.
    pub shape: Vec<usize>,
    /// The values.
    pub numbers: Numbers,
}

/// Named arrays of a model. Stages see their own names only: each works in a scope of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arrays {
    tensors: BTreeMap<String, Tensor>,
}

impl Arrays {
    /// No arrays.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All arrays by full name, in name order.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Adds an array under its full name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Takes over the arrays of a nested stage under `scope.`.
    pub fn nest(&mut self, scope: &str, inner: Self) {
        self.tensors.extend(
            inner
                .tensors
                .into_iter()
                .map(|(name, t)| (format!("{scope}.{name}"), t)),
        );
    }

    /// The arrays of a nested stage, under its own names.
    #[must_use]
    pub fn scope(&self, scope: &str) -> Self {
        let prefix = format!("{scope}.");
        let own = self
            .tensors
            .iter()
            .filter_map(|(name, t)| Some((name.strip_prefix(&prefix)?.to_owned(), t.clone())));
        Self {
            tensors: own.collect(),
        }
    }

    /// Adds a vector of floats.
    pub fn put_f64(&mut self, name: &str, values: &[f64]) {
        self.insert(
            name,
            Tensor {
                shape: vec![values.len()],
                numbers: Numbers::F64(values.to_vec()),
            },
        );
    }

    /// Adds a matrix of floats.
    pub fn put_matrix(&mut self, name: &str, values: &Array2<f64>) {
        let numbers = Numbers::F64(values.iter().copied().collect());
        self.insert(
            name,
            Tensor {
                shape: vec![values.nrows(), values.ncols()],
                numbers,
            },
        );
    }

    /// Adds a vector of unsigned integers.
    pub fn put_u32(&mut self, name: &str, values: &[u32]) {
        self.insert(
            name,
            Tensor {
                shape: vec![values.len()],
                numbers: Numbers::U32(values.to_vec()),
            },
        );
    }

    /// Adds a vector of signed integers.
    pub fn put_i64(&mut self, name: &str, values: &[i64]) {
        self.insert(
            name,
            Tensor {
                shape: vec![values.len()],
                numbers: Numbers::I64(values.to_vec()),
            },
        );
    }

    /// Adds a vector of bytes.
    pub fn put_u8(&mut self, name: &str, values: &[u8]) {
        self.insert(
            name,
            Tensor {
                shape: vec![values.len()],
                numbers: Numbers::U8(values.to_vec()),
            },
        );
    }

    fn tensor(&self, stage: &str, name: &str) -> Result<&Tensor, ModelError> {
        self.tensors
            .get(name)
            .ok_or_else(|| ModelError::stage(stage, format!("array `{name}` is missing")))
    }

    /// A vector of finite floats.
    ///
    /// # Errors
    /// It is missing, of another type, or holds a number that is not finite.
    pub fn f64(&self, stage: &str, name: &str) -> Result<Vec<f64>, ModelError> {
        match &self.tensor(stage, name)?.numbers {
            Numbers::F64(v) if v.iter().all(|x| x.is_finite()) => Ok(v.clone()),
            Numbers::F64(_) => Err(ModelError::stage(
                stage,
                format!("array `{name}` holds a number that is not finite"),
            )),
            _ => Err(wrong_type(stage, name, "f64")),
        }
    }

    /// A matrix of finite floats with `columns` columns (any number where `None`).
    ///
    /// # Errors
    /// As [`Arrays::f64`], or another shape.
    pub fn matrix(
        &self,
        stage: &str,
        name: &str,
        columns: Option<usize>,
    ) -> Result<Array2<f64>, ModelError> {
        let values = self.f64(stage, name)?;
        let shape = &self.tensor(stage, name)?.shape;
        match shape[..] {
            [r, c] if columns.is_none_or(|want| want == c) => {
                Array2::from_shape_vec((r, c), values)
                    .map_err(|e| ModelError::stage(stage, format!("array `{name}`: {e}")))
            }
            _ => Err(ModelError::stage(
                stage,
                format!("array `{name}` has shape {shape:?}"),
            )),
        }
    }

    /// A vector of finite floats of a known length.
    ///
    /// # Errors
    /// As [`Arrays::f64`], or another length.
    pub fn vector(&self, stage: &str, name: &str, len: usize) -> Result<Array1<f64>, ModelError> {
        let values = self.f64(stage, name)?;
        if values.len() == len {
            return Ok(values.into());
        }
        Err(ModelError::stage(
            stage,
            format!(
                "array `{name}` has {} values, {len} are needed",
                values.len()
            ),
        ))
    }

    /// A vector of unsigned integers.
    ///
    /// # Errors
    /// It is missing or of another type.
    pub fn u32(&self, stage: &str, name: &str) -> Result<Vec<u32>, ModelError> {
        match &self.tensor(stage, name)?.numbers {
            Numbers::U32(v) => Ok(v.clone()),
            _ => Err(wrong_type(stage, name, "u32")),
        }
    }

    /// A vector of signed integers.
    ///
    /// # Errors
    /// It is missing or of another type.
    pub fn i64(&self, stage: &str, name: &str) -> Result<Vec<i64>, ModelError> {
        match &self.tensor(stage, name)?.numbers {
            Numbers::I64(v) => Ok(v.clone()),
            _ => Err(wrong_type(stage, name, "i64")),
        }
    }

    /// A vector of bytes.
    ///
    /// # Errors
    /// It is missing or of another type.
    pub fn u8(&self, stage: &str, name: &str) -> Result<Vec<u8>, ModelError> {
        match &self.tensor(stage, name)?.numbers {
            Numbers::U8(v) => Ok(v.clone()),
            _ => Err(wrong_type(stage, name, "u8")),
        }
    }
}

fn wrong_type(stage: &str, name: &str, expected: &str) -> ModelError {
    ModelError::stage(stage, format!("array `{name}` is not of type {expected}"))
}

/// A fitted stage as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStage {
    /// Name of the registry entry that loads it.
    pub stage: String,
    /// Everything that is not a long list of numbers.
    pub state: Value,
}

/// Reads the JSON state of a stage into its type.
///
/// # Errors
/// A field is missing, unknown or of another type.
pub fn state<T: serde::de::DeserializeOwned>(stage: &str, value: &Value) -> Result<T, ModelError> {
    T::deserialize(value).map_err(|e| ModelError::stage(stage, e))
}

/// The JSON state of a stage. Numbers that are not finite become null and are refused when read back.
#[must_use]
pub fn to_state(value: &impl Serialize) -> Value {
    // Plain data of our own types always serialises: map keys are strings.
    serde_json::to_value(value).unwrap_or(Value::Null)
}
