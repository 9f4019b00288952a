//! `sparse_vector_ops`: a stage gives the same numbers for the same vectors, dense or sparse.

use std::sync::{Arc, LazyLock};

use emberline::arrow::array::ArrayRef;
use emberline::datasets::batch::{dense_vectors, sparse_vectors};
use emberline::datasets::{Batch, Column, ColumnType, Element, Layout, SchemaErrors, Slot};
use emberline::prelude::*;

use super::Choices;

static REGISTRY: LazyLock<Registry> = LazyLock::new(emberline::registry);

/// Stages that read the vector `features`, each with a run of others before it where it needs one.
const STAGES: &[&str] = &[
    "stage = \"normalizer\"\np = 2.0\noutput = \"out\"",
    "stage = \"normalizer\"\np = 1.0\noutput = \"out\"",
    "stage = \"normalizer\"\np = inf\noutput = \"out\"",
    "stage = \"max_abs_scaler\"\noutput = \"out\"",
    "stage = \"standard_scaler\"\noutput = \"out\"",
    "stage = \"standard_scaler\"\nwith_mean = true\noutput = \"out\"",
    "stage = \"min_max_scaler\"\noutput = \"out\"",
    "stage = \"robust_scaler\"\noutput = \"out\"",
    "stage = \"polynomial_expansion\"\noutput = \"out\"",
    "stage = \"vector_slicer\"\nindices = [1, 0]\noutput = \"out\"",
    "stage = \"vector_assembler\"\ninputs = [\"features\", \"y\"]\noutput = \"out\"",
    "stage = \"binarizer\"\ninput = \"features\"\noutput = \"out\"\nthreshold = 0.5",
    "stage = \"kmeans\"\nk = 2\nprediction_col = \"out\"",
    "stage = \"linear_regression\"\nlabel_col = \"y\"\nprediction_col = \"out\"",
    "stage = \"decision_tree_regressor\"\nlabel_col = \"y\"\nprediction_col = \"out\"",
    "stage = \"random_forest_regressor\"\nlabel_col = \"y\"\nnum_trees = 2\nprediction_col = \"out\"",
];

/// Rows of `width` numbers, many of them zero.
fn rows(choices: &mut Choices<'_>, width: usize) -> Vec<Vec<f64>> {
    let numbers = [
        0.0, 0.0, 0.0, 0.0, 1.0, -1.0, 0.5, 2.0, -3.25, 1e3, 1e-3, 1e150, -0.0, 7.0,
    ];
    let n = 3 + choices.below(12);
    (0..n)
        .map(|_| {
            (0..width)
                .map(|_| *choices.pick(&numbers) + f64::from(choices.byte() % 4))
                .collect()
        })
        .collect()
}

fn table(rows: &[Vec<f64>], layout: Layout) -> Result<Dataset> {
    let width = rows[0].len();
    let array: ArrayRef = match layout {
        Layout::Dense => dense_vectors(rows.concat(), width, Element::F64, false, rows.len())?,
        Layout::Sparse => {
            let (mut offsets, mut indices, mut values) = (vec![0_i32], Vec::new(), Vec::new());
            for row in rows {
                for (j, v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                    indices.push(j as u32);
                    values.push(*v);
                }
                offsets.push(indices.len() as i32);
            }
            sparse_vectors(offsets, indices, values)?
        }
    };
    let features = Column {
        slots: (0..width).map(|j| Slot::numeric(format!("s{j}"))).collect(),
        ..Column::new(
            "features",
            ColumnType::Vector {
                width: Some(width),
                element: Element::F64,
                layout,
            },
            false,
        )
    };
    let y = Column::new("y", ColumnType::Float, false);
    let label: Vec<f64> = rows
        .iter()
        .enumerate()
        .map(|(i, r)| r[0].clamp(-9.0, 9.0) + i as f64)
        .collect();
    let label: ArrayRef = Arc::new(emberline::arrow::array::Float64Array::from(label));
    Ok(Dataset::from_columns(vec![(features, array), (y, label)])?)
}

/// The column `out` of every row after fitting the stage; vectors and numbers alike as numbers.
fn fitted(data: &Dataset, stage: &str) -> Result<Vec<Vec<f64>>> {
    let mut params: toml::Table = stage.parse().unwrap_or_else(|e| panic!("{e}"));
    let name = params
        .remove("stage")
        .and_then(|s| s.as_str().map(str::to_owned))
        .unwrap_or_default();
    let entry = REGISTRY
        .get(&name)
        .unwrap_or_else(|| panic!("no stage {name}"));
    let pipeline = Pipeline::new(vec![entry.build(&params, &REGISTRY)?]);
    let model = pipeline.fit(data, &Run::local(1, 1))?.model;
    let out: Batch = model.transform_dataset(data)?.read(0, None)?;
    let column = out.schema().get("out").map_err(SchemaErrors::from)?;
    if !column.ty.is_vector() {
        let numbers = out.numbers("out")?;
        return Ok((0..out.num_rows())
            .map(|i| vec![numbers.value(i)])
            .collect());
    }
    let vector = out.vector("out")?;
    Ok((0..out.num_rows())
        .map(|i| {
            let mut row = vec![0.0; vector.width()];
            vector.read(i, &mut row);
            row
        })
        .collect())
}

/// Fits a stage on rows drawn from the bytes, once dense and once sparse, and compares what it makes of them.
///
/// # Panics
/// The numbers differ by more than the order of a sum explains, or one form is refused and the other taken.
pub fn sparse_vector_ops(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let stage = choices.pick(STAGES);
    let width = 2 + choices.below(6);
    let rows = rows(&mut choices, width);
    let both = [Layout::Dense, Layout::Sparse]
        .map(|layout| table(&rows, layout).and_then(|d| fitted(&d, stage)));
    match both {
        [Ok(dense), Ok(sparse)] => {
            assert_eq!(dense.len(), sparse.len());
            // Columns of a matrix and stored slots are summed in different orders: a dozen terms, so some units in the last place
            // of the largest number beside it.
            let scale = dense.iter().flatten().fold(0.0_f64, |m, v| m.max(v.abs()));
            for (a, b) in dense.iter().flatten().zip(sparse.iter().flatten()) {
                let near = (a - b).abs() <= 1e-9 * scale || a == b || (a.is_nan() && b.is_nan());
                assert!(near, "{stage}: {a} dense, {b} sparse, of {rows:?}");
            }
            true
        }
        [Err(dense), Err(sparse)] => {
            assert_eq!(
                dense.exit_code(),
                sparse.exit_code(),
                "{stage}: {dense}; {sparse}"
            );
            false
        }
        [Ok(_), Err(error)] | [Err(error), Ok(_)] => {
            panic!("{stage}: one form is taken, the other not: {error}; {rows:?}")
        }
    }
}
