//! The leakage sentinel: a stage that records which rows it is fitted on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use emberline::datasets::{Folds, SchemaErrors};
use emberline::pipeline::train::Lock;
use emberline::prelude::*;
use serde_json::Value;

use super::labelled;
use crate::common::dice::{Dice, amount};

/// Records the ids of the rows that it is fitted on, and changes nothing.
#[derive(Clone, Default)]
struct Sentinel(Arc<Mutex<Vec<BTreeSet<u64>>>>);

impl Stage for Sentinel {
    fn name(&self) -> &str {
        "sentinel"
    }

    fn output_schema(&self, input: &Schema) -> std::result::Result<Schema, SchemaErrors> {
        Ok(input.clone())
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec!["x0".to_owned()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        Vec::new()
    }

    fn params(&self) -> Value {
        Value::Object(serde_json::Map::new())
    }
}

impl Estimator for Sentinel {
    type Model = PipelineModel;

    fn fit(&self, data: &Dataset, _: &Run) -> Result<Fitted<PipelineModel>> {
        self.0.lock().unwrap().push(ids(data));
        Ok(Fitted {
            model: PipelineModel::new(Vec::new(), data.schema().clone()),
            report: FitReport::default(),
        })
    }
}

fn ids(data: &Dataset) -> BTreeSet<u64> {
    let columns = [data.schema().columns()[0].name.clone()];
    let batches = data.batches(Some(&columns)).unwrap();
    batches
        .flat_map(|b| b.unwrap().row_ids().to_vec())
        .collect()
}

/// A pipeline of this many stages drawn from the registry, a sentinel before, between and after them.
fn watched(registry: &Registry, sentinel: &Sentinel, dice: &mut Dice) -> Pipeline {
    let build = |name: &str, params: &str| {
        let params: toml::Table = params.parse().unwrap();
        registry
            .get(name)
            .unwrap()
            .build(&params, registry)
            .unwrap()
    };
    let features = [
        ("standard_scaler", "inputs = [\"x0\", \"features\"]"),
        ("min_max_scaler", "inputs = [\"x1\"]"),
        ("imputer", "inputs = [\"x0\", \"x2\"]"),
        ("string_indexer", "input = \"text\"\noutput = \"number\""),
        (
            "quantile_discretizer",
            "input = \"x2\"\noutput = \"bucket\"",
        ),
        ("one_hot_encoder", "input = \"index\"\noutput = \"spread\""),
        ("pca", "k = 2"),
        ("robust_scaler", "inputs = [\"x1\", \"features\"]"),
    ];
    let learners = [
        ("logistic_regression", "max_iter = 5"),
        ("random_forest_classifier", "num_trees = 2\nmax_depth = 3"),
        ("decision_tree_classifier", "max_depth = 3"),
        (
            "one_vs_rest",
            "classifier = { stage = \"logistic_regression\", max_iter = 3 }",
        ),
    ];
    let mut pipeline = Pipeline::builder().push(AnyStage::Estimator(Arc::new(sentinel.clone())));
    let first = dice.below(features.len());
    for k in 0..=dice.below(3) {
        let (name, params) = features[(first + k) % features.len()];
        pipeline = pipeline
            .push(build(name, params))
            .push(AnyStage::Estimator(Arc::new(sentinel.clone())));
    }
    let (name, params) = learners[dice.below(learners.len())];
    pipeline
        .push(build(name, params))
        .push(AnyStage::Estimator(Arc::new(sentinel.clone())))
        .build()
        .unwrap()
}

#[test]
fn no_stage_sees_a_held_out_row_when_it_is_fitted() {
    let registry = emberline::registry();
    let pipelines = amount("EMBERLINE_SENTINELS", 50);
    let (mut fits, mut leaked) = (0, 0);
    for seed in 0..pipelines as u64 {
        let mut dice = Dice(seed);
        let split = match seed % 3 {
            0 => Split::new(0.25, seed),
            1 => Split::new(0.2, seed).stratified("class"),
            _ => Split::new(0.3, seed).grouped("whole"),
        };
        let table = labelled(240, seed, Kind::Classifier);
        let assigned = |partitions: usize| {
            let parts = table
                .dataset()
                .unwrap()
                .repartition(partitions)
                .split(&split)
                .unwrap();
            (ids(&parts.train), ids(&parts.test))
        };
        let (train_ids, test_ids) = assigned(1);
        assert!(train_ids.is_disjoint(&test_ids) && train_ids.len() + test_ids.len() == 240);
        for partitions in [2, 7, 64] {
            assert_eq!(
                assigned(partitions),
                (train_ids.clone(), test_ids.clone()),
                "{partitions} partitions"
            );
        }
        let sentinel = Sentinel::default();
        let pipeline = watched(&registry, &sentinel, &mut dice);
        let partitions = 1 + dice.below(9);
        let data = table.dataset().unwrap().repartition(partitions);
        let plan = TrainPlan::new("watched", data, pipeline).split(split);
        let outcome = train(&plan, &registry, &Run::local(seed, 1)).unwrap();
        assert_eq!(outcome.rows.test as usize, test_ids.len());
        let seen = std::mem::take(&mut *sentinel.0.lock().unwrap());
        assert!(
            seen.len() >= 3,
            "the sentinel was fitted {} times",
            seen.len()
        );
        for own in seen {
            fits += 1;
            leaked += own.intersection(&test_ids).count();
            assert_eq!(
                own, train_ids,
                "seed {seed}: a stage is fitted on other rows than those of training"
            );
        }
    }
    println!(
        "R-15: {pipelines}/{pipelines} pipelines, {leaked} held-out rows seen in {fits} fits, sides equal for 1, 2, 7 and 64 partitions"
    );
    assert_eq!(leaked, 0);
}

/// `emberline lock` fits once more without each fold: those fits see neither the fold nor the held-out rows.
#[test]
fn a_lock_refits_without_the_fold_it_leaves_out() {
    let registry = emberline::registry();
    let sentinel = Sentinel::default();
    let pipeline = watched(&registry, &sentinel, &mut Dice(7));
    let n_sentinels = pipeline
        .stages()
        .iter()
        .filter(|s| s.stage().name() == "sentinel")
        .count();
    let table = labelled(240, 3, Kind::Classifier);
    let split = Split::new(0.25, 11);
    let run = Run::local(5, 1);
    let folds = |partitions: usize| -> Vec<(BTreeSet<u64>, BTreeSet<u64>)> {
        let train = table
            .dataset()
            .unwrap()
            .repartition(partitions)
            .split(&split)
            .unwrap()
            .train;
        let parts = train.folds(&Folds::new(4, run.seed)).unwrap();
        parts
            .iter()
            .map(|p| (ids(&p.train), ids(&p.test)))
            .collect()
    };
    let expected = folds(1);
    for partitions in [2, 7, 64] {
        assert_eq!(folds(partitions), expected, "{partitions} partitions");
    }
    let held_out = ids(&table.dataset().unwrap().split(&split).unwrap().test);
    let plan = TrainPlan::new("locked", table.dataset().unwrap(), pipeline).split(split.clone());
    let (lock, _) = Lock::of(&plan, &registry, &run, 4).unwrap();
    assert_eq!(lock.folds, 4);
    let seen = sentinel.0.lock().unwrap().clone();
    assert_eq!(
        seen.len(),
        5 * n_sentinels,
        "one fit of all and one without each fold"
    );
    for (i, own) in seen.iter().enumerate().skip(n_sentinels) {
        let (train, test) = &expected[i / n_sentinels - 1];
        assert!(
            own.is_disjoint(test) && own.is_disjoint(&held_out) && own == train,
            "fit {i}"
        );
    }
}
