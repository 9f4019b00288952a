use emberline_pipeline::datasets::arrow::array::AsArray;
use emberline_pipeline::datasets::{ColumnType, Dataset};
use emberline_pipeline::row::Cell;
use emberline_pipeline::{Pipeline, PipelineModel, Run};

use super::*;
use crate::testing::{floats, texts};

fn fit(params: VectorAssemblerParams, data: &Dataset) -> emberline_pipeline::Result<PipelineModel> {
    Ok(Pipeline::builder()
        .stage(params)
        .build()?
        .fit(data, &Run::local(0, 1))?
        .model)
}

fn table() -> Dataset {
    Dataset::from_columns(vec![
        floats("a", &[Some(1.0), None, Some(3.0)]),
        floats("b", &[Some(4.0), Some(5.0), Some(6.0)]),
    ])
    .unwrap()
}

#[test]
fn columns_stand_side_by_side_in_schema_order() {
    let params = VectorAssemblerParams {
        inputs: vec!["b".into(), "a".into()],
        ..VectorAssemblerParams::default()
    };
    let data =
        Dataset::from_columns(vec![floats("a", &[Some(1.0)]), floats("b", &[Some(2.0)])]).unwrap();
    let out = fit(params, &data)
        .unwrap()
        .transform_dataset(&data)
        .unwrap();
    assert_eq!(
        out.schema().get("features").unwrap().ty,
        ColumnType::dense(2)
    );
    let batch = out.read(0, None).unwrap();
    assert_eq!(
        batch.vector("features").unwrap().as_f64_slice().unwrap(),
        [2.0, 1.0]
    );
}

#[test]
fn a_missing_value_is_refused_with_column_and_row() {
    let model = fit(VectorAssemblerParams::default(), &table()).unwrap();
    let error = model
        .transform_dataset(&table())
        .unwrap()
        .read(0, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("stage `vector_assembler`: column `a`, row 1"),
        "{error}"
    );
}

#[test]
fn skip_drops_the_row_and_keep_leaves_it_missing() {
    let with = |handle_invalid| VectorAssemblerParams {
        handle_invalid,
        ..VectorAssemblerParams::default()
    };
    let rows = |p| {
        let model = fit(p, &table()).unwrap();
        model
            .transform_dataset(&table())
            .unwrap()
            .read(0, None)
            .unwrap()
    };
    let skipped = rows(with(HandleInvalid::Skip));
    assert_eq!(skipped.row_ids().as_ref(), [0, 2]);
    let kept = rows(with(HandleInvalid::Keep));
    assert_eq!(
        kept.column("features")
            .unwrap()
            .as_fixed_size_list()
            .values()
            .null_count(),
        1
    );
}

#[test]
fn a_text_column_is_not_left_out_without_a_word() {
    let data = Dataset::from_columns(vec![
        floats("a", &[Some(1.0)]),
        texts("colour", &[Some("red")]),
    ])
    .unwrap();
    let error = fit(VectorAssemblerParams::default(), &data).err().unwrap();
    assert!(
        error
            .to_string()
            .contains("text columns `colour` would be left out"),
        "{error}"
    );
    assert_eq!(error.exit_code(), 2);
    let excluded = VectorAssemblerParams {
        inputs: vec!["*".to_owned(), "!colour".to_owned()],
        ..VectorAssemblerParams::default()
    };
    assert!(fit(excluded, &data).is_ok(), "the remedy it names");
}

#[test]
fn one_record_gives_the_bits_of_a_batch() {
    let params = VectorAssemblerParams {
        handle_invalid: HandleInvalid::Keep,
        ..VectorAssemblerParams::default()
    };
    let model = fit(params, &table()).unwrap();
    let mut scorer = model.scorer(table().schema()).unwrap();
    scorer.input()[0] = Cell::Number(3.0);
    scorer.input()[1] = Cell::Number(6.0);
    assert!(scorer.score().unwrap());
    let features = scorer.position("features").unwrap();
    assert_eq!(scorer.cell(features).vector(), [3.0, 6.0]);
}
