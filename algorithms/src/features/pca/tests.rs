use crate::Result;
use emberline_pipeline::datasets::Dataset;
use emberline_pipeline::datasets::batch::sparse_vectors;
use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::datasets::{Column, ColumnType, Element, Layout};
use emberline_pipeline::row::Cell;
use emberline_pipeline::{
    Arrays, Component, Estimator, Fitted, Load, Pipeline, Registry, Run, Transformer,
};
use ndarray::{Array2, array};

use super::*;
use crate::testing::{assert_close, iris, numbers, oracle, vectors};

fn fit(params: PcaParams, data: &Dataset, threads: usize) -> Result<Fitted<PcaModel>> {
    Pca::build(params, &Registry::new())?.fit(data, &Run::local(0, threads))
}

fn table(x: &Array2<f64>) -> Dataset {
    Dataset::from_columns(vec![vectors(x)]).unwrap()
}

fn k(k: usize) -> PcaParams {
    PcaParams {
        k,
        ..PcaParams::default()
    }
}

fn cloud(n: usize) -> Array2<f64> {
    let draw = Draw::new(3, "cloud");
    Array2::from_shape_fn((n, 5), |(i, j)| {
        (j as f64 + 1.0) * draw.at(j as u64).uniform(i as u64) + draw.uniform(i as u64)
    })
}

/// Source of the numbers and of the tolerance: case `pca_iris` of the oracles.
#[test]
fn components_variances_and_scores_of_iris_are_met() {
    let case = oracle("pca_iris");
    let (want, tol) = (
        &case["expected"],
        case["tolerance"]["abs"].as_f64().unwrap(),
    );
    let data = table(&iris().0);
    let Fitted { model, report } = fit(k(4), &data, 1).unwrap();
    let mut signs = Vec::new();
    for (c, theirs) in want["components_rows_sign_free"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let (ours, theirs) = (model.loadings().column(c).to_vec(), numbers(theirs));
        let largest = (0..4).fold(0, |b, j| if ours[j].abs() > ours[b].abs() { j } else { b });
        assert!(ours[largest] > 0.0, "the largest loading is positive");
        signs.push(theirs[largest].signum());
        assert_close(
            &ours,
            &theirs.iter().map(|v| v * signs[c]).collect::<Vec<_>>(),
            tol,
            "loadings",
        );
    }
    assert_close(
        model.explained_variance(),
        &numbers(&want["explained_variance"]),
        tol,
        "variance",
    );
    assert_close(
        &model.explained_variance_ratio(),
        &numbers(&want["explained_variance_ratio"]),
        tol,
        "ratio",
    );
    assert!((report.figures["explained_variance_ratio"] - 1.0).abs() < 1e-14);
    let uncentred = fit(
        PcaParams {
            center: false,
            ..k(4)
        },
        &data,
        1,
    )
    .unwrap()
    .model;
    for (model, name) in [
        (&model, "scores_first_row_centred_sign_free"),
        (&uncentred, "scores_first_row_uncentred_sign_free"),
    ] {
        let batch = model.transform(data.read(0, None).unwrap()).unwrap();
        let mut row = [0.0; 4];
        batch.vector("pca_features").unwrap().read(0, &mut row);
        let theirs: Vec<f64> = numbers(&want[name])
            .iter()
            .zip(&signs)
            .map(|(v, s)| v * s)
            .collect();
        assert_close(&row, &theirs, tol, name);
    }
}

#[test]
fn columns_far_from_zero_keep_their_variance() {
    let x = cloud(20_000);
    let near = fit(k(5), &table(&x), 2).unwrap().model;
    let far = fit(k(5), &table(&(&x + 1e7)), 2).unwrap().model;
    // Coordinates near 1e7 are spaced 2e-9 apart; raw products would keep two digits.
    assert_close(
        far.explained_variance(),
        near.explained_variance(),
        1e-8,
        "variance",
    );
}

#[test]
fn partitions_and_threads_change_no_bit() {
    let data = table(&cloud(30_000));
    let save = |n, threads| {
        let model = fit(k(3), &data.clone().repartition(n), threads)
            .unwrap()
            .model;
        let mut arrays = Arrays::new();
        (model.save(&mut arrays), arrays)
    };
    let first = save(1, 1);
    for n in [1, 2, 3, 7, 64] {
        for threads in [1, 2, 4] {
            assert_eq!(save(n, threads), first);
        }
    }
}

