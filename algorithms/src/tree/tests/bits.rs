//! What must not change a bit: partitions, threads, the order of rows, weights for copies, monotone transforms.

use std::sync::Arc;

use emberline_pipeline::datasets::source::MemorySource;
use emberline_pipeline::datasets::{Batch, Dataset};
use emberline_pipeline::{Load, Registry, Run, Transformer};
use ndarray::{Array2, Axis};

use super::{column, fit, noisy_labels, random_features, saved, stream, table, weighted};
use crate::classification::decision_tree_classifier::DecisionTreeClassifierParams;
use crate::classification::random_forest_classifier::RandomForestClassifierParams;
use crate::regression::decision_tree_regressor::DecisionTreeRegressorParams;
use crate::regression::random_forest_regressor::RandomForestRegressorParams;
use crate::testing::labelled;
use crate::tree::FeatureSubset;

#[test]
fn partitions_and_threads_change_no_bit_of_a_forest() {
    let data = table(20_000, "bits"); // three blocks
    let classifier = RandomForestClassifierParams {
        num_trees: 3,
        max_depth: 8,
        oob_score: true,
        ..Default::default()
    };
    let regressor = RandomForestRegressorParams {
        num_trees: 3,
        max_depth: 6,
        oob_score: true,
        ..Default::default()
    };
    let all = |partitions: usize, threads: usize| {
        let (data, run) = (
            data.clone().repartition(partitions),
            Run::local(42, threads),
        );
        let (a, b) = (
            fit(classifier.clone(), &data, &run).unwrap(),
            fit(regressor.clone(), &data, &run).unwrap(),
        );
        (saved(&a.model), a.report, saved(&b.model), b.report)
    };
    let first = all(1, 1);
    for (partitions, threads) in [(1, 2), (2, 1), (3, 4), (7, 2), (64, 2)] {
        assert_eq!(
            first,
            all(partitions, threads),
            "{partitions} partitions, {threads} threads"
        );
    }
}

#[test]
fn a_single_tree_is_the_same_on_one_thread_and_on_many() {
    // 30,000 rows of 5 features: the upper nodes look at their features in parallel.
    let data = table(30_000, "single");
    let tree = |threads| {
        let params = DecisionTreeClassifierParams {
            max_depth: 6,
            ..Default::default()
        };
        saved(&fit(params, &data, &Run::local(0, threads)).unwrap().model)
    };
    assert_eq!(tree(1), tree(4));
}

#[test]
fn another_seed_gives_another_forest() {
    let data = table(500, "seeds");
    let forest = |seed, own| {
        let params = RandomForestClassifierParams {
            num_trees: 2,
            seed: own,
            ..Default::default()
        };
        saved(&fit(params, &data, &Run::local(seed, 1)).unwrap().model).1
    };
    assert_ne!(forest(1, None), forest(2, None));
    assert_eq!(forest(1, Some(7)), forest(2, Some(7)));
}

/// The rows in the order given, each with the id it had.
fn reordered(x: &Array2<f64>, y: &[f64], order: &[usize]) -> Dataset {
    let y: Vec<f64> = order.iter().map(|i| y[*i]).collect();
    let batch = labelled(&x.select(Axis(0), order), &y)
        .read(0, None)
        .unwrap();
    let ids = order.iter().map(|i| *i as u64).collect();
    let batch = Batch::new(batch.schema().clone(), batch.columns().to_vec(), ids).unwrap();
    Dataset::new(Arc::new(MemorySource::new(
        "shuffled",
        batch.schema().clone(),
        vec![batch],
    )))
}

#[test]
fn the_order_of_rows_changes_no_bit_while_their_ids_travel_along() {
    let x = random_features(2_000, 5, 300, 0.1, "order");
    let y = noisy_labels(&x, 4, "order");
    let straight: Vec<usize> = (0..2_000).collect();
    let mut shuffled = straight.clone();
    stream("shuffle").shuffle_front(&mut shuffled, 2_000);
    let run = Run::local(5, 2);
    let classifier = |order: &[usize]| {
        let params = RandomForestClassifierParams {
            num_trees: 4,
            max_depth: 10,
            ..Default::default()
        };
        saved(&fit(params, &reordered(&x, &y, order), &run).unwrap().model)
    };
    assert_eq!(classifier(&straight), classifier(&shuffled));
    let regressor = |order: &[usize]| {
        let params = RandomForestRegressorParams {
            num_trees: 4,
            max_depth: 10,
            ..Default::default()
        };
        saved(&fit(params, &reordered(&x, &y, order), &run).unwrap().model)
    };
    assert_eq!(regressor(&straight), regressor(&shuffled));
}

