mod model;
mod refused;
mod seeding;

use crate::Result;
use emberline_pipeline::datasets::arrow::array::AsArray;
use emberline_pipeline::datasets::arrow::datatypes::{Float64Type, Int64Type};
use emberline_pipeline::datasets::batch::{dense_vectors, sparse_vectors};
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::datasets::{Batch, Column, ColumnType, Dataset, Element, Layout};
use emberline_pipeline::row::Cell;
use emberline_pipeline::{
    Arrays, Component, Estimator, EvaluatorColumns, Fitted, Load, Pipeline, Registry, Run,
    StopReason, Transformer,
};
use ndarray::{Array2, Axis, array};

use super::*;
use crate::testing::{assert_close, floats, iris, numbers, oracle, vectors};

fn fit(params: KMeansParams, data: &Dataset, threads: usize) -> Result<Fitted<KMeansModel>> {
    KMeans::build(params, &Registry::new())?.fit(data, &Run::local(42, threads))
}

fn table(x: &Array2<f64>) -> Dataset {
    Dataset::from_columns(vec![vectors(x)]).unwrap()
}

fn weighted(x: &Array2<f64>, w: &[f64]) -> Dataset {
    Dataset::from_columns(vec![
        vectors(x),
        floats("w", &w.iter().copied().map(Some).collect::<Vec<_>>()),
    ])
    .unwrap()
}

fn k(k: usize) -> KMeansParams {
    KMeansParams {
        k,
        ..KMeansParams::default()
    }
}

fn given(centers: &[&[f64]]) -> KMeansParams {
    KMeansParams {
        init_mode: InitMode::Given,
        centers: centers.iter().map(|c| c.to_vec()).collect(),
        ..KMeansParams::default()
    }
}

const MODES: [InitMode; 3] = [InitMode::Parallel, InitMode::PlusPlus, InitMode::Random];

/// `n` rows in `blobs` clouds of side 1 around corners 4 apart.
fn blobs(n: usize, blobs: usize) -> Array2<f64> {
    let draw = Draw::new(9, "blobs");
    Array2::from_shape_fn((n, 4), |(i, j)| {
        let corner = (i % blobs) >> j & 1;
        4.0 * corner as f64 + draw.at(j as u64).uniform(i as u64)
    })
}

fn predict(model: &KMeansModel, data: &Dataset) -> Batch {
    model.transform(data.read(0, None).unwrap()).unwrap()
}

fn clusters(batch: &Batch) -> Vec<i64> {
    batch
        .column("prediction")
        .unwrap()
        .as_primitive::<Int64Type>()
        .values()
        .to_vec()
}

fn distances(batch: &Batch) -> Vec<f64> {
    batch
        .column("distance")
        .unwrap()
        .as_primitive::<Float64Type>()
        .values()
        .to_vec()
}

/// Source of the numbers and of the tolerances: case `kmeans_lloyd_fixed_start_iris` of the oracles.
#[test]
fn a_fit_starts_from_the_first_centres() {
    let data = table(&blobs(500, 4));
    let run = Run::local(42, 2);
    for init_mode in MODES {
        let params = KMeansParams { init_mode, ..k(4) };
        let first = KMeans::build(params.clone(), &Registry::new())
            .unwrap()
            .first_centres(&data, &run)
            .unwrap();
        let rows: Vec<&[f64]> = first[0]
            .rows()
            .into_iter()
            .map(|r| r.to_slice().unwrap())
            .collect();
        let from_there = fit(given(&rows), &data, 2).unwrap();
        let own = fit(params, &data, 2).unwrap();
        assert_eq!((first.len(), rows.len()), (1, 4));
        assert_eq!(from_there.model.centres(), own.model.centres());
    }
}

