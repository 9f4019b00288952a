//! JSON with one spelling: sorted keys when written, no key twice and no trailing text when read.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Most bytes of one JSON entry of a model file. A parsed document takes some ten times as much memory.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// Reads a document. Nesting beyond 128 levels is refused by the parser.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!(
            "{} bytes of JSON, {MAX_BYTES} are read at most",
            bytes.len()
        ));
    }
    serde_json::from_slice::<Strict>(bytes)
        .map(|s| s.0)
        .map_err(|e| e.to_string())
}

/// Writes a document with its keys sorted, whatever order the map type of this build keeps.
pub(super) fn write(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let value = serde_json::to_value(value).map_err(|e| e.to_string())?;
    let bytes = serde_json::to_vec(&sorted(value)).map_err(|e| e.to_string())?;
    if bytes.len() > MAX_BYTES {
        return Err(format!(
            "{} bytes of JSON, {MAX_BYTES} are allowed",
            bytes.len()
        ));
    }
    Ok(bytes)
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> =
                map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        scalar => scalar,
    }
}

/// A value in which no object has a key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
            if entries.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` occurs twice")));
            }
            entries.insert(key, value);
        }
        Ok(Value::Object(entries))
    }
}

/// Text for the kinds of number that JSON lacks.
pub(super) fn number(v: f64) -> Value {
    match Number::from_f64(v) {
        Some(finite) => Value::Number(finite),
        None if v.is_nan() => Value::String("nan".to_owned()),
        None if v > 0.0 => Value::String("inf".to_owned()),
        None => Value::String("-inf".to_owned()),
    }
}

/// The number that [`number`] wrote.
pub(super) fn read_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => match s.as_str() {
            "nan" => Some(f64::NAN),
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_occurs_twice_is_refused_at_any_depth() {
        assert!(
            parse(br#"{"a": [{"b": 1, "b": 2}]}"#)
                .unwrap_err()
                .contains("`b` occurs twice")
        );
        assert!(parse(br#"{"a": [{"b": 1, "c": 2}]}"#).is_ok());
    }

    #[test]
    fn deep_nesting_and_trailing_text_are_refused() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse(b"{} {}").is_err());
    }

    #[test]
    fn floats_come_back_bit_for_bit_and_keys_are_sorted() {
        let values = [0.1, -0.0, 1.0, 5e-324, f64::MAX, 1.0 / 3.0];
        let bytes = write(&serde_json::json!({ "z": values, "a": 1 })).unwrap();
        assert!(bytes.starts_with(br#"{"a":1,"z":[0.1,-0.0,1.0,"#));
        let back = parse(&bytes).unwrap();
        for (i, v) in values.iter().enumerate() {
            assert_eq!(back["z"][i].as_f64().unwrap().to_bits(), v.to_bits());
        }
    }

    #[test]
    fn numbers_that_json_lacks_have_a_spelling() {
        for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.5] {
            let back = read_number(&number(v)).unwrap();
            assert!(back == v || (back.is_nan() && v.is_nan()));
        }
    }
}
