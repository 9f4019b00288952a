//! Fits of small tables, end to end through the public API: reading excluded, data made before the clock starts.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use emberline::arrow::array::Float64Array;
use emberline::datasets::random::Draw;
use emberline::prelude::*;

const COLUMNS: usize = 16;

/// `rows` by 16 normal numbers and a label that depends on the first four.
fn table(rows: usize) -> Dataset {
    let mut stream = Draw::new(1, "bench").stream();
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); COLUMNS];
    let mut label = Vec::with_capacity(rows);
    for _ in 0..rows {
        let row: Vec<f64> = (0..COLUMNS).map(|_| stream.normal()).collect();
        label.push(f64::from(u8::from(row[0] + row[1] * row[2] > row[3])));
        columns.iter_mut().zip(&row).for_each(|(c, v)| c.push(*v));
    }
    let named = columns.into_iter().enumerate().map(|(j, values)| {
        (
            Column::new(format!("x{j}"), ColumnType::Float, false),
            Arc::new(Float64Array::from(values)) as _,
        )
    });
    let label = (
        Column::new("label", ColumnType::Float, false),
        Arc::new(Float64Array::from(label)) as _,
    );
    let roles = emberline::datasets::Roles {
        label: Some("label".to_owned()),
        ..Default::default()
    };
    Dataset::from_columns(named.chain([label]).collect())
        .and_then(|d| d.with_roles(roles))
        .expect("a well-formed table")
}

fn pipeline(
    learner: impl Fn(emberline::pipeline::PipelineBuilder) -> emberline::pipeline::PipelineBuilder,
) -> Pipeline {
    learner(Pipeline::builder().stage(VectorAssemblerParams::default()))
        .build()
        .expect("valid parameters")
}

fn learners(c: &mut Criterion) {
    let forest = RandomForestClassifierParams {
        num_trees: 10,
        max_depth: 12,
        ..Default::default()
    };
    let pipelines = [
        (
            "kmeans_10x10",
            pipeline(|b| {
                b.stage(KMeansParams {
                    k: 10,
                    max_iter: 10,
                    tol: 0.0,
                    ..Default::default()
                })
            }),
        ),
        ("forest_10", pipeline(|b| b.stage(forest.clone()))),
        (
            "logistic",
            pipeline(|b| {
                b.stage(LogisticRegressionParams {
                    reg_param: 0.01,
                    ..Default::default()
                })
            }),
        ),
        (
            "linear",
            pipeline(|b| b.stage(LinearRegressionParams::default())),
        ),
    ];
    for rows in [10_000, 40_000] {
        let data = table(rows);
        for threads in [1, 2] {
            let run = Run::local(1, threads);
            let mut group = c.benchmark_group(format!("fit_{rows}x{COLUMNS}_threads_{threads}"));
            group.sample_size(10);
            for (name, pipeline) in &pipelines {
                group.bench_function(BenchmarkId::from_parameter(name), |b| {
                    b.iter(|| {
                        black_box(
                            pipeline
                                .fit(&data, &run)
                                .expect("the table fits")
                                .stages
                                .len(),
                        )
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, learners);
criterion_main!(benches);
