//! Degenerate and hostile input.

use emberline_pipeline::datasets::{DataError, Dataset};
use emberline_pipeline::predictor::ClassifierModel;
use emberline_pipeline::{Arrays, Component, Error, Load, Registry, Run};
use ndarray::{Array2, array};
use serde_json::Value;

use super::{column, fit, saved, table, weighted};
use crate::classification::decision_tree_classifier::DecisionTreeClassifierParams;
use crate::classification::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParams,
};
use crate::regression::decision_tree_regressor::DecisionTreeRegressorParams;
use crate::regression::random_forest_regressor::RandomForestRegressorParams;
use crate::testing::labelled;
use crate::tree::{FeatureSubset, ForestClassifier};

fn refused(data: &Dataset) -> String {
    let error = fit(
        DecisionTreeClassifierParams::default(),
        data,
        &Run::local(0, 1),
    )
    .err()
    .unwrap();
    assert_eq!(error.exit_code(), 3, "{error}");
    error.to_string()
}

#[test]
fn one_class_only_is_refused() {
    let x = array![[1.0], [2.0]];
    assert!(refused(&labelled(&x, &[4.0, 4.0])).contains("at least two classes"));
    assert!(refused(&weighted(&x, &[4.0, 5.0], &[1.0, 0.0])).contains("at least two classes"));
}

#[test]
fn rows_without_weight_or_slots_are_refused() {
    let x = array![[1.0], [2.0]];
    assert_eq!(
        refused(&weighted(&x, &[0.0, 1.0], &[0.0, 0.0])),
        "all weights in column `w` are zero"
    );
    assert!(refused(&labelled(&Array2::zeros((2, 0)), &[0.0, 1.0])).contains("has no slots"));
}

#[test]
fn an_infinite_feature_is_refused_with_its_place() {
    let error = refused(&labelled(&array![[1.0], [f64::INFINITY]], &[0.0, 1.0]));
    assert!(error.contains("column `features[x0]`, row 1"), "{error}");
}

#[test]
fn a_constant_label_is_one_leaf_with_its_very_value() {
    let data = labelled(&array![[1.0], [2.0], [3.0]], &[0.1, 0.1, 0.1]);
    let params = RandomForestRegressorParams {
        num_trees: 20,
        ..Default::default()
    };
    let fitted = fit(params, &data, &Run::local(0, 1)).unwrap();
    assert_eq!(fitted.model.scorer.nodes.len(), 20);
    let found = column(&fitted.model, &data, "prediction");
    // Twenty times 0.1 by 20 rounds once or twice.
    assert!(found.iter().all(|p| (p - 0.1).abs() < 1e-16), "{found:?}");
    let tree = fit(
        DecisionTreeRegressorParams::default(),
        &data,
        &Run::local(0, 1),
    )
    .unwrap();
    assert_eq!(column(&tree.model, &data, "prediction"), [0.1; 3]);
}

#[test]
fn one_row_and_features_that_are_all_missing_give_a_leaf() {
    let data = labelled(&array![[1.0]], &[3.5]);
    let fitted = fit(
        RandomForestRegressorParams::default(),
        &data,
        &Run::local(0, 1),
    )
    .unwrap();
    // A draw that leaves no row at all is a tree of every row.
    assert_eq!(column(&fitted.model, &data, "prediction"), [3.5]);
    let data = labelled(
        &array![[f64::NAN], [f64::NAN], [f64::NAN]],
        &[0.0, 1.0, 1.0],
    );
    let tree = fit(
        DecisionTreeClassifierParams::default(),
        &data,
        &Run::local(0, 1),
    )
    .unwrap();
    assert_eq!(column(&tree.model, &data, "prediction"), [1.0; 3]);
}

