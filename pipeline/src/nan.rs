//! Figures in JSON: a number that is not finite is written as null, and null is read back as NaN.
//!
//! For evidence only, where a figure without a value must not keep a model from being read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

fn nan(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

pub(crate) fn one<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Option::<f64>::deserialize(d).map(nan)
}

pub(crate) fn list<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f64>, D::Error> {
    Ok(Vec::<Option<f64>>::deserialize(d)?
        .into_iter()
        .map(nan)
        .collect())
}

pub(crate) fn table<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Vec<f64>>, D::Error> {
    let rows = Vec::<Vec<Option<f64>>>::deserialize(d)?;
    Ok(rows
        .into_iter()
        .map(|r| r.into_iter().map(nan).collect())
        .collect())
}

pub(crate) fn named<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let map = BTreeMap::<String, Option<f64>>::deserialize(d)?;
    Ok(map.into_iter().map(|(k, v)| (k, nan(v))).collect())
}

pub(crate) fn pairs<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(String, f64)>, D::Error> {
    let list = Vec::<(String, Option<f64>)>::deserialize(d)?;
    Ok(list.into_iter().map(|(k, v)| (k, nan(v))).collect())
}

type Curves<X> = BTreeMap<String, Vec<(X, X)>>;

pub(crate) fn curves<'de, D: Deserializer<'de>>(d: D) -> Result<Curves<f64>, D::Error> {
    let point = |(x, y)| (nan(x), nan(y));
    let map = Curves::<Option<f64>>::deserialize(d)?;
    Ok(map
        .into_iter()
        .map(|(k, v)| (k, v.into_iter().map(point).collect()))
        .collect())
}
