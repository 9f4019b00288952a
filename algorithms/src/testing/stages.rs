//! What every column-wise stage must hold to, checked by one call.

use std::sync::Arc;

use emberline_pipeline::datasets::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array,
};
use emberline_pipeline::datasets::source::MemorySource;
use emberline_pipeline::datasets::{Batch, Column, ColumnType, Dataset};
use emberline_pipeline::row::Cell;
use emberline_pipeline::{
    Arrays, Error, ParamSet, Pipeline, PipelineModel, Run, SavedStage, StageReport,
};

/// An integer column; `None` is missing.
pub fn integers(name: &str, values: &[Option<i64>]) -> (Column, ArrayRef) {
    (
        Column::new(name, ColumnType::Integer, true),
        Arc::new(Int64Array::from(values.to_vec())),
    )
}

/// A boolean column; `None` is missing.
pub fn booleans(name: &str, values: &[Option<bool>]) -> (Column, ArrayRef) {
    (
        Column::new(name, ColumnType::Boolean, true),
        Arc::new(BooleanArray::from(values.to_vec())),
    )
}

/// A table of these columns.
pub fn table(columns: Vec<(Column, ArrayRef)>) -> Dataset {
    Dataset::from_columns(columns).unwrap()
}

/// The same rows in chunks of at most `rows`.
pub fn in_chunks(data: &Dataset, rows: usize) -> Dataset {
    let batches = data
        .batches(None)
        .unwrap()
        .map(Result::unwrap)
        .flat_map(|batch| {
            let starts = (0..batch.num_rows()).step_by(rows);
            starts
                .map(|s| batch.slice(s, rows.min(batch.num_rows() - s)))
                .collect::<Vec<_>>()
        });
    let batches = batches.collect();
    Dataset::new(Arc::new(MemorySource::new(
        "memory",
        data.schema().clone(),
        batches,
    )))
}

/// Fits a pipeline of this one stage.
pub fn fit_stage<P: ParamSet>(
    params: P,
    data: &Dataset,
) -> emberline_pipeline::Result<(PipelineModel, StageReport)> {
    let mut fitted = Pipeline::builder()
        .stage(params)
        .build()?
        .fit(data, &Run::local(0, 1))?;
    Ok((fitted.model, fitted.stages.remove(0)))
}

/// The message and exit code with which fitting or the first pass over the rows fails.
pub fn failure<P: ParamSet>(params: P, data: &Dataset) -> (String, u8) {
    let run = || -> Result<(), Error> {
        let (model, _) = fit_stage(params, data)?;
        for batch in model.transform_dataset(data)?.batches(None)? {
            batch?;
        }
        Ok(())
    };
    let error = run().expect_err("the stage must refuse this");
    (error.to_string(), error.exit_code())
}

/// The rows of `data` after a stage that is fitted on them, without the checks of [`check_stage`].
pub fn fitted_rows<P: ParamSet>(params: P, data: &Dataset) -> Batch {
    through(&fit_stage(params, data).unwrap().0, data)
}

/// Fits the stage and checks that
/// - partitions (1, 2, 7, 64) and threads (1, 2) change no bit of the saved model;
/// - one record gives the bits of a batch, row by row, dropped rows included;
/// - the model read back from its saved form gives the same bits;
/// - a batch without rows passes, and the schema that was promised is kept.
///
/// Returns all rows of `data` after the stage.
pub fn check_stage<P: ParamSet>(params: P, data: &Dataset) -> Batch {
    cuts_change_nothing(&params, data);
    let (model, _) = fit_stage(params, data).unwrap();
    check_model(&model, data)
}

/// As [`check_stage`], for a model of one stage that was fitted elsewhere.
pub fn check_model(model: &PipelineModel, data: &Dataset) -> Batch {
    assert_eq!(
        data.chunks().unwrap().len(),
        1,
        "the helper compares one batch"
    );
    let batch = data.read(0, None).unwrap();
    let out = through(model, data);
    records_agree(model, &batch, &out);

    let again = through(&reload(model), data);
    assert_eq!(
        out.columns(),
        again.columns(),
        "the model read back gives other values"
    );
    assert_eq!(
        out.schema(),
        again.schema(),
        "the model read back promises another schema"
    );

    let stage = &model.stages()[0];
    assert_eq!(
        *out.schema().as_ref(),
        stage.output_schema(batch.schema()).unwrap()
    );
    let none = stage
        .transform(Batch::empty(batch.schema().clone()))
        .unwrap();
    assert_eq!((none.num_rows(), none.schema()), (0, out.schema()));
    out.to_record_batch()
        .expect("no null in a column that is declared without");
    out
}

