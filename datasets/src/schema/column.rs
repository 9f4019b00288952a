//! Column types, columns, and the slots of vectors.

use std::sync::Arc;

use crate::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, Serialize};

/// Width of the numbers in a vector column.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// Four bytes a number; half the memory, seven digits.
    F32,
    /// Eight bytes a number (default).
    #[default]
    F64,
}

/// How the numbers of a vector column are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `FixedSizeList`: every slot stored; a missing slot is a null.
    Dense,
    /// `Struct { indices, values }`: slots that are not stored are zero.
    Sparse,
}

/// Logical type of a column. One Arrow type stands behind each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Arrow `Boolean`.
    Boolean,
    /// Arrow `Int64`; every integer width is read into it.
    Integer,
    /// Arrow `Float64`; `f32`, `f16` and decimals are read into it.
    Float,
    /// Arrow `Utf8`; inside a batch also its dictionary form with 16-bit keys (see `TextColumn`).
    Text,
    /// Arrow `Date32`, days since 1970-01-01.
    Date,
    /// Arrow `Timestamp(Microsecond, None)`, UTC.
    Timestamp,
    /// A vector of numbers.
    Vector {
        /// Number of slots; `None` where only fitting can tell (one-hot before its categories are known).
        width: Option<usize>,
        /// Width of each number.
        element: Element,
        /// Dense or sparse.
        layout: Layout,
    },
}

impl ColumnType {
    /// A dense `f64` vector of `width` slots.
    #[must_use]
    pub fn dense(width: usize) -> Self {
        Self::Vector {
            width: Some(width),
            element: Element::F64,
            layout: Layout::Dense,
        }
    }

    /// True for booleans, integers and floats: what a numeric stage takes as a number.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Boolean | Self::Integer | Self::Float)
    }

    /// True for vector columns.
    #[must_use]
    pub fn is_vector(&self) -> bool {
        matches!(self, Self::Vector { .. })
    }

    /// The Arrow type of a column of this type. A vector of unknown width has width 0.
    #[must_use]
    pub fn to_arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Vector {
                width,
                element,
                layout,
            } => {
                let number = match element {
                    Element::F32 => DataType::Float32,
                    Element::F64 => DataType::Float64,
                };
                match layout {
                    Layout::Dense => {
                        let width = i32::try_from(width.unwrap_or(0)).unwrap_or(i32::MAX);
                        DataType::FixedSizeList(Arc::new(Field::new("item", number, true)), width)
                    }
                    Layout::Sparse => DataType::Struct(Fields::from(vec![
                        Field::new("indices", list_of(DataType::UInt32), false),
                        Field::new("values", list_of(number), false),
                    ])),
                }
            }
        }
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, false)))
}

impl std::fmt::Display for ColumnType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Integer => f.write_str("integer"),
            Self::Float => f.write_str("float"),
            Self::Text => f.write_str("text"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Vector {
                width,
                element,
                layout,
            } => {
                let sparse = if *layout == Layout::Sparse {
                    "sparse "
                } else {
                    ""
                };
                let number = if *element == Element::F32 {
                    "f32"
                } else {
                    "f64"
                };
                match width {
                    Some(w) => write!(f, "{sparse}vector[{w}] of {number}"),
                    None => write!(f, "{sparse}vector[?] of {number}"),
                }
            }
        }
    }
}

/// What the numbers of a column or slot mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// A measured quantity: order and distance mean something.
    #[default]
    Numeric,
    /// 0 or 1.
    Binary,
    /// Index into a list of categories; order means nothing.
    Nominal {
        /// The category behind each index.
        categories: Arc<[String]>,
    },
}

/// One slot of a vector column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Name of the slot, unique in its vector: `age`, `workclass=Private`, `pixels[3]`.
    pub name: String,
    /// The original column it came from; importances are summed by it.
    pub column: String,
    /// What the slot's numbers mean.
    pub attribute: Attribute,
}

impl Slot {
    /// A numeric slot named after its column.
    pub fn numeric(column: impl Into<String>) -> Self {
        let column = column.into();
        Self {
            name: column.clone(),
            column,
            attribute: Attribute::Numeric,
        }
    }
}

/// One column: name, type, whether it may hold nulls, and what its numbers mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name, unique in its schema.
    pub name: String,
    /// Type.
    pub ty: ColumnType,
    /// Whether nulls may occur (for a vector: in its slots).
    pub nullable: bool,
    /// Meaning of a scalar column's numbers.
    #[serde(default)]
    pub attribute: Attribute,
    /// The slots of a vector column; empty while the width is unknown, and for scalars.
    #[serde(default)]
    pub slots: Arc<[Slot]>,
    /// The column of the source that a derived scalar column was made from; `None` where it is itself one.
    #[serde(default)]
    pub origin: Option<String>,
}

impl Column {
    /// A scalar column without further meaning.
    pub fn new(name: impl Into<String>, ty: ColumnType, nullable: bool) -> Self {
        Self {
            name: name.into(),
            ty,
            nullable,
            attribute: Attribute::Numeric,
            slots: Arc::new([]),
            origin: None,
        }
    }

    /// A dense `f64` vector column with the given slots.
    pub fn vector(name: impl Into<String>, slots: Vec<Slot>) -> Self {
        Self {
            name: name.into(),
            ty: ColumnType::dense(slots.len()),
            nullable: false,
            attribute: Attribute::Numeric,
            slots: slots.into(),
            origin: None,
        }
    }

    /// The same column with its slots stored sparsely; a scalar stays as it is.
    #[must_use]
    pub fn sparse(mut self) -> Self {
        if let ColumnType::Vector { layout, .. } = &mut self.ty {
            *layout = Layout::Sparse;
        }
        self
    }

    /// Whether this is a vector column whose slots are stored sparsely.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        matches!(
            self.ty,
            ColumnType::Vector {
                layout: Layout::Sparse,
                ..
            }
        )
    }

    /// A dense `f64` vector column whose width only fitting can tell.
    pub fn vector_of_unknown_width(name: impl Into<String>) -> Self {
        Self::new(
            name,
            ColumnType::Vector {
                width: None,
                element: Element::F64,
                layout: Layout::Dense,
            },
            false,
        )
    }

    /// The same column with another meaning.
    #[must_use]
    pub fn with_attribute(mut self, attribute: Attribute) -> Self {
        self.attribute = attribute;
        self
    }

    /// The same column, made from `origin`.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// The column of the source that this one was made from; itself where it is one.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.origin.as_deref().unwrap_or(&self.name)
    }

    /// The Arrow field of this column (name, type, nullability).
    #[must_use]
    pub fn to_arrow(&self) -> Field {
        // A null inside a vector sits in its child values, not in the list itself.
        Field::new(
            &self.name,
            self.ty.to_arrow(),
            self.nullable || self.ty.is_vector(),
        )
    }
}