#[test]
fn a_weight_of_two_is_the_row_twice_and_a_weight_of_zero_is_no_row() {
    let x = random_features(600, 4, 100, 0.1, "copies");
    let y = noisy_labels(&x, 3, "copies");
    let mut s = stream("copies");
    let w: Vec<f64> = (0..600).map(|_| s.below(3) as f64).collect();
    let copies: Vec<usize> = (0..600)
        .flat_map(|i| std::iter::repeat_n(i, w[i] as usize))
        .collect();
    let copied = labelled(
        &x.select(Axis(0), &copies),
        &copies.iter().map(|i| y[*i]).collect::<Vec<_>>(),
    );
    let run = Run::local(0, 1);
    let classifier = || DecisionTreeClassifierParams {
        max_depth: 9,
        ..Default::default()
    };
    let regressor = || DecisionTreeRegressorParams {
        max_depth: 9,
        ..Default::default()
    };
    for scale in [1.0, 0.25] {
        // The scale of all weights means nothing; by a power of two it changes no bit.
        let w: Vec<f64> = w.iter().map(|v| v * scale).collect();
        let weighted = weighted(&x, &y, &w);
        let (a, b) = (
            fit(classifier(), &weighted, &run).unwrap(),
            fit(classifier(), &copied, &run).unwrap(),
        );
        assert_eq!(saved(&a.model).1, saved(&b.model).1);
        assert_eq!(a.report.importances, b.report.importances);
        let (a, b) = (
            fit(regressor(), &weighted, &run).unwrap(),
            fit(regressor(), &copied, &run).unwrap(),
        );
        assert_eq!(saved(&a.model).1, saved(&b.model).1);
    }
}

/// Rows of weight 1 have sums of their own for two classes, for up to 8, for up to 16 and for numbers; a weight column takes
/// the general way. All find the same splits, however their scores round.
#[test]
fn a_weight_of_one_is_no_weight() {
    let x = random_features(3_000, 6, 400, 0.1, "ones");
    let (ones, run) = (vec![1.0; 3_000], Run::local(4, 2));
    for n_classes in [2, 3, 8, 12, 20] {
        let y = noisy_labels(&x, n_classes, "ones");
        for (min_rows, max_depth) in [(1, 14), (5, 6)] {
            let forest = |data: &Dataset| {
                let params = RandomForestClassifierParams {
                    num_trees: 4,
                    max_depth,
                    min_instances_per_node: min_rows,
                    ..Default::default()
                };
                saved(&fit(params, data, &run).unwrap().model).1
            };
            assert_eq!(
                forest(&labelled(&x, &y)),
                forest(&weighted(&x, &y, &ones)),
                "{n_classes} classes, {min_rows} rows"
            );
        }
    }
    let y = noisy_labels(&x, 50, "ones");
    let forest = |data: &Dataset| {
        let params = RandomForestRegressorParams {
            num_trees: 3,
            max_depth: 12,
            feature_subset_strategy: FeatureSubset::Count(3),
            ..Default::default()
        };
        saved(&fit(params, data, &run).unwrap().model).1
    };
    assert_eq!(forest(&labelled(&x, &y)), forest(&weighted(&x, &y, &ones)));
}

/// Bins by row or by column, whole table or copies of subtrees: where they lie must not matter.
#[test]
fn features_that_say_nothing_change_no_split() {
    let x = random_features(12_000, 5, 300, 0.05, "wide");
    let y = noisy_labels(&x, 3, "wide");
    let wide = ndarray::concatenate(Axis(1), &[x.view(), Array2::zeros((12_000, 70)).view()]);
    let tree = |x: &Array2<f64>| {
        let params = DecisionTreeClassifierParams {
            max_depth: 12,
            ..Default::default()
        };
        let fitted = fit(params, &labelled(x, &y), &Run::local(0, 2)).unwrap();
        saved(&fitted.model).1
    };
    assert_eq!(tree(&x), tree(&wide.unwrap()));
}

