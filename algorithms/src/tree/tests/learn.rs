//! What trees learn: missing values, categories, numbers, and what they tell on the way.

use std::sync::Arc;

use emberline_pipeline::{Event, EventLog, Run};
use ndarray::{Array2, array};

use super::{categorical, column, fit, random_features, stream};
use crate::classification::decision_tree_classifier::DecisionTreeClassifierParams;
use crate::classification::random_forest_classifier::RandomForestClassifierParams;
use crate::regression::decision_tree_regressor::DecisionTreeRegressorParams;
use crate::regression::random_forest_regressor::RandomForestRegressorParams;
use crate::testing::labelled;
use crate::tree::{FeatureSubset, Impurity};

fn depth(max_depth: usize) -> DecisionTreeClassifierParams {
    DecisionTreeClassifierParams {
        max_depth,
        ..DecisionTreeClassifierParams::default()
    }
}

const NAN: f64 = f64::NAN;

#[test]
fn being_missing_can_be_the_question() {
    let x = array![[1.0], [NAN], [2.0], [NAN], [3.0], [NAN]];
    let data = labelled(&x, &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    let model = fit(depth(1), &data, &Run::local(0, 1)).unwrap().model;
    assert_eq!(
        column(&model, &data, "prediction"),
        [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    );
}

#[test]
fn missing_values_go_where_their_labels_are() {
    let x = array![[1.0], [2.0], [NAN], [8.0], [9.0]];
    for (missing, expected) in [(0.0, 0.0), (1.0, 1.0)] {
        let y = [0.0, 0.0, missing, 1.0, 1.0];
        let model = fit(depth(1), &labelled(&x, &y), &Run::local(0, 1))
            .unwrap()
            .model;
        assert_eq!(
            column(&model, &labelled(&array![[NAN]], &[0.0]), "prediction"),
            [expected]
        );
        assert_eq!(column(&model, &labelled(&x, &y), "prediction"), y);
    }
}

#[test]
fn what_training_never_missed_follows_the_heavier_child() {
    let x = array![[1.0], [2.0], [3.0], [8.0]];
    for (y, heavier) in [([0.0, 0.0, 0.0, 1.0], 0.0), ([0.0, 1.0, 1.0, 1.0], 1.0)] {
        let model = fit(depth(1), &labelled(&x, &y), &Run::local(0, 1))
            .unwrap()
            .model;
        assert_eq!(
            column(&model, &labelled(&array![[NAN]], &[0.0]), "prediction"),
            [heavier]
        );
    }
}

#[test]
fn one_question_parts_categories_however_they_are_numbered() {
    // Categories 0, 3, 5 against 1, 2, 4; no threshold on the index does it.
    let x = Array2::from_shape_fn((60, 1), |(i, _)| (i % 6) as f64);
    let y: Vec<f64> = (0..60)
        .map(|i| {
            if [0, 3, 5].contains(&(i % 6)) {
                1.0
            } else {
                0.0
            }
        })
        .collect();
    let data = categorical(&x, &y, 6);
    let model = fit(depth(1), &data, &Run::local(0, 1)).unwrap().model;
    assert_eq!(column(&model, &data, "prediction"), y);
    let params = DecisionTreeRegressorParams {
        max_depth: 1,
        ..DecisionTreeRegressorParams::default()
    };
    let model = fit(params, &data, &Run::local(0, 1)).unwrap().model;
    assert_eq!(column(&model, &data, "prediction"), y);
}

#[test]
fn a_category_that_training_did_not_see_follows_the_heavier_child() {
    let x = array![[0.0], [0.0], [0.0], [1.0]];
    let data = categorical(&x, &[0.0, 0.0, 0.0, 1.0], 4);
    let model = fit(depth(1), &data, &Run::local(0, 1)).unwrap().model;
    let unseen = categorical(&array![[2.0], [3.0], [NAN], [1.0]], &[0.0; 4], 4);
    assert_eq!(column(&model, &unseen, "prediction"), [0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn with_three_classes_few_categories_are_parted_in_every_way() {
    // Gini prefers {0, 3} | {1, 2, 4}: class 0 alone on one side. Checked against all 15 ways by hand-written sums.
    let class_of = [0.0, 1.0, 2.0, 0.0, 1.0];
    let x = Array2::from_shape_fn((50, 1), |(i, _)| (i % 5) as f64);
    let y: Vec<f64> = (0..50).map(|i| class_of[i % 5]).collect();
    let data = categorical(&x, &y, 5);
    let model = fit(depth(2), &data, &Run::local(0, 1)).unwrap().model;
    assert_eq!(column(&model, &data, "prediction"), y);
    assert_eq!(model.scorer.nodes.len(), 5);
}

#[test]
fn with_three_classes_many_categories_are_ordered_and_learnt() {
    let x = Array2::from_shape_fn((3_000, 1), |(i, _)| (i % 30) as f64);
    let y: Vec<f64> = (0..3_000).map(|i| ((i % 30) * 7 % 3) as f64).collect();
    let data = categorical(&x, &y, 30);
    for impurity in [Impurity::Gini, Impurity::Entropy] {
        let params = DecisionTreeClassifierParams {
            impurity,
            ..depth(2)
        };
        let model = fit(params, &data, &Run::local(0, 1)).unwrap().model;
        assert_eq!(column(&model, &data, "prediction"), y, "{impurity:?}");
    }
}

#[test]
fn a_missing_category_is_one_more_category() {
    let x = array![[0.0], [NAN], [1.0], [NAN], [2.0], [0.0]];
    let y = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    let data = categorical(&x, &y, 3);
    let model = fit(depth(1), &data, &Run::local(0, 1)).unwrap().model;
    assert_eq!(column(&model, &data, "prediction"), y);
}

#[test]
fn a_chessboard_is_learnt_though_its_first_split_gains_nothing() {
    let x = Array2::from_shape_fn((40, 2), |(i, j)| f64::from(u8::from(i >> j & 1 == 1)));
    let y: Vec<f64> = x.rows().into_iter().map(|r| (r[0] - r[1]).abs()).collect();
    let data = labelled(&x, &y);
    let model = fit(depth(2), &data, &Run::local(0, 1)).unwrap().model;
    assert_eq!(column(&model, &data, "prediction"), y);
    let params = DecisionTreeClassifierParams {
        min_info_gain: 1e-6,
        ..depth(2)
    };
    assert_eq!(
        fit(params, &data, &Run::local(0, 1))
            .unwrap()
            .model
            .scorer
            .nodes
            .len(),
        1
    );
}

#[test]
fn a_regression_forest_follows_a_curve() {
    let x = random_features(4_000, 3, 1_000, 0.0, "curve");
    let mut s = stream("noise");
    let truth = |a: f64, b: f64| (a / 100.0).sin() * 10.0 + b / 100.0;
    let y: Vec<f64> = x
        .rows()
        .into_iter()
        .map(|r| truth(r[0], r[1]) + 0.5 * s.normal())
        .collect();
    let params = RandomForestRegressorParams {
        num_trees: 40,
        max_depth: 12,
        feature_subset_strategy: FeatureSubset::Count(2),
        oob_score: true,
        ..RandomForestRegressorParams::default()
    };
    let fitted = fit(params, &labelled(&x, &y), &Run::local(9, 2)).unwrap();
    let fresh = random_features(1_000, 3, 1_000, 0.0, "fresh curve");
    let wanted: Vec<f64> = fresh
        .rows()
        .into_iter()
        .map(|r| truth(r[0], r[1]))
        .collect();
    let found = column(&fitted.model, &labelled(&fresh, &wanted), "prediction");
    let mean = wanted.iter().sum::<f64>() / 1e3;
    let rest: f64 = found
        .iter()
        .zip(&wanted)
        .map(|(f, w)| (f - w).powi(2))
        .sum();
    let all: f64 = wanted.iter().map(|w| (w - mean).powi(2)).sum();
    // Noise of 0.25 against a variance of 58: a good fit leaves little more.
    assert!(1.0 - rest / all > 0.97, "{}", 1.0 - rest / all);
    let oob = fitted.report.figures["oob_score"];
    assert!((oob - (1.0 - rest / all)).abs() < 0.02, "out of bag {oob}");
    assert!(fitted.report.history[39] < fitted.report.history[0]);
    let least = &fitted.report.importances[2];
    assert!(
        least.0 == "x2" && least.1 < 0.05,
        "x2 plays no part: {:?}",
        fitted.report.importances
    );
}

#[test]
fn every_tree_is_told_of_and_a_cancelled_run_stops() {
    let x = random_features(300, 3, 20, 0.0, "events");
    let y: Vec<f64> = x
        .rows()
        .into_iter()
        .map(|r| f64::from(u8::from(r[0] > 9.0)))
        .collect();
    let data = labelled(&x, &y);
    let log = Arc::new(EventLog::default());
    let run = Run::local(0, 2).with_events(log.clone());
    let params = RandomForestClassifierParams {
        num_trees: 9,
        ..RandomForestClassifierParams::default()
    };
    fit(params.clone(), &data, &run).unwrap();
    let rounds: Vec<u64> = log
        .events()
        .iter()
        .filter_map(|e| {
            if let Event::RoundFinished {
                round,
                max_rounds: Some(9),
                ..
            } = e
            {
                Some(*round)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(rounds, (1..=9).collect::<Vec<_>>());
    run.cancel.cancel();
    assert!(matches!(
        fit(params, &data, &run),
        Err(emberline_pipeline::Error::Interrupted)
    ));
}

#[test]
fn depth_and_leaf_size_hold() {
    let x = random_features(500, 3, 200, 0.0, "limits");
    let mut s = stream("limits");
    let y: Vec<f64> = (0..500).map(|_| s.below(2) as f64).collect();
    let data = labelled(&x, &y);
    let run = Run::local(0, 1);
    assert_eq!(
        fit(depth(0), &data, &run).unwrap().model.scorer.nodes.len(),
        1
    );
    assert!(fit(depth(4), &data, &run).unwrap().report.figures["depth"] <= 4.0);
    let params = DecisionTreeClassifierParams {
        min_weight_fraction_per_node: 0.1,
        ..depth(30)
    };
    assert!(
        fit(params, &data, &run)
            .unwrap()
            .model
            .scorer
            .nodes
            .n_leaves()
            <= 10
    );
    let params = DecisionTreeClassifierParams {
        min_instances_per_node: 100,
        ..depth(30)
    };
    assert!(
        fit(params, &data, &run)
            .unwrap()
            .model
            .scorer
            .nodes
            .n_leaves()
            <= 5
    );
}
