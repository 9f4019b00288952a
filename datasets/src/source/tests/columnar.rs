use std::sync::Arc;

use crate::arrow::array::*;
use crate::arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::TypeName;
use crate::source::Source;
use crate::source::parquet::{Compare, Comparison, Constant, ParquetSource};

pub(super) fn write(path: &Path, batch: &RecordBatch, group: usize) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_dictionary_enabled(false)
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn numbers(rows: i64) -> RecordBatch {
    let n = Int64Array::from_iter_values(0..rows);
    let x = Float64Array::from_iter_values((0..rows).map(|i| i as f64 / 2.0));
    let w = StringArray::from_iter_values((0..rows).map(|i| format!("w{i:06}")));
    RecordBatch::try_from_iter([
        ("n", Arc::new(n) as ArrayRef),
        ("x", Arc::new(x)),
        ("w", Arc::new(w)),
    ])
    .unwrap()
}

fn every_type() -> RecordBatch {
    let list = FixedSizeListArray::from_iter_primitive::<crate::arrow::datatypes::Float32Type, _, _>(
        [Some([Some(1.0), None]), None],
        2,
    );
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some([Some(1.0), Some(2.0), Some(3.0)]),
        Some([Some(4.0), None, Some(6.0)]),
    ]);
    let dictionary: DictionaryArray<Int32Type> = [Some("a"), None].into_iter().collect();
    let zoned = TimestampNanosecondArray::from(vec![1_500, 2_000_000]).with_timezone("+05:00");
    let decimal = Decimal128Array::from(vec![12_345, -5])
        .with_precision_and_scale(10, 2)
        .unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i8", Arc::new(Int8Array::from(vec![Some(-1), None]))),
        ("u64", Arc::new(UInt64Array::from(vec![1, 2]))),
        ("f32", Arc::new(Float32Array::from(vec![0.5, 1.5]))),
        ("dec", Arc::new(decimal)),
        ("dict", Arc::new(dictionary)),
        ("large", Arc::new(LargeStringArray::from(vec!["x", "y"]))),
        (
            "view",
            Arc::new(StringViewArray::from(vec![
                "a long text that is not inlined",
                "s",
            ])),
        ),
        ("day", Arc::new(Date32Array::from(vec![0, 1]))),
        ("at", Arc::new(zoned)),
        ("yes", Arc::new(BooleanArray::from(vec![true, false]))),
        ("fixed", Arc::new(list)),
        ("lists", Arc::new(lists)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .unwrap()
}

fn check_every_type(data: &Dataset) {
    let found: Vec<String> = types(data).into_iter().map(|(_, t)| t).collect();
    let expected = [
        "integer",
        "integer",
        "float",
        "float",
        "text",
        "text",
        "text",
        "date",
        "timestamp",
        "boolean",
        "vector[2] of f32",
        "vector[3] of f64",
    ];
    assert_eq!(found, expected);
    let columns = whole(data);
    assert_eq!(
        columns[0]
            .as_primitive::<Int64Type>()
            .iter()
            .collect::<Vec<_>>(),
        [Some(-1), None]
    );
    assert_eq!(
        columns[3].as_primitive::<Float64Type>().values(),
        &[123.45, -0.05]
    );
    assert_eq!((text(&columns[4], 0), columns[4].is_null(1)), ("a", true));
    // The zone changes how a time is shown, not when it is.
    assert_eq!(
        columns[8]
            .as_primitive::<TimestampMicrosecondType>()
            .values(),
        &[1, 2_000]
    );
    let batch = data.read(0, None).unwrap();
    let mut row = [0.0; 3];
    batch.vector("lists").unwrap().read(1, &mut row);
    assert!(row[0] == 4.0 && row[1].is_nan() && row[2] == 6.0);
    batch.vector("fixed").unwrap().read(0, &mut row[..2]);
    assert!(row[0] == 1.0 && row[1].is_nan());
    batch.vector("fixed").unwrap().read(1, &mut row[..2]);
    assert!(row[0].is_nan() && row[1].is_nan());
}

#[test]
fn every_usual_type_of_a_parquet_file_becomes_one_of_ours() {
    let folder = Folder::new();
    write(&folder.path("a.parquet"), &every_type(), 100);
    check_every_type(&open(&folder.options("a.parquet")).unwrap());
}

