//! The pass that finds the thresholds.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::rule::{Cuts, Parts, Rule, group_hashes, range_of};
use crate::dataset::Dataset;
use crate::keys::{Key, KeyColumn, display};
use crate::parallel::fold_in_order;
use crate::random::Draw;
use crate::schema::ColumnType;
use crate::{DataError, Result};

/// The part held out.
pub(super) const TEST: u32 = 0;
const TRAIN: u32 = 1;
/// A numeric column of more values than this may be a regression target ...
const MANY_VALUES: usize = 100;
/// ... if it has fewer rows a value than this, on average.
const FEW_ROWS: usize = 20;
/// Ranges a regression target is cut into.
const RANGES: usize = 10;
/// Classes named in a warning.
const NAMED: usize = 5;

/// What decides on a row's side.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Rows,
    Values(&'a str),
    Groups(&'a str),
}

impl<'a> By<'a> {
    pub(super) fn column(self) -> Option<&'a str> {
        match self {
            Self::Rows => None,
            Self::Values(column) | Self::Groups(column) => Some(column),
        }
    }
}

type Planned = (Arc<Rule>, Vec<String>);

/// The parts of a hold-out split.
pub(super) fn hold_out(data: &Dataset, test: f64, by: By<'_>, draw: Draw) -> Result<Planned> {
    let target = |n: usize| -> Result<usize> {
        let held = (n as f64 * test).round() as usize;
        if held == 0 || held >= n {
            return Err(DataError::Unusable(format!(
                "holding out {test} of {n} rows leaves {} without rows; choose another `test`, or bring more rows",
                if held == 0 {
                    "the test side"
                } else {
                    "the training side"
                }
            )));
        }
        Ok(held)
    };
    let mut warnings = Vec::new();
    let by = match by {
        By::Rows => {
            let hashes = row_hashes(data, draw)?;
            let held = target(hashes.len())?;
            let others = hashes.len() - held;
            Parts::Rows(Cuts::of(hashes, &[(held, TEST), (others, TRAIN)]))
        }
        By::Values(column) => {
            let strata = Strata::read(data, column, draw)?;
            let sizes = strata.sizes();
            let n = sizes.iter().sum();
            let held = target(n)?;
            let quotas = quotas(&sizes, held);
            let given: usize = quotas.iter().sum();
            if given == 0 {
                return Err(DataError::Unusable(format!(
                    "every value of `{column}` occurs in one row only, so none can be on both sides; drop `stratify`"
                )));
            }
            if let Some(single) = strata.warn_small(&ty(data, column), 2) {
                warnings.push(format!(
                    "`{column}`: {single} in one row only; such rows stay in training"
                ));
            }
            if given < held {
                warnings.push(format!(
                    "`{column}`: {given} rows are held out instead of {held}, so that every value keeps a training row"
                ));
            }
            let counts = |i: usize| vec![(quotas[i], TEST), (sizes[i] - quotas[i], TRAIN)];
            strata.parts(column, counts)
        }
        By::Groups(column) => {
            let groups = read_groups(data, column, draw)?;
            let n: u64 = groups.values().sum();
            let held = target(n as usize)? as u64;
            if groups.len() < 2 {
                return Err(one_group(column));
            }
            let taken = nearest_prefix(&groups, held);
            let side = |i: usize| if i < taken { TEST } else { TRAIN };
            Parts::Groups {
                column: column.to_owned(),
                parts: groups
                    .keys()
                    .enumerate()
                    .map(|(i, h)| (*h, side(i)))
                    .collect(),
            }
        }
    };
    Ok((Arc::new(Rule { draw, by }), warnings))
}

/// The parts of a cross-validation.
pub(super) fn folds(data: &Dataset, k: usize, by: By<'_>, draw: Draw) -> Result<Planned> {
    let enough = |n: usize, what: &str| {
        if n < k {
            return Err(DataError::Unusable(format!(
                "{k} folds need at least {k} {what}, there are {n}"
            )));
        }
        Ok(())
    };
    let mut warnings = Vec::new();
    let by = match by {
        By::Rows => {
            let hashes = row_hashes(data, draw)?;
            enough(hashes.len(), "rows")?;
            let counts = deal(hashes.len(), k, 0);
            Parts::Rows(Cuts::of(hashes, &counts))
        }
        By::Values(column) => {
            let strata = Strata::read(data, column, draw)?;
            let sizes = strata.sizes();
            enough(sizes.iter().sum(), "rows")?;
            if let Some(small) = strata.warn_small(&ty(data, column), k) {
                warnings.push(format!(
                    "`{column}`: {small} in fewer rows than the {k} folds; some folds lack it"
                ));
            }
            // Each value deals its odd rows on from where the value before stopped, so that fold sizes stay even.
            let first: Vec<usize> = sizes
                .iter()
                .scan(0, |next, n| {
                    let first = *next;
                    *next = (*next + n) % k;
                    Some(first)
                })
                .collect();
            strata.parts(column, |i| deal(sizes[i], k, first[i]))
        }
        By::Groups(column) => {
            let groups = read_groups(data, column, draw)?;
            enough(groups.len(), &format!("groups in `{column}`"))?;
            Parts::Groups {
                column: column.to_owned(),
                parts: balance(&groups, k),
            }
        }
    };
    Ok((Arc::new(Rule { draw, by }), warnings))
}

