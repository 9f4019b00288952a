//! Mistakes in a config, all at once, each with its place.

use std::ops::Range;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Bytes of the file that are wrong, where they are known.
    pub span: Option<Range<usize>>,
    /// What is wrong: stage, key, value.
    pub message: String,
    /// What to do about it, such as the nearest valid name.
    pub help: Option<String>,
}

/// All mistakes of one config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file's name.
    pub file: String,
    /// The file's text, for showing the place.
    pub text: String,
    /// The mistakes, in file order.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// Line and column of a byte, from 1; columns count characters.
    #[must_use]
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = self
            .text
            .get(..byte.min(self.text.len()))
            .unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

impl std::error::Error for ConfigErrors {}

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file)?;
            if let Some(span) = &error.span {
                let (line, column) = self.position(span.start);
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", error.message)?;
            if let Some(help) = &error.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}
