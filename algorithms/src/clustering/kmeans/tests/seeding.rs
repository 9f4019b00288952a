//! First centres.

use super::*;

fn plus_plus(init_size: usize, clusters: usize) -> KMeansParams {
    KMeansParams {
        init_mode: InitMode::PlusPlus,
        init_size: Some(init_size),
        ..k(clusters)
    }
}

#[test]
fn a_sample_that_misses_distinct_rows_is_completed_from_all_rows() {
    let x = Array2::from_shape_fn((3_000, 1), |(i, _)| (i / 1_000) as f64);
    for seed in 0..10 {
        // Two rows, about, for three clusters.
        let params = KMeansParams {
            seed: Some(seed),
            max_iter: 0,
            ..plus_plus(2, 3)
        };
        let model = fit(params, &table(&x), 1).unwrap().model;
        let mut centres: Vec<f64> = model.centres().iter().copied().collect();
        centres.sort_by(f64::total_cmp);
        assert_eq!(centres, [0.0, 1.0, 2.0]);
    }
}

#[test]
fn drawing_on_a_sample_is_as_good_as_drawing_on_all_rows() {
    let data = table(&blobs(20_000, 16));
    let distortion = |init_size, seed| {
        let params = KMeansParams {
            seed: Some(seed),
            max_iter: 0,
            ..plus_plus(init_size, 16)
        };
        fit(params, &data, 2).unwrap().report.figures["distortion"]
    };
    let mean = |init_size| (0..20).map(|seed| distortion(init_size, seed)).sum::<f64>() / 20.0;
    // Clouds of side 1 around corners 4 apart: a cloud without a centre leaves 16 for each of its rows, 1 a row of all. A start misses
    // one in twenty, about; the means of twenty starts differ by less than five such misses. Rows drawn evenly miss five clouds each.
    let (sampled, all) = (mean(800), mean(20_000));
    assert!((sampled - all).abs() < 0.25 * 20_000.0, "{sampled} {all}");
}

#[test]
fn a_few_rows_far_away_get_a_centre_from_k_means_parallel() {
    let mut x = blobs(20_000, 4);
    for i in 0..5 {
        x.row_mut(4_000 * i + 7).fill(1_000.0);
    }
    let data = table(&x);
    for seed in 0..5 {
        let params = KMeansParams {
            seed: Some(seed),
            ..k(5)
        };
        let centres = fit(params, &data, 2).unwrap().model.centres();
        assert!(
            centres.rows().into_iter().any(|c| c[0] == 1_000.0),
            "{centres}"
        );
    }
}

#[test]
fn a_sample_of_no_rows_is_refused() {
    let error = fit(plus_plus(0, 2), &table(&blobs(9, 2)), 1).err().unwrap();
    let message = error.to_string();
    assert!(
        message.contains("`init_size` must be at least 1, got 0"),
        "{message}"
    );
}