fn ty(data: &Dataset, column: &str) -> ColumnType {
    data.schema()
        .get(column)
        .map_or(ColumnType::Text, |c| c.ty.clone())
}

fn one_group(column: &str) -> DataError {
    DataError::Unusable(format!(
        "`{column}` has one group only, and a group stays on one side; split without `group`"
    ))
}

fn row_hashes(data: &Dataset, draw: Draw) -> Result<Vec<u64>> {
    if let Some(ids) = data.known_ids()? {
        return Ok(ids
            .into_par_iter()
            .flatten_iter()
            .map(|id| draw.bits(id))
            .collect());
    }
    let none: [String; 0] = [];
    let hashes = |i: usize| -> Result<Vec<u64>> {
        let batch = data.read(i, Some(&none))?;
        Ok(batch.row_ids().iter().map(|id| draw.bits(*id)).collect())
    };
    fold_in_order(data.chunks()?.len(), hashes, Vec::new(), |all, some| {
        all.extend(some);
    })
}

/// Rows of each group, by the hash of the group.
fn read_groups(data: &Dataset, column: &str, draw: Draw) -> Result<BTreeMap<u64, u64>> {
    let columns = [column.to_owned()];
    let hashes = |i: usize| group_hashes(&data.read(i, Some(&columns))?, column, draw);
    fold_in_order(
        data.chunks()?.len(),
        hashes,
        BTreeMap::new(),
        |all, some| {
            for hash in some {
                *all.entry(hash).or_insert(0) += 1;
            }
        },
    )
}

/// How many groups, in hash order, come nearest to `held` rows; at least one, and not all.
fn nearest_prefix(groups: &BTreeMap<u64, u64>, held: u64) -> usize {
    let mut rows = 0;
    let mut best = (u64::MAX, 1);
    for (i, n) in groups.values().enumerate().take(groups.len() - 1) {
        rows += n;
        let off = rows.abs_diff(held);
        if off < best.0 {
            best = (off, i + 1);
        }
    }
    best.1
}

/// Gives each group, largest first, to the fold with the fewest rows; ties by hash and by fold number.
fn balance(groups: &BTreeMap<u64, u64>, k: usize) -> Vec<(u64, u32)> {
    let mut order: Vec<(u64, u64)> = groups.iter().map(|(h, n)| (*h, *n)).collect();
    order.sort_by_key(|(hash, n)| (std::cmp::Reverse(*n), *hash));
    let mut rows = vec![0_u64; k];
    let mut parts: Vec<(u64, u32)> = order
        .into_iter()
        .map(|(hash, n)| {
            let fold = (0..k).min_by_key(|f| rows[*f]).unwrap_or(0);
            rows[fold] += n;
            (hash, fold as u32)
        })
        .collect();
    parts.sort_unstable();
    parts
}

/// Deals `n` rows to `k` folds, the odd ones to the folds from `first` on.
fn deal(n: usize, k: usize, first: usize) -> Vec<(usize, u32)> {
    (0..k)
        .map(|i| (n / k + usize::from(i < n % k), ((first + i) % k) as u32))
        .collect()
}

