//! Trees whose rows are nowhere all in one place are the trees that are grown in one place.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use emberline_pipeline::datasets::write::Manifest;
use emberline_pipeline::datasets::{Batch, Block, BlockSpec, Dataset, Format, Memory};
use emberline_pipeline::engine::{Boxed, ErasedExchange, ErasedRound, ErasedWork};
use emberline_pipeline::{Engine, Local, Pinned, Result, Run};

use super::{categorical, fit, noisy_labels, random_features, saved, weighted};
use crate::classification::decision_tree_classifier::DecisionTreeClassifierParams;
use crate::classification::random_forest_classifier::RandomForestClassifierParams;
use crate::regression::random_forest_regressor::RandomForestRegressorParams;
use crate::testing::labelled;
use crate::tree::{FeatureSubset, Impurity};

/// The local engine, which claims to have little room, and counts exchanges by name.
struct Cramped {
    inner: Local,
    room: u64,
    exchanges: Mutex<Vec<&'static str>>,
}

impl Engine for Cramped {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn cache(
        &self,
        parts: &[Dataset],
        columns: &[String],
        memory: &Memory,
    ) -> Result<Vec<Dataset>> {
        self.inner.cache(parts, columns, memory)
    }

    fn pin(&self, data: &Dataset, spec: &BlockSpec, run: &Run) -> Result<Pinned> {
        self.inner.pin(data, spec, run)
    }

    fn over_blocks(
        &self,
        data: &Pinned,
        round: &dyn ErasedRound<Block>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        self.inner.over_blocks(data, round, run)
    }

    fn over_batches(
        &self,
        data: &Dataset,
        columns: &[String],
        round: &dyn ErasedRound<Batch>,
        run: &Run,
    ) -> Result<Option<Boxed>> {
        self.inner.over_batches(data, columns, round, run)
    }

    fn each_batch(
        &self,
        data: &Dataset,
        run: &Run,
        each: &mut (dyn FnMut(Batch) -> Result<()> + Send),
    ) -> Result<()> {
        self.inner.each_batch(data, run, each)
    }

    fn write_parts(
        &self,
        data: &Dataset,
        folder: &Path,
        format: Format,
        run: &Run,
    ) -> Result<Manifest> {
        self.inner.write_parts(data, folder, format, run)
    }

    fn fan_out(
        &self,
        data: Arc<Pinned>,
        work: &dyn ErasedWork,
        pieces: Range<usize>,
        run: &Run,
        each: &mut (dyn FnMut(Boxed) -> Result<()> + Send),
    ) -> Result<()> {
        self.inner.fan_out(data, work, pieces, run, each)
    }

    fn room(&self) -> Result<Option<u64>> {
        Ok(Some(self.room))
    }

    fn exchange(
        &self,
        data: &Pinned,
        exchange: &dyn ErasedExchange,
        run: &Run,
    ) -> Result<Vec<Vec<u8>>> {
        self.exchanges.lock().unwrap().push(exchange.name());
        self.inner.exchange(data, exchange, run)
    }
}

/// Fits with all rows in one place and without, and compares; whether there were nodes of few rows, too.
fn compare<M: PartialEq>(what: &str, of: impl Fn(&Run) -> M) -> bool {
    let cramped = Arc::new(Cramped {
        inner: Local::new(3),
        room: 64 << 10,
        exchanges: Mutex::default(),
    });
    let expected = of(&Run::local(9, 2));
    let found = of(&Run::local(9, 2).with_engine(cramped.clone()));
    assert!(found == expected, "{what}");
    let exchanges = cramped.exchanges.lock().unwrap();
    assert!(exchanges.contains(&"tree/sum-nodes"), "{what}");
    exchanges.contains(&"tree/finish-nodes")
}

const ROWS: usize = 20_000; // three blocks

