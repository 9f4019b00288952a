//! Ranges of parameters as the registry states them, and settings drawn from them: properties 2 and 3.

use serde_json::Value;

use super::{Held, Tried, Verdict, ensure};
use crate::conformance::subject::Subject;
use crate::datasets::random::{Draw, Stream};
use crate::prelude::*;

/// A parameter that is a number, with the bounds its JSON Schema states.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    integer: bool,
    /// `"inf"` is among its values.
    extended: bool,
    least: Option<Bound>,
    most: Option<Bound>,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    at: f64,
    inside: bool,
}

impl Number {
    /// The number that a property of a schema describes, if it is one.
    #[must_use]
    pub fn of(about: &Value) -> Option<Self> {
        let is = |ty: &str| match about.get("type") {
            Some(Value::String(t)) => t == ty,
            Some(Value::Array(types)) => types.iter().any(|t| t == ty),
            _ => false,
        };
        let reference = about.get("$ref").and_then(Value::as_str).unwrap_or("");
        let extended = reference.ends_with("/Extended");
        if !is("integer") && !is("number") && !extended {
            return None;
        }
        let bound = |key: &str, inside| {
            let at = about.get(key).and_then(Value::as_f64)?;
            Some(Bound { at, inside })
        };
        Some(Self {
            integer: is("integer"),
            extended,
            least: bound("exclusiveMinimum", false).or_else(|| bound("minimum", true)),
            most: bound("exclusiveMaximum", false).or_else(|| bound("maximum", true)),
        })
    }

    /// Whether one side is bounded.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.least.is_some() || self.most.is_some()
    }

    /// The bounds as a reader would write them, without the 0 of integers that are counts by nature.
    #[must_use]
    pub fn stated(&self) -> Vec<String> {
        let bounds = self.least.into_iter().chain(self.most);
        bounds
            .filter(|b| !(self.integer && b.at == 0.0))
            .map(|b| b.at.to_string())
            .collect()
    }

    fn value(&self, v: f64) -> toml::Value {
        if self.integer {
            toml::Value::Integer(v as i64)
        } else {
            toml::Value::Float(v)
        }
    }

    /// The smallest step beyond a bound.
    fn step(&self, at: f64) -> f64 {
        if self.integer {
            1.0
        } else {
            at.abs().max(1.0) * 1e-9
        }
    }

    /// Values at the ends of the range and in it.
    fn inside(&self) -> Vec<f64> {
        let (mut values, mut ends) = (Vec::new(), Vec::new());
        for (bound, inwards) in [(self.least, 1.0), (self.most, -1.0)] {
            if let Some(Bound { at, inside }) = bound {
                ends.push(if inside {
                    at
                } else {
                    at + inwards * self.step(at)
                });
                values.push(at + inwards * if self.integer { 1.0 } else { 0.25 });
            }
        }
        if self.least.is_none() {
            ends.push(-1e300);
        }
        if self.most.is_none() {
            ends.push(if self.integer { 1e9 } else { 1e300 });
        }
        ends.extend(values);
        ends
    }

    fn outside(&self) -> Vec<f64> {
        let mut values = Vec::new();
        for (bound, outwards) in [(self.least, -1.0), (self.most, 1.0)] {
            if let Some(Bound { at, inside }) = bound {
                values.push(if inside {
                    at + outwards * self.step(at)
                } else {
                    at
                });
                values.push(at + outwards * 1e6);
            }
        }
        if !self.integer {
            values.push(f64::NAN);
            if !self.extended {
                values.extend([f64::INFINITY, f64::NEG_INFINITY]);
            }
        }
        values
    }

    /// A value somewhere in the range and not far from its lower end.
    fn draw(&self, stream: &mut Stream) -> toml::Value {
        let least = self.least.map_or(-10.0, |b| b.at);
        let most = self.most.map_or(least + 20.0, |b| b.at);
        let v = least + (most - least) * (0.01 + 0.98 * stream.uniform());
        self.value(if self.integer { v.round() } else { v })
    }
}

/// Inside of its range every number is accepted, just outside of it, and where it is no number, the parameter is refused by name,
/// with the value; what was accepted is not refused later.
pub fn range(s: &Subject<'_>) -> Verdict {
    let mut asked = 0;
    for (name, about) in s.parameters() {
        let tell = |value: &toml::Value| format!("parameter `{name}` = {value}");
        let wrong = toml::Value::Array(vec![toml::Value::Array(vec![toml::Value::Boolean(true)])]);
        refused_by_name(s, &name, &wrong, false)?;
        let list = about.pointer("/items/type").and_then(Value::as_str);
        if list == Some("number") {
            let nans = toml::Value::Array(vec![toml::Value::Float(f64::NAN); 3]);
            refused_by_name(s, &name, &nans, false)?;
        }
        let Some(number) = Number::of(&about) else {
            continue;
        };
        asked += 1;
        for v in number.outside() {
            refused_by_name(s, &name, &number.value(v), true)?;
        }
        for v in number.inside() {
            let value = number.value(v);
            let params = s.example_with([(&name, value.clone())]);
            match s.stage(&params) {
                Err(errors) => ensure!(
                    ties(s, &name, &errors),
                    "{}, which is inside of its range: {errors}",
                    tell(&value)
                ),
                Ok(_) if v.abs() > 255.0 => {} // a million trees need not be grown to be asked for
                Ok(_) => {
                    let data = s.table_of(60, 3).dataset().tried("table")?;
                    let fitted = s.fit_with(&params, &data, &Run::local(1, 1));
                    if let Err(error) = fitted {
                        ensure!(
                            !is_param(&error),
                            "{} is refused by `fit` only: {error}",
                            tell(&value)
                        );
                    }
                }
            }
        }
    }
    Ok(if asked > 0 {
        Held::Yes
    } else {
        Held::NotAsked("none of its parameters is a number; wrong types are refused")
    })
}

