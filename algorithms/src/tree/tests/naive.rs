//! Against a tree grown by the definition: every threshold of every feature, impurities from their formulas.

use emberline_pipeline::Run;
use ndarray::Array2;

use super::{column, fit, noisy_labels, random_features, stream};
use crate::classification::decision_tree_classifier::DecisionTreeClassifierParams;
use crate::regression::decision_tree_regressor::DecisionTreeRegressorParams;
use crate::testing::labelled;
use crate::tree::Impurity;

enum Naive {
    Leaf(f64),
    Split {
        feature: usize,
        threshold: f64,
        missing_left: bool,
        children: Box<[Naive; 2]>,
    },
}

type Measure = fn(&[f64]) -> f64;

fn shares(y: &[f64]) -> Vec<f64> {
    let mut counts = std::collections::BTreeMap::new();
    y.iter()
        .for_each(|v| *counts.entry(*v as i64).or_insert(0.0) += 1.0 / y.len() as f64);
    counts.into_values().collect()
}

fn gini(y: &[f64]) -> f64 {
    1.0 - shares(y).iter().map(|p| p * p).sum::<f64>()
}

fn entropy(y: &[f64]) -> f64 {
    -shares(y).iter().map(|p| p * p.log2()).sum::<f64>()
}

fn variance(y: &[f64]) -> f64 {
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    y.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / y.len() as f64
}

fn majority(y: &[f64]) -> f64 {
    let count = |c: f64| y.iter().filter(|v| **v == c).count();
    let mut best = y.iter().copied().fold(f64::INFINITY, f64::min);
    for c in 0..10 {
        if count(f64::from(c)) > count(best) {
            best = f64::from(c);
        }
    }
    best
}

fn mean(y: &[f64]) -> f64 {
    y.iter().sum::<f64>() / y.len() as f64
}

struct Rules {
    impurity: Measure,
    leaf: Measure,
    depth: usize,
    min_rows: usize,
}

/// Gain, feature, threshold, side of missing values, rows left and right.
type Found = (f64, usize, f64, bool, Vec<usize>, Vec<usize>);

fn grow(x: &Array2<f64>, y: &[f64], rows: &[usize], rules: &Rules, depth: usize) -> Naive {
    let labels = |rows: &[usize]| rows.iter().map(|i| y[*i]).collect::<Vec<f64>>();
    let own = labels(rows);
    let leaf = Naive::Leaf((rules.leaf)(&own));
    if depth == rules.depth || own.iter().all(|v| *v == own[0]) {
        return leaf;
    }
    let mut best: Option<Found> = None;
    for j in 0..x.ncols() {
        let mut values: Vec<f64> = rows
            .iter()
            .map(|i| x[(*i, j)])
            .filter(|v| !v.is_nan())
            .collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let any_missing = rows.iter().any(|i| x[(*i, j)].is_nan());
        let mut thresholds: Vec<f64> = values.windows(2).map(|w| (w[0] + w[1]) / 2.0).collect();
        for missing_left in [false, true] {
            if missing_left && !any_missing {
                continue;
            }
            if any_missing && !missing_left && !values.is_empty() {
                thresholds.push(f64::MAX); // missing against the rest
            }
            for t in thresholds
                .iter()
                .filter(|t| !missing_left || **t < f64::MAX)
            {
                let left = |i: &usize| {
                    if x[(*i, j)].is_nan() {
                        missing_left
                    } else {
                        x[(*i, j)] <= *t
                    }
                };
                let (l, r): (Vec<usize>, Vec<usize>) = rows.iter().partition(|i| left(i));
                if l.len() < rules.min_rows || r.len() < rules.min_rows {
                    continue;
                }
                let n = rows.len() as f64;
                let after = [&l, &r].map(|s| s.len() as f64 / n * (rules.impurity)(&labels(s)));
                let gain = (rules.impurity)(&own) - after[0] - after[1];
                // Ties go to the first: gains of equal splits differ by rounding only.
                if best.as_ref().is_none_or(|b| gain > b.0 + 1e-12) {
                    best = Some((gain, j, *t, missing_left, l, r));
                }
            }
        }
    }
    let Some((_, feature, threshold, missing_left, l, r)) = best else {
        return leaf;
    };
    let missing_here = rows.iter().any(|i| x[(*i, feature)].is_nan());
    Naive::Split {
        feature,
        threshold,
        missing_left: if missing_here {
            missing_left
        } else {
            l.len() >= r.len()
        },
        children: Box::new([
            grow(x, y, &l, rules, depth + 1),
            grow(x, y, &r, rules, depth + 1),
        ]),
    }
}

