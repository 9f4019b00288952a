//! The properties, a file per group; numbers are those of the project's list of fifty.

mod categories;
mod columns;
mod construction;
mod cost;
mod determinism;
mod fitting;
mod learning;
mod life;
mod missing;
pub mod mutate;
mod ranges;
mod rows;
mod schema;
mod values;
mod weights;

use super::subject::Subject;
use crate::pipeline::Error;

/// How a property came out.
pub type Verdict = std::result::Result<Held, String>;

/// A property that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It holds.
    Yes,
    /// It says nothing of this stage, and why.
    NotAsked(&'static str),
}

/// A property.
pub struct Property {
    /// Its number.
    pub number: u8,
    /// What it is about.
    pub name: &'static str,
    /// Whether it measures time, so that nothing else may run beside it.
    pub timed: bool,
    /// Asks it of a stage.
    pub check: fn(&Subject<'_>) -> Verdict,
}

impl Property {
    const fn new(number: u8, name: &'static str, check: fn(&Subject<'_>) -> Verdict) -> Self {
        Self {
            number,
            name,
            timed: false,
            check,
        }
    }
}

/// All properties by group.
pub const GROUPS: &[&[Property]] = &[
    construction::PROPERTIES,
    determinism::PROPERTIES,
    schema::PROPERTIES,
    columns::PROPERTIES,
    values::PROPERTIES,
    rows::PROPERTIES,
    weights::PROPERTIES,
    learning::PROPERTIES,
    fitting::PROPERTIES,
    life::PROPERTIES,
    cost::PROPERTIES,
];

/// Fails with a message unless a condition holds.
macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {{
        let holds: bool = $holds; // named, so that a comparison with NaN may fail it
        if !holds {
            return Err(format!($($message)+));
        }
    }};
}
use ensure;

/// Errors as text, with what was tried.
trait Tried<T> {
    fn tried(self, what: impl std::fmt::Display) -> std::result::Result<T, String>;
}

impl<T, E: std::fmt::Display> Tried<T> for std::result::Result<T, E> {
    fn tried(self, what: impl std::fmt::Display) -> std::result::Result<T, String> {
        self.map_err(|e| format!("{what}: {e}"))
    }
}

/// Fails unless `result` is an error with this exit code whose message holds each of `words`; `a|b` is either of the two.
fn refused<T>(
    result: std::result::Result<T, impl Into<Error>>,
    code: u8,
    words: &[&str],
    what: &str,
) -> std::result::Result<Error, String> {
    let error: Error = match result {
        Ok(_) => return Err(format!("{what}: accepted")),
        Err(error) => error.into(),
    };
    let message = error.to_string();
    ensure!(
        error.exit_code() == code,
        "{what}: exit code {} instead of {code}: {message}",
        error.exit_code()
    );
    for word in words {
        ensure!(
            word.split('|').any(|w| message.contains(w)),
            "{what}: the message does not name `{word}`: {message}"
        );
    }
    Ok(error)
}
