//! From the JSON parser straight into cells (or into type guesses): no value tree, no string per cell.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::tree::Tree;
use crate::source::cells::Cell;

/// Takes the values of one record.
pub(super) trait Sink {
    fn tree(&self) -> &Tree;

    /// The node of a key, or `None` where the value is to be ignored.
    fn enter(&mut self, node: usize, key: &str) -> Option<usize>;

    /// A number, text, truth value, null or list of numbers.
    ///
    /// # Errors
    /// Why the record is bad.
    fn value(&mut self, node: usize, cell: Cell<'_>) -> Result<(), String>;

    /// Room for the numbers of a list.
    fn numbers(&mut self) -> &mut Vec<f64>;
}

/// Hands one line's values to the sink; the error says why the record is bad.
pub(super) fn parse_line(line: &str, sink: &mut impl Sink) -> Result<(), String> {
    let mut reason = None;
    let mut parser = serde_json::Deserializer::from_str(line);
    let seed = Value {
        sink,
        node: 0,
        reason: &mut reason,
    };
    let outcome = seed.deserialize(&mut parser).and_then(|()| parser.end());
    match (reason, outcome) {
        (Some(reason), _) => Err(reason),
        (None, Err(e)) => Err(format!("no JSON object: {e}")),
        (None, Ok(())) => Ok(()),
    }
}

struct Value<'a, S> {
    sink: &'a mut S,
    node: usize,
    /// Why the record is bad, in our words; the parser's error only carries it out.
    reason: &'a mut Option<String>,
}

impl<S: Sink> Value<'_, S> {
    fn give<E: serde::de::Error>(self, cell: Cell<'_>) -> Result<(), E> {
        if self.node == 0 {
            return self.refuse("the line is no JSON object".to_owned());
        }
        match self.sink.value(self.node, cell) {
            Ok(()) => Ok(()),
            Err(reason) => self.refuse(reason),
        }
    }

    fn refuse<E: serde::de::Error>(self, reason: String) -> Result<(), E> {
        *self.reason = Some(reason);
        Err(E::custom("refused"))
    }
}

impl<'de, S: Sink> DeserializeSeed<'de> for Value<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Value<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, v: bool) -> Result<(), E> {
        self.give(Cell::Boolean(v))
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<(), E> {
        self.give(Cell::Integer(v))
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<(), E> {
        match i64::try_from(v) {
            Ok(v) => self.give(Cell::Integer(v)),
            Err(_) => self.give(Cell::Float(v as f64)),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<(), E> {
        self.give(Cell::Float(v))
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<(), E> {
        self.give(Cell::Text(v))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.give(Cell::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { sink, node, reason } = self;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match sink.enter(node, &key.0) {
                Some(child) => map.next_value_seed(Value {
                    sink: &mut *sink,
                    node: child,
                    reason: &mut *reason,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.node == 0 {
            return self.refuse("the line is a list, not an object".to_owned());
        }
        let mut numbers = std::mem::take(self.sink.numbers());
        numbers.clear();
        loop {
            match seq.next_element_seed(Number) {
                Ok(Some(Some(number))) => numbers.push(number),
                Ok(Some(None)) => {
                    let path = &self.sink.tree().nodes[self.node].path;
                    let reason = format!(
                        "`{path}` holds a list of something other than numbers; only lists of numbers are columns"
                    );
                    return self.refuse(reason);
                }
                Ok(None) => break,
                Err(e) => return Err(e),
            }
        }
        let outcome = self.sink.value(self.node, Cell::Numbers(&numbers));
        *self.sink.numbers() = numbers;
        match outcome {
            Ok(()) => Ok(()),
            Err(reason) => self.refuse(reason),
        }
    }
}

/// A key, borrowed from the line where it holds no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, v: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(v)))
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// An element of a list: a number, or null as NaN; `None` for anything else.
struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<f64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E>(self, v: i64) -> Result<Option<f64>, E> {
        Ok(Some(v as f64))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Option<f64>, E> {
        Ok(Some(v as f64))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Option<f64>, E> {
        Ok(Some(v))
    }

    fn visit_unit<E>(self) -> Result<Option<f64>, E> {
        Ok(Some(f64::NAN))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<f64>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<f64>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<f64>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<f64>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
