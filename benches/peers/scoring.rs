//! S1: fitted pipelines on one record at a time, and a forest on many rows.

use std::sync::Arc;
use std::time::Instant;

use emberline::arrow::array::{ArrayRef, Float64Array, StringArray};
use emberline::pipeline::row::Cell;
use emberline::prelude::*;

use crate::clock::{led, median};
use crate::forests::{features_a_node, shape};
use crate::input::{Features, Label, dataset};
use crate::quality::{accuracy, predict};
use crate::record::Record;
use crate::{Options, Outcome};

/// Calls that are not counted, and calls that are in each repetition.
const WARM_UP: usize = 1_000;
const CALLS: usize = 20_000;
/// The last columns of F1 are turned into categories.
const CATEGORIES: usize = 2;
const LETTERS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// One value of the mixed records: every 31st number is missing, a category is the unit interval its number lies in.
fn cell(features: &Features, i: usize, j: usize) -> Cell {
    let value = features.row(i)[j];
    if j >= features.columns() - CATEGORIES {
        let place = (value + 4.0).clamp(0.0, 7.0) as usize;
        Cell::Text(LETTERS[place].to_owned())
    } else if (i + 7 * j).is_multiple_of(31) {
        Cell::Null
    } else {
        Cell::Number(f64::from(value))
    }
}

fn name(features: &Features, j: usize) -> String {
    let first = features.columns() - CATEGORIES;
    if j < first {
        format!("x{j}")
    } else {
        format!("c{}", j - first)
    }
}

/// The columns of the mixed records as a table, with a label.
fn mixed(features: &Features, label: &Label) -> Outcome<Dataset> {
    let cells = |j: usize| (0..features.rows()).map(move |i| cell(features, i, j));
    let mut columns: Vec<(Column, ArrayRef)> = Vec::new();
    for j in 0..features.columns() {
        let (ty, array): (_, ArrayRef) = if j >= features.columns() - CATEGORIES {
            let texts = cells(j).map(|c| c.text().map(str::to_owned));
            (ColumnType::Text, Arc::new(texts.collect::<StringArray>()))
        } else {
            let numbers = cells(j).map(|c| c.number());
            (
                ColumnType::Float,
                Arc::new(numbers.collect::<Float64Array>()),
            )
        };
        columns.push((Column::new(name(features, j), ty, true), array));
    }
    columns.extend(label.column());
    Ok(Dataset::from_columns(columns)?)
}

/// Fill, index, encode, assemble, scale.
fn preparation() -> emberline::pipeline::PipelineBuilder {
    let names = |pattern: &str| vec![pattern.to_owned()];
    Pipeline::builder()
        .stage(ImputerParams {
            inputs: names("x*"),
            ..Default::default()
        })
        .stage(StringIndexerParams {
            inputs: names("c*"),
            ..Default::default()
        })
        .stage(OneHotEncoderParams {
            inputs: names("*_index"),
            ..Default::default()
        })
        .stage(VectorAssemblerParams {
            inputs: vec!["x*".to_owned(), "*_onehot".to_owned()],
            ..Default::default()
        })
        .stage(StandardScalerParams::default())
}

fn forest(columns: usize) -> RandomForestClassifierParams {
    let shape = shape("F1");
    RandomForestClassifierParams {
        num_trees: shape.trees,
        max_depth: shape.depth,
        feature_subset_strategy: features_a_node(columns, false),
        ..Default::default()
    }
}

/// Microseconds of one call each, ascending. Laying a record's cells down is on the clock.
fn latencies(model: &PipelineModel, records: &[Vec<Cell>], schema: &Schema) -> Outcome<Vec<f64>> {
    let mut scorer = model.scorer(schema)?;
    let prediction = scorer.position("prediction")?;
    let mut times = Vec::with_capacity(CALLS);
    for i in 0..WARM_UP + CALLS {
        let record = &records[i % records.len()];
        let start = Instant::now();
        for (cell, value) in scorer.input().iter_mut().zip(record) {
            match value {
                Cell::Text(text) => cell.set_text(text),
                other => cell.clone_from(other),
            }
        }
        scorer.score()?;
        std::hint::black_box(scorer.cell(prediction));
        if i >= WARM_UP {
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The whole pipeline on single records with numbers, missing values and texts. The wall time is that of all calls.
pub fn one_by_one(workload: &str, options: &Options) -> Outcome<Record> {
    let folder = options.data.join("F1");
    let features = Features::dense(&folder, "X")?;
    let data = mixed(&features, &Label::Classes(Label::classes(&folder, "y")?))?;
    let pipeline = if workload == "S1:forest" {
        preparation().stage(forest(features.columns()))
    } else {
        preparation().stage(LogisticRegressionParams::default())
    };
    let model = pipeline.build()?.fit(&data, &options.run())?.model;
    let test = Features::dense(&folder, "Xt")?;
    let columns = 0..test.columns();
    let records: Vec<Vec<Cell>> = (0..test.rows())
        .map(|i| columns.clone().map(|j| cell(&test, i, j)).collect())
        .collect();
    let rows = mixed(&test, &Label::None)?;
    let (times, timing) = led(options, |_| latencies(&model, &records, rows.schema()))?;
    let predicted = predict(Arc::new(model), &rows, &options.run())?;
    let settings = "impute, index, one-hot, scale, predict; one record a call";
    Ok(Record::new(workload, settings, 1)
        .input(CALLS, test.columns(), 0)
        .timing(&timing)
        .with("p50_us", times[CALLS / 2])
        .with("p99_us", times[CALLS * 99 / 100])
        .with(
            "accuracy",
            accuracy(&predicted, &Label::classes(&folder, "yt")?),
        ))
}

/// The forest of F1 on the test rows of F1, all at once.
pub fn batch(workload: &str, options: &Options) -> Outcome<Record> {
    let folder = options.data.join("F1");
    let features = Features::dense(&folder, "X")?;
    let data = dataset(&features, &Label::Classes(Label::classes(&folder, "y")?))?;
    let learner = RandomForestClassifier::build(forest(features.columns()), &Registry::new())?;
    let model: Arc<dyn Transformer> = Arc::new(learner.fit(&data, &options.run())?.model);
    let test = Features::dense(&folder, "Xt")?;
    let rows = dataset(&test, &Label::None)?;
    let (predicted, timing) = led(options, |_| predict(model.clone(), &rows, &options.run()))?;
    let shape = shape("F1");
    let settings = format!("forest of {} trees, depth {}", shape.trees, shape.depth);
    Ok(Record::new(workload, settings, options.threads)
        .input(test.rows(), test.columns(), test.bytes())
        .timing(&timing)
        .with("rows_per_s", test.rows() as f64 / median(&timing.wall))
        .with(
            "accuracy",
            accuracy(&predicted, &Label::classes(&folder, "yt")?),
        ))
}
