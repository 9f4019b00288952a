//! What a fitted model makes of rows, however they are stored, in batches and as records.

use super::*;

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
