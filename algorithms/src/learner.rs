//! What learners share before fitting: which columns they read, and whether those fit.

use emberline_pipeline::datasets::{
    BlockSpec, ColumnType, LabelSpec, MissingRule, Schema, SchemaError, SchemaErrors,
};

use crate::columns::{label_column, weight_column};

/// The columns of a learner as its parameters name them.
#[derive(Debug, Clone, Copy)]
pub struct LearnerColumns<'a> {
    /// The vector of features.
    pub features: &'a str,
    /// The label; the column with the role, else `label`, where `None`.
    pub label: Option<&'a str>,
    /// The weight; the column with the role, else none, where `None`.
    pub weight: Option<&'a str>,
}

impl LearnerColumns<'_> {
    /// The label column.
    #[must_use]
    pub fn label(&self, schema: &Schema) -> String {
        label_column(self.label, schema)
    }

    /// The columns read: features, label, and weight where there is one.
    #[must_use]
    pub fn reads(&self, schema: &Schema) -> Vec<String> {
        let spec = self.spec(schema, LabelSpec::Number(self.label(schema)));
        spec.columns()
    }

    /// What to pin for fitting: missing features are refused.
    #[must_use]
    pub fn spec(&self, schema: &Schema, label: LabelSpec) -> BlockSpec {
        BlockSpec {
            features: self.features.to_owned(),
            label,
            weight: weight_column(self.weight, schema),
            missing: MissingRule::Error,
        }
    }

    /// The label's type, for a classifier.
    ///
    /// # Errors
    /// Every column that is absent or has an unfit type.
    pub fn check_classes(&self, schema: &Schema) -> Result<ColumnType, SchemaErrors> {
        let mut errors = match self.spec(schema, LabelSpec::None).check(schema) {
            Ok(()) => Vec::new(),
            Err(SchemaErrors(errors)) => errors,
        };
        let found = schema.get(&self.label(schema)).map(|c| c.ty.clone());
        match found {
            Ok(
                ty @ (ColumnType::Text
                | ColumnType::Integer
                | ColumnType::Boolean
                | ColumnType::Float),
            ) if errors.is_empty() => return Ok(ty),
            Ok(
                ColumnType::Text | ColumnType::Integer | ColumnType::Boolean | ColumnType::Float,
            ) => {}
            Ok(ty) => errors.push(SchemaError::Type {
                column: self.label(schema),
                found: ty.to_string(),
                expected: "a label (text, a whole number, a boolean or a number)".to_owned(),
            }),
            Err(e) => errors.push(e),
        }
        Err(SchemaErrors(errors))
    }

    /// For a regressor.
    ///
    /// # Errors
    /// Every column that is absent or has an unfit type.
    pub fn check_number(&self, schema: &Schema) -> Result<(), SchemaErrors> {
        self.spec(schema, LabelSpec::Number(self.label(schema)))
            .check(schema)
    }
}