#[test]
fn labels_of_any_size_keep_their_digits() {
    for scale in [1e-300, 1.0, 1e300] {
        let y = [1.0, 2.0, 3.0, 4.0, 5.0].map(|v| v * scale);
        let data = labelled(&array![[1.0], [2.0], [3.0], [4.0], [5.0]], &y);
        let fitted = fit(
            DecisionTreeRegressorParams::default(),
            &data,
            &Run::local(0, 1),
        )
        .unwrap();
        for (found, y) in column(&fitted.model, &data, "prediction")
            .into_iter()
            .zip(y)
        {
            // Labels are kept to 2^-52 of their range.
            assert!((found / y - 1.0).abs() < 1e-14, "{found} against {y}");
        }
    }
}

#[test]
fn every_parameter_out_of_range_is_told_at_once() {
    let params = RandomForestClassifierParams {
        num_trees: 0,
        max_depth: 101,
        max_bins: 1,
        min_instances_per_node: 0,
        min_weight_fraction_per_node: 0.5,
        min_info_gain: f64::NAN,
        subsampling_rate: 0.0,
        feature_subset_strategy: FeatureSubset::Fraction(1.5),
        bootstrap: false,
        prediction_col: String::new(),
        ..RandomForestClassifierParams::default()
    };
    let errors = RandomForestClassifier::build(params, &Registry::new())
        .err()
        .unwrap();
    assert_eq!(errors.0.len(), 9, "{errors}");
}

fn spoil(name: &str, change: impl Fn(&mut emberline_pipeline::persist::Numbers)) -> Option<String> {
    let fitted = fit(
        DecisionTreeClassifierParams::default(),
        &table(300, "spoil"),
        &Run::local(0, 1),
    )
    .unwrap();
    let (state, arrays) = saved(&fitted.model);
    let load = |state: &Value, arrays: &Arrays| {
        ClassifierModel::<ForestClassifier>::load(state, arrays, &Registry::new())
    };
    assert!(load(&state, &arrays).is_ok());
    let mut tensor = arrays.tensors()[name].clone();
    change(&mut tensor.numbers);
    let mut spoilt = arrays;
    spoilt.insert(name, tensor);
    load(&state, &spoilt)
        .err()
        .map(|e| Error::from(e).to_string())
}

#[test]
fn a_forest_that_would_loop_or_point_outside_is_not_loaded() {
    use emberline_pipeline::persist::Numbers;
    let set = |i: usize, v: u32| {
        move |n: &mut Numbers| {
            if let Numbers::U32(all) = n {
                all[i] = v;
            }
        }
    };
    let bad = [
        spoil("child", set(0, 0)),
        spoil("child", set(1, 1)),
        spoil("child", set(0, u32::MAX)),
        spoil("feature", set(0, 5)),
        spoil("tree_start", set(0, 1)),
        spoil("leaf_class", set(0, 3)),
        spoil("leaf_offset", set(1, 0)),
        spoil("threshold", |n| {
            if let Numbers::F64(all) = n {
                all[0] = f64::NAN;
            }
        }),
        spoil("kind", |n| {
            if let Numbers::U8(all) = n {
                all[0] = 2; // a nominal node without a set
            }
        }),
        spoil("kind", |n| {
            if let Numbers::U8(all) = n {
                all.pop();
            }
        }),
        spoil("leaf_share", |n| {
            if let Numbers::F64(all) = n {
                all[0] = 0.0;
            }
        }),
    ];
    for (i, error) in bad.iter().enumerate() {
        let error = error
            .as_deref()
            .unwrap_or_else(|| panic!("case {i} was loaded"));
        assert!(
            error.contains("the saved stage `forest` is invalid"),
            "{error}"
        );
    }
}

#[test]
fn a_source_without_rows_is_refused() {
    let error = refused(&labelled(&Array2::zeros((0, 2)), &[]));
    assert!(error.contains("no rows"), "{error}");
    let params = DecisionTreeRegressorParams::default();
    let error = fit(
        params,
        &labelled(&Array2::zeros((0, 2)), &[]),
        &Run::local(0, 1),
    )
    .err()
    .unwrap();
    assert!(
        matches!(error, Error::Data(DataError::Unusable(_))),
        "{error}"
    );
}
