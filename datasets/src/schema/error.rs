//! Ways in which columns do not fit, and the name that was probably meant.

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
pub(super) fn edit_distance(a: &str, b: &str) -> usize {
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
