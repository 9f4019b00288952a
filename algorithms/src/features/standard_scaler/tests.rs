use approx::assert_relative_eq;
use emberline_pipeline::Run;
use emberline_pipeline::datasets::{Dataset, Roles};
use ndarray::array;

use super::*;
use crate::stats::moments;
use crate::testing::stages::{
    check_model, check_stage, failure, fit_stage, in_chunks, integers, numbers_of, table,
    vectors_of,
};
use crate::testing::{floats, vectors};

fn centred() -> StandardScalerParams {
    StandardScalerParams {
        with_mean: true,
        ..StandardScalerParams::default()
    }
}

fn points() -> Dataset {
    table(vec![vectors(&array![
        [1.0, 7.0, -2.0],
        [3.0, 7.0, f64::NAN],
        [5.0, 7.0, 2.0]
    ])])
}

#[test]
fn by_default_features_are_divided_by_their_sample_deviation_in_place() {
    let out = check_stage(StandardScalerParams::default(), &points());
    let rows = vectors_of(&out, "features");
    // sd of 1, 3, 5 is 2; of -2, 2 it is sqrt(8); a constant is divided by 1.
    assert_eq!(rows[0][..2], [0.5, 7.0]);
    assert_eq!(rows[0][2], -2.0 / 8f64.sqrt());
    assert!(rows[1][2].is_nan(), "missing stays missing");
    assert_eq!(out.schema().columns().len(), 1);
    assert_eq!(out.schema().get("features").unwrap().slots[1].name, "x1");
}

#[test]
fn with_mean_the_mean_becomes_zero_and_without_std_the_unit_stays() {
    let rows = vectors_of(&check_stage(centred(), &points()), "features");
    assert_eq!(rows[0][..2], [-1.0, 0.0]);
    let only_mean = StandardScalerParams {
        with_std: false,
        ..centred()
    };
    let rows = vectors_of(&check_stage(only_mean, &points()), "features");
    assert_eq!(rows[2], [2.0, 0.0, 2.0]);
}

#[test]
fn numeric_columns_are_scaled_too_and_the_label_is_left_alone_by_a_glob() {
    let data = table(vec![
        floats("a", &[Some(1.0), None, Some(3.0)]),
        integers("n", &[Some(0), Some(2), Some(4)]),
        floats("y", &[Some(9.0), Some(9.5), Some(9.0)]),
    ])
    .with_roles(Roles {
        label: Some("y".into()),
        ..Roles::default()
    })
    .unwrap();
    let params = StandardScalerParams {
        inputs: vec!["*".into()],
        ..centred()
    };
    let out = check_stage(params, &data);
    let half = 1.0 / 2f64.sqrt();
    assert_eq!(numbers_of(&out, "a"), [Some(-half), None, Some(half)]);
    assert_eq!(numbers_of(&out, "n"), [Some(-1.0), Some(0.0), Some(1.0)]);
    assert_eq!(numbers_of(&out, "y"), [9.0, 9.5, 9.0].map(Some));
}

#[test]
fn certified_means_and_deviations_of_nist_are_met_alike_for_every_partition_count() {
    // NIST StRD, univariate summary. Tolerances: the deviation of NumAcc3 and 4 is limited by the representation of the
    // inputs (0.1 beside 1e6 and 1e7), which alone costs about 1e-9 and 1e-8.
    let alternating = |base: f64| -> Vec<Option<f64>> {
        let pairs = (0..500).flat_map(|_| [Some(base + 0.1), Some(base + 0.3)]);
        std::iter::once(Some(base + 0.2)).chain(pairs).collect()
    };
    let cases = [
        (
            vec![Some(10_000_001.0), Some(10_000_003.0), Some(10_000_002.0)],
            10_000_002.0,
            1.0,
            1e-15,
        ),
        (alternating(1.0), 1.2, 0.1, 1e-12),
        (alternating(1_000_000.0), 1_000_000.2, 0.1, 1e-8),
        (alternating(10_000_000.0), 10_000_000.2, 0.1, 1e-7),
    ];
    for (values, mean, sd, tolerance) in cases {
        // Chunks of 16 rows, so that 64 partitions each hold some.
        let data = in_chunks(&table(vec![floats("x", &values)]), 16);
        let found = |n| {
            moments(
                &data.clone().repartition(n),
                &["x".to_owned()],
                None,
                &Run::local(0, 2),
            )
            .unwrap()
        };
        let one = found(1);
        assert_relative_eq!(one.slots[0].mean(), mean, max_relative = 1e-14);
        assert_relative_eq!(one.slots[0].sd(), sd, max_relative = tolerance);
        for n in [2, 7, 64] {
            assert_eq!(one, found(n), "{n} partitions");
        }
        let params = StandardScalerParams {
            input: Some("x".into()),
            ..centred()
        };
        let (model, _) = fit_stage(params, &data).unwrap();
        let mut arrays = emberline_pipeline::Arrays::new();
        let _ = model.save_stages(&mut arrays);
        assert_eq!(
            arrays.scope("0").f64("standard_scaler", "shift").unwrap(),
            [one.slots[0].mean()]
        );
        assert_eq!(
            arrays.scope("0").f64("standard_scaler", "divisor").unwrap(),
            [one.slots[0].sd()]
        );
    }
}

