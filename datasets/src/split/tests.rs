use std::collections::BTreeSet;
use std::sync::Arc;

use crate::arrow::array::{Float64Array, Int64Array, StringArray};

use super::*;
use crate::schema::{Column, ColumnType};

/// `n` rows: `x` counts, `class` is `a` for six rows in ten, `b` for three, `c` for one; `who` holds runs of five rows.
fn table(n: usize) -> Dataset {
    let class = |i: usize| match i % 10 {
        0..6 => "a",
        6..9 => "b",
        _ => "c",
    };
    Dataset::from_columns(vec![
        (
            Column::new("x", ColumnType::Float, false),
            Arc::new((0..n).map(|i| Some(i as f64)).collect::<Float64Array>()),
        ),
        (
            Column::new("class", ColumnType::Text, false),
            Arc::new((0..n).map(|i| Some(class(i))).collect::<StringArray>()),
        ),
        (
            Column::new("who", ColumnType::Integer, true),
            Arc::new((0..n).map(|i| Some(i as i64 / 5)).collect::<Int64Array>()),
        ),
    ])
    .unwrap()
}

fn of_text(values: Vec<Option<&str>>) -> Dataset {
    Dataset::from_columns(vec![(
        Column::new("class", ColumnType::Text, true),
        Arc::new(StringArray::from(values)),
    )])
    .unwrap()
}

fn ids(data: &Dataset) -> Vec<u64> {
    data.batches(None)
        .unwrap()
        .flat_map(|b| b.unwrap().row_ids().to_vec())
        .collect()
}

fn count(data: &Dataset, class: &str) -> usize {
    let columns = ["class".to_owned()];
    data.batches(Some(&columns))
        .unwrap()
        .map(|b| {
            let b = b.unwrap();
            b.text("class")
                .unwrap()
                .iter()
                .filter(|v| *v == Some(class))
                .count()
        })
        .sum()
}

#[test]
fn the_sides_are_disjoint_complete_and_of_the_exact_size() {
    for (n, test) in [(10, 0.25), (9_999, 0.1), (20_000, 0.333)] {
        let parts = table(n).split(&Split::new(test, 7)).unwrap();
        let (train, held) = (ids(&parts.train), ids(&parts.test));
        assert_eq!(held.len(), (n as f64 * test).round() as usize);
        let both: BTreeSet<u64> = train.iter().chain(&held).copied().collect();
        assert_eq!(both, (0..n as u64).collect());
        assert_eq!(train.len() + held.len(), n);
    }
}

#[test]
fn partitions_change_no_row_and_another_seed_does() {
    let split = Split::new(0.25, 42).stratified("class");
    let held = ids(&table(20_000).repartition(1).split(&split).unwrap().test);
    for partitions in [2, 7, 64] {
        let parts = table(20_000).repartition(partitions).split(&split).unwrap();
        assert_eq!(ids(&parts.test), held);
    }
    let other = Split { seed: 43, ..split };
    assert_ne!(ids(&table(20_000).split(&other).unwrap().test), held);
}

#[test]
fn strata_keep_their_shares_to_the_row() {
    let parts = table(1_000)
        .split(&Split::new(0.25, 1).stratified("class"))
        .unwrap();
    let counts = ["a", "b", "c"].map(|c| count(&parts.test, c));
    assert_eq!(counts, [150, 75, 25]);
    assert!(parts.warnings.is_empty());
}

#[test]
fn the_largest_remainders_get_the_odd_rows() {
    // 7, 5 and 3 of 15 rows at 30 %: 4.5 rounds to 5 (halves up); shares 2.33, 1.67 and 1.00 give 2, 2 and 1.
    let values = ["a"; 7].into_iter().chain(["b"; 5]).chain(["c"; 3]);
    let parts = of_text(values.map(Some).collect())
        .split(&Split::new(0.3, 3).stratified("class"))
        .unwrap();
    assert_eq!(["a", "b", "c"].map(|c| count(&parts.test, c)), [2, 2, 1]);
}

#[test]
fn a_class_of_one_row_stays_in_training_with_a_warning() {
    let mut values = vec![Some("a"); 20];
    values.push(Some("rare"));
    let parts = of_text(values)
        .split(&Split::new(0.5, 3).stratified("class"))
        .unwrap();
    assert_eq!(count(&parts.train, "rare"), 1);
    assert_eq!(ids(&parts.test).len(), 11);
    assert_eq!(
        parts.warnings,
        ["`class`: `rare` occurs in one row only; such rows stay in training"]
    );
}

