//! Example reports for the tests: one for each kind of task.

use super::*;

/// A generator of numbers from 0 to 1 that look irregular enough for a plot.
fn noise(i: usize) -> f64 {
    (i as f64 * 12.9898)
        .sin()
        .mul_add(43_758.545, 0.0)
        .rem_euclid(1.0)
}

fn group(heading: &str, rows: &[(&str, &str)]) -> FactGroup {
    FactGroup {
        heading: heading.to_owned(),
        rows: rows
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

fn stage(name: &str, seconds: f64, rounds: Option<u64>, summary: &str) -> StageTiming {
    StageTiming {
        name: name.to_owned(),
        seconds,
        rounds,
        summary: summary.to_owned(),
    }
}

/// A curve that bends towards the corner at the left (or the right) top.
fn curve(name: &str, bend: f64, falls: bool, n: usize) -> Curve {
    let point = |i: usize| {
        let x = i as f64 / (n - 1) as f64;
        if falls {
            (x, 1.0 - x.powf(bend))
        } else {
            (x, 1.0 - (1.0 - x).powf(bend))
        }
    };
    let auc = if falls {
        bend / (bend + 1.0)
    } else {
        1.0 - 1.0 / (bend + 1.0)
    };
    Curve {
        name: name.to_owned(),
        points: (0..n).map(point).collect(),
        auc: Some(auc),
    }
}

/// A classification of `n` classes with all its plots.
pub(crate) fn classification(n: usize) -> Report {
    let labels: Vec<String> = (0..n)
        .map(|i| {
            if n > 10 {
                char::from(b'A' + (i % 26) as u8).to_string()
            } else {
                i.to_string()
            }
        })
        .collect();
    let errors = |t: usize, p: usize| {
        if noise(t * 31 + p * 7) > 0.8 {
            (noise(t + p * 13) * 9.0).floor()
        } else {
            0.0
        }
    };
    let cell = |t: usize, p: usize| {
        if t == p {
            240.0 + (noise(t) * 40.0).floor()
        } else {
            errors(t, p)
        }
    };
    let matrix: Vec<Vec<f64>> = (0..n)
        .map(|t| (0..n).map(|p| cell(t, p)).collect())
        .collect();
    let support = |t: usize| matrix[t].iter().sum::<f64>();
    let scores = |t: usize| ClassScores {
        class: labels[t].clone(),
        precision: 0.97 + noise(t) * 0.03,
        recall: matrix[t][t] / support(t),
        f1: 0.96 + noise(t + 1) * 0.04,
        support: support(t),
    };
    Report {
        title: "pendigits-forest".to_owned(),
        generated_by: "emberline 0.1.0".to_owned(),
        task: "multiclass classification of digit".to_owned(),
        facts: vec![
            group("Data", &[("source", "bundled:pendigits"), ("training rows", "8,244"), ("held-out rows", "2,748"), ("features", "16")]),
            group("Split", &[("kind", "stratified by digit"), ("held out", "25 %"), ("seed", "42")]),
            group("Engine", &[("engine", "local"), ("threads", "4"), ("partitions", "8"), ("model", "sha256 4be1…09af")]),
        ],
        metrics: [("accuracy", 0.989_083), ("f1_weighted", 0.989_05), ("f1_macro", 0.989_1), ("log_loss", 0.1284), ("auc_macro", 0.9997)]
            .map(|(name, value)| NamedValue::new(name, value))
            .to_vec(),
        per_class: (0..n).map(scores).collect(),
        stages: vec![
            stage("vector_assembler", 0.0004, None, "16 columns into features"),
            stage("standard_scaler", 0.031, Some(1), "mean 0, deviation 1"),
            stage("random_forest_classifier", 83.2, Some(19), "100 trees, depth 14 to 19, 41,530 leaves, out-of-bag accuracy 0.9872"),
        ],
        config: "[data]\nsource = \"bundled:pendigits\"\n\n[[stages]]\nstage = \"random_forest_classifier\"\nn_trees = 100\n".to_owned(),
        warnings: vec!["class `8` has 3 held-out rows: its scores say little".to_owned()],
        roc: labels.iter().enumerate().map(|(i, l)| curve(l, 12.0 + 30.0 * noise(i), false, 300)).collect(),
        pr: labels.iter().enumerate().map(|(i, l)| curve(l, 12.0 + 30.0 * noise(i), true, 300)).collect(),
        importances: (0..n.max(16)).map(|i| NamedValue::new(format!("stroke_{i}_x"), noise(i) * 0.2)).collect(),
        training_curve: vec![
            LossHistory { name: "out-of-bag error".to_owned(), losses: (1..=19).map(|i| (i, 0.3 / i as f64 + 0.01)).collect() },
            LossHistory { name: "training error".to_owned(), losses: (1..=19).map(|i| (i, 0.2 / (i * i) as f64 + 0.001)).collect() },
        ],
        confusion: Some(Confusion { labels, matrix }),
        ..Report::default()
    }
}

/// A regression with its plots.
pub(crate) fn regression() -> Report {
    let predicted = |i: usize| 20.0 + noise(i) * 800.0;
    let residual = |i: usize| {
        (noise(i + 7) + noise(i + 99) + noise(i * 3) - 1.5) * (20.0 + predicted(i) * 0.15)
    };
    let edges: Vec<f64> = (0..=24).map(|i| -240.0 + 20.0 * f64::from(i)).collect();
    let within =
        |a: f64, b: f64| (0..3000).filter(|i| (a..b).contains(&residual(*i))).count() as f64;
    let counts = edges.windows(2).map(|e| within(e[0], e[1])).collect();
    Report {
        title: "bikeshare".to_owned(),
        task: "regression of bikers".to_owned(),
        generated_by: "emberline 0.1.0".to_owned(),
        metrics: [
            ("r2", 0.9312),
            ("rmse", 35.2174),
            ("mse", 1240.27),
            ("mae", 22.8),
        ]
        .map(|(n, v)| NamedValue::new(n, v))
        .to_vec(),
        residuals: Some(Residuals {
            points: (0..1500).map(|i| (predicted(i), residual(i))).collect(),
            histogram: Histogram { edges, counts },
        }),
        predicted_vs_actual: (0..1500)
            .map(|i| (predicted(i) + residual(i), predicted(i)))
            .collect(),
        importances: [
            ("hour", 0.61),
            ("temperature", 0.2),
            ("working day with a name far too long for the plot", 0.1),
            ("windspeed", -0.01),
        ]
        .map(|(n, v)| NamedValue::new(n, v))
        .to_vec(),
        training_curve: vec![LossHistory {
            name: "squared error".to_owned(),
            losses: (1..=200)
                .map(|i| (i, 90_000.0 / (i * i) as f64 + 40.0))
                .collect(),
        }],
        stages: vec![stage(
            "random_forest_regressor",
            12.4,
            Some(200),
            "200 trees",
        )],
        ..Report::default()
    }
}

/// A clustering after a projection, with its plots.
pub(crate) fn clustering() -> Report {
    Report {
        title: "digits-kmeans".to_owned(),
        task: "clustering into 10 groups".to_owned(),
        generated_by: "emberline 0.1.0".to_owned(),
        metrics: vec![
            NamedValue::new("distortion", 49_530_123.25),
            NamedValue::new("silhouette", 0.2913),
        ],
        cluster_sizes: (0..10)
            .map(|id| ClusterSize {
                id,
                count: 60 + (noise(id as usize) * 900.0) as u64,
            })
            .collect(),
        explained_variance: (0..12).map(|i| 0.3 * 0.7f64.powi(i)).collect(),
        training_curve: vec![LossHistory {
            name: "kmeans".to_owned(),
            losses: (0..14)
                .map(|i| (i, 4.95e7 + 3e7 * 0.5f64.powi(i as i32)))
                .collect(),
        }],
        ..Report::default()
    }
}
