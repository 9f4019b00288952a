//! Changes to model content, by throws of the caller's dice, so that a failing seed can be named and run again.

use serde_json::{Map, Value};

use crate::pipeline::Arrays;
use crate::pipeline::persist::{Numbers, Tensor};

/// Gives a number below its argument, and 0 for 0: a throw of dice with that many faces.
pub type Below<'a> = dyn FnMut(usize) -> usize + 'a;

/// Changes one value somewhere in a JSON document.
pub fn change(value: &mut Value, below: &mut Below<'_>) {
    let n = match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    };
    if n > 0 && below(6) > 0 {
        let i = below(n);
        let inner = match value {
            Value::Array(items) => items.get_mut(i),
            Value::Object(fields) => fields.values_mut().nth(i),
            _ => None,
        };
        if let Some(inner) = inner {
            change(inner, below);
        }
        return;
    }
    *value = match (below(12), &mut *value) {
        (0, _) => Value::Null,
        (1, _) => Value::from(1_u64 << 60),
        (2, _) => Value::from(-1),
        (3, _) => Value::from(1e308),
        (4, _) => Value::from("nan"),
        (5, _) => Value::from("x".repeat(1 << below(17))),
        (6, Value::Array(items)) => {
            items.truncate(n / 2);
            return;
        }
        (7, Value::Array(items)) => {
            let twice = items.clone();
            items.extend(twice);
            return;
        }
        (6, Value::Object(fields)) => {
            let key = fields.keys().nth(below(n)).cloned();
            fields.remove(&key.unwrap_or_default());
            return;
        }
        (7, Value::Object(fields)) => {
            fields.insert("surprise".to_owned(), Value::from(1));
            return;
        }
        (8, Value::Number(number)) => Value::from(number.as_f64().unwrap_or(0.0) + 1.0),
        (9, Value::Number(number)) => Value::from(number.as_i64().unwrap_or(0) + 1),
        (10, _) => Value::Array(vec![Value::from(0); below(1000)]),
        _ => Value::Object(Map::new()),
    };
}

/// Changes one array: a number in it, its shape, its type, or takes it away. False where there is none.
pub fn change_arrays(arrays: &mut Arrays, below: &mut Below<'_>) -> bool {
    let names: Vec<&String> = arrays.tensors().keys().collect();
    if names.is_empty() {
        return false;
    }
    let chosen = names[below(names.len())].clone();
    let mut changed = Arrays::new();
    for (name, tensor) in arrays.tensors() {
        let mut tensor = tensor.clone();
        if *name == chosen {
            if below(8) == 0 {
                continue;
            }
            change_tensor(&mut tensor, below);
        }
        changed.insert(name.clone(), tensor);
    }
    *arrays = changed;
    true
}

fn change_tensor(tensor: &mut Tensor, below: &mut Below<'_>) {
    fn set<T: Copy>(values: &mut [T], below: &mut Below<'_>, choices: &[T]) {
        let i = below(values.len());
        if let Some(v) = values.get_mut(i) {
            *v = choices[below(choices.len())];
        }
    }
    match below(6) {
        0 => tensor.shape.reverse(),
        1 => tensor.shape = vec![usize::MAX, 2],
        2 => {
            tensor.numbers = Numbers::F64(Vec::new());
            tensor.shape = vec![0];
        }
        _ => match &mut tensor.numbers {
            Numbers::F64(v) => set(v, below, &[f64::NAN, f64::INFINITY, -1.0, 0.0, 1e308, 0.5]),
            Numbers::F32(v) => set(v, below, &[f32::NAN, f32::INFINITY, -1.0, 0.0]),
            Numbers::I64(v) => set(v, below, &[i64::MAX, i64::MIN, -1, 0]),
            Numbers::U32(v) => set(v, below, &[u32::MAX, u32::MAX - 1, 0, 1, 7]),
            Numbers::U8(v) => set(v, below, &[u8::MAX, 0, 1, 2]),
        },
    }
}
