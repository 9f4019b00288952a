//! batches of any size, a reloaded model and the one-record path give the same bits.

use emberline::arrow::array::Array;
use emberline::datasets::{Batch, ColumnType};
use emberline::pipeline::row::Cell;
use emberline::prelude::*;

use crate::common::dice::amount;
use crate::common::write;
use crate::learners::{LEARNERS, config, csv, train_unnamed, whole};

/// The cell of row `i`, as the one-record path has it.
fn cell(batch: &Batch, name: &str, i: usize) -> Cell {
    let column = batch.schema().get(name).unwrap();
    if column.ty.is_vector() {
        let vector = batch.vector(name).unwrap();
        let mut values = vec![0.0; vector.width()];
        vector.read(i, &mut values);
        return Cell::Vector(values);
    }
    if batch.column(name).unwrap().is_null(i) {
        return Cell::Null;
    }
    match column.ty {
        ColumnType::Text => Cell::Text(batch.text(name).unwrap().value(i).to_owned()),
        _ => Cell::Number(batch.numbers(name).unwrap().value(i)),
    }
}

/// A cell as bits; all NaN mean "missing" and are one.
fn bits(cell: &Cell, out: &mut Vec<u64>) {
    let number = |v: f64| if v.is_nan() { u64::MAX } else { v.to_bits() };
    match cell {
        Cell::Null => out.push(u64::MAX - 1),
        Cell::Number(v) => out.push(number(*v)),
        Cell::Text(text) => out.extend(text.bytes().map(u64::from).chain([u64::MAX - 2])),
        Cell::Vector(values) => out.extend(values.iter().map(|v| number(*v))),
    }
}

/// The bits of every row of a batch after the model.
fn predicted(model: &PipelineModel, batch: Batch, names: &[String]) -> Vec<Vec<u64>> {
    let out = model.transform(batch).unwrap();
    (0..out.num_rows())
        .map(|i| {
            let mut row = Vec::new();
            names
                .iter()
                .for_each(|name| bits(&cell(&out, name, i), &mut row));
            row
        })
        .collect()
}

#[test]
fn batches_of_any_size_a_reloaded_model_and_the_scorer_agree_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let train = write(folder.path(), "train.csv", &csv(2_000));
    let n = amount("EMBERLINE_ROWS", 8_192);
    let rows = whole(&write(folder.path(), "rows.csv", &csv(n)));
    let (mut passed, mut total) = (0, 0);
    for (name, label, stages) in LEARNERS {
        let outcome = train_unnamed(&config(label, stages, &train), &[]);
        let bytes = outcome.model_file.to_bytes().unwrap();
        let loaded = ModelFile::from_bytes(&bytes, "m.ember", &emberline::registry()).unwrap();
        let model = outcome.model;
        let input = model
            .input_schema()
            .select(&model.required_columns())
            .unwrap();
        let inputs: Vec<String> = model.required_columns();
        let rows = rows.select(&inputs).unwrap();
        let names = model.writes(&input);
        let cut = |n: usize, size: usize| {
            let rows = &rows;
            (0..n)
                .step_by(size)
                .map(move |at| rows.slice(at, size.min(n - at)))
        };
        let expected: Vec<Vec<u64>> = cut(n, 8192)
            .flat_map(|b| predicted(&model, b, &names))
            .collect();
        assert_eq!(expected.len(), n, "{name}");
        let mut same = |n: usize, found: &mut dyn Iterator<Item = Vec<u64>>| {
            total += n;
            passed += expected.iter().zip(found).filter(|(a, b)| *a == b).count();
        };
        // A batch of one row costs what a batch costs: fewer of them.
        let few = n / 20;
        same(
            few,
            &mut cut(few, 1).flat_map(|b| predicted(&model, b, &names)),
        );
        same(
            n,
            &mut cut(n, 100).flat_map(|b| predicted(&model, b, &names)),
        );
        same(
            n,
            &mut cut(n, 8192).flat_map(|b| predicted(&loaded.model, b, &names)),
        );
        let mut scorer = loaded.model.scorer(&input).unwrap();
        let positions: Vec<usize> = names.iter().map(|n| scorer.position(n).unwrap()).collect();
        same(
            n,
            &mut (0..n).map(|i| {
                for (j, column) in inputs.iter().enumerate() {
                    scorer.input()[j] = cell(&rows, column, i);
                }
                assert!(scorer.score().unwrap(), "{name}, row {i}");
                let mut row = Vec::new();
                positions
                    .iter()
                    .for_each(|&p| bits(scorer.cell(p), &mut row));
                row
            }),
        );
    }
    println!(
        "R-16: {passed}/{total} rows the same to the bit in batches of 1, 100 and 8,192 rows, reloaded, and one by one"
    );
    assert_eq!(passed, total);
}
