//! Parameters: any value can be written, only checked values can fit.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The parameters of a stage: a plain struct with defaults, that reads from and writes to TOML.
///
/// Derive `Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema`, set `#[serde(default, deny_unknown_fields)]`, and
/// document every field with its meaning, range and default: the reference is made from those comments.
pub trait ParamSet:
    Serialize + DeserializeOwned + schemars::JsonSchema + Default + Clone + Send + Sync + 'static
{
    /// The stage these parameters build.
    type Stage: crate::registry::Component<Params = Self>;
}

/// One parameter out of its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamError {
    /// Parameter name, as in TOML; a dotted path inside nested tables.
    pub name: String,
    /// What is wrong with it: the value, and the range it must lie in.
    pub message: String,
}

/// All parameters that are out of range, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamErrors(pub Vec<ParamError>);

impl std::error::Error for ParamErrors {}

impl Display for ParamErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "parameter `{}` {}", error.name, error.message)?;
        }
        Ok(())
    }
}

/// Collects what is wrong with a set of parameters.
///
/// ```
/// use emberline_pipeline::ParamCheck;
/// let mut check = ParamCheck::new();
/// check.require("k", 0, "at least 1", false);
/// let error = check.finish().unwrap_err();
/// assert_eq!(error.to_string(), "parameter `k` must be at least 1, got 0");
/// ```
#[derive(Debug, Default)]
pub struct ParamCheck(Vec<ParamError>);

impl ParamCheck {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes `name` as wrong unless `holds`: "must be `rule`, got `value`".
    pub fn require(&mut self, name: &str, value: impl Display, rule: &str, holds: bool) {
        if !holds {
            self.reject(name, format!("must be {rule}, got {value}"));
        }
    }

    /// Notes `name` as wrong.
    pub fn reject(&mut self, name: &str, message: impl Into<String>) {
        self.0.push(ParamError {
            name: name.to_owned(),
            message: message.into(),
        });
    }

    /// Takes over what is wrong with the parameters of a nested stage, under its name.
    pub fn nested(&mut self, name: &str, errors: ParamErrors) {
        self.0.extend(errors.0.into_iter().map(|e| ParamError {
            name: format!("{name}.{}", e.name),
            ..e
        }));
    }

    /// Fine, or everything noted.
    ///
    /// # Errors
    /// All that was noted.
    pub fn finish(self) -> Result<(), ParamErrors> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ParamErrors(self.0))
        }
    }
}
