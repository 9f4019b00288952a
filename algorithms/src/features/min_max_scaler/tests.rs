use ndarray::array;

use super::*;
use crate::testing::stages::{check_model, check_stage, failure, fit_stage, table, vectors_of};
use crate::testing::vectors;

fn data() -> emberline_pipeline::datasets::Dataset {
    table(vec![vectors(&array![
        [1.0, 7.0, 0.0],
        [3.0, 7.0, f64::NAN],
        [5.0, 7.0, 8.0]
    ])])
}

#[test]
fn the_least_becomes_min_the_greatest_max_and_a_constant_the_middle() {
    let rows = vectors_of(
        &check_stage(MinMaxScalerParams::default(), &data()),
        "features",
    );
    assert_eq!(
        (rows[0].as_slice(), rows[2].as_slice()),
        ([0.0, 0.5, 0.0].as_slice(), [1.0, 0.5, 1.0].as_slice())
    );
    assert_eq!(rows[1][0], 0.5);
    assert!(rows[1][2].is_nan(), "missing stays missing");
    let wide = MinMaxScalerParams {
        min: -2.0,
        max: 6.0,
        ..MinMaxScalerParams::default()
    };
    assert_eq!(
        vectors_of(&check_stage(wide, &data()), "features")[2],
        [6.0, 2.0, 6.0]
    );
}

#[test]
fn later_rows_may_leave_the_range_but_a_constant_stays_the_middle() {
    let (model, _) = fit_stage(MinMaxScalerParams::default(), &data()).unwrap();
    let later = table(vec![vectors(&array![[9.0, 100.0, -8.0]])]);
    assert_eq!(
        vectors_of(&check_model(&model, &later), "features")[0],
        [2.0, 0.5, -1.0]
    );
}

#[test]
fn a_range_that_is_none_is_refused() {
    let upside_down = MinMaxScalerParams {
        min: 1.0,
        max: 0.0,
        ..MinMaxScalerParams::default()
    };
    assert!(
        failure(upside_down, &data())
            .0
            .contains("must be below `max` (0), got 1")
    );
    let huge = table(vec![vectors(&array![[-1e308], [1e308]])]);
    assert!(
        failure(MinMaxScalerParams::default(), &huge)
            .0
            .contains("column `features[x0]` ranges from -1e308 to 1e308")
    );
}