#[test]
fn rows_without_a_class_are_split_like_a_class() {
    let values = vec![Some("a"); 20]
        .into_iter()
        .chain(vec![None; 8])
        .collect();
    let parts = of_text(values)
        .split(&Split::new(0.25, 3).stratified("class"))
        .unwrap();
    assert_eq!(count(&parts.test, "a"), 5);
    assert_eq!(ids(&parts.test).len(), 7);
}

#[test]
fn a_regression_target_is_stratified_by_its_deciles() {
    let parts = table(1_000)
        .split(&Split::new(0.2, 5).stratified("x"))
        .unwrap();
    let held = ids(&parts.test);
    // `x` is the row number, so each decile is a run of 100 rows, of which a fifth is held out.
    for decile in 0..10 {
        let inside = |id: &&u64| (decile * 100..(decile + 1) * 100).contains(*id);
        assert_eq!(held.iter().filter(inside).count(), 20);
    }
}

#[test]
fn groups_stay_whole_and_come_near_to_the_share() {
    let parts = table(1_000)
        .split(&Split::new(0.25, 9).grouped("who"))
        .unwrap();
    let groups = |data: &Dataset| ids(data).iter().map(|id| id / 5).collect::<BTreeSet<_>>();
    assert!(groups(&parts.train).is_disjoint(&groups(&parts.test)));
    // Groups of five rows: 250 can be met exactly.
    assert_eq!(ids(&parts.test).len(), 250);
}

#[test]
fn folds_hold_every_row_once_in_even_sizes() {
    for stratify in [None, Some("class".to_owned())] {
        let folds = Folds {
            stratify,
            ..Folds::new(3, 42)
        };
        let parts = table(1_000).folds(&folds).unwrap();
        let mut all: Vec<u64> = parts.iter().flat_map(|p| ids(&p.test)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        for part in &parts {
            assert!((333..=334).contains(&ids(&part.test).len()));
            assert_eq!(ids(&part.train).len(), 1_000 - ids(&part.test).len());
        }
        let one = table(1_000).fold(&folds, 2).unwrap();
        assert_eq!(ids(&one.test), ids(&parts[2].test));
    }
}

#[test]
fn stratified_folds_have_even_class_counts() {
    let folds = Folds {
        stratify: Some("class".to_owned()),
        ..Folds::new(4, 42)
    };
    for part in table(1_000).folds(&folds).unwrap() {
        assert_eq!(["a", "b"].map(|c| count(&part.test, c)), [150, 75]);
    }
}

#[test]
fn grouped_folds_keep_groups_whole() {
    let folds = Folds {
        group: Some("who".to_owned()),
        ..Folds::new(4, 42)
    };
    for part in table(1_000).folds(&folds).unwrap() {
        assert_eq!(ids(&part.test).len(), 250);
        assert!(ids(&part.test).chunks(5).all(|g| g[0] / 5 == g[4] / 5));
    }
}

#[test]
fn a_split_of_a_split_is_independent_of_the_columns_read() {
    let parts = table(2_000)
        .split(&Split::new(0.5, 1).stratified("class"))
        .unwrap();
    let again = parts.train.split(&Split::new(0.2, 2)).unwrap();
    assert_eq!(again.test.count().unwrap(), 200);
    let mine: BTreeSet<u64> = ids(&again.test).into_iter().collect();
    assert!(mine.is_disjoint(&ids(&parts.test).into_iter().collect()));
}

#[test]
fn a_sample_keeps_about_its_share_and_a_whole_one_every_row() {
    let sample = table(10_000).sample(0.3, 5).unwrap().count().unwrap();
    // Binomial(10,000, 0.3) has a standard deviation of 46; six of them.
    assert!((2_725..3_275).contains(&sample), "{sample}");
    assert_eq!(table(100).sample(1.0, 5).unwrap().count().unwrap(), 100);
}

#[test]
fn impossible_splits_say_why() {
    let data = table(3);
    let message = |split: &Split| data.split(split).unwrap_err().to_string();
    for test in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(message(&Split::new(test, 1)).starts_with("`test` must be above 0"));
    }
    assert!(message(&Split::new(0.1, 1)).contains("the test side without rows"));
    assert!(message(&Split::new(0.9, 1)).contains("the training side without rows"));
    assert!(message(&Split::new(0.5, 1).stratified("clas")).contains("did you mean `class`?"));
    let both = Split::new(0.5, 1).stratified("class").grouped("who");
    assert!(message(&both).contains("exclude each other"));
    assert!(message(&Split::new(0.5, 1).grouped("who")).contains("one group only"));
    assert!(data.folds(&Folds::new(4, 1)).is_err());
    assert!(data.folds(&Folds::new(1, 1)).is_err());
    assert!(data.fold(&Folds::new(2, 1), 2).is_err());
    assert!(data.sample(0.0, 1).is_err());
}
