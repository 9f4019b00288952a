use std::sync::Arc;

use crate::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
};

use super::*;
use crate::batch::dense_vectors;
use crate::schema::{Column, ColumnType, Element, Roles, Slot};
use crate::{PartitionBy, Split};

fn data(columns: Vec<(&str, ColumnType, ArrayRef)>) -> Dataset {
    let columns = columns
        .into_iter()
        .map(|(name, ty, array)| (Column::new(name, ty, true), array))
        .collect();
    Dataset::from_columns(columns).unwrap()
}

fn one(ty: ColumnType, array: ArrayRef) -> ColumnDescription {
    describe(&data(vec![("c", ty, array)]))
        .unwrap()
        .columns
        .remove(0)
}

#[test]
fn numbers_have_a_range_a_mean_and_a_spread_without_their_gaps() {
    let values = [
        Some(1.0),
        None,
        Some(f64::NAN),
        Some(2.0),
        Some(6.0),
        Some(f64::INFINITY),
    ];
    let c = one(ColumnType::Float, Arc::new(Float64Array::from_iter(values)));
    let range = c.range.unwrap();
    assert_eq!(c.nulls, 2);
    assert_eq!(
        (range.min, range.max),
        (RangeEnd::Float(1.0), RangeEnd::Float(6.0))
    );
    // Mean 3, squared deviations 4 + 1 + 9 over 2.
    assert_eq!(
        (range.mean, range.sd, range.infinite),
        (Some(3.0), Some(7_f64.sqrt()), 1)
    );
    assert_eq!(c.distinct, Some(Distinct::Exactly(4)));
    assert!(c.top.is_empty());
}

#[test]
fn integers_keep_every_digit_of_their_range() {
    let c = one(
        ColumnType::Integer,
        Arc::new(Int64Array::from(vec![i64::MAX, -3, i64::MAX])),
    );
    let range = c.range.unwrap();
    assert_eq!(range.max, RangeEnd::Integer(i64::MAX));
    assert_eq!(range.min, RangeEnd::Integer(-3));
    assert_eq!(
        (c.top[0].value.as_str(), c.top[0].count),
        ("9223372036854775807", 2)
    );
}

#[test]
fn categories_come_most_frequent_first_and_ties_by_value() {
    let text = StringArray::from(vec![Some("b"), Some("a"), None, Some("c"), Some("c")]);
    let c = one(ColumnType::Text, Arc::new(text));
    let top: Vec<_> = c
        .top
        .iter()
        .map(|t| (t.value.as_str(), t.count, t.share))
        .collect();
    assert_eq!(top, [("c", 2, 0.5), ("a", 1, 0.25), ("b", 1, 0.25)]);
    assert_eq!((c.nulls, &c.range), (1, &None));
    assert_eq!(
        (c.top_text(2).as_str(), c.distinct_text().as_str()),
        ("c 2, a 1, ... 1 more", "3")
    );
}

#[test]
fn dates_and_booleans_read_as_people_write_them() {
    let c = one(
        ColumnType::Date,
        Arc::new(Date32Array::from(vec![0, 19_000])),
    );
    let range = c.range.unwrap();
    assert_eq!(range.min, RangeEnd::Text("1970-01-01".to_owned()));
    assert_eq!(range.mean, None);
    let c = one(
        ColumnType::Boolean,
        Arc::new(BooleanArray::from(vec![true, true, false])),
    );
    assert_eq!(c.top[0].value, "true");
}

#[test]
fn values_beyond_the_limit_are_not_counted() {
    let numbers =
        |n: usize| -> ArrayRef { Arc::new((0..n as i64).map(Some).collect::<Int64Array>()) };
    let distinct = |n| one(ColumnType::Integer, numbers(n)).distinct;
    assert_eq!(distinct(10_000), Some(Distinct::Exactly(10_000)));
    assert_eq!(distinct(10_001), Some(Distinct::MoreThan(10_000)));
    assert_eq!(distinct(40_000).unwrap().to_string(), "more than 10000");
}

#[test]
fn vectors_tell_their_width_and_missing_slots() {
    let values = vec![1.0, f64::NAN, f64::NAN, f64::NAN, 5.0, 6.0];
    let column = Column::vector("v", ["a", "b"].map(Slot::numeric).to_vec());
    let array = dense_vectors(values, 2, Element::F64, true, 3).unwrap();
    let described = describe(&Dataset::from_columns(vec![(column, array)]).unwrap()).unwrap();
    let c = &described.columns[0];
    assert_eq!(c.nulls, 2);
    let expected = VectorDescription {
        width: 2,
        missing: 3,
        stored: 6,
    };
    assert_eq!(c.vector, Some(expected));
    assert_eq!(c.distinct, None);
}

fn labelled(n: usize) -> Dataset {
    let x: Float64Array = (0..n).map(|i| Some((i as f64).sqrt())).collect();
    let class: StringArray = (0..n).map(|i| Some(["a", "b", "b"][i % 3])).collect();
    let roles = Roles {
        label: Some("class".to_owned()),
        ..Roles::default()
    };
    data(vec![
        ("x", ColumnType::Float, Arc::new(x)),
        ("class", ColumnType::Text, Arc::new(class)),
    ])
    .with_roles(roles)
    .unwrap()
}

#[test]
fn the_label_has_its_class_balance() {
    let described = describe(&labelled(300)).unwrap();
    let classes = described.classes.unwrap();
    assert_eq!((classes[0].value.as_str(), classes[0].count), ("a", 100));
    assert_eq!(classes[1].share, 200.0 / 300.0);
    assert_eq!(described.columns[1].role.as_deref(), Some("label"));
}

#[test]
fn partitions_change_nothing_but_the_list_of_their_rows() {
    let whole = describe(&labelled(30_000).repartition(1)).unwrap();
    assert_eq!(whole.partitions, [30_000]);
    for n in [2, 7, 64] {
        let mut cut = describe(&labelled(30_000).repartition(n)).unwrap();
        assert_eq!(cut.partitions.iter().sum::<u64>(), 30_000);
        assert_eq!(cut.partitions.len(), n);
        cut.partitions.clone_from(&whole.partitions);
        assert_eq!(cut, whole);
    }
}

#[test]
fn rows_of_partitions_follow_the_partitioner_and_the_split() {
    let by = PartitionBy::Hash(vec!["class".to_owned()]);
    let data = labelled(3_000)
        .partition_by(&by, None)
        .unwrap()
        .repartition(2);
    let described = describe(&data).unwrap();
    assert_eq!(described.partitions, data.partition_rows().unwrap());
    let test = data.split(&Split::new(0.1, 1)).unwrap().test;
    assert_eq!(describe(&test).unwrap().rows, 300);
    assert_eq!(test.partition_rows().unwrap().iter().sum::<u64>(), 300);
}

#[test]
fn an_empty_dataset_is_described_and_serialises() {
    let described = describe(&labelled(0)).unwrap();
    assert_eq!(
        (described.rows, described.columns[0].range.clone()),
        (0, None)
    );
    let json = serde_json::to_value(&described).unwrap();
    assert_eq!(json["columns"][0]["type"], "float");
    assert_eq!(json["columns"][0]["distinct"]["exactly"], 0);
}