#[test]
fn every_usual_type_of_an_arrow_file_becomes_one_of_ours() {
    let folder = Folder::new();
    let batch = every_type();
    let file = std::fs::File::create(folder.path("a.arrow")).unwrap();
    let mut writer = crate::arrow::ipc::writer::FileWriter::try_new(file, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    check_every_type(&open(&folder.options("a.arrow")).unwrap());
}

#[test]
fn blocks_restart_at_row_groups_and_ids_count_rows_of_the_file() {
    let folder = Folder::new();
    write(&folder.path("a.parquet"), &numbers(25_000), 10_000);
    let data = open(&folder.options("a.parquet")).unwrap();
    let rows: Vec<usize> = data.chunks().unwrap().iter().map(|c| c.rows).collect();
    assert_eq!(rows, [8192, 1808, 8192, 1808, 5000]);
    assert_eq!(data.source().known_rows(), Some(25_000));
    assert_eq!(ids(&data), (0..25_000).collect::<Vec<u64>>());
    let n = whole(&data)[0]
        .as_primitive::<Int64Type>()
        .values()
        .to_vec();
    assert_eq!(n, (0..25_000).collect::<Vec<i64>>());
    let batch = data.read(3, Some(&["w".to_owned()])).unwrap();
    assert_eq!(text(&batch.columns()[0], 0), "w018192");
    // No column at all still has its rows.
    assert_eq!(data.read(1, Some(&[])).unwrap().num_rows(), 1_808);
}

fn prune(folder: &Folder, column: &str, op: Compare, value: Constant) -> Vec<u64> {
    let paths = [folder.path("a.parquet")];
    let source = ParquetSource::open(&paths, &folder.options("a.parquet")).unwrap();
    let filter = Comparison {
        column: column.to_owned(),
        op,
        value,
    };
    let source = source.with_filter(&[filter]).unwrap();
    source
        .chunks()
        .unwrap()
        .iter()
        .map(|c| c.first_row)
        .collect()
}

#[test]
fn row_groups_that_cannot_match_are_left_out() {
    let folder = Folder::new();
    write(&folder.path("a.parquet"), &numbers(3_000), 1_000);
    let kept = |c: &str, op, v| prune(&folder, c, op, v);
    assert_eq!(kept("n", Compare::Less, Constant::Integer(1_000)), [0]);
    assert_eq!(
        kept("n", Compare::LessOrEqual, Constant::Integer(1_000)),
        [0, 1_000]
    );
    assert_eq!(kept("n", Compare::Equal, Constant::Integer(2_500)), [2_000]);
    assert_eq!(kept("x", Compare::Greater, Constant::Float(999.5)), [2_000]);
    assert_eq!(
        kept("x", Compare::GreaterOrEqual, Constant::Float(999.5)),
        [1_000, 2_000]
    );
    assert_eq!(
        kept("x", Compare::Equal, Constant::Float(f64::NAN)),
        [0, 1_000, 2_000]
    );
    assert_eq!(
        kept("w", Compare::Less, Constant::Text("w001".to_owned())),
        [0]
    );
    assert!(kept("n", Compare::Greater, Constant::Integer(3_000)).is_empty());
}

#[test]
fn a_filter_of_another_kind_or_column_is_refused() {
    let folder = Folder::new();
    write(&folder.path("a.parquet"), &numbers(10), 10);
    let error = |column: &str| {
        let source =
            ParquetSource::open(&[folder.path("a.parquet")], &folder.options("a.parquet")).unwrap();
        let filter = Comparison {
            column: column.to_owned(),
            op: Compare::Equal,
            value: Constant::Integer(1),
        };
        source.with_filter(&[filter]).unwrap_err().to_string()
    };
    assert!(error("w").contains("column `w` is text"));
    assert!(error("m").contains("no column `m`"));
}

#[test]
fn a_row_group_that_is_left_out_is_not_read() {
    let folder = Folder::new();
    let path = folder.path("a.parquet");
    write(&path, &numbers(3_000), 1_000);
    // Overwrites the pages of the second row group; whoever reads them must fail.
    let source =
        ParquetSource::open(std::slice::from_ref(&path), &folder.options("a.parquet")).unwrap();
    assert_eq!(source.n_row_groups(), 3);
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(
        std::fs::File::open(&path).unwrap(),
    );
    let metadata = parquet::file::reader::FileReader::metadata(&reader.unwrap()).clone();
    let (start, _) = metadata.row_group(1).column(0).byte_range();
    let (end, _) = metadata.row_group(2).column(0).byte_range();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[start as usize..end as usize].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let open_again =
        || ParquetSource::open(std::slice::from_ref(&path), &folder.options("a.parquet")).unwrap();
    assert!(open_again().read(1, &[0]).is_err());
    let filter = [Comparison {
        column: "n".to_owned(),
        op: Compare::GreaterOrEqual,
        value: Constant::Integer(2_000),
    }];
    let pruned = open_again().with_filter(&filter).unwrap();
    assert_eq!(pruned.n_row_groups(), 1);
    let data = Dataset::new(Arc::new(pruned));
    assert_eq!(ids(&data), (2_000..3_000).collect::<Vec<u64>>());
}

#[test]
fn integers_beyond_i64_lists_of_two_lengths_and_other_types_are_refused() {
    let folder = Folder::new();
    let one = |name: &str, array: ArrayRef| {
        let batch = RecordBatch::try_from_iter([("v", array)]).unwrap();
        write(&folder.path(name), &batch, 100);
        folder.options(name)
    };
    let error = read_error(&one(
        "a.parquet",
        Arc::new(UInt64Array::from(vec![u64::MAX])),
    ));
    assert!(
        error.contains("column `v`") && error.contains("18446744073709551615"),
        "{error}"
    );
    let lists =
        ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![Some(1.0)]), Some(vec![])]);
    let error = read_error(&one("b.parquet", Arc::new(lists)));
    assert!(
        error.contains("row 1: a list of 0 numbers among lists of 1"),
        "{error}"
    );
    let error = open_error(&one(
        "c.parquet",
        Arc::new(BinaryArray::from(vec![b"x".as_slice()])),
    ));
    assert!(error.contains("cannot be used: `v` (Binary)"), "{error}");
}

