//! The running summary of one column.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    CategoryCount, ColumnDescription, Distinct, FEW_INTEGERS, MAX_DISTINCT, RangeDescription,
    RangeEnd, TOP, VectorDescription,
};
use crate::Result;
use crate::batch::Batch;
use crate::keys::{Key, KeyColumn, display, float_of, integer_of};
use crate::numeric::Moments;
use crate::schema::{Column, ColumnType};

/// Columns with too many values to count; later chunks need not look. It spares work and changes no result.
pub(super) struct Saturated(Vec<AtomicBool>);

impl Saturated {
    pub(super) fn new(n: usize) -> Self {
        Self((0..n).map(|_| AtomicBool::new(false)).collect())
    }

    pub(super) fn set(&self, column: usize) {
        self.0[column].store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self, column: usize) -> bool {
        self.0[column].load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(super) struct Tally {
    rows: u64,
    nulls: u64,
    infinite: u64,
    moments: Moments,
    /// Least and greatest code; exact also for integers that no `f64` holds.
    ends: Option<(u64, u64)>,
    /// Rows of each value; `None` once there are too many values.
    counts: Option<BTreeMap<Key, u64>>,
    vector: Option<VectorDescription>,
}

impl Tally {
    /// Of no rows.
    pub(super) fn new(column: &Column) -> Self {
        let scalar = !column.ty.is_vector();
        Self {
            counts: scalar.then(BTreeMap::new),
            vector: (!scalar).then_some(VectorDescription {
                width: 0,
                missing: 0,
                stored: 0,
            }),
            ..Self::default()
        }
    }

    /// Of the rows of a batch; values are not counted where there are too many anyway.
    pub(super) fn of(batch: &Batch, column: &Column, saturated: bool) -> Result<Self> {
        let mut tally = Self::new(column);
        tally.rows = batch.num_rows() as u64;
        if column.ty.is_vector() {
            tally.count_slots(batch, column)?;
            return Ok(tally);
        }
        let keys = KeyColumn::of(batch, &column.name)?;
        tally.nulls = (0..batch.num_rows())
            .filter(|&i| !keys.is_present(i))
            .count() as u64;
        if let KeyColumn::Codes(codes) = &keys {
            for code in codes.iter().flatten() {
                tally.push_number(&column.ty, *code);
            }
        }
        if saturated {
            tally.counts = None;
        } else {
            tally.counts = Some(count_values(&keys));
        }
        Ok(tally)
    }

    fn push_number(&mut self, ty: &ColumnType, code: u64) {
        let value = match ty {
            ColumnType::Float => float_of(code),
            _ => integer_of(code) as f64,
        };
        if value.is_infinite() {
            self.infinite += 1;
            return;
        }
        self.moments.push(value, 1.0);
        self.ends = Some(
            self.ends
                .map_or((code, code), |(min, max)| (min.min(code), max.max(code))),
        );
    }

    fn count_slots(&mut self, batch: &Batch, column: &Column) -> Result<()> {
        let vectors = batch.vector(&column.name)?;
        let (mut missing, mut stored, mut nulls) = (0, 0, 0);
        for i in 0..vectors.rows() {
            let before = missing;
            vectors.for_each_stored(i, |_, v| {
                stored += 1;
                missing += u64::from(v.is_nan());
            });
            nulls += u64::from(missing > before);
        }
        self.nulls = nulls;
        self.vector = Some(VectorDescription {
            width: vectors.width() as u64,
            missing,
            stored,
        });
        Ok(())
    }

    pub(super) fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.nulls += later.nulls;
        self.infinite += later.infinite;
        self.moments.merge(&later.moments);
        self.ends = match (self.ends, later.ends) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (one, None) | (None, one) => one,
        };
        self.counts = match (self.counts.take(), later.counts) {
            (Some(mut counts), Some(more)) => {
                for (key, n) in more {
                    *counts.entry(key).or_insert(0) += n;
                }
                (counts.len() <= MAX_DISTINCT).then_some(counts)
            }
            _ => None,
        };
        if let (Some(mine), Some(other)) = (&mut self.vector, later.vector) {
            mine.width = mine.width.max(other.width);
            mine.missing += other.missing;
            mine.stored += other.stored;
        }
    }

