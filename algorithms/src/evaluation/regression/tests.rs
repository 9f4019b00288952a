use emberline_pipeline::datasets::Dataset;

use super::*;
use crate::testing::floats;

fn table(rows: &[(f64, f64, f64)]) -> Dataset {
    let column =
        |f: fn(&(f64, f64, f64)) -> f64| rows.iter().map(|r| Some(f(r))).collect::<Vec<_>>();
    Dataset::from_columns(vec![
        floats("label", &column(|r| r.0)),
        floats("prediction", &column(|r| r.1)),
        floats("w", &column(|r| r.2)),
    ])
    .unwrap()
}

fn measure(data: &Dataset, weighted: bool, threads: usize) -> Result<Metrics> {
    let columns = EvaluatorColumns {
        weight: weighted.then(|| "w".to_owned()),
        ..EvaluatorColumns::default()
    };
    (ENTRY.build)(columns).evaluate(data, &[], &Run::local(0, threads))
}

#[test]
fn four_rows_give_the_figures_worked_by_hand() {
    let m = measure(
        &table(&[
            (3.0, 2.5, 1.0),
            (-0.5, 0.0, 1.0),
            (2.0, 2.0, 1.0),
            (7.0, 8.0, 1.0),
        ]),
        false,
        1,
    )
    .unwrap();
    // Errors 0.5, -0.5, 0, -1; mean label 2.875, squared deviations 29.1875; predictions about it 36.3125.
    // All figures are short binary fractions, so only the divisions round.
    assert_eq!(m.values["mse"], 0.375);
    assert_eq!(m.values["mae"], 0.5);
    assert!((m.values["r2"] - (1.0 - 1.5 / 29.1875)).abs() < 1e-15);
    let predictions = [2.5_f64, 0.0, 2.0, 8.0];
    let about: f64 = predictions
        .iter()
        .map(|p| (p - 2.875) * (p - 2.875))
        .sum::<f64>()
        / 4.0;
    assert!((m.values["explained_variance"] - about).abs() < 1e-14);
}

#[test]
fn a_weight_of_two_equals_a_row_twice() {
    let once = measure(
        &table(&[(1.0, 1.5, 2.0), (4.0, 3.0, 1.0), (9.0, 9.5, 0.0)]),
        true,
        1,
    )
    .unwrap();
    let twice = measure(
        &table(&[(1.0, 1.5, 1.0), (1.0, 1.5, 1.0), (4.0, 3.0, 1.0)]),
        false,
        1,
    )
    .unwrap();
    for (name, v) in &twice.values {
        // Three rows: a handful of roundings.
        assert!((once.values[name] - v).abs() < 1e-14, "{name}");
    }
}

#[test]
fn labels_far_from_zero_keep_their_variance() {
    let rows: Vec<_> = (0..20_000)
        .map(|i| (1e9 + f64::from(i % 2), 1e9 + 0.5, 1.0))
        .collect();
    let m = measure(&table(&rows), false, 2).unwrap();
    // The best constant prediction explains nothing; sums of squares would be off by 1e2 here.
    assert!(m.values["r2"].abs() < 1e-9, "{:?}", m.values);
}

#[test]
fn equal_labels_have_no_r2() {
    let m = measure(&table(&[(1.0, 1.0, 1.0), (1.0, 2.0, 1.0)]), false, 1).unwrap();
    assert!(
        !m.values.contains_key("r2") && m.warnings[0].contains("`r2` left out"),
        "{:?}",
        m.warnings
    );
}

#[test]
fn partitions_and_threads_change_no_bit() {
    let rows: Vec<_> = (0..30_000)
        .map(|i| {
            (
                f64::from(i).sin(),
                f64::from(i).cos(),
                1.0 + f64::from(i % 3),
            )
        })
        .collect();
    let first = measure(&table(&rows), true, 1).unwrap();
    for n in [1, 2, 3, 7, 64] {
        for threads in [1, 2, 4] {
            assert_eq!(
                measure(&table(&rows).repartition(n), true, threads).unwrap(),
                first
            );
        }
    }
}

#[test]
fn no_rows_no_weight_and_a_wrong_name_are_errors() {
    assert!(
        measure(&table(&[]), false, 1)
            .unwrap_err()
            .to_string()
            .contains("no rows")
    );
    assert!(
        measure(&table(&[(1.0, 1.0, 0.0)]), true, 1)
            .unwrap_err()
            .to_string()
            .contains("weight 0")
    );
    let evaluator = (ENTRY.build)(EvaluatorColumns::default());
    let error = evaluator
        .evaluate(
            &table(&[(1.0, 1.0, 1.0)]),
            &["rmsee".to_owned()],
            &Run::local(0, 1),
        )
        .unwrap_err();
    assert!(
        error.to_string().contains("did you mean `rmse`?"),
        "{error}"
    );
}

#[test]
fn figures_of_numbers_near_the_largest_are_those_of_the_scaled_numbers() {
    let shape = [
        (0.75, 0.5, 1.0),
        (-0.5, -0.25, 2.0),
        (0.25, 0.5, 1.0),
        (-0.875, -0.75, 0.5),
    ];
    let wanted = measure(&table(&shape), true, 1).unwrap();
    // Powers of two up to the largest: sums, squares, both, or nothing are beyond any number.
    for power in [1023, 1000, 700, 511, 300] {
        let scale = 2_f64.powi(power);
        let large = shape.map(|(y, p, w)| (y * scale, p * scale, w));
        let near = |name: &str, wanted: f64, found: f64| {
            // A handful of roundings.
            let close = (found - wanted).abs() <= 1e-14 * wanted.abs();
            assert!(
                close || found == wanted,
                "2^{power}, {name}: {found:e}, not {wanted:e}"
            );
        };
        let found = measure(&table(&large), true, 1).unwrap();
        near("r2", wanted.values["r2"], found.values["r2"]);
        for name in ["rmse", "mae"] {
            near(name, wanted.values[name] * scale, found.values[name]);
        }
        for name in ["mse", "explained_variance"] {
            // What is beyond any number is left out, and said to be.
            let value = found.values.get(name).copied().unwrap_or(f64::INFINITY);
            near(name, wanted.values[name] * scale * scale, value);
            let left_out = format!("{:?}", found.warnings).contains(&format!("`{name}`"));
            assert_eq!(left_out, value.is_infinite());
        }
    }
    // Errors that are finite beside labels whose squares are not; blocks of either kind merged.
    let mut rows = vec![(1e200, 1e200, 1.0); 9_000];
    rows.extend([(0.0, 3.0, 1.0); 9_000]);
    let found = measure(&table(&rows), false, 2).unwrap();
    assert_eq!((found.values["mae"], found.values["mse"]), (1.5, 4.5));
    assert_eq!(found.values["r2"], 1.0);
}
