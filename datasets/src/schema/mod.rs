//! Columns, their types, roles and the description of vector slots.
//!
//! A [`Schema`] is what stages reason about before any row is read. Sources normalise what files hold to the few types
//! of [`ColumnType`] (every integer width becomes `Integer`, decimals become `Float64`, dictionaries become `Text`), so a
//! stage never meets a dozen spellings of a number.

mod column;
mod error;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use column::{Attribute, Column, ColumnType, Element, Layout, Slot};
pub use error::{SchemaError, SchemaErrors, nearest};

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
    pub fn to_arrow(&self) -> crate::arrow::datatypes::SchemaRef {
        Arc::new(crate::arrow::datatypes::Schema::new(
            self.columns
                .iter()
                .map(Column::to_arrow)
                .collect::<Vec<_>>(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::error::edit_distance;
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
