//! From a config over bundled data to a model file and back, with real stages.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use emberline_algorithms::registry;
use emberline_pipeline::config::Config;
use emberline_pipeline::datasets::{SourceOptions, source};
use emberline_pipeline::{
    EvaluateOptions, ModelFile, TrainOutcome, TrainPlan, evaluate_model, predict, train,
};

fn config(partitions: usize, threads: usize, stages: &str) -> Config {
    let text = format!(
        r#"
name = "flowers"
seed = 42
[data]
source = "bundled:iris"
partitions = {partitions}
[data.split]
test = 0.25
stratify = true
[[pipeline]]
stage = "vector_assembler"
inputs = ["*"]
{stages}
[engine]
threads = {threads}
"#
    );
    Config::parse("flowers.toml", &text, &[], &registry()).unwrap()
}

fn trained(config: &Config) -> TrainOutcome {
    let plan = TrainPlan::from_config(config, &registry()).unwrap();
    train(&plan, &registry(), &config.run()).unwrap()
}

const LEARNERS: [&str; 5] = [
    "[[pipeline]]\nstage = \"logistic_regression\"\nreg_param = 0.01",
    "[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 10",
    "[[pipeline]]\nstage = \"decision_tree_classifier\"",
    "[[pipeline]]\nstage = \"one_vs_rest\"\nclassifier = { stage = \"logistic_regression\" }",
    "[[pipeline]]\nstage = \"standard_scaler\"\n[[pipeline]]\nstage = \"kmeans\"\nk = 3",
];

#[test]
fn every_learner_saves_the_same_bytes_for_any_partitions_and_threads_and_comes_back() {
    for learner in LEARNERS {
        let outcome = trained(&config(1, 1, learner));
        let bytes = outcome.model_file.to_bytes().unwrap();
        for (partitions, threads) in [(3, 2), (64, 4)] {
            let again = trained(&config(partitions, threads, learner)).model_file;
            assert!(
                again.to_bytes().unwrap() == bytes,
                "{learner}, {partitions} partitions, {threads} threads"
            );
        }
        let loaded = ModelFile::from_bytes(&bytes, "flowers.ember", &registry()).unwrap();
        assert!(loaded.to_bytes().unwrap() == bytes, "{learner}");
        let verification = loaded.verify().unwrap();
        assert!(
            verification.is_ok() && verification.rows == 8,
            "{learner}: {verification:?}"
        );
        let metrics = outcome.metrics.unwrap();
        assert!(
            !metrics.values.is_empty() && metrics.rows == 38,
            "{learner}: {metrics:?}"
        );
    }
}

#[test]
fn a_loaded_model_predicts_rows_without_their_label_and_knows_its_training_rows() {
    let outcome = trained(&config(1, 1, LEARNERS[0]));
    let bytes = outcome.model_file.to_bytes().unwrap();
    let loaded = ModelFile::from_bytes(&bytes, "flowers.ember", &registry()).unwrap();
    let iris = source::open(&SourceOptions::new("bundled:iris")).unwrap();
    let asked = ["prediction".to_owned()];
    let predicted = predict(&loaded.model, &iris, Some(&asked)).unwrap();
    let batch = predicted.read(0, None).unwrap();
    assert_eq!(
        (batch.num_rows(), batch.text("prediction").unwrap().value(0)),
        (150, "setosa")
    );
    let run = config(1, 1, LEARNERS[0]).run();
    let all = evaluate_model(
        &loaded,
        &iris,
        &EvaluateOptions::default(),
        &registry(),
        &run,
    )
    .unwrap();
    // 112 of the 150 flowers were learnt from; each sketch holds every hash, so the share is that of distinct rows.
    assert!(
        (0.70..0.80).contains(&all.training_share.unwrap()),
        "{:?}",
        all.training_share
    );
    assert!(all.warnings[0].contains("flatter"), "{:?}", all.warnings);
}
