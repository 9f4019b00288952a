use std::collections::BTreeMap;

use crate::arrow::array::{Float64Array, StringArray};

use super::*;
use crate::schema::{Column, ColumnType};

/// `n` rows: `city` has 40 values and a few nulls, `x` is scattered over -500..500 with a few NaN.
fn table(n: usize) -> Dataset {
    let draw = Draw::new(1, "test");
    let city =
        |i: usize| (!i.is_multiple_of(97)).then(|| format!("city {}", draw.bits(i as u64) % 40));
    let x = |i: usize| match i % 101 {
        0 => f64::NAN,
        _ => (draw.at(1).uniform(i as u64) * 1_000.0 - 500.0).round(),
    };
    Dataset::from_columns(vec![
        (
            Column::new("city", ColumnType::Text, true),
            Arc::new((0..n).map(city).collect::<StringArray>()),
        ),
        (
            Column::new("x", ColumnType::Float, true),
            Arc::new((0..n).map(|i| Some(x(i))).collect::<Float64Array>()),
        ),
    ])
    .unwrap()
}

fn rows(data: &Dataset) -> Vec<(u64, Option<String>, u64)> {
    let mut rows = Vec::new();
    for batch in data.batches(None).unwrap() {
        let batch = batch.unwrap();
        let (city, x) = (batch.text("city").unwrap(), batch.numbers("x").unwrap());
        for (i, id) in batch.row_ids().iter().enumerate() {
            rows.push((
                *id,
                city.iter().nth(i).unwrap().map(str::to_owned),
                x.value(i).to_bits(),
            ));
        }
    }
    rows
}

fn by_hash() -> PartitionBy {
    PartitionBy::Hash(vec!["city".to_owned()])
}

fn by_range() -> PartitionBy {
    PartitionBy::Range("x".to_owned())
}

/// The partition of each row.
fn partitions(data: &Dataset) -> Vec<(usize, Batch)> {
    data.partitions()
        .unwrap()
        .into_iter()
        .enumerate()
        .flat_map(|(p, chunks)| chunks.map(move |c| (p, c)))
        .map(|(p, c)| (p, data.read(c, None).unwrap()))
        .collect()
}

#[test]
fn every_row_arrives_once_with_its_id() {
    let before = rows(&table(3_000));
    for by in [by_hash(), by_range()] {
        let mut after = rows(&table(3_000).partition_by(&by, None).unwrap());
        assert_ne!(after, before);
        after.sort();
        assert_eq!(after, before);
    }
}

#[test]
fn equal_keys_share_a_partition_and_rows_keep_their_order_in_it() {
    for n in [2, 3, 7, 64] {
        let data = table(20_000).partition_by(&by_hash(), None).unwrap();
        let data = data.repartition(n);
        let mut place = BTreeMap::new();
        for (p, batch) in partitions(&data) {
            assert!(batch.row_ids().windows(2).all(|w| w[0] < w[1]));
            for city in batch.text("city").unwrap().iter() {
                assert_eq!(*place.entry(city.map(str::to_owned)).or_insert(p), p);
            }
        }
        assert_eq!(place.len(), 41);
    }
}

#[test]
fn ranges_ascend_and_are_about_even() {
    let data = table(50_000).partition_by(&by_range(), None).unwrap();
    let data = data.repartition(4);
    let mut bounds = vec![(f64::INFINITY, f64::NEG_INFINITY); 4];
    for (p, batch) in partitions(&data) {
        for x in batch
            .numbers("x")
            .unwrap()
            .values()
            .iter()
            .filter(|x| !x.is_nan())
        {
            bounds[p] = (bounds[p].0.min(*x), bounds[p].1.max(*x));
        }
    }
    assert!(bounds.windows(2).all(|w| w[0].1 < w[1].0), "{bounds:?}");
    // Up to 256 ranges of about 195 rows; the first also has the 496 rows without a value.
    let sizes = data.partition_rows().unwrap();
    assert_eq!(sizes.iter().sum::<u64>(), 50_000);
    assert!(sizes.iter().all(|n| n.abs_diff(12_500) < 600), "{sizes:?}");
}

