use emberline_pipeline::datasets::random::Draw;
use ndarray::Array2;

use super::*;
use crate::testing::{assert_close, floats, iris, oracle, vectors};

fn table(x: &Array2<f64>, cluster: &[f64], w: &[f64]) -> Dataset {
    let some = |v: &[f64]| v.iter().copied().map(Some).collect::<Vec<_>>();
    Dataset::from_columns(vec![
        vectors(x),
        floats("prediction", &some(cluster)),
        floats("w", &some(w)),
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

fn blobs(n: usize, k: usize) -> (Array2<f64>, Vec<f64>, Vec<f64>) {
    let draw = Draw::new(5, "blobs");
    let x = Array2::from_shape_fn((n, 3), |(i, j)| {
        let c = i % k;
        ((c * (j + 1)) % 5) as f64 * 2.0 + draw.at(j as u64).uniform(i as u64)
    });
    (
        (x),
        (0..n).map(|i| (i % k) as f64).collect(),
        (0..n).map(|i| 1.0 + (i % 3) as f64).collect(),
    )
}

/// Source of the numbers and of the tolerance: case `silhouette_iris_labels` of the oracles, both published variants of iris.
#[test]
fn the_figures_of_the_iris_labels_are_met() {
    let case = oracle("silhouette_iris_labels");
    let (want, tol) = (
        &case["expected"],
        case["tolerance"]["rel"].as_f64().unwrap(),
    );
    let (mut x, y) = iris();
    let m = measure(&table(&x, &y, &y), false, 1).unwrap();
    for (ours, theirs) in [
        ("silhouette", "squared_euclidean"),
        ("silhouette_cosine", "cosine"),
        ("calinski_harabasz", "calinski_harabasz"),
        ("davies_bouldin", "davies_bouldin"),
    ] {
        assert_close(
            &[m.values[ours]],
            &[want[theirs].as_f64().unwrap()],
            tol,
            ours,
        );
    }
    for row in [34, 37] {
        x.row_mut(row)
            .iter_mut()
            .zip([4.9, 3.1, 1.5, 0.1])
            .for_each(|(a, b)| *a = b);
    }
    let m = measure(&table(&x, &y, &y), false, 1).unwrap();
    let older = want["squared_euclidean_older_variant"].as_f64().unwrap();
    assert_close(&[m.values["silhouette"]], &[older], tol, "older variant");
}

/// The definition, over all pairs of rows.
fn naive_silhouette(x: &Array2<f64>, cluster: &[f64]) -> f64 {
    let n = cluster.len();
    let distance = |i: usize, j: usize| (&x.row(i) - &x.row(j)).mapv(|v| v * v).sum();
    let k = cluster.iter().fold(0.0, |a: f64, b| a.max(*b)) as usize + 1;
    let score = |i: usize| {
        let mean = |c: f64| {
            let rows: Vec<usize> = (0..n).filter(|&j| j != i && cluster[j] == c).collect();
            rows.iter().map(|&j| distance(i, j)).sum::<f64>() / rows.len() as f64
        };
        if cluster.iter().filter(|c| **c == cluster[i]).count() == 1 {
            return 0.0;
        }
        let a = mean(cluster[i]);
        let b = (0..k)
            .map(|c| c as f64)
            .filter(|c| *c != cluster[i])
            .map(mean)
            .fold(f64::INFINITY, f64::min);
        (b - a) / a.max(b)
    };
    (0..n).map(score).sum::<f64>() / n as f64
}

#[test]
fn the_silhouette_is_that_of_all_pairs() {
    let (x, mut y, w) = blobs(120, 4);
    y[7] = 4.0; // alone in its cluster
    let m = measure(&table(&x, &y, &w), false, 1).unwrap();
    // The pairwise sums and the closed form differ by rounding: about n d roundings of values near 10.
    assert!((m.values["silhouette"] - naive_silhouette(&x, &y)).abs() < 1e-12);
}

#[test]
fn a_weight_of_two_equals_a_row_twice() {
    let (x, y, w) = blobs(90, 3);
    let repeat: Vec<usize> = (0..90)
        .flat_map(|i| std::iter::repeat_n(i, w[i] as usize))
        .collect();
    let x2 = x.select(ndarray::Axis(0), &repeat);
    let y2: Vec<f64> = repeat.iter().map(|&i| y[i]).collect();
    let once = measure(&table(&x, &y, &w), true, 1).unwrap();
    let twice = measure(&table(&x2, &y2, &y2), false, 1).unwrap();
    for (name, v) in &twice.values {
        assert_close(&[once.values[name]], &[*v], 1e-12, name); // the same terms in another order
    }
    assert_eq!(once.curves, twice.curves);
}

#[test]
fn the_distance_column_is_the_distortion_where_it_is_there() {
    let (x, y, w) = blobs(30, 3);
    let data = table(&x, &y, &w);
    let batch = data.read(0, None).unwrap();
    let mut columns: Vec<_> = data
        .schema()
        .columns()
        .iter()
        .cloned()
        .zip(batch.columns().iter().cloned())
        .collect();
    columns.push(floats("distance", &vec![Some(0.5); 30]));
    let m = measure(&Dataset::from_columns(columns).unwrap(), false, 1).unwrap();
    assert_eq!(m.values["distortion"], 15.0);
    let within = measure(&data, false, 1).unwrap().values["distortion"];
    let mut naive = 0.0;
    for c in 0..3 {
        let rows: Vec<usize> = (0..30).filter(|i| i % 3 == c).collect();
        let own = x.select(ndarray::Axis(0), &rows);
        let mean = own.mean_axis(ndarray::Axis(0)).unwrap();
        naive += own
            .rows()
            .into_iter()
            .map(|r| (&r - &mean).mapv(|v| v * v).sum())
            .sum::<f64>();
    }
    assert_close(&[within], &[naive], 1e-13, "within");
}

#[test]
fn clusters_far_from_the_origin_keep_their_figures() {
    let (x, y, w) = blobs(300, 3);
    let near = measure(&table(&x, &y, &w), false, 1).unwrap();
    let far = measure(&table(&(&x + 1e6), &y, &w), false, 1).unwrap();
    // Coordinates near 1e6 are spaced 1e-10 apart, which is what moves here.
    assert_close(
        &[far.values["silhouette"]],
        &[near.values["silhouette"]],
        1e-8,
        "silhouette",
    );
}

#[test]
fn one_cluster_has_a_distortion_and_no_silhouette() {
    let (x, _, w) = blobs(10, 2);
    let m = measure(&table(&x, &[0.0; 10], &w), false, 1).unwrap();
    assert!(m.values.contains_key("distortion") && !m.values.contains_key("silhouette"));
    assert!(
        m.warnings[0].contains("all rows are in one cluster"),
        "{:?}",
        m.warnings
    );
}

#[test]
fn partitions_and_threads_change_no_bit() {
    let (x, y, w) = blobs(30_000, 6);
    let data = table(&x, &y, &w);
    let first = measure(&data, true, 1).unwrap();
    for n in [1, 2, 3, 7, 64] {
        for threads in [1, 2, 4] {
            assert_eq!(
                measure(&data.clone().repartition(n), true, threads).unwrap(),
                first
            );
        }
    }
}

#[test]
fn no_rows_are_an_error() {
    let error = measure(&table(&Array2::zeros((0, 3)), &[], &[]), false, 1).unwrap_err();
    assert_eq!(error.to_string(), "there are no rows to evaluate on");
}
