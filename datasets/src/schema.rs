//! Columns, their types, roles and the description of vector slots.
//!
//! A [`Schema`] is what stages reason about before any row is read. Sources normalise what files hold to the few types
//! of [`ColumnType`] (every integer width becomes `Integer`, decimals become `Float64`, dictionaries become `Text`), so a
//! stage never meets a dozen spellings of a number.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
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
    /// Arrow `Utf8`.
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

/// Columns with a part of their own to play: never features unless named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roles {
    /// What is to be predicted.
    pub label: Option<String>,
    /// Row weights, not negative.
    pub weight: Option<String>,
    /// An identifier of the row that the user brings along.
    pub id: Option<String>,
    /// Rows of one group stay together in splits and folds.
    pub group: Option<String>,
}

impl Roles {
    /// The role a column has, in words.
    #[must_use]
    pub fn of(&self, column: &str) -> Option<&'static str> {
        let is = |role: &Option<String>| role.as_deref() == Some(column);
        if is(&self.label) {
            Some("label")
        } else if is(&self.weight) {
            Some("weight")
        } else if is(&self.id) {
            Some("id")
        } else if is(&self.group) {
            Some("group")
        } else {
            None
        }
    }
}

/// An ordered list of columns with unique names, and their roles.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schema {
    columns: Vec<Column>,
    roles: Roles,
}

impl Schema {
    /// A schema of these columns, without roles.
    ///
    /// # Errors
    /// [`SchemaError::Duplicate`] for each name that occurs twice.
    pub fn new(columns: Vec<Column>) -> Result<Self, SchemaErrors> {
        let mut errors = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            if columns[..i].iter().any(|c| c.name == column.name) {
                errors.push(SchemaError::Duplicate {
                    column: column.name.clone(),
                });
            }
        }
        SchemaErrors::check(errors)?;
        Ok(Self {
            columns,
            roles: Roles::default(),
        })
    }

    /// The same columns with these roles.
    ///
    /// # Errors
    /// [`SchemaError::Missing`] for each role whose column is absent.
    pub fn with_roles(mut self, roles: Roles) -> Result<Self, SchemaErrors> {
        let named = [&roles.label, &roles.weight, &roles.id, &roles.group];
        let errors = named
            .into_iter()
            .flatten()
            .filter_map(|name| self.get(name).err())
            .collect();
        SchemaErrors::check(errors)?;
        self.roles = roles;
        Ok(self)
    }

    /// All columns in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Roles of columns.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Position of a column.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// The column of that name.
    ///
    /// # Errors
    /// [`SchemaError::Missing`] with the nearest existing name.
    pub fn get(&self, name: &str) -> Result<&Column, SchemaError> {
        self.columns
            .iter()
            .find(|c| c.name == name)
            .ok_or_else(|| SchemaError::Missing {
                column: name.to_owned(),
                nearest: nearest(name, self.columns.iter().map(|c| c.name.as_str())),
            })
    }

    /// Appends a column, or replaces the one of the same name in place when `overwrite` is set.
    ///
    /// # Errors
    /// [`SchemaError::Exists`] where the name is taken and `overwrite` is not set.
    pub fn push(&mut self, column: Column, overwrite: bool) -> Result<(), SchemaError> {
        match self.index_of(&column.name) {
            None => self.columns.push(column),
            Some(i) if overwrite => self.columns[i] = column,
            Some(_) => {
                return Err(SchemaError::Exists {
                    column: column.name,
                });
            }
        }
        Ok(())
    }

    /// The schema of these columns alone, in this order; roles of absent columns are dropped.
    ///
    /// # Errors
    /// [`SchemaError::Missing`] for each unknown name.
    pub fn select(&self, names: &[String]) -> Result<Self, SchemaErrors> {
        let (columns, errors): (Vec<_>, Vec<_>) = names
            .iter()
            .map(|n| self.get(n).cloned())
            .partition(Result::is_ok);
        SchemaErrors::check(errors.into_iter().filter_map(Result::err).collect())?;
        let mut selected = Self::new(columns.into_iter().filter_map(Result::ok).collect())?;
        let kept = |role: &Option<String>| {
            role.clone()
                .filter(|name| selected.index_of(name).is_some())
        };
        let roles = Roles {
            label: kept(&self.roles.label),
            weight: kept(&self.roles.weight),
            id: kept(&self.roles.id),
            group: kept(&self.roles.group),
        };
        selected.roles = roles;
        Ok(selected)
    }

    /// The Arrow schema of these columns.
    #[must_use]
    pub fn to_arrow(&self) -> arrow::datatypes::SchemaRef {
        Arc::new(arrow::datatypes::Schema::new(
            self.columns
                .iter()
                .map(Column::to_arrow)
                .collect::<Vec<_>>(),
        ))
    }
}