#[test]
fn a_record_gets_the_bits_of_its_batch_and_a_reloaded_model_too() {
    let data = table(&cloud(50));
    let model = Pipeline::builder()
        .stage(k(2))
        .build()
        .unwrap()
        .fit(&data, &Run::local(0, 1))
        .unwrap()
        .model;
    let batch = model
        .transform_dataset(&data)
        .unwrap()
        .read(0, None)
        .unwrap();
    let mut want = [0.0; 2];
    batch.vector("pca_features").unwrap().read(7, &mut want);
    let mut scorer = model.scorer(data.schema()).unwrap();
    scorer.input()[0] = Cell::Vector(cloud(50).row(7).to_vec());
    assert!(scorer.score().unwrap());
    let at = scorer.position("pca_features").unwrap();
    assert_eq!(scorer.cell(at).vector(), want);

    let fitted = fit(k(2), &data, 1).unwrap().model;
    let mut arrays = Arrays::new();
    let state = fitted.save(&mut arrays);
    let again = PcaModel::load(&state, &arrays, &Registry::new()).unwrap();
    let column = |m: &PcaModel| {
        m.transform(data.read(0, None).unwrap())
            .unwrap()
            .column("pca_features")
            .unwrap()
            .clone()
    };
    assert_eq!(&column(&again), &column(&fitted));
    arrays.put_matrix("loadings", &Array2::zeros((3, 2)));
    assert!(PcaModel::load(&state, &arrays, &Registry::new()).is_err());
}

#[test]
fn a_sparse_column_gives_the_components_of_the_dense_one() {
    let x = array![
        [0.0, 1.0, 0.0],
        [2.0, 0.0, 0.0],
        [0.0, 3.0, 4.0],
        [5.0, 0.0, 0.0]
    ];
    let mut column = Column::vector("features", vectors(&x).0.slots.to_vec());
    column.ty = ColumnType::Vector {
        width: Some(3),
        element: Element::F64,
        layout: Layout::Sparse,
    };
    let array = sparse_vectors(
        vec![0, 1, 2, 4, 5],
        vec![1, 0, 1, 2, 0],
        vec![1.0, 2.0, 3.0, 4.0, 5.0],
    )
    .unwrap();
    let sparse = fit(
        k(2),
        &Dataset::from_columns(vec![(column, array)]).unwrap(),
        1,
    )
    .unwrap()
    .model;
    assert_eq!(
        sparse.loadings(),
        fit(k(2), &table(&x), 1).unwrap().model.loadings()
    );
}

#[test]
fn a_constant_column_and_few_rows_give_finite_scores_and_a_warning() {
    let x = array![[1.0, 7.0, 0.0], [2.0, 7.0, 1.0], [4.0, 7.0, 0.5]];
    let Fitted { model, report } = fit(k(3), &table(&x), 1).unwrap();
    // Three rows span two directions.
    assert!(
        report.warnings[0].starts_with("1 of 3 components carry no variance"),
        "{:?}",
        report.warnings
    );
    assert!(model.loadings().iter().all(|v| v.is_finite()));
    assert!(model.loadings()[(1, 0)].abs() < 1e-15 && model.loadings()[(1, 1)].abs() < 1e-15);
    let still = fit(k(2), &table(&Array2::from_elem((4, 2), 3.5)), 1).unwrap();
    assert!(
        still.report.warnings[0].starts_with("2 of 2"),
        "{:?}",
        still.report.warnings
    );
    assert_eq!(still.model.explained_variance_ratio(), [0.0, 0.0]);
}

#[test]
fn what_cannot_be_projected_is_refused() {
    let message = |params, x: &Array2<f64>| fit(params, &table(x), 1).err().unwrap().to_string();
    let one = array![[1.0, 2.0]];
    assert!(message(k(1), &one).contains("needs at least 2"));
    assert_eq!(
        message(k(0), &one),
        "parameter `k` must be at least 1, got 0"
    );
    assert!(message(k(3), &array![[1.0, 2.0], [3.0, 4.0]]).contains("has 2 slots; lower `k`"));
    let error = message(k(1), &array![[1.0, 2.0], [3.0, f64::NAN]]);
    assert!(error.contains("`features[x1]`, row 1"), "{error}");
    assert!(message(k(1), &array![[1e300, 2.0], [-1e300, 0.0]]).contains("overflows"));
    let schema = Pipeline::builder()
        .stage(k(3))
        .build()
        .unwrap()
        .schemas(table(&one).schema());
    assert_eq!(schema.unwrap_err().exit_code(), 2);
}
