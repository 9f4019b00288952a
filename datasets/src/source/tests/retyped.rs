//! Columns of columnar files whose types differ from ours, or from what `data.schema` says.

use std::sync::Arc;

use super::columnar::write;
use super::*;
use crate::TypeName;
use crate::arrow::array::*;
use crate::arrow::datatypes::{
    Date32Type, Float64Type, Int8Type, Int64Type, TimestampMicrosecondType,
};
use crate::source::Source;
use crate::source::parquet::{Compare, Comparison, Constant, ParquetSource};

fn file(folder: &Folder, columns: Vec<(&str, ArrayRef)>) -> SourceOptions {
    let columns = columns.into_iter().map(|(n, a)| (n, a, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    write(&folder.path("a.parquet"), &batch, 100);
    folder.options("a.parquet")
}

fn integers(array: &ArrayRef) -> Vec<Option<i64>> {
    array.as_primitive::<Int64Type>().iter().collect()
}

fn floats(array: &ArrayRef) -> Vec<Option<f64>> {
    array.as_primitive::<Float64Type>().iter().collect()
}

#[test]
fn integers_of_every_width_keep_their_ends_and_their_nulls() {
    let folder = Folder::new();
    let options = file(
        &folder,
        vec![
            ("a", Arc::new(Int8Array::from(vec![Some(i8::MIN), None]))),
            ("b", Arc::new(Int16Array::from(vec![Some(i16::MIN), None]))),
            ("c", Arc::new(Int32Array::from(vec![Some(i32::MIN), None]))),
            ("d", Arc::new(UInt8Array::from(vec![Some(u8::MAX), None]))),
            ("e", Arc::new(UInt16Array::from(vec![Some(u16::MAX), None]))),
            ("f", Arc::new(UInt32Array::from(vec![Some(u32::MAX), None]))),
            ("g", Arc::new(UInt64Array::from(vec![Some(1 << 63), None]))),
        ],
    );
    let mut options = options;
    options.schema.insert("g".to_owned(), TypeName::Float);
    let columns = whole(&open(&options).unwrap());
    let ends = [-128, -32_768, -2_147_483_648, 255, 65_535, 4_294_967_295];
    for (column, end) in columns.iter().zip(ends) {
        assert_eq!(integers(column), [Some(end), None]);
    }
    assert_eq!(floats(&columns[6]), [Some(2_f64.powi(63)), None]);
}

#[test]
fn decimals_are_the_nearest_floats() {
    let folder = Folder::new();
    let wide = "12345678901234567890123456.789".replace('.', "");
    let wide: arrow_buffer::i256 = arrow_buffer::i256::from_string(&wide).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "a",
            Arc::new(
                Decimal128Array::from(vec![Some(3), None])
                    .with_precision_and_scale(20, 1)
                    .unwrap(),
            ),
        ),
        (
            "b",
            Arc::new(
                Decimal256Array::from(vec![Some(wide), None])
                    .with_precision_and_scale(40, 3)
                    .unwrap(),
            ),
        ),
    ];
    let columns = whole(&open(&file(&folder, columns)).unwrap());
    assert_eq!(floats(&columns[0]), [Some(0.3), None]);
    assert_eq!(
        floats(&columns[1]),
        [Some(1.234_567_890_123_456_8e25), None]
    );
}

#[test]
fn times_of_every_unit_count_microseconds_and_days_before_1970_are_days() {
    let folder = Folder::new();
    let options = file(
        &folder,
        vec![
            ("ms", Arc::new(TimestampMillisecondArray::from(vec![-1]))),
            (
                "us",
                Arc::new(TimestampMicrosecondArray::from(vec![-7]).with_timezone("+09:00")),
            ),
            ("ns", Arc::new(TimestampNanosecondArray::from(vec![-1]))),
            ("day", Arc::new(Date64Array::from(vec![-1]))),
        ],
    );
    let columns = whole(&open(&options).unwrap());
    let micros = |i: usize| {
        columns[i]
            .as_primitive::<TimestampMicrosecondType>()
            .value(0)
    };
    assert_eq!([micros(0), micros(1), micros(2)], [-1_000, -7, -1]);
    assert_eq!(columns[3].as_primitive::<Date32Type>().value(0), -1);
}

#[test]
fn a_given_type_reads_a_value_as_it_would_read_its_text() {
    let folder = Folder::new();
    let words: DictionaryArray<Int8Type> = [Some("12"), None, Some("-3")].into_iter().collect();
    let mut options = file(
        &folder,
        vec![
            ("words", Arc::new(words)),
            (
                "whole",
                Arc::new(Float64Array::from(vec![Some(2.0), None, Some(-0.0)])),
            ),
            (
                "yes",
                Arc::new(LargeStringArray::from(vec![
                    Some("true"),
                    None,
                    Some("False"),
                ])),
            ),
            (
                "day",
                Arc::new(Date32Array::from(vec![Some(1), None, Some(0)])),
            ),
            (
                "at",
                Arc::new(Date32Array::from(vec![Some(1), None, Some(0)])),
            ),
        ],
    );
    let given = [
        ("words", TypeName::Integer),
        ("whole", TypeName::Integer),
        ("yes", TypeName::Boolean),
        ("day", TypeName::Text),
        ("at", TypeName::Timestamp),
    ];
    options.schema = given.map(|(n, t)| (n.to_owned(), t)).into_iter().collect();
    let columns = whole(&open(&options).unwrap());
    assert_eq!(integers(&columns[0]), [Some(12), None, Some(-3)]);
    assert_eq!(integers(&columns[1]), [Some(2), None, Some(0)]);
    assert!(columns[2].as_boolean().value(0) && !columns[2].as_boolean().value(2));
    assert!(columns.iter().all(|c| c.null_count() == 1));
    assert_eq!(text(&columns[3], 0), "1970-01-02");
    let at = columns[4].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(at.value(0), 86_400_000_000);
}

#[test]
fn a_value_that_a_given_type_cannot_hold_is_refused_with_its_row_and_the_remedy() {
    let folder = Folder::new();
    let mut options = file(
        &folder,
        vec![("v", Arc::new(StringArray::from(vec!["1", "2", "three"])))],
    );
    options.schema.insert("v".to_owned(), TypeName::Integer);
    let error = read_error(&options);
    for part in [
        "a.parquet",
        "column `v`",
        "row 2",
        "\"three\"",
        "integer",
        "data.schema",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn statistics_of_another_type_leave_no_row_group_out() {
    let folder = Folder::new();
    let mut options = file(
        &folder,
        vec![("n", Arc::new(Int64Array::from(vec![9, 10])))],
    );
    options.schema.insert("n".to_owned(), TypeName::Text);
    let source = ParquetSource::open(&[folder.path("a.parquet")], &options).unwrap();
    // The group holds 9 to 10 as numbers; taken as texts these bounds are upside down, and would rule "9" out.
    let filter = Comparison {
        column: "n".to_owned(),
        op: Compare::Equal,
        value: Constant::Text("9".to_owned()),
    };
    let kept = source.with_filter(&[filter]).unwrap();
    assert_eq!(kept.chunks().unwrap().len(), 1);
}