/// The rows of `data` after a model.
pub fn through(model: &PipelineModel, data: &Dataset) -> Batch {
    model
        .transform_dataset(data)
        .unwrap()
        .read(0, None)
        .unwrap()
}

/// The model written to text and read back.
pub fn reload(model: &PipelineModel) -> PipelineModel {
    let mut arrays = Arrays::new();
    let text = serde_json::to_string(&model.save_stages(&mut arrays)).unwrap();
    let saved: Vec<SavedStage> = serde_json::from_str(&text).unwrap();
    PipelineModel::load_stages(
        &saved,
        &arrays,
        model.input_schema().clone(),
        &crate::registry(),
    )
    .unwrap()
}

fn cuts_change_nothing<P: ParamSet>(params: &P, data: &Dataset) {
    let small = in_chunks(data, 3);
    let mut first: Option<(Vec<SavedStage>, Arrays)> = None;
    for (partitions, threads) in [(1, 1), (2, 2), (7, 1), (64, 2)] {
        let pipeline = Pipeline::builder().stage(params.clone()).build().unwrap();
        let model = pipeline
            .fit(
                &small.clone().repartition(partitions),
                &Run::local(0, threads),
            )
            .unwrap()
            .model;
        let mut arrays = Arrays::new();
        let saved = (model.save_stages(&mut arrays), arrays);
        match &first {
            Some(expected) => assert_eq!(
                *expected, saved,
                "{partitions} partitions, {threads} threads"
            ),
            None => first = Some(saved),
        }
    }
}

fn records_agree(model: &PipelineModel, input: &Batch, out: &Batch) {
    let mut scorer = model.scorer(input.schema()).unwrap();
    assert_eq!(
        *scorer.schema(),
        **out.schema(),
        "the record path promises another schema"
    );
    let mut kept = 0;
    for i in 0..input.num_rows() {
        for (j, column) in input.schema().columns().iter().enumerate() {
            scorer.input()[j] = cell(input, column, i);
        }
        if !scorer.score().unwrap() {
            continue;
        }
        assert_eq!(out.row_ids()[kept], input.row_ids()[i]);
        for column in out.schema().columns() {
            let got = scorer.cell(scorer.position(&column.name).unwrap());
            let expected = cell(out, column, kept);
            assert!(
                same_bits(got, &expected),
                "column `{}`, row {i}: {got:?}, batch {expected:?}",
                column.name
            );
        }
        kept += 1;
    }
    assert_eq!(
        kept,
        out.num_rows(),
        "the batch keeps other rows than the record path"
    );
}

/// The value of row `i`.
pub fn cell(batch: &Batch, column: &Column, i: usize) -> Cell {
    let array = batch.column(&column.name).unwrap();
    if column.ty.is_vector() {
        let vectors = batch.vector(&column.name).unwrap();
        let mut row = vec![0.0; vectors.width()];
        vectors.read(i, &mut row);
        Cell::Vector(row)
    } else if array.is_null(i) {
        Cell::Null
    } else if column.ty == ColumnType::Text {
        Cell::Text(array.as_string::<i32>().value(i).to_owned())
    } else {
        Cell::Number(batch.numbers(&column.name).unwrap().value(i))
    }
}

fn same_bits(a: &Cell, b: &Cell) -> bool {
    let bits = |v: &[f64]| {
        v.iter()
            .map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() })
            .collect::<Vec<_>>()
    };
    match (a, b) {
        (Cell::Vector(x), Cell::Vector(y)) => bits(x) == bits(y),
        (Cell::Number(x), Cell::Number(y)) => bits(&[*x]) == bits(&[*y]),
        _ => a == b,
    }
}

/// The numbers of a column; `None` is missing.
pub fn numbers_of(batch: &Batch, column: &str) -> Vec<Option<f64>> {
    batch.numbers(column).unwrap().iter().collect()
}

/// The texts of a column; `None` is missing.
pub fn texts_of(batch: &Batch, column: &str) -> Vec<Option<String>> {
    batch
        .text(column)
        .unwrap()
        .iter()
        .map(|v| v.map(ToOwned::to_owned))
        .collect()
}

/// The rows of a vector column; NaN is missing.
pub fn vectors_of(batch: &Batch, column: &str) -> Vec<Vec<f64>> {
    let vectors = batch.vector(column).unwrap();
    (0..vectors.rows())
        .map(|i| {
            let mut row = vec![0.0; vectors.width()];
            vectors.read(i, &mut row);
            row
        })
        .collect()
}
