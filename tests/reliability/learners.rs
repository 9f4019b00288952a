//! A generated table in several formats, and a small run for every learner and for the feature stages that learn.

use std::path::Path;
use std::sync::Arc;

use emberline::datasets::Batch;
use emberline::prelude::*;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::common::dice::Dice;

/// `name, label, stages` after a vector of `a0` to `a7`.
pub const LEARNERS: &[(&str, &str, &str)] = &[
    (
        "logistic",
        "y",
        "stage = \"logistic_regression\"\nreg_param = 0.01\nmax_iter = 6",
    ),
    (
        "elastic net",
        "y",
        "stage = \"logistic_regression\"\nreg_param = 0.01\nelastic_net_param = 0.5\nmax_iter = 6",
    ),
    (
        "one-vs-rest",
        "y",
        "stage = \"one_vs_rest\"\nclassifier = { stage = \"logistic_regression\", max_iter = 4 }",
    ),
    (
        "one-vs-rest of trees",
        "y",
        "stage = \"one_vs_rest\"\nclassifier = { stage = \"decision_tree_classifier\", max_depth = 3 }",
    ),
    (
        "tree",
        "y",
        "stage = \"decision_tree_classifier\"\nmax_depth = 6",
    ),
    (
        "forest",
        "y",
        "stage = \"random_forest_classifier\"\nnum_trees = 4\nmax_depth = 6\noob_score = true",
    ),
    (
        "regression tree",
        "t",
        "stage = \"decision_tree_regressor\"\nmax_depth = 6",
    ),
    (
        "regression forest",
        "t",
        "stage = \"random_forest_regressor\"\nnum_trees = 4\nmax_depth = 6",
    ),
    (
        "k-means||",
        "y",
        "stage = \"kmeans\"\nk = 6\nn_init = 2\nmax_iter = 6",
    ),
    (
        "k-means++",
        "y",
        "stage = \"kmeans\"\nk = 4\ninit_mode = \"k-means++\"\nmax_iter = 6",
    ),
    (
        "random start",
        "y",
        "stage = \"kmeans\"\nk = 4\ninit_mode = \"random\"\nmax_iter = 6",
    ),
    ("least squares", "t", "stage = \"linear_regression\""),
    (
        "lasso",
        "t",
        "stage = \"linear_regression\"\nreg_param = 0.1\nelastic_net_param = 1.0",
    ),
    ("pca", "y", "stage = \"pca\"\nk = 4"),
    (
        "standard scaler",
        "y",
        "stage = \"standard_scaler\"\ninputs = [\"a*\"]\nwith_mean = true",
    ),
    (
        "min-max scaler",
        "y",
        "stage = \"min_max_scaler\"\ninputs = [\"a*\"]",
    ),
    (
        "max-abs scaler",
        "y",
        "stage = \"max_abs_scaler\"\ninputs = [\"a*\"]",
    ),
    (
        "robust scaler",
        "y",
        "stage = \"robust_scaler\"\ninputs = [\"a*\"]",
    ),
    (
        "quantiles",
        "y",
        "stage = \"quantile_discretizer\"\ninputs = [\"a*\"]\nnum_buckets = 7",
    ),
    (
        "imputer",
        "y",
        "stage = \"imputer\"\ninputs = [\"b\"]\nstrategy = \"median\"",
    ),
    (
        "imputed mode",
        "y",
        "stage = \"imputer\"\ninputs = [\"c\"]\nstrategy = \"mode\"",
    ),
    (
        "indexed and one-hot",
        "y",
        "stage = \"string_indexer\"\ninputs = [\"c\"]\nhandle_invalid = \"keep\"\n[[pipeline]]\nstage = \"one_hot_encoder\"\ninputs = [\"c_index\"]",
    ),
];

/// The config of a learner; `source` is a file name.
pub fn config(label: &str, stages: &str, source: &Path) -> String {
    format!(
        "name = \"run\"\nseed = 7\n[data]\nsource = '{}'\nlabel = \"{label}\"\n[data.schema]\ny = \"text\"\nc = \"text\"\n\
         [data.split]\ntest = 0.2\n[[pipeline]]\nstage = \"vector_assembler\"\ninputs = [\"a*\"]\n[[pipeline]]\n{stages}\n",
        source.display()
    )
}

