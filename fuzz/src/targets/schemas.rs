//! `schema_propagation`: the columns that the chain promises without reading a row are those that rows then have.

use std::sync::{Arc, LazyLock};

use emberline::datasets::Batch;
use emberline::datasets::ColumnType;
use emberline::prelude::*;
use toml::{Table, Value};

use super::Choices;

static REGISTRY: LazyLock<Registry> = LazyLock::new(emberline::registry);
static DATA: LazyLock<Dataset> = LazyLock::new(|| {
    open(&SourceOptions::new("bundled:penguins")).unwrap_or_else(|e| panic!("{e}"))
});

/// Columns a stage may be pointed at.
const COLUMNS: &[&str] = &[
    "bill_length_mm",
    "body_mass_g",
    "year",
    "island",
    "sex",
    "features",
    "scaled",
    "island_index",
    "island_onehot",
    "prediction",
    "*",
    "bill_*",
    "*_index",
    "*_onehot",
    "year_binned",
    "pca",
    "probability",
];

/// A stage with one to three of its parameters set.
fn stage(choices: &mut Choices<'_>) -> Option<AnyStage> {
    let entries: Vec<&Entry> = REGISTRY.entries().collect();
    let entry = choices.pick(&entries);
    let defaults = entry.resolve(&Table::new()).ok()?;
    let properties = (entry.schema)();
    let keys: Vec<&String> = properties["properties"].as_object()?.keys().collect();
    let mut params = Table::new();
    for _ in 0..1 + choices.below(3) {
        let key = *choices.pick(&keys);
        let value = match defaults.get(key) {
            Some(Value::Integer(_)) => Value::from(1 + choices.below(6) as i64),
            Some(Value::Float(_)) => Value::from(choices.below(5) as f64 / 4.0),
            Some(Value::Boolean(_)) => Value::from(choices.below(2) == 0),
            Some(Value::Array(_)) => (0..=choices.below(3))
                .map(|_| Value::from(*choices.pick(COLUMNS)))
                .collect::<Vec<_>>()
                .into(),
            _ => Value::from(*choices.pick(COLUMNS)),
        };
        params.insert(key.clone(), value);
    }
    entry.build(&params, &REGISTRY).ok()
}

/// Builds one to four stages from the bytes; where their schema chain holds, fits them and compares what is promised with what comes.
///
/// # Panics
/// The columns differ, or a stage refuses columns that its schema took.
pub fn schema_propagation(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let stages: Vec<AnyStage> = (0..1 + choices.below(4))
        .filter_map(|_| stage(&mut choices))
        .collect();
    let pipeline = Pipeline::new(stages);
    let input = DATA.schema();
    let Ok(schemas) = pipeline.schemas(input) else {
        return false;
    };
    let fitted = match pipeline.fit(&DATA, &Run::local(1, 1)) {
        Ok(fitted) => fitted,
        // The data need not suit what the schema allows (missing values, too few classes); the columns must.
        Err(error) => {
            assert_eq!(
                error.exit_code(),
                3,
                "the schema chain held, and then: {error}"
            );
            return false;
        }
    };
    let promised = schemas.last().cloned().unwrap_or_else(|| (**input).clone());
    let Ok(out) = fitted.model.transform_dataset(&DATA) else {
        panic!("a fitted pipeline refuses its own columns");
    };
    let Ok(batch) = out.read(0, None) else {
        return false;
    };
    compare(&promised, &batch);
    true
}

/// Names and kinds must be as promised; what only fitting tells (the width of a vector, its slots) must agree with the rows.
fn compare(promised: &Schema, batch: &Batch) {
    let names = |s: &Schema| {
        s.columns()
            .iter()
            .map(|c| c.name.clone())
            .collect::<Vec<_>>()
    };
    let found: &Arc<Schema> = batch.schema();
    assert_eq!(names(promised), names(found));
    for (promise, column) in promised.columns().iter().zip(found.columns()) {
        let name = &column.name;
        match (&promise.ty, &column.ty) {
            (ColumnType::Vector { width: then, .. }, ColumnType::Vector { width: now, .. }) => {
                let width = batch
                    .vector(name)
                    .unwrap_or_else(|e| panic!("{name}: {e}"))
                    .width();
                assert!(
                    now.is_none_or(|w| w == width),
                    "{name}: {now:?} slots said, {width} found"
                );
                assert!(
                    then.is_none_or(|w| w == width),
                    "{name}: {then:?} slots promised, {width} found"
                );
                assert!(
                    column.slots.is_empty() || column.slots.len() == width,
                    "{name}: slots"
                );
            }
            (then, now) => assert_eq!(then, now, "{name}"),
        }
    }
}
