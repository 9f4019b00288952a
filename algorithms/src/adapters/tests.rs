//! What all stages share through the adapters: layouts, record checks, damaged models, TOML.

use emberline_pipeline::datasets::arrow::array::ArrayRef;
use emberline_pipeline::datasets::batch::{dense_vectors, sparse_vectors};
use emberline_pipeline::datasets::{Column, ColumnType, Dataset, Element, Layout, Slot};
use emberline_pipeline::row::Cell;
use emberline_pipeline::{AnyStage, Arrays, SavedStage};

use crate::features::min_max_scaler::MinMaxScalerParams;
use crate::features::normalizer::NormalizerParams;
use crate::features::standard_scaler::StandardScalerParams;
use crate::testing::stages::{check_stage, fit_stage, table, vectors_of};
use crate::testing::vectors;

fn column(element: Element, layout: Layout) -> Column {
    let mut column = Column::vector(
        "features",
        (0..2).map(|j| Slot::numeric(format!("x{j}"))).collect(),
    );
    column.ty = ColumnType::Vector {
        width: Some(2),
        element,
        layout,
    };
    column
}

fn narrow() -> Dataset {
    let values: ArrayRef = dense_vectors(
        vec![0.1, 1.0, 0.3, 2.0, 0.7, 4.0],
        2,
        Element::F32,
        false,
        3,
    )
    .unwrap();
    table(vec![(column(Element::F32, Layout::Dense), values)])
}

fn sparse() -> Dataset {
    // (0, 3), (0, 0), (4, 0)
    let values = sparse_vectors(vec![0, 1, 1, 2], vec![1, 0], vec![3.0, 4.0]).unwrap();
    table(vec![(column(Element::F64, Layout::Sparse), values)])
}

#[test]
fn narrow_vectors_stay_narrow_and_records_round_as_batches_do() {
    for out in [
        check_stage(StandardScalerParams::default(), &narrow()),
        check_stage(NormalizerParams::default(), &narrow()),
    ] {
        assert_eq!(
            out.schema().get("features").unwrap().ty,
            column(Element::F32, Layout::Dense).ty
        );
    }
}

#[test]
fn sparse_vectors_are_read_with_their_zeros_and_written_dense() {
    let batch = sparse().read(0, None).unwrap();
    assert_eq!(
        vectors_of(&batch, "features"),
        [[0.0, 3.0], [0.0, 0.0], [4.0, 0.0]]
    );
    let scaled = check_stage(MinMaxScalerParams::default(), &sparse());
    assert_eq!(
        vectors_of(&scaled, "features"),
        [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    );
    assert_eq!(
        scaled.schema().get("features").unwrap().ty,
        ColumnType::dense(2)
    );
    let normed = check_stage(NormalizerParams::default(), &sparse());
    assert_eq!(
        vectors_of(&normed, "features"),
        [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    );
}

#[test]
fn a_record_with_a_vector_of_another_width_is_refused() {
    let data = table(vec![vectors(&ndarray::array![[1.0, 2.0], [3.0, 5.0]])]);
    for model in [
        fit_stage(StandardScalerParams::default(), &data).unwrap().0,
        fit_stage(NormalizerParams::default(), &data).unwrap().0,
    ] {
        let mut scorer = model.scorer(data.schema()).unwrap();
        for wrong in [Cell::Vector(vec![1.0]), Cell::Null] {
            scorer.input()[0] = wrong;
            let error = scorer.score().unwrap_err().to_string();
            assert!(
                error.contains("column `features`, row 0: the vector has"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_damaged_model_is_refused_and_does_not_panic() {
    let data = table(vec![vectors(&ndarray::array![[1.0, 2.0], [3.0, 5.0]])]);
    let (model, _) = fit_stage(StandardScalerParams::default(), &data).unwrap();
    let mut arrays = Arrays::new();
    let saved = model.save_stages(&mut arrays).remove(0);
    let own = arrays.scope("0");
    let registry = crate::registry();
    assert!(registry.load(&saved, &own).is_ok());
    assert!(
        registry.load(&saved, &Arrays::new()).is_err(),
        "arrays are missing"
    );
    let with = |path: &str, value: serde_json::Value| {
        let mut state = saved.state.clone();
        *state.pointer_mut(path).unwrap() = value;
        registry
            .load(
                &SavedStage {
                    stage: saved.stage.clone(),
                    state,
                },
                &own,
            )
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert!(
        with("/map/widths", serde_json::json!([3]))
            .contains("array `shift` has 2 values, 3 are needed")
    );
    assert!(with("/map/widths", serde_json::json!([1, 1])).contains("2 widths for 1 columns"));
    assert!(with("/map/factor", serde_json::Value::Null).contains("standard_scaler"));
}

#[test]
fn every_stage_builds_from_toml() {
    let registry = crate::registry();
    for (stage, text) in [
        (
            "imputer",
            "inputs = [\"*\"]\nstrategy = \"constant\"\nvalue = 0",
        ),
        (
            "imputer",
            "input = \"t\"\nstrategy = \"constant\"\nvalue = \"none\"",
        ),
        (
            "string_indexer",
            "inputs = [\"*\"]\nstring_order_type = \"alphabet_asc\"\nhandle_invalid = \"keep\"",
        ),
        (
            "index_to_string",
            "input = \"i\"\nlabels = [\"no\", \"yes\"]",
        ),
        (
            "one_hot_encoder",
            "inputs = [\"*_index\"]\ndrop_last = false\nhandle_invalid = \"keep\"",
        ),
        ("vector_slicer", "indices = [0]\nnames = [\"x1\"]"),
        ("standard_scaler", "with_mean = true"),
        ("min_max_scaler", "min = -1\nmax = 1"),
        ("max_abs_scaler", ""),
        ("robust_scaler", "lower = 0.1\nupper = 0.9"),
        ("normalizer", "p = inf"),
        (
            "binarizer",
            "inputs = [\"a\", \"b\"]\nthresholds = [0, 0.5]",
        ),
        (
            "bucketizer",
            "input = \"x\"\nsplits = [-inf, 0, 10.5, \"inf\"]",
        ),
        ("quantile_discretizer", "input = \"x\"\nnum_buckets = 10"),
        ("polynomial_expansion", "degree = 3"),
    ] {
        let entry = registry.get(stage).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let built = entry
            .build(&table, &registry)
            .unwrap_or_else(|e| panic!("{stage}: {e}"));
        let evidence = match &built {
            AnyStage::Transformer(t) => t.params(),
            AnyStage::Estimator(e) => e.params(),
        };
        assert!(evidence.is_object(), "{stage}");
        // The resolved parameters build the same stage.
        let resolved = entry.resolve(&table).unwrap();
        let again = entry
            .build(&resolved, &registry)
            .unwrap_or_else(|e| panic!("{stage}: {e}"));
        assert_eq!(again.stage().params(), evidence, "{stage}");
    }
}