impl Naive {
    fn predict(&self, x: &[f64]) -> f64 {
        match self {
            Self::Leaf(value) => *value,
            Self::Split {
                feature,
                threshold,
                missing_left,
                children,
            } => {
                let v = x[*feature];
                let left = if v.is_nan() {
                    *missing_left
                } else {
                    v <= *threshold
                };
                children[usize::from(!left)].predict(x)
            }
        }
    }

    fn nodes(&self) -> usize {
        match self {
            Self::Leaf(_) => 1,
            Self::Split { children, .. } => 1 + children[0].nodes() + children[1].nodes(),
        }
    }
}

#[test]
fn classification_trees_are_those_of_the_definition() {
    for (impurity, measure) in [
        (Impurity::Gini, gini as Measure),
        (Impurity::Entropy, entropy),
    ] {
        for (case, missing) in [("a", 0.0), ("b", 0.15), ("c", 0.4), ("d", 0.0)] {
            for (n, levels, min_rows) in [(12, 4, 1), (60, 8, 1), (200, 30, 3), (400, 1000, 7)] {
                let x = random_features(n, 4, levels, missing, case);
                let y = noisy_labels(&x, 3, case);
                let params = DecisionTreeClassifierParams {
                    impurity,
                    max_depth: 7,
                    max_bins: 255,
                    min_instances_per_node: min_rows,
                    ..DecisionTreeClassifierParams::default()
                };
                // Up to 255 distinct values all thresholds are candidates; coarsen what has more.
                let x = x.mapv(|v| (v / (levels as f64 / 200.0).ceil()).floor());
                let rules = Rules {
                    impurity: measure,
                    leaf: majority,
                    depth: 7,
                    min_rows: min_rows as usize,
                };
                let naive = grow(&x, &y, &(0..n).collect::<Vec<_>>(), &rules, 0);
                let data = labelled(&x, &y);
                let fitted = fit(params, &data, &Run::local(0, 1)).unwrap();
                assert_eq!(
                    fitted.model.scorer.nodes.len(),
                    naive.nodes(),
                    "{impurity:?} {case} {n}"
                );
                let fresh = random_features(300, 4, levels, 0.2, "fresh").mapv(|v| v + 0.25);
                for rows in [&x, &fresh] {
                    let expected: Vec<f64> = rows
                        .rows()
                        .into_iter()
                        .map(|r| naive.predict(r.as_slice().unwrap()))
                        .collect();
                    let all = labelled(rows, &vec![0.0; rows.nrows()]);
                    assert_eq!(
                        column(&fitted.model, &all, "prediction"),
                        expected,
                        "{impurity:?} {case} {n}"
                    );
                }
            }
        }
    }
}

#[test]
fn regression_trees_are_those_of_the_definition() {
    for (case, missing) in [("e", 0.0), ("f", 0.2)] {
        for (n, levels, min_rows) in [(12, 4, 1), (80, 10, 2), (300, 100, 1)] {
            let x = random_features(n, 3, levels, missing, case);
            let mut s = stream(case);
            let y: Vec<f64> = x
                .rows()
                .into_iter()
                .map(|r| 1e3 + if r[0] > 3.0 { r[1] } else { 0.0 } + s.normal())
                .collect();
            let y: Vec<f64> = y
                .into_iter()
                .map(|v| if v.is_nan() { 7.0 } else { v })
                .collect();
            let params = DecisionTreeRegressorParams {
                max_depth: 6,
                min_instances_per_node: min_rows,
                ..DecisionTreeRegressorParams::default()
            };
            let rules = Rules {
                impurity: variance,
                leaf: mean,
                depth: 6,
                min_rows: min_rows as usize,
            };
            let naive = grow(&x, &y, &(0..n).collect::<Vec<_>>(), &rules, 0);
            let data = labelled(&x, &y);
            let fitted = fit(params, &data, &Run::local(0, 1)).unwrap();
            assert_eq!(fitted.model.scorer.nodes.len(), naive.nodes(), "{case} {n}");
            let found = column(&fitted.model, &data, "prediction");
            for (row, found) in x.rows().into_iter().zip(found) {
                let expected = naive.predict(row.as_slice().unwrap());
                // The reference's own sums of labels near 1,000 round at 1e-13 each.
                assert!(
                    (found - expected).abs() < 1e-10,
                    "{case} {n}: {found} against {expected}"
                );
            }
        }
    }
}
