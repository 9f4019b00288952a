use ndarray::array;

use super::*;
use crate::testing::stages::{check_stage, failure, table, vectors_of};
use crate::testing::vectors;

fn data() -> emberline_pipeline::datasets::Dataset {
    // First slot: quartiles 2 and 4, median 3, whatever the far value is. Second: no distance. Third: one missing.
    let rows = array![
        [1.0, 7.0, 0.0],
        [2.0, 7.0, f64::NAN],
        [3.0, 7.0, 1.0],
        [4.0, 7.0, 2.0],
        [1e9, 7.0, 3.0]
    ];
    table(vec![vectors(&rows)])
}

#[test]
fn features_are_divided_by_the_distance_of_their_quartiles() {
    let rows = vectors_of(
        &check_stage(RobustScalerParams::default(), &data()),
        "features",
    );
    assert_eq!(rows[2], [1.5, 7.0, 1.0 / 1.5]);
    assert!(rows[1][2].is_nan());
}

#[test]
fn the_median_becomes_zero_where_asked_for() {
    let centred = RobustScalerParams {
        with_centering: true,
        ..RobustScalerParams::default()
    };
    let rows = vectors_of(&check_stage(centred.clone(), &data()), "features");
    assert_eq!(rows[2][..2], [0.0, 0.0]);
    assert_eq!(rows[3][0], 0.5);
    let unscaled = RobustScalerParams {
        with_scaling: false,
        ..centred
    };
    assert_eq!(
        vectors_of(&check_stage(unscaled, &data()), "features")[0],
        [-2.0, 0.0, -1.5]
    );
}

#[test]
fn quantiles_out_of_order_are_refused() {
    let params = RobustScalerParams {
        lower: 0.8,
        ..RobustScalerParams::default()
    };
    assert!(
        failure(params, &data())
            .0
            .contains("lower` must be from 0 and below `upper` (0.75), got 0.8")
    );
    let params = RobustScalerParams {
        upper: f64::NAN,
        ..RobustScalerParams::default()
    };
    assert!(
        failure(params, &data())
            .0
            .contains("upper` must be above 0 and at most 1, got NaN")
    );
}
