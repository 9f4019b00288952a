//! Numbers that may be infinite in parameters: `inf` in TOML, `"inf"` where the format has no infinity (JSON).

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that may be infinite. Reads numbers and `"inf"`, `"-inf"`; writes infinities as such strings, and never loses one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extended(pub f64);

impl Serialize for Extended {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            to.serialize_f64(self.0)
        } else {
            to.serialize_str(&self.0.to_string())
        }
    }
}

impl<'de> Deserialize<'de> for Extended {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Extended;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, \"inf\" or \"-inf\"")
            }
            fn visit_f64<E: Error>(self, v: f64) -> Result<Extended, E> {
                Ok(Extended(v))
            }
            fn visit_i64<E: Error>(self, v: i64) -> Result<Extended, E> {
                Ok(Extended(v as f64))
            }
            fn visit_u64<E: Error>(self, v: u64) -> Result<Extended, E> {
                Ok(Extended(v as f64))
            }
            fn visit_str<E: Error>(self, v: &str) -> Result<Extended, E> {
                match v {
                    "inf" | "+inf" => Ok(Extended(f64::INFINITY)),
                    "-inf" => Ok(Extended(f64::NEG_INFINITY)),
                    "NaN" | "nan" => Ok(Extended(f64::NAN)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(v), &self)),
                }
            }
        }
        from.deserialize_any(Number)
    }
}

impl JsonSchema for Extended {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Extended".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "A number, \"inf\" or \"-inf\"",
            "anyOf": [{ "type": "number" }, { "enum": ["inf", "-inf"] }]
        })
    }
}

/// `#[serde(with = "extended")]` for one number.
pub mod extended {
    use super::{Deserialize, Deserializer, Extended, Serialize, Serializer};

    /// Writes the number.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(v: &f64, to: S) -> Result<S::Ok, S::Error> {
        Extended(*v).serialize(to)
    }

    /// Reads the number.
    ///
    /// # Errors
    /// It is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Extended::deserialize(from)?.0)
    }
}

/// `#[serde(with = "extended_list")]` for a list of numbers.
pub mod extended_list {
    use super::{Deserialize, Deserializer, Extended, Serialize, Serializer};

    /// Writes the numbers.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(v: &[f64], to: S) -> Result<S::Ok, S::Error> {
        v.iter()
            .copied()
            .map(Extended)
            .collect::<Vec<_>>()
            .serialize(to)
    }

    /// Reads the numbers.
    ///
    /// # Errors
    /// One is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Extended>::deserialize(from)?
            .into_iter()
            .map(|e| e.0)
            .collect())
    }
}

/// `#[serde(with = "extended_lists")]` for lists of numbers.
pub mod extended_lists {
    use super::{Deserialize, Deserializer, Extended, Serialize, Serializer};

    /// Writes the numbers.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(v: &[Vec<f64>], to: S) -> Result<S::Ok, S::Error> {
        let lists: Vec<Vec<Extended>> = v
            .iter()
            .map(|l| l.iter().copied().map(Extended).collect())
            .collect();
        lists.serialize(to)
    }

    /// Reads the numbers.
    ///
    /// # Errors
    /// One is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<f64>>, D::Error> {
        let lists = Vec::<Vec<Extended>>::deserialize(from)?;
        Ok(lists
            .into_iter()
            .map(|l| l.into_iter().map(|e| e.0).collect())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Splits {
        #[serde(with = "extended_list")]
        splits: Vec<f64>,
    }

    #[test]
    fn infinities_survive_toml_and_json() {
        let splits = Splits {
            splits: vec![f64::NEG_INFINITY, 0.1, 3.0, f64::INFINITY],
        };
        let read: Splits = toml::from_str("splits = [-inf, 0.1, 3, \"inf\"]").unwrap();
        assert_eq!(read, splits);
        let json = serde_json::to_string(&splits).unwrap();
        assert_eq!(serde_json::from_str::<Splits>(&json).unwrap(), splits);
    }
}
