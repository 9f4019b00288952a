//! Amounts of memory: `"256MiB"`, `"1.5 GB"`, or a number of bytes.

use std::borrow::Cow;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

/// A number of bytes. Reads from `"256MiB"`, `"2GB"`, `"64 KiB"`, or an integer; writes as an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kb", 1000),
    ("kib", 1 << 10),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("tb", 1_000_000_000_000),
    ("tib", 1 << 40),
];
const EXPECTED: &str = "a size such as \"256MiB\", \"2GB\", or a whole number of bytes";

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is not {EXPECTED}");
        let trimmed = text.trim();
        let digits = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim().to_ascii_lowercase();
        let factor = match unit.as_str() {
            "" => 1,
            unit => UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, factor)| *factor)
                .ok_or_else(refused)?,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
            return Err(refused());
        }
        // In integers, so that "0.1GiB" means the same everywhere; the part below a byte is dropped.
        let whole: u128 = whole.parse().map_err(|_| refused())?;
        let scale = 10_u128.pow(fraction.len() as u32);
        let fraction: u128 = fraction.parse().map_err(|_| refused())?;
        let factor = u128::from(factor);
        let bytes = whole
            .checked_mul(factor)
            .map(|bytes| bytes + fraction * factor / scale)
            .ok_or_else(refused)?;
        u64::try_from(bytes)
            .ok()
            .filter(|b| i64::try_from(*b).is_ok())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is more than any machine has"))
    }
}

impl std::fmt::Display for ByteSize {
    /// The largest binary unit that leaves at least 1, with one decimal: `1.5 MiB`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (unit, shift) in units {
            if self.0 >> shift > 0 {
                let size = self.0 as f64 / (1_u64 << shift) as f64;
                return write!(f, "{size:.1} {unit}");
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl Visitor<'_> for Sizes {
            type Value = ByteSize;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::custom(format!("`{bytes}` is not {EXPECTED}")))
            }
            fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
        }
        deserializer.deserialize_any(Sizes)
    }
}

impl schemars::JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A size: \"256MiB\", \"2GB\", or a whole number of bytes.",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^ *[0-9]+(\\.[0-9]+)? *([kKmMgGtT][iI]?)?[bB]? *$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_with_binary_and_decimal_units() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(|b| b.0);
        assert_eq!(bytes("256MiB"), Ok(256 << 20));
        assert_eq!(bytes("1.5 GiB"), Ok(3 << 29));
        assert_eq!(bytes("2GB"), Ok(2_000_000_000));
        assert_eq!(bytes("64kb"), Ok(64_000));
        assert_eq!(bytes("4096"), Ok(4096));
        for bad in [
            "",
            "MiB",
            "12 parsecs",
            "-1MiB",
            "1..5MiB",
            "1.MiB",
            "99999999999TiB",
            "9e9",
        ] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_print_in_the_largest_unit_that_fits() {
        assert_eq!(ByteSize(3 << 29).to_string(), "1.5 GiB");
        assert_eq!(ByteSize(1023).to_string(), "1023 B");
    }
}
