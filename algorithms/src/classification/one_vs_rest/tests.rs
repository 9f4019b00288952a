use emberline_pipeline::datasets::Dataset;
use emberline_pipeline::predictor::{ClassScorer, ClassifierModel};
use emberline_pipeline::{Arrays, Component, Estimator, Fitted, Load, Registry, Run, Transformer};

use super::*;
use crate::classification::logistic_regression::tests::noisy;
use crate::classification::logistic_regression::{LogisticRegression, LogisticRegressionParams};
use crate::testing::{floats, iris, labelled, vectors};

type Fit = Fitted<ClassifierModel<OneVsRestScorer>>;

fn params(text: &str) -> OneVsRestParams {
    let classifier = StageTable(text.parse().unwrap());
    OneVsRestParams {
        classifier,
        ..OneVsRestParams::default()
    }
}

fn fit(params: OneVsRestParams, data: &Dataset) -> Fit {
    OneVsRest::build(params, &crate::registry())
        .unwrap()
        .fit(data, &Run::local(0, 2))
        .unwrap()
}

fn errors(text: &str) -> Vec<String> {
    let errors = OneVsRest::build(params(text), &crate::registry())
        .err()
        .unwrap();
    errors
        .0
        .iter()
        .map(|e| format!("{} {}", e.name, e.message))
        .collect()
}

fn probabilities(model: &impl Transformer, data: &Dataset) -> Vec<f64> {
    let out = model.transform(data.read(0, None).unwrap()).unwrap();
    out.vector("probability")
        .unwrap()
        .as_f64_slice()
        .unwrap()
        .to_vec()
}

#[test]
fn classes_trained_together_are_the_binary_fits_trained_apart() {
    let (x, y) = noisy(400, 4, 4);
    let base = LogisticRegressionParams {
        reg_param: 0.01,
        tol: 1e-15,
        max_iter: 500,
        class_weights: crate::classification::logistic_regression::ClassWeights::Mode(
            crate::classification::logistic_regression::WeightMode::Balanced,
        ),
        ..LogisticRegressionParams::default()
    };
    let text = "stage = \"logistic_regression\"\nreg_param = 0.01\ntol = 1e-15\nmax_iter = 500\nclass_weights = \"balanced\"";
    let OneVsRestScorer::Linear(together) =
        (*fit(params(text), &labelled(&x, &y)).model.scorer).clone()
    else {
        panic!("not linear")
    };
    for class in 0..4 {
        let against: Vec<f64> = y
            .iter()
            .map(|v| f64::from(u8::from(*v == f64::from(class))))
            .collect();
        let learner = LogisticRegression::build(base.clone(), &Registry::new()).unwrap();
        let alone = learner
            .fit(&labelled(&x, &against), &Run::local(0, 1))
            .unwrap()
            .model
            .scorer;
        let row = together.coefficients.row(class as usize);
        assert!(
            (&alone.coefficients.row(0) - &row)
                .iter()
                .all(|d| d.abs() < 1e-6)
        );
        assert!((alone.intercepts[0] - together.intercepts[class as usize]).abs() < 1e-6);
    }
}