#[test]
fn lloyd_from_given_rows_of_iris_goes_the_known_way() {
    let case = oracle("kmeans_lloyd_fixed_start_iris");
    let (want, rel) = (
        &case["expected"],
        case["tolerance"]["cost_rel"].as_f64().unwrap(),
    );
    let x = iris().0;
    let rows: Vec<Vec<f64>> = [0, 50, 100].map(|i| x.row(i).to_vec()).into();
    let data = table(&x);
    let params = KMeansParams {
        k: 3,
        init_mode: InitMode::Given,
        centers: rows,
        max_iter: 300,
        tol: 0.0,
        ..KMeansParams::default()
    };
    let Fitted { model, report } = fit(params, &data, 1).unwrap();
    let centres: Vec<f64> = want["centres"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(numbers)
        .collect();
    assert_close(
        &model.centres().iter().copied().collect::<Vec<_>>(),
        &centres,
        case["tolerance"]["centres_abs"].as_f64().unwrap(),
        "centres",
    );
    assert_close(
        &report.history,
        &numbers(&want["cost_before_each_update"]),
        rel,
        "history",
    );
    assert_close(
        &[report.figures["distortion"]],
        &[want["cost_within_sum_of_squares"].as_f64().unwrap()],
        rel,
        "cost",
    );
    assert_eq!(
        report.figures["n_iter"],
        want["updates_until_fixed"].as_f64().unwrap()
    );
    assert_eq!(report.stop, StopReason::Converged);
    let mut sizes = [0.0; 3];
    clusters(&predict(&model, &data))
        .iter()
        .for_each(|c| sizes[*c as usize] += 1.0);
    assert_eq!(sizes.to_vec(), numbers(&want["cluster_sizes"]));
}

#[test]
fn every_way_of_starting_finds_the_best_iris_clusters() {
    let data = table(&iris().0);
    for init_mode in MODES {
        let report = fit(
            KMeansParams {
                init_mode,
                n_init: 10,
                ..k(3)
            },
            &data,
            1,
        )
        .unwrap()
        .report;
        // 78.8514 is the best known distortion, as the oracle says.
        assert!(
            (report.figures["distortion"] - 78.851_441_426_146).abs() < 1e-9,
            "{init_mode:?}: {:?}",
            report.figures
        );
        assert_eq!(report.figures["effective_k"], 3.0);
    }
}

#[test]
fn the_distortion_never_rises_and_is_that_of_the_model() {
    let data = table(&blobs(5_000, 16));
    for (init_mode, seed, max_iter) in [
        (InitMode::Random, 1, 100),
        (InitMode::Parallel, 2, 100),
        (InitMode::Random, 3, 2),
    ] {
        let params = KMeansParams {
            init_mode,
            seed: Some(seed),
            max_iter,
            ..k(12)
        };
        let Fitted { model, report } = fit(params, &data, 1).unwrap();
        assert!(
            report.history.windows(2).all(|h| h[1] <= h[0]),
            "{:?}",
            report.history
        );
        let total: f64 = distances(&predict(&model, &data)).iter().sum();
        assert_close(
            &[total],
            &[report.figures["distortion"]],
            1e-12,
            "distortion",
        ); // 5,000 terms in another order
        let evaluator = (crate::evaluation::clustering::ENTRY.build)(EvaluatorColumns::default());
        let run = Run::local(0, 1);
        let scored = emberline_pipeline::stage::apply(&data, std::sync::Arc::new(model)).unwrap();
        let measured = evaluator
            .evaluate(&scored, &["distortion".to_owned()], &run)
            .unwrap();
        assert_close(
            &[measured.values["distortion"]],
            &[report.figures["distortion"]],
            1e-12,
            "evaluator",
        );
    }
}

#[test]
fn partitions_and_threads_change_no_bit() {
    let x = blobs(30_000, 16);
    let w: Vec<f64> = (0..30_000).map(|i| 0.5 + f64::from(i % 7)).collect();
    let data = weighted(&x, &w);
    for init_mode in MODES {
        let run = |parts, threads| {
            let params = KMeansParams {
                init_mode,
                n_init: 2,
                max_iter: 5,
                weight_col: Some("w".to_owned()),
                ..k(9)
            };
            let Fitted { model, report } =
                fit(params, &data.clone().repartition(parts), threads).unwrap();
            let mut arrays = Arrays::new();
            (model.save(&mut arrays), arrays, report)
        };
        let first = run(1, 1);
        for (parts, threads) in [(1, 2), (1, 4), (2, 1), (3, 2), (7, 4), (64, 2)] {
            assert_eq!(
                run(parts, threads),
                first,
                "{init_mode:?}, {parts} partitions, {threads} threads"
            );
        }
    }
}

#[test]
fn a_weight_of_two_equals_a_row_twice() {
    let x = blobs(300, 4);
    let w: Vec<f64> = (0..300).map(|i| f64::from(i % 3)).collect();
    let repeat: Vec<usize> = (0..300)
        .flat_map(|i| std::iter::repeat_n(i, w[i] as usize))
        .collect();
    let twice = table(&x.select(Axis(0), &repeat));
    let start = given(&[&[0.0; 4], &[4.0; 4], &[1.0; 4]]);
    let a = fit(
        KMeansParams {
            weight_col: Some("w".to_owned()),
            ..start.clone()
        },
        &weighted(&x, &w),
        1,
    )
    .unwrap();
    let b = fit(start, &twice, 1).unwrap();
    // The same terms, added as w * x here and as x + x there: rounding of 400 terms.
    assert_close(&a.report.history, &b.report.history, 1e-12, "history");
    let flat = |m: &KMeansModel| m.centres().iter().copied().collect::<Vec<_>>();
    assert_close(&flat(&a.model), &flat(&b.model), 1e-12, "centres");
}

#[test]
fn an_empty_cluster_moves_to_the_farthest_row() {
    let x = array![[0.0], [1.0], [2.0], [10.0], [12.0]];
    // The centre at 100 gets no row; 12 lies farthest from its centre, 2.
    let Fitted { model, report } = fit(given(&[&[2.0], &[100.0]]), &table(&x), 1).unwrap();
    assert_eq!(model.centres(), array![[1.0], [11.0]]);
    assert_eq!(report.figures["effective_k"], 2.0);
    assert!(report.history.windows(2).all(|h| h[1] <= h[0]));
    // Two equal centres: the lower one takes all rows, and of the two rows that are as far, the first gets the other.
    let one = fit(
        KMeansParams {
            max_iter: 1,
            ..given(&[&[0.0], &[0.0]])
        },
        &table(&array![[-3.0], [3.0], [0.0]]),
        1,
    )
    .unwrap();
    assert_eq!(one.model.centres(), array![[0.0], [-3.0]]);
}

#[test]
fn more_clusters_than_distinct_rows_give_as_many_as_there_are() {
    let x = Array2::from_shape_fn((60, 2), |(i, j)| ((i % 3) * (j + 1)) as f64);
    for init_mode in MODES {
        let Fitted { model, report } = fit(
            KMeansParams {
                init_mode,
                n_init: 3,
                ..k(5)
            },
            &table(&x),
            1,
        )
        .unwrap();
        assert_eq!(
            (model.centres().nrows(), report.figures["effective_k"]),
            (3, 3.0),
            "{init_mode:?}"
        );
        assert_eq!(report.figures["distortion"], 0.0);
        assert!(
            report.warnings[0].starts_with("3 clusters hold rows, 5 were asked for"),
            "{:?}",
            report.warnings
        );
    }
    let centers: &[&[f64]] = &[&[0.0, 0.0], &[9.0, 9.0], &[8.0, 8.0], &[7.0, 7.0]];
    assert_eq!(
        fit(given(centers), &table(&x), 1)
            .unwrap()
            .model
            .centres()
            .nrows(),
        3
    );
    // As many as there are distinct rows: all of them, whatever the draws.
    assert_eq!(
        fit(k(3), &table(&x), 1).unwrap().report.figures["distortion"],
        0.0
    );
}

#[test]
fn draws_favour_weight_times_squared_distance() {
    // After the first centre at 0, k-means|| with one pass of two draws takes both rows off it; random takes rows by weight.
    let x = array![[0.0], [1.0], [3.0]];
    let data = weighted(&x, &[1.0, 0.0, 9.0]);
    let mut hits = 0;
    for seed in 0..400 {
        let params = KMeansParams {
            init_mode: InitMode::Random,
            max_iter: 0,
            seed: Some(seed),
            weight_col: Some("w".to_owned()),
            ..k(1)
        };
        let centre = fit(params, &data, 1).unwrap().model.centres()[(0, 0)];
        assert!(centre != 1.0, "a row of weight 0 is never drawn");
        hits += i32::from(centre == 3.0);
    }
    // Binomial(400, 0.9): mean 360, standard deviation 6; six of them.
    assert!((324..=396).contains(&hits), "{hits}");
}

#[test]
fn no_move_is_made_where_none_is_allowed() {
    let Fitted { model, report } = fit(
        KMeansParams {
            max_iter: 0,
            ..given(&[&[0.0], &[5.0]])
        },
        &table(&array![[1.0], [4.0]]),
        1,
    )
    .unwrap();
    assert_eq!(model.centres(), array![[0.0], [5.0]]);
    assert_eq!(
        (report.history, report.stop),
        (vec![2.0], StopReason::MaxIter)
    );
}