fn is_param(error: &Error) -> bool {
    match error {
        Error::Param(_) | Error::Config(_) => true,
        Error::InStage { source, .. } => is_param(source),
        _ => false,
    }
}

/// Whether a refusal speaks of another parameter too: the two are tied, and the example has set the other.
fn ties(s: &Subject<'_>, name: &str, errors: &ParamErrors) -> bool {
    let others: Vec<String> = s.parameters().into_keys().filter(|k| k != name).collect();
    errors.0.iter().all(|e| {
        let named = |o: &String| {
            e.message.contains(&format!("`{o}`")) || e.message.contains(&format!("`{o} ="))
        };
        e.name != name || others.iter().any(named)
    })
}

fn refused_by_name(
    s: &Subject<'_>,
    name: &str,
    value: &toml::Value,
    tells_value: bool,
) -> std::result::Result<(), String> {
    let what = format!("parameter `{name}` = {value}");
    let Err(errors) = s.stage(&s.example_with([(name, value.clone())])) else {
        return Err(format!("{what} is accepted"));
    };
    let root = |path: &str| path.split(['.', '[']).next().unwrap_or("").to_owned();
    let own = errors.0.iter().find(|e| root(&e.name) == name);
    let Some(own) = own else {
        return Err(format!("{what}: the refusal does not name it: {errors}"));
    };
    if tells_value {
        let digits = match value {
            toml::Value::Integer(v) => v.to_string(),
            toml::Value::Float(v) if v.is_nan() => "nan".to_owned(),
            toml::Value::Float(v) => v.to_string(),
            other => other.to_string(),
        };
        ensure!(
            own.message.to_lowercase().contains(&digits)
                || own.message.contains(&value.to_string()),
            "{what}: the refusal does not tell the value: {errors}"
        );
    }
    Ok(())
}

/// Settings survive TOML: what is written reads back equal, and equal settings are written equally, whatever the order of keys.
pub fn toml_round_trip(s: &Subject<'_>) -> Verdict {
    let settings = drawn_settings(s, 100);
    let mut accepted = 0;
    for params in &settings {
        let Ok(stage) = s.stage(params) else {
            continue; // two parameters that do not go together
        };
        accepted += 1;
        let resolved = s.entry.resolve(params).tried("resolve")?;
        let text = toml::to_string(&resolved).tried("write")?;
        let read: toml::Table = text.parse().tried("read")?;
        let again = s.entry.resolve(&read).tried("resolve what was written")?;
        ensure!(again == resolved, "{resolved} reads back as {again}");
        let rebuilt = s.stage(&read).tried("build from what was written")?;
        ensure!(
            rebuilt.stage().params() == stage.stage().params(),
            "{params} and what is written of it build other stages"
        );
        let mut keys: Vec<String> = params.keys().cloned().collect();
        keys.reverse();
        let reversed: toml::Table = keys
            .into_iter()
            .map(|k| (k.clone(), params[&k].clone()))
            .collect();
        let resolved = s.entry.resolve(&reversed).tried("resolve")?;
        ensure!(
            toml::to_string(&resolved).tried("write")? == text,
            "the order of keys changes the text of {params}"
        );
    }
    ensure!(
        accepted >= 30,
        "only {accepted} of 100 settings are accepted"
    );
    Ok(Held::Yes)
}

fn drawn_settings(s: &Subject<'_>, n: u64) -> Vec<toml::Table> {
    let schema = (s.entry.schema)();
    let draw = Draw::new(5, "conformance settings");
    let setting = |i: u64| {
        let mut stream = draw.at(i).stream();
        let mut params = s.example();
        for (name, about) in s.parameters() {
            if stream.below(2) == 0 {
                continue;
            }
            if let Some(value) = drawn(&name, &about, &schema, &mut stream) {
                params.insert(name, value);
            }
        }
        params
    };
    (0..n).map(setting).collect()
}

/// Some value of a parameter; `None` for those that cannot be told from the schema alone, such as lists of columns.
fn drawn(name: &str, about: &Value, schema: &Value, stream: &mut Stream) -> Option<toml::Value> {
    if let Some(number) = Number::of(about) {
        return Some(number.draw(stream));
    }
    if about.get("type").and_then(Value::as_str) == Some("boolean") {
        return Some(toml::Value::Boolean(stream.below(2) == 1));
    }
    if name.ends_with("prediction_col") || name.ends_with("probability_col") {
        return Some(toml::Value::String(format!(
            "{name} {}",
            stream.below(1_000)
        )));
    }
    let choices = choices(about, schema);
    let i = stream.below(choices.len() as u64) as usize;
    choices.get(i).map(|c| toml::Value::String(c.clone()))
}

/// The texts that a property allows, where it lists them.
pub fn choices(about: &Value, schema: &Value) -> Vec<String> {
    let definition = about
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| schema.pointer(r.strip_prefix('#')?))
        .unwrap_or(about);
    let texts = |list: &Value, key: Option<&str>| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items
            .filter_map(|v| {
                key.map_or(Some(v), |k| v.get(k))?
                    .as_str()
                    .map(str::to_owned)
            })
            .collect()
    };
    match (definition.get("enum"), definition.get("oneOf")) {
        (Some(list), _) => texts(list, None),
        (_, Some(list)) => texts(list, Some("const")),
        _ => Vec::new(),
    }
}
