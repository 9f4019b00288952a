//! Promise 1: the same model file for any number of partitions and threads, and for every training run.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use common::train_with;

/// `source, stages` of a small run for every learner and for the feature stages that learn.
const RUNS: &[(&str, &str, &str)] = &[
    (
        "logistic",
        "pendigits",
        "[[pipeline]]\nstage = \"logistic_regression\"\nreg_param = 0.01\nmax_iter = 15",
    ),
    (
        "elastic net",
        "breast_cancer",
        "[[pipeline]]\nstage = \"logistic_regression\"\nreg_param = 0.01\nelastic_net_param = 0.5",
    ),
    (
        "one-vs-rest",
        "pendigits",
        "[[pipeline]]\nstage = \"one_vs_rest\"\nclassifier = { stage = \"logistic_regression\", max_iter = 10 }",
    ),
    (
        "one-vs-rest of trees",
        "iris",
        "[[pipeline]]\nstage = \"one_vs_rest\"\nclassifier = { stage = \"decision_tree_classifier\", max_depth = 3 }",
    ),
    (
        "tree",
        "pendigits",
        "[[pipeline]]\nstage = \"decision_tree_classifier\"\nmax_depth = 8",
    ),
    (
        "forest",
        "pendigits",
        "[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 8\nmax_depth = 10\noob_score = true",
    ),
    (
        "regression tree",
        "winequality_white",
        "[[pipeline]]\nstage = \"decision_tree_regressor\"\nmax_depth = 6",
    ),
    (
        "regression forest",
        "winequality_white",
        "[[pipeline]]\nstage = \"random_forest_regressor\"\nnum_trees = 8\nmax_depth = 8",
    ),
    (
        "k-means||",
        "pendigits",
        "[[pipeline]]\nstage = \"kmeans\"\nk = 10\nn_init = 2\nmax_iter = 10",
    ),
    (
        "k-means++",
        "pendigits",
        "[[pipeline]]\nstage = \"kmeans\"\nk = 5\ninit_mode = \"k-means++\"\nmax_iter = 10",
    ),
    (
        "random start",
        "pendigits",
        "[[pipeline]]\nstage = \"kmeans\"\nk = 5\ninit_mode = \"random\"\nmax_iter = 10",
    ),
    (
        "least squares",
        "winequality_white",
        "[[pipeline]]\nstage = \"linear_regression\"",
    ),
    (
        "lasso",
        "winequality_white",
        "[[pipeline]]\nstage = \"linear_regression\"\nreg_param = 0.1\nelastic_net_param = 1.0",
    ),
    ("pca", "pendigits", "[[pipeline]]\nstage = \"pca\"\nk = 4"),
    (
        "standard scaler",
        "pendigits",
        "[[pipeline]]\nstage = \"standard_scaler\"\nwith_mean = true",
    ),
    (
        "min-max scaler",
        "pendigits",
        "[[pipeline]]\nstage = \"min_max_scaler\"",
    ),
    (
        "max-abs scaler",
        "pendigits",
        "[[pipeline]]\nstage = \"max_abs_scaler\"",
    ),
    (
        "robust scaler",
        "pendigits",
        "[[pipeline]]\nstage = \"robust_scaler\"",
    ),
];

fn digest(source: &str, stages: &str, partitions: usize, threads: usize) -> String {
    let text = format!(
        "seed = 7\n[data]\nsource = \"bundled:{source}\"\n[data.split]\ntest = 0.25\nstratify = {}\n[[pipeline]]\n\
         stage = \"vector_assembler\"\n{stages}\n",
        !source.starts_with("wine")
    );
    let set = [
        format!("data.partitions={partitions}"),
        format!("engine.threads={threads}"),
    ];
    common::digest(&train_with(&text, &[&set[0], &set[1]]))
}

#[test]
fn partitions_and_threads_change_no_byte_of_any_model() {
    for (name, source, stages) in RUNS {
        let reference = digest(source, stages, 1, 1);
        for (partitions, threads) in [(1, 1), (2, 2), (3, 4), (7, 1), (64, 2)] {
            assert_eq!(
                digest(source, stages, partitions, threads),
                reference,
                "{name}: {partitions} partitions, {threads} threads"
            );
        }
    }
}

#[test]
fn the_mixed_pipeline_gives_the_same_bytes_too() {
    let text = common::example("adult_logistic.toml")
        .replace("reg_param = 0.0001", "reg_param = 0.0001\nmax_iter = 8");
    let digest = |set: &[&str]| common::digest(&train_with(&text, set));
    let reference = digest(&["data.partitions=1", "engine.threads=1"]);
    assert_eq!(
        digest(&["data.partitions=7", "engine.threads=4"]),
        reference
    );
    assert_eq!(
        digest(&["data.partitions=64", "engine.threads=2"]),
        reference
    );
}

#[test]
fn a_memory_limit_changes_no_byte() {
    let text = common::example("pendigits_forest.toml").replace("num_trees = 100", "num_trees = 4");
    let digest = |set: &[&str]| common::digest(&train_with(&text, set));
    assert_eq!(digest(&["data.memory_limit=\"1MiB\""]), digest(&[]));
}

#[test]
fn another_seed_gives_another_forest() {
    let text = common::example("pendigits_forest.toml").replace("num_trees = 100", "num_trees = 4");
    let digest = |set: &[&str]| common::digest(&train_with(&text, set));
    assert_ne!(digest(&["seed=1"]), digest(&["seed=2"]));
}