    pub(super) fn is_saturated(&self) -> bool {
        self.counts.is_none()
    }

    fn category(&self, ty: &ColumnType, key: &Key, count: u64) -> CategoryCount {
        CategoryCount {
            value: display(ty, key),
            count,
            share: count as f64 / (self.rows - self.nulls) as f64,
        }
    }

    /// Every value with its rows, where the values are few enough to be classes.
    pub(super) fn classes(&self, column: &Column) -> Option<Vec<CategoryCount>> {
        let counts = self.counts.as_ref()?;
        let few = column.ty == ColumnType::Text || counts.len() <= FEW_INTEGERS;
        few.then(|| {
            counts
                .iter()
                .map(|(key, n)| self.category(&column.ty, key, *n))
                .collect()
        })
    }

    fn top(&self, ty: &ColumnType) -> Vec<CategoryCount> {
        let Some(counts) = &self.counts else {
            return Vec::new();
        };
        let listed = match ty {
            ColumnType::Text | ColumnType::Boolean => true,
            ColumnType::Integer => counts.len() <= FEW_INTEGERS,
            _ => false,
        };
        if !listed {
            return Vec::new();
        }
        let mut order: Vec<(&Key, u64)> = counts.iter().map(|(k, n)| (k, *n)).collect();
        // Stable, and the map is in value order, so ties stay in it.
        order.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        order
            .into_iter()
            .take(TOP)
            .map(|(key, n)| self.category(ty, key, n))
            .collect()
    }

    fn range(&self, ty: &ColumnType) -> Option<RangeDescription> {
        let (min, max) = self.ends?;
        let end = |code: u64| match ty {
            ColumnType::Date | ColumnType::Timestamp => {
                RangeEnd::Text(display(ty, &Key::Code(code)))
            }
            ColumnType::Float => RangeEnd::Float(float_of(code)),
            _ => RangeEnd::Integer(integer_of(code)),
        };
        Some(RangeDescription {
            min: end(min),
            max: end(max),
            mean: ty.is_numeric().then(|| self.moments.mean()),
            sd: ty.is_numeric().then(|| self.moments.sd()),
            infinite: self.infinite,
        })
    }

    pub(super) fn describe(self, column: &Column, role: Option<&str>) -> ColumnDescription {
        ColumnDescription {
            name: column.name.clone(),
            ty: column.ty.to_string(),
            role: role.map(str::to_owned),
            nulls: self.nulls,
            range: self.range(&column.ty),
            distinct: (!column.ty.is_vector()).then_some(match &self.counts {
                Some(counts) => Distinct::Exactly(counts.len() as u64),
                None => Distinct::MoreThan(MAX_DISTINCT as u64),
            }),
            top: self.top(&column.ty),
            vector: self.vector,
        }
    }
}

/// Rows of each value of a batch.
fn count_values(keys: &KeyColumn<'_>) -> BTreeMap<Key, u64> {
    // Counted by reference first, so that each text is copied once and not once a row.
    let mut counts = BTreeMap::new();
    match keys {
        KeyColumn::Codes(codes) => {
            for code in codes.iter().flatten() {
                *counts.entry(Key::Code(*code)).or_insert(0) += 1;
            }
        }
        KeyColumn::Text(text) => {
            let mut borrowed: BTreeMap<&str, u64> = BTreeMap::new();
            for (value, n) in text.counts() {
                *borrowed.entry(value).or_insert(0) += n;
            }
            let owned = |(value, n): (&str, u64)| (Key::Text(value.into()), n);
            counts.extend(borrowed.into_iter().map(owned));
        }
    }
    counts
}
