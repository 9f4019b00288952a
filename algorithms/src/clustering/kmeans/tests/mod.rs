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
fn f32_and_sparse_columns_give_the_centres_of_the_dense_one() {
    // Quarters are exact in f32.
    let x = blobs(200, 4).mapv(|v| (v * 4.0).round() / 4.0);
    let want = fit(k(4), &table(&x), 1).unwrap();
    let (slots, n) = (vectors(&x).0.slots.to_vec(), x.nrows());
    let column = |element, layout| {
        let mut column = Column::vector("features", slots.clone());
        column.ty = ColumnType::Vector {
            width: Some(4),
            element,
            layout,
        };
        column
    };
    let narrow = dense_vectors(x.iter().copied().collect(), 4, Element::F32, false, n).unwrap();
    let (mut offsets, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in x.rows() {
        for (j, v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            indices.push(j as u32);
            values.push(*v);
        }
        offsets.push(values.len() as i32);
    }
    let sparse = sparse_vectors(offsets, indices, values).unwrap();
    for column in [
        (column(Element::F32, Layout::Dense), narrow),
        (column(Element::F64, Layout::Sparse), sparse),
    ] {
        let data = Dataset::from_columns(vec![column]).unwrap();
        let got = fit(k(4), &data, 1).unwrap();
        assert_eq!(
            (got.model.centres(), &got.report),
            (want.model.centres(), &want.report)
        );
        let (got, want) = (predict(&got.model, &data), predict(&want.model, &table(&x)));
        assert_eq!(clusters(&got), clusters(&want));
        assert_eq!(distances(&got), distances(&want));
    }
}

#[test]
fn a_record_gets_the_bits_of_its_batch_and_a_reloaded_model_too() {
    let x = blobs(500, 8);
    let data = table(&x);
    // Many centres take another way through the kernel than few.
    for (distance_measure, n_centres) in [
        (DistanceMeasure::Euclidean, 9),
        (DistanceMeasure::Euclidean, 70),
        (DistanceMeasure::Cosine, 9),
        (DistanceMeasure::Cosine, 70),
    ] {
        let params = KMeansParams {
            distance_measure,
            ..k(n_centres)
        };
        let model = Pipeline::builder()
            .stage(params.clone())
            .build()
            .unwrap()
            .fit(&data, &Run::local(42, 1))
            .unwrap()
            .model;
        let batch = model
            .transform_dataset(&data)
            .unwrap()
            .read(0, None)
            .unwrap();
        let mut scorer = model.scorer(data.schema()).unwrap();
        let (cluster, distance) = (
            scorer.position("prediction").unwrap(),
            scorer.position("distance").unwrap(),
        );
        for i in 0..500 {
            scorer.input()[0] = Cell::Vector(x.row(i).to_vec());
            assert!(scorer.score().unwrap());
            assert_eq!(
                scorer.cell(cluster).number(),
                Some(clusters(&batch)[i] as f64)
            );
            assert_eq!(scorer.cell(distance).number(), Some(distances(&batch)[i]));
        }
        let fitted = fit(params, &data, 1).unwrap().model;
        let mut arrays = Arrays::new();
        let state = fitted.save(&mut arrays);
        let again = KMeansModel::load(&state, &arrays, &Registry::new()).unwrap();
        assert_eq!(distances(&predict(&again, &data)), distances(&batch));
        arrays.put_matrix("centres", &Array2::zeros((2, 3)));
        assert!(KMeansModel::load(&state, &arrays, &Registry::new()).is_err());
    }
}

#[test]
fn cosine_groups_by_direction_whatever_the_length() {
    let x = array![[1.0, 0.1], [100.0, 8.0], [0.1, 1.0], [5.0, 60.0]];
    let params = KMeansParams {
        distance_measure: DistanceMeasure::Cosine,
        n_init: 3,
        ..k(2)
    };
    let Fitted { model, report } = fit(params.clone(), &table(&x), 1).unwrap();
    let batch = predict(&model, &table(&x));
    let c = clusters(&batch);
    assert!(c[0] == c[1] && c[2] == c[3] && c[0] != c[2], "{c:?}");
    let centre = model.centres();
    let row = centre.row(c[1] as usize);
    let cosine = (100.0 * row[0] + 8.0 * row[1]) / (100.0_f64.hypot(8.0) * row.dot(&row).sqrt());
    assert!((distances(&batch)[1] - (1.0 - cosine)).abs() < 1e-15);
    assert_close(
        &[distances(&batch).iter().sum()],
        &[report.figures["distortion"]],
        1e-12,
        "distortion",
    );
    let error = fit(params, &table(&array![[1.0, 0.0], [0.0, 0.0]]), 1)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("row 1: a vector of zeros"),
        "{error}"
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

#[test]
fn what_cannot_be_clustered_is_refused() {
    let message = |params, data: &Dataset| fit(params, data, 1).err().unwrap().to_string();
    let data = table(&array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(
        message(k(0), &data),
        "parameter `k` must be at least 1, got 0"
    );
    assert!(message(k(2), &table(&Array2::zeros((0, 2)))).contains("no rows"));
    let error = message(k(2), &table(&array![[1.0, 2.0], [f64::NAN, 4.0]]));
    assert!(error.contains("`features[x0]`, row 1"), "{error}");
    let error = message(k(2), &table(&array![[1.0, 2.0], [3.0, f64::INFINITY]]));
    assert!(error.contains("`features[x1]`, row 1: inf"), "{error}");
    assert!(
        message(given(&[&[1.0]]), &data).contains("1 numbers each, column `features` has 2 slots")
    );
    assert!(message(given(&[]), &data).contains("`centers` must list"));
    assert!(
        message(
            KMeansParams {
                k: 3,
                ..given(&[&[1.0, 2.0]])
            },
            &data
        )
        .contains("`k` is 3, but `centers` lists 1")
    );
    assert!(
        message(
            KMeansParams {
                centers: vec![vec![1.0]],
                ..k(1)
            },
            &data
        )
        .contains("is read with")
    );
    let weightless = weighted(&array![[1.0], [2.0]], &[0.0, 0.0]);
    assert!(
        message(
            KMeansParams {
                weight_col: Some("w".to_owned()),
                ..k(1)
            },
            &weightless
        )
        .contains("weight 0")
    );
    let negative = weighted(&array![[1.0], [2.0]], &[1.0, -1.0]);
    let error = message(
        KMeansParams {
            weight_col: Some("w".to_owned()),
            ..k(1)
        },
        &negative,
    );
    assert!(error.contains("column `w`, row 1"), "{error}");
}

#[test]
fn parameters_survive_toml() {
    let table: toml::Table = "init_mode = \"given\"\ncenters = [[1, 2.5], [3, 4]]"
        .parse()
        .unwrap();
    let stage = ENTRY.build(&table, &Registry::new()).unwrap();
    assert_eq!(
        stage.stage().params()["centers"],
        serde_json::json!([[1.0, 2.5], [3.0, 4.0]])
    );
    let error = ENTRY
        .build(
            &"init_mode = \"kmeans\"\nn_innit = 3".parse().unwrap(),
            &Registry::new(),
        )
        .err()
        .unwrap();
    assert_eq!(error.0.len(), 2);
}

#[test]
fn starts_beyond_what_memory_holds_are_refused_before_they_are_made() {
    // Found by putting every number at the edges of its range: the centres of all starts are allocated at once.
    let table = "n_init = 2147483648\ninit_steps = 0".parse().unwrap();
    let errors = ENTRY.build(&table, &Registry::new()).err().unwrap();
    let told: Vec<String> = errors.0.iter().map(|e| e.message.clone()).collect();
    assert_eq!(
        told,
        [
            "must be between 1 and 1000, got 2147483648",
            "must be between 1 and 1000, got 0"
        ]
    );
}