/// A row: eight numbers around one of three centres, a number and a category that may be missing, the class and a target.
struct Row {
    numbers: Vec<f64>,
    b: Option<f64>,
    c: Option<String>,
    class: &'static str,
    target: f64,
}

fn row(dice: &mut Dice) -> Row {
    let class = dice.below(3);
    let number = |j: usize, dice: &mut Dice| {
        let centre = f64::from(u8::from(j % 3 == class));
        ((centre + 2.0 * dice.unit()) * 1e5).round() / 1e5
    };
    let numbers: Vec<f64> = (0..8).map(|j| number(j, dice)).collect();
    Row {
        b: (dice.below(9) > 0).then(|| (dice.unit() * 1e6).round() / 1e3),
        c: (dice.below(9) > 0).then(|| format!("kind {}", dice.below(12))),
        class: ["red", "green", "blue"][class],
        target: 3.0 * numbers[0] - numbers[1] * numbers[2] + dice.unit(),
        numbers,
    }
}

fn rows(n: usize) -> impl Iterator<Item = Row> {
    let mut dice = Dice(20_240);
    (0..n).map(move |_| row(&mut dice))
}

/// The table as CSV.
pub fn csv(n: usize) -> String {
    let mut text = String::from("a0,a1,a2,a3,a4,a5,a6,a7,b,c,y,t\n");
    for row in rows(n) {
        for a in row.numbers {
            text.push_str(&format!("{a:?},"));
        }
        let b = row.b.map(|b| format!("{b:?}")).unwrap_or_default();
        let (c, y, t) = (row.c.unwrap_or_default(), row.class, row.target);
        text.push_str(&format!("{b},{c},{y},{t:?}\n"));
    }
    text
}

/// The table as JSON lines.
pub fn jsonl(n: usize) -> String {
    let mut text = String::new();
    for row in rows(n) {
        text.push('{');
        for (j, a) in row.numbers.iter().enumerate() {
            text.push_str(&format!("\"a{j}\":{a:?},"));
        }
        let b = row.b.map_or("null".to_owned(), |b| format!("{b:?}"));
        let c = row.c.map_or("null".to_owned(), |c| format!("\"{c}\""));
        let (y, t) = (row.class, row.target);
        text.push_str(&format!(
            "\"b\":{b},\"c\":{c},\"y\":\"{y}\",\"t\":{t:?}}}\n"
        ));
    }
    text
}

/// All rows of a file in one batch, with their ids.
pub fn whole(path: &Path) -> Batch {
    let data = open(&SourceOptions::new(path.display().to_string())).unwrap();
    let batches: Vec<Batch> = (0..data.chunks().unwrap().len())
        .map(|chunk| data.read(chunk, None).unwrap().with_plain_text().unwrap())
        .collect();
    let ids: Arc<[u64]> = batches
        .iter()
        .flat_map(|b| b.row_ids().iter().copied())
        .collect();
    let columns = (0..data.schema().columns().len())
        .map(|j| {
            let parts: Vec<_> = batches.iter().map(|b| b.columns()[j].as_ref()).collect();
            emberline::arrow::compute::concat(&parts).unwrap()
        })
        .collect();
    Batch::new(data.schema().clone(), columns, ids).unwrap()
}

/// Writes the rows as Parquet in row groups of `group` rows.
pub fn parquet(batch: &Batch, path: &Path, group: usize) {
    let rows = batch.to_record_batch().unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut out = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    out.write(&rows).unwrap();
    out.close().unwrap();
}

/// Trains without the config's text in the evidence: it names the source.
pub fn train_unnamed(text: &str, set: &[String]) -> TrainOutcome {
    let registry = emberline::registry();
    let config = Config::parse("run.toml", text, set, &registry).unwrap_or_else(|e| panic!("{e}"));
    let mut plan = TrainPlan::from_config(&config, &registry).unwrap_or_else(|e| panic!("{e}"));
    plan.config_text = None;
    train(&plan, &registry, &config.run()).unwrap_or_else(|e| panic!("{text}: {e}"))
}