#[test]
fn relabelled_fits_give_the_model_trained_together() {
    let (x, y) = noisy(300, 3, 3);
    let data = labelled(&x, &y);
    let text = "stage = \"logistic_regression\"\nreg_param = 0.01\ntol = 1e-15\nmax_iter = 500";
    let together = fit(params(text), &data).model;
    // The multinomial family of two classes is another estimator of the same probabilities once its penalty is halved:
    // (w, -w) costs twice what w' = 2 w costs a quarter of.
    let text = "stage = \"logistic_regression\"\nfamily = \"multinomial\"\nreg_param = 0.02\ntol = 1e-15\nmax_iter = 500";
    let apart = fit(params(text), &data).model;
    assert!(matches!(*apart.scorer, OneVsRestScorer::Nested(ref m) if m.len() == 3));
    for (a, b) in probabilities(&together, &data)
        .iter()
        .zip(probabilities(&apart, &data))
    {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn two_classes_are_the_binary_learner_itself() {
    let (x, y) = noisy(200, 3, 2);
    let data = labelled(&x, &y);
    let ovr = fit(OneVsRestParams::default(), &data).model;
    let learner =
        LogisticRegression::build(LogisticRegressionParams::default(), &Registry::new()).unwrap();
    let binary = learner.fit(&data, &Run::local(0, 1)).unwrap().model;
    assert_eq!(probabilities(&ovr, &data), probabilities(&binary, &data));
}

#[test]
fn iris_probabilities_sum_to_one_and_tell_most_species() {
    let (x, y) = iris();
    let data = labelled(&x, &y);
    let model = fit(
        params("stage = \"logistic_regression\"\nreg_param = 0.001"),
        &data,
    )
    .model;
    let out = model.transform(data.read(0, None).unwrap()).unwrap();
    for row in out
        .vector("probability")
        .unwrap()
        .as_f64_slice()
        .unwrap()
        .chunks(3)
    {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let predicted = out.numbers("prediction").unwrap();
    // Setosa is apart from the rest; a linear boundary leaves few of the other two on the wrong side.
    assert!((0..150).filter(|&i| predicted.value(i) == y[i]).count() >= 138);
}

#[test]
fn a_reloaded_model_of_nested_stages_predicts_the_same_bits() {
    let (x, y) = noisy(150, 3, 3);
    let data = labelled(&x, &y);
    for text in [
        "stage = \"logistic_regression\"",
        "stage = \"logistic_regression\"\nfamily = \"multinomial\"",
    ] {
        let model = fit(params(text), &data).model;
        let mut arrays = Arrays::new();
        let state = model.save(&mut arrays);
        let loaded =
            ClassifierModel::<OneVsRestScorer>::load(&state, &arrays, &crate::registry()).unwrap();
        assert_eq!(probabilities(&model, &data), probabilities(&loaded, &data));
        assert!(
            ClassifierModel::<OneVsRestScorer>::load(&state, &Arrays::new(), &crate::registry())
                .is_err()
        );
    }
}

#[test]
fn weights_reach_the_nested_classifier() {
    let (x, y) = noisy(150, 2, 3);
    let label: Vec<Option<f64>> = y.iter().copied().map(Some).collect();
    let weight: Vec<Option<f64>> = (0..150).map(|i| Some(f64::from(i % 2))).collect();
    let data = Dataset::from_columns(vec![
        vectors(&x),
        floats("label", &label),
        floats("w", &weight),
    ])
    .unwrap();
    let text =
        "stage = \"logistic_regression\"\nfamily = \"multinomial\"\nreg_param = 0.1\ntol = 1e-15";
    let weighted = fit(
        OneVsRestParams {
            weight_col: Some("w".into()),
            ..params(text)
        },
        &data,
    )
    .model;
    let odd: Vec<usize> = (0..150).filter(|i| i % 2 == 1).collect();
    let labels: Vec<f64> = odd.iter().map(|&i| y[i]).collect();
    let half = labelled(&x.select(ndarray::Axis(0), &odd), &labels);
    let plain = fit(params(text), &half).model;
    for (a, b) in probabilities(&weighted, &half)
        .iter()
        .zip(probabilities(&plain, &half))
    {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn no_probability_at_all_is_shared_evenly_and_ties_go_to_the_lower_class() {
    let scorer = OneVsRestScorer::Nested(Vec::new());
    let mut p = [0.0; 4];
    scorer.probability(&[0.0; 4], &mut p);
    assert_eq!(p, [0.25; 4]);
    assert_eq!(emberline_pipeline::predictor::argmax(&p), 0);
}

#[test]
fn mistakes_in_the_classifier_are_told_under_its_name() {
    let found =
        errors("stage = \"logistic_regression\"\nreg_param = -1\nlabel_col = \"y\"\nmax_itr = 3");
    assert!(
        found
            .iter()
            .any(|e| e.starts_with("classifier.reg_param must be")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|e| e.starts_with("classifier.label_col is set for all classes")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|e| e.contains("classifier.max_itr") && e.contains("max_iter")),
        "{found:?}"
    );
}

#[test]
fn an_unknown_or_unfit_stage_is_told_with_the_nearest_name() {
    assert!(
        errors("stage = \"logistic_regresion\"")[0].contains("did you mean `logistic_regression`?")
    );
    assert!(errors("stage = \"vector_assembler\"")[0].contains("must be a binary classifier"));
    assert!(errors("stage = \"one_vs_rest\"")[0].contains("must be a binary classifier"));
    assert!(errors("reg_param = 1.0")[0].starts_with("classifier.stage is missing"));
}

#[test]
fn bits_do_not_depend_on_partitions_or_threads() {
    let (x, y) = noisy(3 * 8192 + 50, 3, 3);
    let data = labelled(&x, &y);
    let bits = |partitions, threads| {
        let learner = OneVsRest::build(OneVsRestParams::default(), &crate::registry()).unwrap();
        let fitted = learner
            .fit(
                &data.clone().repartition(partitions),
                &Run::local(0, threads),
            )
            .unwrap();
        let OneVsRestScorer::Linear(scorer) = &*fitted.model.scorer else {
            panic!("not linear")
        };
        scorer
            .coefficients
            .iter()
            .chain(&scorer.intercepts)
            .map(|v| v.to_bits())
            .collect::<Vec<_>>()
    };
    let first = bits(1, 1);
    for (partitions, threads) in [(2, 2), (7, 4), (64, 1)] {
        assert_eq!(
            bits(partitions, threads),
            first,
            "{partitions} partitions, {threads} threads"
        );
    }
}