#[test]
fn forests_of_any_number_of_classes_are_the_same_to_the_bit() {
    let x = random_features(ROWS, 6, 300, 0.05, "apart");
    let classifier = RandomForestClassifierParams {
        num_trees: 3,
        max_depth: 9,
        oob_score: true,
        ..Default::default()
    };
    // Pairs, eight lanes, sixteen lanes, and any number of classes.
    for k in [2, 5, 12, 40] {
        let data = labelled(&x, &noisy_labels(&x, k, "apart"));
        let finished = compare(&format!("{k} classes"), |run| {
            let fitted = fit(classifier.clone(), &data, run).unwrap();
            (saved(&fitted.model), fitted.report)
        });
        assert!(
            finished,
            "{k} classes: no subtree was finished in one place"
        );
    }
    let data = labelled(&x, &noisy_labels(&x, 5, "apart"));
    let entropy = RandomForestClassifierParams {
        impurity: Impurity::Entropy,
        min_info_gain: 0.001,
        ..classifier
    };
    compare("entropy", |run| {
        saved(&fit(entropy.clone(), &data, run).unwrap().model)
    });
}

#[test]
fn forests_of_numbers_weights_and_categories_are_the_same_to_the_bit() {
    let x = random_features(ROWS, 6, 300, 0.05, "apart numbers");
    let y: Vec<f64> = x
        .rows()
        .into_iter()
        .map(|r| {
            r.iter()
                .filter(|v| !v.is_nan())
                .map(|v| (v / 40.0).sin())
                .sum()
        })
        .collect();
    let w: Vec<f64> = (0..ROWS).map(|i| (i % 5) as f64 / 4.0).collect();
    let regressor = RandomForestRegressorParams {
        num_trees: 3,
        max_depth: 9,
        feature_subset_strategy: FeatureSubset::OneThird,
        min_weight_fraction_per_node: 0.001,
        ..Default::default()
    };
    let (plain, heavy) = (labelled(&x, &y), weighted(&x, &y, &w));
    compare("numbers", |run| {
        saved(&fit(regressor.clone(), &plain, run).unwrap().model)
    });
    // Labels of two values: large nodes have rows of one label, which only the rows tell.
    let coarse: Vec<f64> = x.column(0).iter().map(|v| f64::from(*v > 150.0)).collect();
    let coarse = labelled(&x, &coarse);
    compare("two numbers", |run| {
        saved(&fit(regressor.clone(), &coarse, run).unwrap().model)
    });
    let with_weights = RandomForestRegressorParams {
        weight_col: Some("w".to_owned()),
        ..regressor
    };
    compare("weighted numbers", |run| {
        saved(&fit(with_weights.clone(), &heavy, run).unwrap().model)
    });
    let classes = weighted(&x, &noisy_labels(&x, 4, "apart weights"), &w);
    let classifier = RandomForestClassifierParams {
        num_trees: 3,
        max_depth: 9,
        weight_col: Some("w".to_owned()),
        ..Default::default()
    };
    compare("weighted classes", |run| {
        saved(&fit(classifier.clone(), &classes, run).unwrap().model)
    });
    let x = random_features(ROWS, 5, 20, 0.05, "apart categories");
    for k in [2, 4] {
        let data = categorical(&x, &noisy_labels(&x, k, "apart categories"), 20);
        let classifier = RandomForestClassifierParams {
            num_trees: 2,
            max_depth: 7,
            ..Default::default()
        };
        compare("categories", |run| {
            saved(&fit(classifier.clone(), &data, run).unwrap().model)
        });
    }
}

#[test]
fn constant_features_wide_rows_and_trees_of_all_features_are_the_same_to_the_bit() {
    // Most features are constant: nodes draw on until they have seen enough others.
    let mut x = random_features(ROWS, 12, 9, 0.0, "apart constant");
    for j in 2..12 {
        x.column_mut(j).fill(1.0);
    }
    let data = labelled(&x, &noisy_labels(&x, 3, "apart constant"));
    let classifier = RandomForestClassifierParams {
        num_trees: 2,
        max_depth: 5,
        ..Default::default()
    };
    compare("constant features", |run| {
        saved(&fit(classifier.clone(), &data, run).unwrap().model)
    });
    // Over 64 features stand by column.
    let x = random_features(ROWS, 70, 4, 0.1, "apart wide");
    let wide = labelled(&x, &noisy_labels(&x, 3, "apart wide"));
    compare("wide rows", |run| {
        saved(&fit(classifier.clone(), &wide, run).unwrap().model)
    });
    let x = random_features(ROWS, 5, 300, 0.05, "apart all");
    let data = labelled(&x, &noisy_labels(&x, 3, "apart all"));
    let tree = DecisionTreeClassifierParams {
        max_depth: 8,
        ..Default::default()
    };
    compare("all features", |run| {
        saved(&fit(tree.clone(), &data, run).unwrap().model)
    });
}
