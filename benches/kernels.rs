//! The inner loops, one at a time, each as the smallest piece of the public API that runs it over pinned blocks: data made and
//! pinned before the clock starts, sizes in the id, one thread and two.
//!
//! `cargo bench --bench kernels -- distance` runs those whose id has that word.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use emberline::algorithms::linear::{Link, LossPass, Scale, Side};
use emberline::algorithms::tree::FeatureSubset;
use emberline::arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, ListArray, StructArray, UInt32Array,
};
use emberline::arrow::buffer::OffsetBuffer;
use emberline::arrow::datatypes::{DataType, Field};
use emberline::datasets::random::Draw;
use emberline::datasets::{
    BlockSpec, Classes, Element, LabelSpec, Layout, MissingRule, TableWriter,
};
use emberline::pipeline::Pinned;
use emberline::prelude::*;
use ndarray::Array2;

const THREADS: [usize; 2] = [1, 2];
const CLASSES: usize = 10;

/// `n` normal numbers.
fn normal(n: usize, purpose: &str) -> Vec<f32> {
    let mut stream = Draw::new(1, purpose).stream();
    (0..n).map(|_| stream.normal() as f32).collect()
}

fn features(layout: Layout, width: usize) -> Column {
    let ty = ColumnType::Vector {
        width: Some(width),
        element: Element::F32,
        layout,
    };
    Column::new("features", ty, false)
}

fn dense(rows: usize, width: usize) -> (Column, ArrayRef) {
    let numbers = Arc::new(Float32Array::from(normal(rows * width, "dense")));
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let lists = FixedSizeListArray::try_new(item, width as i32, numbers, None).expect("whole rows");
    (features(Layout::Dense, width), Arc::new(lists))
}

/// Rows of `stored` numbers each, spread evenly over `width` slots.
fn sparse(rows: usize, width: usize, stored: usize) -> (Column, ArrayRef) {
    let ends = OffsetBuffer::from_lengths(vec![stored; rows]);
    let step = width / stored;
    let slots = (0..rows * stored).map(|k| (k % stored * step + k / stored % step) as u32);
    let list = |ty, child: ArrayRef| {
        let item = Arc::new(Field::new("item", ty, false));
        let lists = ListArray::try_new(item, ends.clone(), child, None).expect("equal lengths");
        Arc::new(lists) as ArrayRef
    };
    let indices = list(
        DataType::UInt32,
        Arc::new(UInt32Array::from_iter_values(slots)),
    );
    let numbers = Arc::new(Float32Array::from(normal(rows * stored, "sparse")));
    let values = list(DataType::Float32, numbers);
    let field = |name: &str, part: &ArrayRef| Field::new(name, part.data_type().clone(), false);
    let fields = vec![field("indices", &indices), field("values", &values)];
    let pairs =
        StructArray::try_new(fields.into(), vec![indices, values], None).expect("two lists");
    (features(Layout::Sparse, width), Arc::new(pairs))
}

/// Features with ten classes in turn.
fn labelled(features: (Column, ArrayRef)) -> Dataset {
    let classes = (0..features.1.len()).map(|i| (i % CLASSES) as i64);
    let label: ArrayRef = Arc::new(Int64Array::from_iter_values(classes));
    let label = (Column::new("label", ColumnType::Integer, false), label);
    Dataset::from_columns(vec![features, label]).expect("columns of one length")
}

fn pin(data: &Dataset, run: &Run) -> Pinned {
    let classes = Classes::Integer((0..CLASSES as i64).collect());
    let spec = BlockSpec {
        features: "features".to_owned(),
        label: LabelSpec::Classes {
            column: "label".to_owned(),
            classes: Arc::new(classes),
        },
        weight: None,
        missing: MissingRule::Error,
    };
    run.pin(data, &spec)
        .expect("finite features and known classes")
}

/// Benches `work` on one thread and on two.
fn on_threads<T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: &str,
    prepare: impl Fn(&Run) -> T,
    work: impl Fn(&Run, &T),
) {
    for threads in THREADS {
        let run = Run::local(1, threads);
        let ready = prepare(&run);
        let id = BenchmarkId::new(id, format!("{threads}_threads"));
        group.bench_with_input(id, &ready, |b, ready| b.iter(|| work(&run, ready)));
    }
}

/// One assignment of every row to the nearest centre: tiles of distances, the running minimum, the sums. With one slot next to
/// nothing but the minimum is left.
fn assignment(c: &mut Criterion) {
    let mut group = c.benchmark_group("assign");
    for (name, rows, width, k) in [
        ("distance", 262_144, 16, 10),
        ("distance", 65_536, 128, 100),
        ("distance", 16_384, 784, 10),
        ("argmin", 262_144, 1, 64),
    ] {
        let data = Dataset::from_columns(vec![dense(rows, width)]).expect("one column");
        let centres = normal(k * width, "centres");
        let rows_of = centres.chunks_exact(width);
        let params = KMeansParams {
            init_mode: InitMode::Given,
            centers: rows_of
                .map(|r| r.iter().map(|v| f64::from(*v)).collect())
                .collect(),
            max_iter: 0,
            ..Default::default()
        };
        let learner = KMeans::build(params, &Registry::new()).expect("valid parameters");
        group.throughput(Throughput::Elements((rows * width * k) as u64));
        let id = format!("{name}_{rows}x{width}_k{k}");
        on_threads(
            &mut group,
            &id,
            |_| (),
            |run, ()| {
                black_box(learner.fit(&data, run).expect("finite rows"));
            },
        );
    }
    group.finish();
}