/// Test rows of each stratum: largest remainder, none of a stratum of one row, and never a whole stratum.
fn quotas(sizes: &[usize], held: usize) -> Vec<usize> {
    let able: usize = sizes.iter().filter(|n| **n > 1).sum();
    if able == 0 {
        return vec![0; sizes.len()];
    }
    // Whole quotas and remainders in integers, so that no rounding can upset a tie.
    let exact = |n: usize| held as u128 * n as u128;
    let cap = |n: usize| n.saturating_sub(1);
    let mut quotas: Vec<usize> = sizes
        .iter()
        .map(|&n| ((exact(n) / able as u128) as usize).min(cap(n)))
        .collect();
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&i| sizes[i] > 1).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(exact(sizes[i]) % able as u128), i));
    let mut left = held.saturating_sub(quotas.iter().sum());
    while left > 0 {
        let before = left;
        for &i in &order {
            if left > 0 && quotas[i] < cap(sizes[i]) {
                quotas[i] += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    quotas
}

/// Hashes of the rows of each value, or of each range of values.
enum Strata {
    Values(BTreeMap<Option<Key>, Vec<u64>>),
    Ranges {
        upper: Vec<u64>,
        hashes: Vec<Vec<u64>>,
    },
}

impl Strata {
    fn read(data: &Dataset, column: &str, draw: Draw) -> Result<Self> {
        let columns = [column.to_owned()];
        let one = |i: usize| -> Result<BTreeMap<Option<Key>, Vec<u64>>> {
            let batch = data.read(i, Some(&columns))?;
            let keys = KeyColumn::of(&batch, column)?;
            let mut strata: BTreeMap<Option<Key>, Vec<u64>> = BTreeMap::new();
            for (i, id) in batch.row_ids().iter().enumerate() {
                strata.entry(keys.get(i)).or_default().push(draw.bits(*id));
            }
            Ok(strata)
        };
        let strata = fold_in_order(
            data.chunks()?.len(),
            one,
            BTreeMap::<Option<Key>, Vec<u64>>::new(),
            |all, some| {
                for (key, hashes) in some {
                    all.entry(key).or_default().extend(hashes);
                }
            },
        )?;
        let rows: usize = strata.values().map(Vec::len).sum();
        let numeric = matches!(
            ty(data, column),
            ColumnType::Integer | ColumnType::Float | ColumnType::Date | ColumnType::Timestamp
        );
        if numeric && strata.len() > MANY_VALUES && rows < FEW_ROWS * strata.len() {
            return Ok(Self::ranges(strata, rows));
        }
        Ok(Self::Values(strata))
    }

    /// Cuts the values at their deciles; equal values stay together.
    fn ranges(strata: BTreeMap<Option<Key>, Vec<u64>>, rows: usize) -> Self {
        let missing = strata.get(&None).map_or(0, Vec::len);
        let (mut upper, mut seen) = (Vec::new(), 0);
        for (key, hashes) in &strata {
            let Some(Key::Code(code)) = key else { continue };
            seen += hashes.len();
            let due = (upper.len() + 1) * (rows - missing) / RANGES;
            if seen >= due && seen < rows - missing && upper.len() + 1 < RANGES {
                upper.push(*code);
            }
        }
        let mut hashes = vec![Vec::new(); upper.len() + 2];
        for (key, some) in strata {
            let range = match key {
                Some(Key::Code(code)) => 1 + range_of(&upper, code),
                _ => 0,
            };
            hashes[range].extend(some);
        }
        Self::Ranges { upper, hashes }
    }

    fn sizes(&self) -> Vec<usize> {
        match self {
            Self::Values(strata) => strata.values().map(Vec::len).collect(),
            Self::Ranges { hashes, .. } => hashes.iter().map(Vec::len).collect(),
        }
    }

    /// The values with fewer than `least` rows, in words.
    fn warn_small(&self, ty: &ColumnType, least: usize) -> Option<String> {
        let Self::Values(strata) = self else {
            return None;
        };
        let small: Vec<&Option<Key>> = strata
            .iter()
            .filter(|(_, hashes)| hashes.len() < least)
            .map(|(key, _)| key)
            .collect();
        let name = |key: &Option<Key>| match key {
            Some(key) => format!("`{}`", display(ty, key)),
            None => "a missing value".to_owned(),
        };
        let named: Vec<String> = small.iter().take(NAMED).map(|k| name(k)).collect();
        match small.len() {
            0 => None,
            1 => Some(format!("{} occurs", named.join(""))),
            n if n > NAMED => Some(format!("{} and {} more occur", named.join(", "), n - NAMED)),
            _ => Some(format!("{} occur", named.join(", "))),
        }
    }

    /// The rule that deals stratum `i` by `counts(i)`.
    fn parts(self, column: &str, counts: impl Fn(usize) -> Vec<(usize, u32)>) -> Parts {
        let column = column.to_owned();
        let cut = |(i, hashes): (usize, Vec<u64>)| {
            if hashes.is_empty() {
                Cuts::all(TRAIN)
            } else {
                Cuts::of(hashes, &counts(i))
            }
        };
        match self {
            Self::Values(strata) => Parts::Values {
                column,
                cuts: strata
                    .into_iter()
                    .enumerate()
                    .map(|(i, (key, hashes))| (key, cut((i, hashes))))
                    .collect(),
            },
            Self::Ranges { upper, hashes } => Parts::Ranges {
                column,
                upper,
                cuts: hashes.into_iter().enumerate().map(cut).collect(),
            },
        }
    }
}
