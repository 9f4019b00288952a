//! What commands print: tables for people, one JSON object for programs.

use std::io::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use emberline::prelude::*;

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

impl Format {
    pub fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Standard output. A reader that went away (`| head`) ends the output, not the program.
pub struct Out(std::io::StdoutLock<'static>);

impl Out {
    pub fn lock() -> Self {
        Self(std::io::stdout().lock())
    }

    pub fn line(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{text}");
    }

    pub fn json(&mut self, value: &serde_json::Value) {
        self.line(serde_json::to_string_pretty(value).unwrap_or_default());
    }

    pub fn heading(&mut self, text: &str) {
        self.line(format!("\n{text}\n{}", "-".repeat(text.chars().count())));
    }
}

/// A borderless table with a header; columns listed in `right` are aligned to the right.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for &i in right {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A number as people read it: six significant digits, no trailing zeros.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs();
    if value == value.trunc() && magnitude < 1e9 {
        return format!("{value:.0}");
    }
    if !(1e-4..1e9).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let decimals = (5 - magnitude.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A whole number with thousands separators.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Seconds as people read them.
pub fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{:.0} ms", value * 1e3)
    } else {
        format!("{value:.2} s")
    }
}

/// Columns, types, roles and meanings as table rows.
pub fn schema_rows(schema: &Schema) -> Vec<Vec<String>> {
    let row = |c: &Column| {
        let meaning = match &c.attribute {
            Attribute::Nominal { categories } => format!("{} categories", categories.len()),
            Attribute::Binary => "binary".to_owned(),
            Attribute::Numeric => String::new(),
        };
        let role = schema.roles().of(&c.name).unwrap_or("").to_owned();
        vec![
            c.name.clone(),
            c.ty.to_string(),
            if c.nullable {
                "yes".to_owned()
            } else {
                String::new()
            },
            role,
            meaning,
        ]
    };
    schema.columns().iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_six_significant_digits() {
        assert_eq!(number(0.987_654_321), "0.987654");
        assert_eq!(number(49_303_400.0), "49303400");
        assert_eq!(number(1.5), "1.5");
        assert_eq!(number(1.234e-7), "1.23400e-7");
    }

    #[test]
    fn counts_have_thousands_separators() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
    }
}