#[test]
fn given_types_convert_columns_of_parquet_files() {
    let folder = Folder::new();
    write(&folder.path("a.parquet"), &numbers(3), 10);
    let mut options = folder.options("a.parquet");
    options.schema.insert("n".to_owned(), TypeName::Text);
    let data = open(&options).unwrap();
    assert_eq!(text(&whole(&data)[0], 2), "2");
}

#[test]
fn files_of_different_types_are_refused_by_name() {
    let folder = Folder::new();
    write(&folder.path("a.parquet"), &numbers(3), 10);
    let other = RecordBatch::try_from_iter([
        ("n", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef),
        ("x", Arc::new(Float64Array::from(vec![1.0]))),
        ("w", Arc::new(StringArray::from(vec!["a"]))),
    ])
    .unwrap();
    write(&folder.path("b.parquet"), &other, 10);
    let error = open_error(&folder.options("*.parquet"));
    assert!(
        error.contains(
            "b.parquet` have different columns: `n` is integer in the first and float in the second"
        ),
        "{error}"
    );
}

#[test]
fn damaged_and_empty_parquet_files_are_refused() {
    let folder = Folder::new();
    let path = folder.path("a.parquet");
    write(&path, &numbers(100), 100);
    let bytes = std::fs::read(&path).unwrap();
    let error = open_error(&folder.write("b.parquet", &bytes[..bytes.len() - 9]));
    assert!(
        error.contains("no Parquet file, or a damaged one"),
        "{error}"
    );
    assert!(open_error(&folder.write("c.parquet", "")).contains("no Parquet file"));
    write(&path, &numbers(0), 100);
    assert!(open_error(&folder.options("a.parquet")).contains("there are no rows"));
}

#[test]
fn a_field_of_lists_keeps_the_arrow_item_name_out_of_the_way() {
    let folder = Folder::new();
    let item = Arc::new(Field::new("element", DataType::Float64, false));
    let values = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    let list = FixedSizeListArray::new(item, 2, values, None);
    let batch = RecordBatch::try_from_iter([("v", Arc::new(list) as ArrayRef)]).unwrap();
    write(&folder.path("a.parquet"), &batch, 10);
    let data = open(&folder.options("a.parquet")).unwrap();
    assert_eq!(
        data.read(0, None)
            .unwrap()
            .vector("v")
            .unwrap()
            .as_f64_slice(),
        Some(&[1.0, 2.0][..])
    );
}

#[test]
fn chunks_read_in_a_run_are_those_read_one_by_one_across_row_groups() {
    let folder = Folder::new();
    // Groups of 30,000 rows: four chunks each, the last of them shorter.
    write(&folder.path("a.parquet"), &numbers(100_000), 30_000);
    let data = open(&folder.options("a.parquet")).unwrap();
    let source = data.source();
    let n = data.chunks().unwrap().len();
    for columns in [vec![0, 2], vec![1], vec![]] {
        for (start, end) in [(0, n), (3, 9), (5, 5), (n - 1, n)] {
            let run = source.read_run(start..end, &columns).unwrap();
            assert_eq!(run.len(), end - start);
            for (chunk, batch) in (start..end).zip(run) {
                let one = source.read(chunk, &columns).unwrap();
                assert_eq!(batch.row_ids(), one.row_ids());
                assert_eq!(batch.columns(), one.columns());
            }
        }
    }
    assert!(source.read_run(n - 1..n + 1, &[0]).is_err());
    let cached = data.cache(None).unwrap();
    assert_eq!(whole(&cached), whole(&data));
    assert_eq!(ids(&cached), ids(&data));
}