fn loss(link: Link, models: usize, width: usize) -> LossPass {
    let ones = vec![1.0; width];
    let coefficients = normal(models * width, "coefficients")
        .into_iter()
        .map(f64::from);
    LossPass {
        scale: Scale {
            centre: vec![0.0; width],
            inverse: ones.clone(),
            sd: ones,
        },
        link,
        coefficients: Array2::from_shape_vec((models, width), coefficients.collect())
            .expect("as many numbers as cells"),
        intercepts: vec![0.0; models],
    }
}

fn sigmoids() -> Link {
    let side = |class| Side {
        class,
        positive: 1.0,
        negative: 1.0,
    };
    Link::Binary((0..CLASSES).map(side).collect())
}

/// Loss and gradient of ten models: with one feature little but the sigmoids or the softmax, with many the products.
fn losses(c: &mut Criterion) {
    let mut group = c.benchmark_group("loss");
    let softmax = || Link::Softmax(vec![1.0; CLASSES]);
    let cases = [
        ("sigmoid", sigmoids(), dense(262_144, 1), 1, 262_144),
        ("softmax", softmax(), dense(262_144, 1), 1, 262_144),
        (
            "dense_product",
            sigmoids(),
            dense(65_536, 100),
            100,
            6_553_600,
        ),
        (
            "csr_product",
            sigmoids(),
            sparse(65_536, 784, 98),
            784,
            6_422_528,
        ),
    ];
    for (name, link, features, width, stored) in cases {
        let rows = features.1.len();
        let data = labelled(features);
        let pass = loss(link, CLASSES, width);
        group.throughput(Throughput::Elements((stored * CLASSES) as u64));
        let id = format!("{name}_{rows}x{width}_stored_{stored}");
        on_threads(
            &mut group,
            &id,
            |run| pin(&data, run),
            |run, pinned| {
                black_box(run.round(pinned, &pass).expect("finite sums"));
            },
        );
    }
    group.finish();
}

/// One tree on all features: depth 0 bins the rows, depth 1 adds one histogram a feature and one partition of all rows, every
/// further level as much again.
fn trees(c: &mut Criterion) {
    let mut group = c.benchmark_group("tree");
    group.sample_size(20);
    for (name, depth) in [
        ("bins", 0),
        ("histogram_partition", 1),
        ("histogram_partition", 6),
    ] {
        let (rows, width) = (131_072, 20);
        let data = labelled(dense(rows, width));
        let params = RandomForestClassifierParams {
            num_trees: 1,
            max_depth: depth,
            bootstrap: false,
            feature_subset_strategy: FeatureSubset::All,
            ..Default::default()
        };
        let learner =
            RandomForestClassifier::build(params, &Registry::new()).expect("valid parameters");
        group.throughput(Throughput::Elements((rows * width) as u64));
        let id = format!("{name}_{rows}x{width}_depth_{depth}");
        on_threads(
            &mut group,
            &id,
            |_| (),
            |run, ()| {
                black_box(learner.fit(&data, run).expect("finite rows"));
            },
        );
    }
    group.finish();
}

/// A table of numbers in a file, read and assembled into blocks.
fn reading(c: &mut Criterion) {
    let (rows, width) = (65_536, 20);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut columns: Vec<(Column, ArrayRef)> = Vec::new();
    for j in 0..width {
        let numbers = normal(rows, &format!("column {j}"))
            .into_iter()
            .map(f64::from);
        let array = emberline::arrow::array::Float64Array::from_iter_values(numbers);
        let column = Column::new(format!("x{j}"), ColumnType::Float, false);
        columns.push((column, Arc::new(array)));
    }
    let table = Dataset::from_columns(columns).expect("columns of one length");
    let mut group = c.benchmark_group("to_blocks");
    group.sample_size(20);
    for format in ["csv", "parquet"] {
        let path = folder.path().join("table").with_extension(format);
        write_table(&table, &path);
        let bytes = std::fs::metadata(&path).expect("it was written").len();
        group.throughput(Throughput::Bytes(bytes));
        let id = format!("{format}_{rows}x{width}");
        on_threads(
            &mut group,
            &id,
            |_| (),
            |run, ()| {
                black_box(blocks_of(&path, run).n_blocks());
            },
        );
    }
    group.finish();
}

fn blocks_of(path: &Path, run: &Run) -> Pinned {
    let data = open(&SourceOptions::new(path.to_string_lossy())).expect("a readable file");
    let assembler = Pipeline::builder().stage(VectorAssemblerParams::default());
    let model = assembler
        .build()
        .expect("valid parameters")
        .fit(&data, run)
        .expect("numbers")
        .model;
    let assembled = model.transform_dataset(&data).expect("numbers");
    let spec = BlockSpec {
        features: "features".to_owned(),
        label: LabelSpec::None,
        weight: None,
        missing: MissingRule::Error,
    };
    run.pin(&assembled, &spec).expect("finite numbers")
}

fn write_table(table: &Dataset, path: &Path) {
    let mut writer = TableWriter::create(path, None, table.schema()).expect("a folder to write to");
    for batch in table.batches(None).expect("rows in memory") {
        writer
            .write(&batch.expect("rows in memory"))
            .expect("room to write");
    }
    writer.finish().expect("room to write");
}

criterion_group!(benches, assignment, losses, trees, reading);
criterion_main!(benches);
