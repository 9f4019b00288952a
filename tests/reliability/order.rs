//! the order of rows is not part of the data where row ids travel with them.

use std::sync::Arc;

use emberline::arrow::array::UInt32Array;
use emberline::arrow::compute::take;
use emberline::datasets::Batch;
use emberline::prelude::*;

use crate::common::dice::{Dice, amount};
use crate::common::write;
use crate::learners::{LEARNERS, config, csv, whole};

/// Runs whose fit counts, compares, draws by row id, or adds what does not round. The others add floats in row order, block by block,
/// which rounds differently in another order: their results agree to the last digits only.
const ORDER_FREE: [&str; 12] = [
    "one-vs-rest of trees",
    "tree",
    "forest",
    "regression tree",
    "regression forest",
    "min-max scaler",
    "max-abs scaler",
    "robust scaler",
    "quantiles",
    "imputer",
    "imputed mode",
    "indexed and one-hot",
];

fn shuffled(rows: &Batch, dice: &mut Dice) -> Dataset {
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    dice.shuffle(&mut order);
    let ids: Arc<[u64]> = order.iter().map(|&i| rows.row_ids()[i as usize]).collect();
    let order = UInt32Array::from(order);
    let columns = rows
        .columns()
        .iter()
        .map(|c| take(c, &order, None).unwrap());
    let mixed = Batch::new(rows.schema().clone(), columns.collect(), ids).unwrap();
    let batches = (0..mixed.num_rows())
        .step_by(1000)
        .map(|start| mixed.slice(start, 1000.min(mixed.num_rows() - start)))
        .collect();
    Dataset::from_batches("memory", rows.schema().clone(), batches)
}

/// What was learnt, without the evidence, which tells of the rows in their order.
fn learnt(data: Dataset, label: &str, text: &str) -> String {
    let registry = emberline::registry();
    let config = Config::parse("run.toml", text, &[], &registry).unwrap_or_else(|e| panic!("{e}"));
    let mut roles = data.schema().roles().clone();
    roles.label = Some(label.to_owned());
    let data = data.with_roles(roles).unwrap();
    let plan = TrainPlan::with_data(&config, data, None, &registry).unwrap();
    let outcome = train(&plan, &registry, &config.run()).unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut arrays = emberline::pipeline::Arrays::new();
    let stages = outcome.model.save_stages(&mut arrays);
    format!(
        "{} {:?}",
        serde_json::to_string(&stages).unwrap(),
        arrays.tensors()
    )
}

#[test]
fn the_order_of_rows_changes_nothing_where_the_fit_counts_and_compares() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "rows.csv", &csv(4_000));
    let rows = whole(&path);
    let permutations = amount("EMBERLINE_PERMUTATIONS", 10) as u64;
    let (mut passed, mut free) = (0, Vec::new());
    for (name, label, stages) in LEARNERS {
        let text = config(label, stages, &path);
        let learnt = |seed| learnt(shuffled(&rows, &mut Dice(seed)), label, &text);
        let reference = learnt(0);
        let equal = (1..=permutations)
            .filter(|&seed| learnt(seed) == reference)
            .count();
        if equal as u64 == permutations {
            free.push(*name);
        }
        if ORDER_FREE.contains(name) {
            passed += equal;
        }
    }
    println!(
        "R-02: {passed}/{} permutations of {} learners and stages gave the same stages",
        permutations as usize * ORDER_FREE.len(),
        ORDER_FREE.len()
    );
    // Both directions: a learner that became order-free joins the list.
    assert_eq!(free, ORDER_FREE);
}