#[test]
fn weights_that_are_no_whole_numbers_train_too() {
    let x = random_features(500, 3, 50, 0.0, "fractions");
    let y = noisy_labels(&x, 2, "fractions");
    let mut s = stream("fractions");
    let w: Vec<f64> = (0..500).map(|_| 1e-3 + s.uniform() * 1e3).collect();
    let params = DecisionTreeClassifierParams {
        max_depth: 60,
        ..Default::default()
    };
    let fitted = fit(params, &weighted(&x, &y, &w), &Run::local(0, 1)).unwrap();
    let right = column(&fitted.model, &labelled(&x, &y), "prediction")
        .iter()
        .zip(&y)
        .filter(|(a, b)| a == b)
        .count();
    // A full tree knows its training rows but for those that share all features with another.
    assert!(right >= 498, "{right}");
}

#[test]
fn a_monotone_transform_of_the_features_moves_no_training_row() {
    let x = random_features(800, 4, 120, 0.1, "monotone");
    let y = noisy_labels(&x, 3, "monotone");
    let cubed = x.mapv(|v| (v / 40.0 - 1.0).powi(3));
    let predicted = |x: &Array2<f64>| {
        // All rows are in the bag: midpoints move with the transform, and a row that a tree did not see may lie between.
        let params = RandomForestClassifierParams {
            num_trees: 5,
            max_depth: 8,
            bootstrap: false,
            ..Default::default()
        };
        let data = labelled(x, &y);
        column(
            &fit(params, &data, &Run::local(3, 1)).unwrap().model,
            &data,
            "prediction",
        )
    };
    assert_eq!(predicted(&x), predicted(&cubed));
}

#[test]
fn a_forest_of_all_rows_and_features_is_its_tree_many_times() {
    let data = table(400, "same");
    let run = Run::local(0, 2);
    let tree = fit(
        DecisionTreeClassifierParams {
            max_depth: 6,
            ..Default::default()
        },
        &data,
        &run,
    )
    .unwrap();
    let params = RandomForestClassifierParams {
        num_trees: 3,
        max_depth: 6,
        bootstrap: false,
        feature_subset_strategy: FeatureSubset::All,
        ..Default::default()
    };
    let forest = fit(params, &data, &run).unwrap();
    assert_eq!(
        forest.model.scorer.nodes.len(),
        3 * tree.model.scorer.nodes.len()
    );
    assert_eq!(
        column(&forest.model, &data, "prediction"),
        column(&tree.model, &data, "prediction")
    );
}

#[test]
fn a_saved_forest_comes_back_whole() {
    let data = table(700, "saved");
    let fitted = fit(
        RandomForestClassifierParams::default(),
        &data,
        &Run::local(1, 2),
    )
    .unwrap();
    let (state, arrays) = saved(&fitted.model);
    let loaded =
        emberline_pipeline::predictor::ClassifierModel::<crate::tree::ForestClassifier>::load(
            &state,
            &arrays,
            &Registry::new(),
        )
        .unwrap();
    assert_eq!((state, arrays), saved(&loaded));
    let batch = || data.read(0, None).unwrap();
    let (a, b) = (
        fitted.model.transform(batch()).unwrap(),
        loaded.transform(batch()).unwrap(),
    );
    assert_eq!(a.columns(), b.columns());
}

#[test]
fn one_record_gives_the_bits_of_a_batch() {
    use emberline_pipeline::Pipeline;
    use emberline_pipeline::row::Cell;
    let x = random_features(300, 4, 30, 0.1, "record");
    let data = labelled(&x, &noisy_labels(&x, 3, "record"));
    let params = RandomForestClassifierParams {
        num_trees: 7,
        ..Default::default()
    };
    let model = Pipeline::builder()
        .stage(params)
        .build()
        .unwrap()
        .fit(&data, &Run::local(0, 1))
        .unwrap()
        .model;
    let batch = model
        .transform_dataset(&data)
        .unwrap()
        .read(0, None)
        .unwrap();
    let probability = batch.vector("probability").unwrap();
    let mut scorer = model.scorer(data.schema()).unwrap();
    let (features, at) = (
        data.schema().index_of("features").unwrap(),
        scorer.position("probability").unwrap(),
    );
    let mut expected = vec![0.0; 3];
    for (i, row) in x.rows().into_iter().enumerate() {
        scorer.input()[features] = Cell::Vector(row.to_vec());
        assert!(scorer.score().unwrap());
        probability.read(i, &mut expected);
        assert_eq!(scorer.cell(at).vector(), expected);
    }
}
