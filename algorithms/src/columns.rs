//! How a stage names its columns: lists, single names, globs and exclusions.

use emberline_pipeline::datasets::{Column, ColumnType, Schema, SchemaError, SchemaErrors};

mod in_out;

pub use in_out::{Choice, InOut, Pair};

/// Columns named by `patterns`, in schema order for globs and in the order written for plain names.
///
/// A pattern is a name, a glob (`*` and `?`), or either behind `!`, which takes columns out again. A glob takes the columns of a
/// type that `accepts` allows and leaves out those with a role; a plain name must exist and fit. A column that is named exactly
/// like a pattern is taken by name.
///
/// # Errors
/// Every name that does not exist or has another type, and an empty result.
pub fn select(
    patterns: &[String],
    schema: &Schema,
    accepts: impl Fn(&ColumnType) -> bool,
    expected: &str,
) -> Result<Vec<String>, SchemaErrors> {
    let fits = |c: &Column| accepts(&c.ty);
    select_columns(patterns, schema, fits, fits, expected)
}

/// As [`select`], but a glob takes the columns that `by_glob` allows, and a plain name must be one that `by_name` allows.
///
/// # Errors
/// As [`select`].
pub fn select_columns(
    patterns: &[String],
    schema: &Schema,
    by_glob: impl Fn(&Column) -> bool,
    by_name: impl Fn(&Column) -> bool,
    expected: &str,
) -> Result<Vec<String>, SchemaErrors> {
    let mut chosen: Vec<String> = Vec::new();
    let mut errors = Vec::new();
    for pattern in patterns {
        let exact = schema.index_of(pattern).is_some();
        if let Some(excluded) = pattern.strip_prefix('!').filter(|_| !exact) {
            chosen.retain(|name| !glob_matches(excluded, name));
        } else if is_glob(pattern) && !exact {
            let fits = |c: &&Column| {
                glob_matches(pattern, &c.name) && by_glob(c) && schema.roles().of(&c.name).is_none()
            };
            for column in schema.columns().iter().filter(fits) {
                if !chosen.contains(&column.name) {
                    chosen.push(column.name.clone());
                }
            }
        } else {
            match schema.get(pattern) {
                Ok(column) if by_name(column) => {
                    if !chosen.contains(pattern) {
                        chosen.push(pattern.clone());
                    }
                }
                Ok(column) => errors.push(SchemaError::Type {
                    column: pattern.clone(),
                    found: column.ty.to_string(),
                    expected: expected.to_owned(),
                }),
                Err(e) => errors.push(e),
            }
        }
    }
    if chosen.is_empty() && errors.is_empty() {
        let have: Vec<&str> = schema
            .columns()
            .iter()
            .map(|c| c.name.as_str())
            .take(20)
            .collect();
        errors.push(SchemaError::Rule(format!(
            "no column of the needed type ({expected}) matches [{}]; the columns are {}",
            patterns.join(", "),
            have.join(", ")
        )));
    }
    SchemaErrors::check(errors)?;
    Ok(chosen)
}

/// True where a pattern has wildcards.
#[must_use]
pub fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether `name` matches `pattern`; `*` stands for any run of characters, `?` for one.
#[must_use]
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    // Greedy match with one point to return to: linear in practice, quadratic at worst, never exponential.
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut i, mut j, mut star) = (0, 0, None);
    while j < n.len() {
        if i < p.len() && p[i] == '*' {
            star = Some((i, j));
            i += 1;
        } else if i < p.len() && (p[i] == '?' || p[i] == n[j]) {
            (i, j) = (i + 1, j + 1);
        } else if let Some((si, sj)) = star {
            (i, j, star) = (si + 1, sj + 1, Some((si, sj + 1)));
        } else {
            return false;
        }
    }
    p[i..].iter().all(|c| *c == '*')
}

/// The name a stage's column parameters give to `label`: the parameter, else the column with the role, else `label`.
#[must_use]
pub fn label_column(parameter: Option<&str>, schema: &Schema) -> String {
    parameter
        .or(schema.roles().label.as_deref())
        .unwrap_or("label")
        .to_owned()
}

/// The weight column: the parameter, else the column with the role, else none.
#[must_use]
pub fn weight_column(parameter: Option<&str>, schema: &Schema) -> Option<String> {
    parameter
        .or(schema.roles().weight.as_deref())
        .map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use emberline_pipeline::datasets::{Column, Roles};

    use super::*;

    fn schema() -> Schema {
        let column = |n: &str, ty| Column::new(n, ty, false);
        Schema::new(vec![
            column("age", ColumnType::Float),
            column("age_days", ColumnType::Integer),
            column("name", ColumnType::Text),
            column("y", ColumnType::Float),
        ])
        .unwrap()
        .with_roles(Roles {
            label: Some("y".to_owned()),
            ..Roles::default()
        })
        .unwrap()
    }

    fn chosen(patterns: &[&str]) -> Result<Vec<String>, SchemaErrors> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        select(&patterns, &schema(), ColumnType::is_numeric, "a number")
    }

    #[test]
    fn a_star_takes_fitting_columns_without_a_role() {
        assert_eq!(chosen(&["*"]).unwrap(), ["age", "age_days"]);
    }

    #[test]
    fn an_exclamation_mark_takes_columns_out() {
        assert_eq!(chosen(&["*", "!*_days"]).unwrap(), ["age"]);
    }

    #[test]
    fn a_plain_name_of_the_wrong_type_is_an_error() {
        let error = chosen(&["name"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "column `name` is text, a number is needed"
        );
    }

    #[test]
    fn globs_match_like_a_shell() {
        assert!(
            glob_matches("a*b*c", "axxbyyc") && glob_matches("?x", "ax") && glob_matches("*", "")
        );
        assert!(!glob_matches("a*b", "axxc") && !glob_matches("?", ""));
    }
}