/// One way in which columns do not fit a stage. The author of the config acts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// No column of that name.
    #[error("no column `{column}`{}", suggestion(nearest))]
    Missing {
        /// The name asked for.
        column: String,
        /// The most similar name that exists.
        nearest: Option<String>,
    },
    /// The column exists with a type that does not serve.
    #[error("column `{column}` is {found}, {expected} is needed")]
    Type {
        /// Column name.
        column: String,
        /// The type it has.
        found: String,
        /// The types that would do, and a remedy where there is one.
        expected: String,
    },
    /// An output column exists already.
    #[error("output column `{column}` exists already; name another output")]
    Exists {
        /// Column name.
        column: String,
    },
    /// A name occurs twice.
    #[error("column `{column}` occurs twice")]
    Duplicate {
        /// Column name.
        column: String,
    },
    /// A rule between parameters and columns is broken.
    #[error("{0}")]
    Rule(String),
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

/// All the ways in which a schema does not fit, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaErrors(pub Vec<SchemaError>);

impl SchemaErrors {
    /// An error if the list is not empty.
    ///
    /// # Errors
    /// The list itself.
    pub fn check(errors: Vec<SchemaError>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self(errors))
        }
    }
}

impl std::error::Error for SchemaErrors {}

impl std::fmt::Display for SchemaErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl From<SchemaError> for SchemaErrors {
    fn from(error: SchemaError) -> Self {
        Self(vec![error])
    }
}

impl From<SchemaError> for crate::DataError {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error.into())
    }
}

/// The candidate most similar to `name`, where it is similar enough to be a likely slip.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    // A third of the letters may differ: enough for a slip or a plural, too little for another word.
    let limit = (name.chars().count().max(3) / 3).max(1);
    candidates
        .map(|c| (edit_distance(name, c), c))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, c)| c.to_owned())
}

/// Number of single-character edits between two names, ignoring case; two letters in each other's place are one edit
/// (optimal string alignment: Damerau 1964, each part edited at most once).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (
        a.to_lowercase().chars().collect(),
        b.to_lowercase().chars().collect(),
    );
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut next = vec![i + 1; b.len() + 1];
        for (j, cb) in b.iter().enumerate() {
            let substituted = row[j] + usize::from(ca != cb);
            next[j + 1] = substituted.min(row[j + 1] + 1).min(next[j] + 1);
            let swapped = i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb;
            if swapped {
                next[j + 1] = next[j + 1].min(above[j - 1] + 1);
            }
        }
        above = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_column_is_reported_with_the_nearest_name() {
        let schema = Schema::new(vec![Column::new("species", ColumnType::Text, false)]).unwrap();
        let error = schema.get("specis").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no column `specis`; did you mean `species`?"
        );
    }

    #[test]
    fn a_name_unlike_all_others_gets_no_suggestion() {
        let schema = Schema::new(vec![Column::new("species", ColumnType::Text, false)]).unwrap();
        assert_eq!(
            schema.get("weight").unwrap_err().to_string(),
            "no column `weight`"
        );
    }

    #[test]
    fn swapped_letters_are_one_slip() {
        assert_eq!(
            nearest("sede", ["seed", "name"].into_iter()),
            Some("seed".to_owned())
        );
        assert_eq!(edit_distance("abcd", "acbd"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }

    #[test]
    fn every_duplicate_name_is_reported() {
        let column = |n: &str| Column::new(n, ColumnType::Float, false);
        let errors =
            Schema::new(vec![column("a"), column("b"), column("a"), column("b")]).unwrap_err();
        assert_eq!(errors.0.len(), 2);
    }
}
