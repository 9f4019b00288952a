//! `input`/`inputs` and `output`/`outputs`: how a stage that works column by column names what it reads and writes.

use emberline_pipeline::ParamCheck;
use emberline_pipeline::datasets::{Column, Schema, SchemaError, SchemaErrors};
use serde::{Deserialize, Serialize};

use super::{is_glob, select_columns};

/// Which columns a stage takes, and how it names what it makes of them.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// What is needed, in words, for messages: `a number`.
    pub expected: &'static str,
    /// Whether a column that is named plainly will do.
    pub by_name: fn(&Column) -> bool,
    /// Whether a glob takes a column (of those without a role).
    pub by_glob: fn(&Column) -> bool,
    /// Name of the output for an input, where none is given. The input's own name means in place.
    pub output: fn(&str) -> String,
}

/// A column that is read and the one that is written for it; the same name means in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The column read.
    pub input: String,
    /// The column written.
    pub output: String,
}

/// The columns of a stage as the user named them: patterns for the inputs, names for the outputs (or none).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InOut {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl InOut {
    /// Reads the four parameters and notes what is wrong with them: both forms at once, none where there is no `default`,
    /// lists of different lengths, a name that occurs twice or is empty.
    pub fn read(
        check: &mut ParamCheck,
        (input, inputs): (&Option<String>, &[String]),
        (output, outputs): (&Option<String>, &[String]),
        default: &[&str],
    ) -> Self {
        if input.is_some() && !inputs.is_empty() {
            check.reject(
                "inputs",
                "cannot stand beside `input`; name all columns in one of the two",
            );
        }
        if output.is_some() && !outputs.is_empty() {
            check.reject(
                "outputs",
                "cannot stand beside `output`; name all columns in one of the two",
            );
        }
        let mut found: Vec<String> = input.iter().chain(inputs).cloned().collect();
        if found.is_empty() {
            found = default.iter().map(ToString::to_string).collect();
        }
        if found.is_empty() {
            check.reject(
                "input",
                "is missing; name a column, or several (or a glob) in `inputs`",
            );
        }
        let named: Vec<String> = output.iter().chain(outputs).cloned().collect();
        for (parameter, names) in [("inputs", &found), ("outputs", &named)] {
            for (i, name) in names.iter().enumerate() {
                if name.is_empty() {
                    check.reject(parameter, "must not hold an empty name");
                } else if names[..i].contains(name) {
                    check.reject(parameter, format!("must not name `{name}` twice"));
                }
            }
        }
        let open = found.iter().any(|p| is_glob(p) || p.starts_with('!'));
        // Where both forms are given that is the mistake, and their number means nothing.
        let one_form =
            (input.is_none() || inputs.is_empty()) && (output.is_none() || outputs.is_empty());
        if one_form && !open && !named.is_empty() && named.len() != found.len() {
            check.reject(
                "outputs",
                format!(
                    "must be as many as `inputs`: {} for {}",
                    named.len(),
                    found.len()
                ),
            );
        }
        Self {
            inputs: found,
            outputs: named,
        }
    }

    /// These columns and no others.
    #[must_use]
    pub fn of(pairs: &[Pair]) -> Self {
        Self {
            inputs: pairs.iter().map(|p| p.input.clone()).collect(),
            outputs: pairs.iter().map(|p| p.output.clone()).collect(),
        }
    }

    /// Number of inputs as written; with globs not the number of columns.
    #[must_use]
    pub fn n_patterns(&self) -> usize {
        self.inputs.len()
    }

    /// The columns of `schema` that are meant.
    ///
    /// # Errors
    /// A column that is absent or does not fit, an output that is another column of the schema, two outputs of one name,
    /// a number of outputs that does not fit what the globs took.
    pub fn resolve(&self, schema: &Schema, choice: &Choice) -> Result<Vec<Pair>, SchemaErrors> {
        let inputs = select_columns(
            &self.inputs,
            schema,
            choice.by_glob,
            choice.by_name,
            choice.expected,
        )?;
        let outputs: Vec<String> = if self.outputs.is_empty() {
            inputs.iter().map(|i| (choice.output)(i)).collect()
        } else {
            self.outputs.clone()
        };
        if outputs.len() != inputs.len() {
            return Err(SchemaError::Rule(format!(
                "`outputs` names {} columns, but `inputs` takes {}: {}",
                outputs.len(),
                inputs.len(),
                inputs.join(", ")
            ))
            .into());
        }
        let mut errors = Vec::new();
        for (i, output) in outputs.iter().enumerate() {
            if outputs[..i].contains(output) {
                errors.push(SchemaError::Duplicate {
                    column: output.clone(),
                });
            } else if *output != inputs[i] && schema.index_of(output).is_some() {
                errors.push(SchemaError::Exists {
                    column: output.clone(),
                });
            }
        }
        SchemaErrors::check(errors)?;
        let pairs = inputs.into_iter().zip(outputs);
        Ok(pairs
            .map(|(input, output)| Pair { input, output })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use emberline_pipeline::datasets::ColumnType;

    use super::*;

    const NUMBERS: Choice = Choice {
        expected: "a number",
        by_name: |c| c.ty.is_numeric(),
        by_glob: |c| c.ty == ColumnType::Float,
        output: |name| format!("{name}_out"),
    };

    fn schema() -> Schema {
        let column = |n: &str, ty| Column::new(n, ty, false);
        Schema::new(vec![
            column("a", ColumnType::Float),
            column("b", ColumnType::Float),
            column("n", ColumnType::Integer),
            column("t", ColumnType::Text),
        ])
        .unwrap()
    }

    fn lists(inputs: &[&str], outputs: &[&str]) -> InOut {
        let owned = |l: &[&str]| l.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut check = ParamCheck::new();
        let io = InOut::read(
            &mut check,
            (&None, &owned(inputs)),
            (&None, &owned(outputs)),
            &[],
        );
        check.finish().unwrap();
        io
    }

    fn wrong(
        input: Option<&str>,
        inputs: &[&str],
        output: Option<&str>,
        outputs: &[&str],
    ) -> String {
        let owned = |l: &[&str]| l.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut check = ParamCheck::new();
        InOut::read(
            &mut check,
            (&input.map(Into::into), &owned(inputs)),
            (&output.map(Into::into), &owned(outputs)),
            &[],
        );
        check.finish().unwrap_err().to_string()
    }

    #[test]
    fn a_glob_and_a_plain_name_follow_their_own_rules() {
        let taken = |inputs: &[&str]| -> Vec<String> {
            lists(inputs, &[])
                .resolve(&schema(), &NUMBERS)
                .unwrap()
                .into_iter()
                .map(|p| p.input)
                .collect()
        };
        assert_eq!(taken(&["*"]), ["a", "b"]);
        assert_eq!(taken(&["*", "n", "!a"]), ["b", "n"]);
    }

    #[test]
    fn outputs_are_named_by_rule_where_none_are_given() {
        let pairs = lists(&["a"], &[]).resolve(&schema(), &NUMBERS).unwrap();
        assert_eq!(pairs[0].output, "a_out");
    }

    #[test]
    fn an_output_may_be_its_own_input_but_no_other_column() {
        assert!(lists(&["a"], &["a"]).resolve(&schema(), &NUMBERS).is_ok());
        let error = lists(&["a"], &["b"])
            .resolve(&schema(), &NUMBERS)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "output column `b` exists already; name another output"
        );
    }

    #[test]
    fn a_glob_that_takes_another_number_of_columns_than_outputs_is_an_error() {
        let error = lists(&["*"], &["x"])
            .resolve(&schema(), &NUMBERS)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`outputs` names 1 columns, but `inputs` takes 2: a, b"
        );
    }

    #[test]
    fn every_mistake_in_the_four_parameters_is_named() {
        assert!(wrong(None, &[], None, &[]).contains("`input` is missing"));
        assert!(
            wrong(Some("a"), &["b"], None, &[]).contains("`inputs` cannot stand beside `input`")
        );
        assert!(
            wrong(Some("a"), &[], Some("x"), &["y"])
                .contains("`outputs` cannot stand beside `output`")
        );
        assert!(wrong(None, &["a", "b"], None, &["x"]).contains("as many as `inputs`: 1 for 2"));
        let both = wrong(None, &["a", "b"], Some("x"), &["y", "z"]);
        assert!(
            both.contains("cannot stand beside `output`") && !both.contains("as many as"),
            "{both}"
        );
        assert!(wrong(None, &["a", "a"], None, &[]).contains("must not name `a` twice"));
        assert!(wrong(Some(""), &[], None, &[]).contains("empty name"));
    }
}
