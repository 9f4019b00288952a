//! Changes to model content, by a generator of its own, so that a failing seed can be named and run again.

use serde_json::{Map, Value};

use crate::pipeline::Arrays;
use crate::pipeline::persist::{Numbers, Tensor};

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; 0 for `n` 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }
}

/// Changes one value somewhere in a JSON document.
pub fn change(value: &mut Value, dice: &mut Dice) {
    let n = match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    };
    if n > 0 && dice.below(6) > 0 {
        let i = dice.below(n);
        let inner = match value {
            Value::Array(items) => items.get_mut(i),
            Value::Object(fields) => fields.values_mut().nth(i),
            _ => None,
        };
        if let Some(inner) = inner {
            change(inner, dice);
        }
        return;
    }
    *value = match (dice.below(12), &mut *value) {
        (0, _) => Value::Null,
        (1, _) => Value::from(1_u64 << 60),
        (2, _) => Value::from(-1),
        (3, _) => Value::from(1e308),
        (4, _) => Value::from("nan"),
        (5, _) => Value::from("x".repeat(1 << dice.below(17))),
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
            let key = fields.keys().nth(dice.below(n)).cloned();
            fields.remove(&key.unwrap_or_default());
            return;
        }
        (7, Value::Object(fields)) => {
            fields.insert("surprise".to_owned(), Value::from(1));
            return;
        }
        (8, Value::Number(number)) => Value::from(number.as_f64().unwrap_or(0.0) + 1.0),
        (9, Value::Number(number)) => Value::from(number.as_i64().unwrap_or(0) + 1),
        (10, _) => Value::Array(vec![Value::from(0); dice.below(1000)]),
        _ => Value::Object(Map::new()),
    };
}

/// Changes one array: a number in it, its shape, its type, or takes it away. False where there is none.
pub fn change_arrays(arrays: &mut Arrays, dice: &mut Dice) -> bool {
    let names: Vec<&String> = arrays.tensors().keys().collect();
    if names.is_empty() {
        return false;
    }
    let chosen = names[dice.below(names.len())].clone();
    let mut changed = Arrays::new();
    for (name, tensor) in arrays.tensors() {
        let mut tensor = tensor.clone();
        if *name == chosen {
            if dice.below(8) == 0 {
                continue;
            }
            change_tensor(&mut tensor, dice);
        }
        changed.insert(name.clone(), tensor);
    }
    *arrays = changed;
    true
}

fn change_tensor(tensor: &mut Tensor, dice: &mut Dice) {
    fn set<T: Copy>(values: &mut [T], dice: &mut Dice, choices: &[T]) {
        let i = dice.below(values.len());
        if let Some(v) = values.get_mut(i) {
            *v = choices[dice.below(choices.len())];
        }
    }
    match dice.below(6) {
        0 => tensor.shape.reverse(),
        1 => tensor.shape = vec![usize::MAX, 2],
        2 => {
            tensor.numbers = Numbers::F64(Vec::new());
            tensor.shape = vec![0];
        }
        _ => match &mut tensor.numbers {
            Numbers::F64(v) => set(v, dice, &[f64::NAN, f64::INFINITY, -1.0, 0.0, 1e308, 0.5]),
            Numbers::F32(v) => set(v, dice, &[f32::NAN, f32::INFINITY, -1.0, 0.0]),
            Numbers::I64(v) => set(v, dice, &[i64::MAX, i64::MIN, -1, 0]),
            Numbers::U32(v) => set(v, dice, &[u32::MAX, u32::MAX - 1, 0, 1, 7]),
            Numbers::U8(v) => set(v, dice, &[u8::MAX, 0, 1, 2]),
        },
    }
}