#[test]
fn chunks_do_not_depend_on_partitions_or_the_memory_limit() {
    for by in [by_hash(), by_range()] {
        let plain = table(20_000).partition_by(&by, None).unwrap();
        for (partitions, limit) in [(1, Some(1)), (7, Some(100_000)), (64, None)] {
            let data = table(20_000).repartition(partitions);
            let other = data.partition_by(&by, limit).unwrap();
            assert_eq!(other.chunks().unwrap(), plain.chunks().unwrap());
            assert_eq!(rows(&other), rows(&plain));
        }
    }
}

#[test]
fn partitioning_again_restores_the_order_of_ids_inside_buckets() {
    let once = table(9_000).partition_by(&by_hash(), None).unwrap();
    let twice = table(9_000)
        .partition_by(&by_range(), Some(1))
        .unwrap()
        .partition_by(&by_hash(), Some(1))
        .unwrap();
    assert_eq!(rows(&twice), rows(&once));
}

#[test]
fn a_bucket_beyond_a_block_is_cut_into_blocks() {
    let one = Dataset::from_columns(vec![(
        Column::new("x", ColumnType::Float, false),
        Arc::new((0..20_000).map(|_| Some(1.0)).collect::<Float64Array>()),
    )])
    .unwrap();
    for limit in [None, Some(1)] {
        let data = one.partition_by(&by_range(), limit).unwrap();
        let sizes: Vec<usize> = data.chunks().unwrap().iter().map(|c| c.rows).collect();
        assert_eq!(sizes, [8_192, 8_192, 3_616]);
        assert_eq!(
            data.repartition(2).partition_rows().unwrap().iter().max(),
            Some(&20_000)
        );
    }
}

#[test]
fn a_cache_keeps_the_buckets_together() {
    let data = table(9_000)
        .partition_by(&by_hash(), None)
        .unwrap()
        .repartition(5);
    let cached = data.cache(Some(1)).unwrap();
    assert_eq!(cached.partitions().unwrap(), data.partitions().unwrap());
}

/// A source whose rows must not be asked for.
#[derive(Debug)]
struct Unread(Arc<crate::Schema>);

impl crate::Source for Unread {
    fn origin(&self) -> &str {
        "unread"
    }

    fn schema(&self) -> &Arc<crate::Schema> {
        &self.0
    }

    fn chunks(&self) -> Result<Arc<[crate::Chunk]>> {
        Err(DataError::Unusable("asked for chunks".to_owned()))
    }

    fn known_rows(&self) -> Option<u64> {
        Some(77)
    }

    fn read(&self, _: usize, _: &[usize]) -> Result<Batch> {
        Err(DataError::Unusable("asked for rows".to_owned()))
    }
}

#[test]
fn nothing_is_read_before_it_is_needed() {
    let unread = Dataset::new(Arc::new(Unread(table(1).schema().clone())));
    let data = unread.partition_by(&by_range(), None).unwrap();
    assert_eq!(data.schema(), unread.schema());
    assert_eq!(data.source().estimated_rows(), Some(77));
    assert_eq!(
        data.partitions().unwrap_err().to_string(),
        "asked for chunks"
    );
}

#[test]
fn wrong_columns_are_refused_all_at_once() {
    let by = PartitionBy::Hash(vec!["citi".to_owned(), "y".to_owned()]);
    let message = table(10).partition_by(&by, None).unwrap_err().to_string();
    assert!(message.contains("did you mean `city`?") && message.contains("no column `y`"));
    let none = PartitionBy::Hash(Vec::new());
    assert!(
        table(10)
            .partition_by(&none, None)
            .unwrap_err()
            .to_string()
            .contains("names no column")
    );
}
