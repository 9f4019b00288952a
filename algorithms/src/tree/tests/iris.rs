//! Oracle `decision_tree_gini_iris_depth2` of `tests/oracles/cases.json`.

use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::StringArray;
use emberline_pipeline::datasets::{Column, ColumnType, Dataset, LabelSpec};
use emberline_pipeline::{Run, Transformer};
use ndarray::Array2;
use serde_json::Value;

use super::fit;
use crate::classification::decision_tree_classifier::DecisionTreeClassifierParams;
use crate::classification::random_forest_classifier::RandomForestClassifierParams;
use crate::learner::LearnerColumns;
use crate::testing::vectors;
use crate::tree::fit::Learner;
use crate::tree::settings::Limits;

fn iris() -> Dataset {
    let text = include_str!("../../../../datasets/data/iris.csv");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').collect())
        .collect();
    let x = Array2::from_shape_fn((rows.len(), 4), |(i, j)| rows[i][j].parse().unwrap());
    let species = StringArray::from_iter_values(rows.iter().map(|r| r[4]));
    let label = (
        Column::new("label", ColumnType::Text, false),
        Arc::new(species) as _,
    );
    Dataset::from_columns(vec![vectors(&x), label]).unwrap()
}

fn case() -> Value {
    let all: Value =
        serde_json::from_str(include_str!("../../../../tests/oracles/cases.json")).unwrap();
    let cases = all["cases"].as_array().unwrap();
    cases
        .iter()
        .find(|c| c["name"] == "decision_tree_gini_iris_depth2")
        .unwrap()
        .clone()
}

#[test]
fn the_tree_of_depth_two_on_iris_is_that_of_the_oracle() {
    let (data, case) = (iris(), case());
    let tolerance = case["tolerance"]["gain_abs"].as_f64().unwrap();
    let learner = Learner {
        name: "decision_tree_classifier",
        params: Value::Null,
        columns: LearnerColumns {
            features: "features",
            label: None,
            weight: None,
        },
        limits: Limits {
            max_depth: 2,
            max_bins: 255,
            min_instances_per_node: 1,
            min_weight_fraction_per_node: 0.0,
            min_info_gain: 0.0,
        },
        forest: Learner::single(),
        seed: None,
    };
    let run = Run::local(0, 2);
    let classes = crate::labels::class_list(&data, "label", &run)
        .unwrap()
        .classes;
    let spec = LabelSpec::Classes {
        column: "label".to_owned(),
        classes: Arc::new(classes),
    };
    let tree = learner.one_tree(&data, spec, &run).unwrap();

    let expected = &case["expected"];
    assert_eq!(
        tree.nodes.len() as u64,
        expected["node_count"].as_u64().unwrap()
    );
    let near = |found: f64, expected: &Value| {
        let expected = expected.as_f64().unwrap();
        assert!(
            (found - expected).abs() <= tolerance,
            "{found} against {expected}"
        );
    };
    let (root, second) = (&tree.nodes[0], &tree.nodes[2]);
    near(tree.gains[0], &expected["root"]["gain"]);
    near(tree.gains[2], &expected["second_split_on_right"]["gain"]);
    near(
        second.threshold(),
        &expected["second_split_on_right"]["threshold_midpoint"],
    );
    // Petal length and petal width tie at the root: the lower index wins.
    assert_eq!((root.feature(), second.feature()), (2, 3));
    assert!(
        (root.threshold() - 2.45).abs() < 1e-12,
        "{}",
        root.threshold()
    );

    let counts = |v: &Value| {
        v.as_array()
            .unwrap()
            .iter()
            .map(|c| c.as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let leaf = |i: usize| {
        let mut shares = [0.0; 3];
        let (classes, own) = tree.leaves.leaf(tree.nodes[i].child() as usize);
        classes
            .iter()
            .zip(own)
            .for_each(|(c, s)| shares[*c as usize] = *s);
        let n = (tree.shares[i] * 150.0).round();
        shares.iter().map(|s| (s * n).round()).collect::<Vec<_>>()
    };
    assert_eq!(leaf(1), counts(&expected["root"]["left_counts"]));
    assert_eq!(
        leaf(3),
        counts(&expected["second_split_on_right"]["left_counts"])
    );
    assert_eq!(
        leaf(4),
        counts(&expected["second_split_on_right"]["right_counts"])
    );
}

fn accuracy(model: &impl Transformer, data: &Dataset) -> f64 {
    let batch = model.transform(data.read(0, None).unwrap()).unwrap();
    let (found, truth) = (
        batch.text("prediction").unwrap(),
        batch.text("label").unwrap(),
    );
    let right = found
        .iter()
        .zip(truth.iter())
        .filter(|(a, b)| a == b)
        .count();
    right as f64 / batch.num_rows() as f64
}

#[test]
fn predictions_come_back_as_the_original_labels() {
    let (data, case) = (iris(), case());
    let params = DecisionTreeClassifierParams {
        max_depth: 2,
        ..DecisionTreeClassifierParams::default()
    };
    let fitted = fit(params, &data, &Run::local(0, 1)).unwrap();
    // 144 of 150 rows: a share of whole rows, compared within rounding.
    let expected = case["expected"]["training_accuracy"].as_f64().unwrap();
    assert!((accuracy(&fitted.model, &data) - expected).abs() < 1e-12);
}

#[test]
fn a_forest_knows_how_well_it_does_without_a_hold_out() {
    let data = iris();
    let params = RandomForestClassifierParams {
        num_trees: 60,
        oob_score: true,
        ..RandomForestClassifierParams::default()
    };
    let fitted = fit(params, &data, &Run::local(42, 2)).unwrap();
    let score = fitted.report.figures["oob_score"];
    // Published out-of-bag and cross-validated accuracies on iris lie between 0.94 and 0.97.
    assert!((0.93..=0.98).contains(&score), "{score}");
    assert_eq!(fitted.report.history.len(), 60);
    assert!((1.0 - fitted.report.history[59] - score).abs() < 1e-12);
    let top: Vec<&str> = fitted
        .report
        .importances
        .iter()
        .take(2)
        .map(|(c, _)| c.as_str())
        .collect();
    assert!(
        top.contains(&"x2") && top.contains(&"x3"),
        "the petals matter most: {:?}",
        fitted.report.importances
    );
    let total: f64 = fitted.report.importances.iter().map(|i| i.1).sum();
    assert!((total - 1.0).abs() < 1e-12);
}