#[test]
fn what_cannot_be_scaled_is_refused_by_name() {
    let scale = |x: ndarray::Array2<f64>| {
        failure(StandardScalerParams::default(), &table(vec![vectors(&x)]))
    };
    let (message, code) = scale(array![[1.0, f64::NAN], [2.0, f64::NAN]]);
    assert!(
        message.contains("column `features[x1]` holds no value at all"),
        "{message}"
    );
    assert_eq!(code, 3);
    let (message, _) = scale(array![[1.0, 2.0], [2.0, f64::INFINITY]]);
    assert!(
        message.contains("column `features[x1]`, row 1: inf is not finite"),
        "{message}"
    );
    let nothing = StandardScalerParams {
        with_std: false,
        ..StandardScalerParams::default()
    };
    assert!(
        failure(nothing, &points())
            .0
            .contains(".with_std` must be true")
    );
    assert!(
        failure(StandardScalerParams::default(), &table(vec![]))
            .0
            .contains("no column `features`")
    );
}

#[test]
fn later_rows_are_scaled_by_the_numbers_of_training_and_need_the_same_width() {
    let (model, _) = fit_stage(StandardScalerParams::default(), &points()).unwrap();
    let later = table(vec![vectors(&array![[8.0, 8.0, 8.0]])]);
    assert_eq!(
        vectors_of(&check_model(&model, &later), "features")[0][..2],
        [4.0, 8.0]
    );
    let narrow = table(vec![vectors(&array![[8.0]])]);
    let error = model.transform_dataset(&narrow).unwrap_err().to_string();
    assert!(
        error.contains(
            "column `features` has 1 slots, the model was trained on 3; missing: [x1, x2]"
        ),
        "{error}"
    );
}

#[test]
fn a_deviation_beyond_any_number_is_refused_and_one_whose_square_alone_is_serves() {
    let most = [Some(1.7e308), Some(-1.7e308), Some(1.7e308)];
    let most = table(vec![floats("x", &most)]);
    let far = table(vec![floats("x", &[Some(1e200), Some(-1e200), Some(3e200)])]);
    let params = StandardScalerParams {
        input: Some("x".into()),
        ..StandardScalerParams::default()
    };
    let (error, _) = failure(params.clone(), &most);
    assert!(
        error.contains("column `x`") && error.contains("beyond any number"),
        "{error}"
    );
    // The deviation of 1, -1 and 3 is 2.
    for (scaled, wanted) in numbers_of(&check_stage(params.clone(), &far), "x")
        .iter()
        .zip([0.5, -0.5, 1.5])
    {
        assert_relative_eq!(scaled.unwrap(), wanted, max_relative = 1e-14);
    }
    let centred = StandardScalerParams {
        with_mean: true,
        with_std: false,
        ..params
    };
    let found = numbers_of(&check_stage(centred, &far), "x")[1].unwrap();
    // The mean of three numbers and a difference: three roundings.
    assert_relative_eq!(found, -2e200, max_relative = 3.0 * f64::EPSILON);
}
