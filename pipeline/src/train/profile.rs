//! One pass over the rows of a run: digest, ranges, categories and a sketch of their hashes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use emberline_datasets::arrow::array::{Array, AsArray, BooleanArray, Float64Array, Int64Array};
use emberline_datasets::arrow::buffer::NullBuffer;
use emberline_datasets::arrow::datatypes::{
    Date32Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use emberline_datasets::random::Draw;
use emberline_datasets::simd::dispatch;
use emberline_datasets::{Batch, Column, ColumnType, DataError, Dataset, TextColumn, VectorColumn};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Result;
use crate::engine::{Partial, Round};
use crate::model_file::{ColumnProfile, DataEvidence, MAX_CATEGORIES, SKETCH, hex};
use crate::run::Run;

/// What the rows of `data` look like in the named columns.
///
/// # Errors
/// Reading fails, or the run was stopped.
pub(super) fn profile(data: &Dataset, columns: &[String], run: &Run) -> Result<DataEvidence> {
    let schema = data.schema().select(columns)?;
    let round = ProfileRound {
        columns: schema.columns().to_vec(),
    };
    let sums = run
        .scan(data, columns, &round)?
        .unwrap_or_else(|| Profile::of(&round));
    let mut digest = Sha256::new();
    for column in schema.columns() {
        digest.update((column.name.len() as u64).to_le_bytes());
        digest.update(&column.name);
    }
    for chunk in &sums.chunks {
        digest.update(chunk);
    }
    Ok(DataEvidence {
        rows: sums.rows,
        digest: hex(&digest.finalize()),
        columns: columns.iter().cloned().zip(sums.columns).collect(),
        sketch: sums.sketch,
    })
}

/// The pass itself.
#[derive(Serialize, Deserialize)]
pub(super) struct ProfileRound {
    columns: Vec<Column>,
}

/// What some chunks look like.
#[derive(Serialize, Deserialize)]
pub(super) struct Profile {
    rows: u64,
    chunks: Vec<[u8; 32]>,
    columns: Vec<ColumnProfile>,
    sketch: BTreeSet<u64>,
}

impl Profile {
    fn of(round: &ProfileRound) -> Self {
        let start = |c: &Column| ColumnProfile {
            categories: matches!(
                c.ty,
                ColumnType::Text | ColumnType::Integer | ColumnType::Boolean
            )
            .then(BTreeMap::new),
            ..ColumnProfile::default()
        };
        Self {
            rows: 0,
            chunks: Vec::new(),
            columns: round.columns.iter().map(start).collect(),
            sketch: BTreeSet::new(),
        }
    }

    fn note(&mut self, hash: u64) {
        self.sketch.insert(hash);
        if self.sketch.len() > SKETCH {
            self.sketch.pop_last();
        }
    }
}

impl Partial for Profile {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.chunks.extend(later.chunks);
        for (own, other) in self.columns.iter_mut().zip(later.columns) {
            own.merge(other);
        }
        later.sketch.into_iter().for_each(|hash| self.note(hash));
    }
}

impl Round for ProfileRound {
    const NAME: &'static str = "train/profile";
    type Unit = Batch;
    type Partial = Profile;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<Profile, DataError> {
        let mut profile = Profile::of(self);
        let mut chunk = Spelling {
            digest: Sha256::new(),
            bytes: Vec::new(),
            rows: vec![Draw::new(0, "row content"); batch.num_rows()],
        };
        let rows = batch.num_rows() as u64;
        chunk.digest.update(rows.to_le_bytes());
        for (column, profile) in self.columns.iter().zip(&mut profile.columns) {
            Values::of(batch, column)?.take(&mut chunk, profile);
        }
        profile.rows = batch.num_rows() as u64;
        profile.chunks.push(chunk.digest.finalize().into());
        let mut hashes: Vec<u64> = chunk.rows.iter().map(|row| row.bits(0)).collect();
        if hashes.len() > SKETCH {
            hashes.select_nth_unstable(SKETCH - 1);
            hashes.truncate(SKETCH);
        }
        profile.sketch = hashes.into_iter().collect();
        Ok(profile)
    }
}

/// What the values of a chunk are written to, column by column.
struct Spelling {
    digest: Sha256,
    /// Scratch.
    bytes: Vec<u8>,
    /// A hash of each row so far. It tells rows apart; that no two tables are taken for one is the digest's part.
    rows: Vec<Draw>,
}

/// In row hashes: a missing value, and what sets the values of one type apart from equal bits of another.
const MISSING: u64 = 0x6d69_7373_696e_6721;
const NUMBER: u64 = 0x6e75_6d62_6572;
const TEXT: u64 = 0x7465_7874;

impl Spelling {
    /// Takes a column of eight bytes a value; no other column has the same spelling.
    fn eights(&mut self, tag: u8, mut values: Vec<u64>, nulls: Option<&NullBuffer>) {
        let nulls = nulls.filter(|n| n.null_count() > 0);
        let missing = |i: &usize| nulls.is_some_and(|n| n.is_null(*i));
        let missing: Vec<usize> = match nulls {
            None => Vec::new(),
            Some(_) => (0..values.len()).filter(missing).collect(),
        };
        missing.iter().for_each(|i| values[*i] = 0);
        self.bytes.clear();
        self.bytes.resize(8 * values.len(), 0);
        let (places, _) = self.bytes.as_chunks_mut::<8>();
        for (place, value) in places.iter_mut().zip(&values) {
            *place = value.to_le_bytes();
        }
        self.bytes.push(tag);
        self.bytes.extend((missing.len() as u64).to_le_bytes());
        missing
            .iter()
            .for_each(|i| self.bytes.extend((*i as u64).to_le_bytes()));
        self.digest.update(&self.bytes);
        values.iter_mut().for_each(|v| *v ^= NUMBER);
        missing.iter().for_each(|i| values[*i] = MISSING);
        let rows = &mut self.rows;
        dispatch(
            #[inline(always)]
            || {
                for (row, value) in rows.iter_mut().zip(&values) {
                    *row = row.at(*value);
                }
            },
        );
    }

    /// Takes a text column: each row by the number of its text in the order of first occurrence, then the texts.
    fn texts(&mut self, tag: u8, column: TextColumn<'_>) {
        let mut numbers = HashMap::new();
        let mut texts: Vec<&str> = Vec::new();
        let mut number = |text| {
            *numbers.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() as u32 - 1
            })
        };
        self.bytes.clear();
        self.bytes.push(tag);
        let hash = |text: &str| {
            let start = Draw::new(0, "text").at(text.len() as u64);
            let pieces = text.as_bytes().chunks(8);
            let all = pieces.fold(start, |hash, piece| {
                let mut word = [0; 8];
                word[..piece.len()].copy_from_slice(piece);
                hash.at(u64::from_le_bytes(word))
            });
            all.bits(0) ^ TEXT
        };
        if let Some(coded) = column.coded() {
            let hashes: Vec<u64> = coded.texts.iter().map(|t| hash(t.unwrap_or(""))).collect();
            let mut known = vec![u32::MAX; coded.texts.len()];
            for (i, row) in self.rows.iter_mut().enumerate() {
                let own = coded.code(i).map(|code| {
                    if known[code] == u32::MAX {
                        known[code] = number(coded.texts.value(code));
                    }
                    (known[code], hashes[code])
                });
                let (number, hash) = own.unwrap_or((u32::MAX, MISSING));
                self.bytes.extend(number.to_le_bytes());
                *row = row.at(hash);
            }
        } else {
            for (row, text) in self.rows.iter_mut().zip(column.iter()) {
                let own = text.map(|text| (number(text), hash(text)));
                let (number, hash) = own.unwrap_or((u32::MAX, MISSING));
                self.bytes.extend(number.to_le_bytes());
                *row = row.at(hash);
            }
        }
        for text in texts {
            self.bytes.extend((text.len() as u64).to_le_bytes());
            self.bytes.extend(text.as_bytes());
        }
        self.digest.update(&self.bytes);
    }

    /// Takes vectors by their slots that are not zero, so that dense and sparse rows have one spelling.
    fn vectors(&mut self, tag: u8, vectors: &VectorColumn<'_>, profile: &mut ColumnProfile) {
        let width = vectors.width();
        self.bytes.clear();
        self.bytes.push(tag);
        self.bytes.extend((width as u64).to_le_bytes());
        for (i, row) in self.rows.iter_mut().enumerate() {
            let mut stored = 0;
            vectors.for_each_stored(i, |slot, v| {
                if v.is_nan() {
                    profile.nulls += 1;
                }
                profile.number(v);
                if v != 0.0 {
                    self.bytes.extend((slot as u64).to_le_bytes());
                    self.bytes.extend(bits(v).to_le_bytes());
                    *row = row.at(slot as u64).at(bits(v));
                }
                stored += 1;
            });
            if stored < width {
                profile.number(0.0);
            }
            self.bytes.extend(u64::MAX.to_le_bytes());
        }
        self.digest.update(&self.bytes);
    }
}

/// A column's values by type.
enum Values<'a> {
    Boolean(&'a BooleanArray),
    Integer(&'a Int64Array),
    /// Dates and timestamps as what they count.
    Count(Int64Array),
    Float(&'a Float64Array),
    Text(TextColumn<'a>),
    Vector(VectorColumn<'a>),
}

impl<'a> Values<'a> {
    fn of(batch: &'a Batch, column: &Column) -> std::result::Result<Self, DataError> {
        let array = batch.column(&column.name)?;
        let found = match column.ty {
            ColumnType::Boolean => array.as_boolean_opt().map(Self::Boolean),
            ColumnType::Integer => array.as_primitive_opt::<Int64Type>().map(Self::Integer),
            ColumnType::Float => array.as_primitive_opt::<Float64Type>().map(Self::Float),
            ColumnType::Text => TextColumn::of(array).map(Self::Text),
            ColumnType::Date => array
                .as_primitive_opt::<Date32Type>()
                .map(|a| Self::Count(a.unary(i64::from))),
            ColumnType::Timestamp => array
                .as_primitive_opt::<TimestampMicrosecondType>()
                .map(|a| Self::Count(a.unary(|v| v))),
            ColumnType::Vector { .. } => Some(Self::Vector(batch.vector(&column.name)?)),
        };
        found.ok_or_else(|| {
            DataError::format(&*column.name, "the batch has another type than its schema")
        })
    }

    /// Spells the column out, and notes its values in the profile.
    fn take(&self, chunk: &mut Spelling, profile: &mut ColumnProfile) {
        match self {
            Self::Boolean(a) => {
                chunk.eights(1, a.values().iter().map(u64::from).collect(), a.nulls());
                let (nulls, yes) = (a.null_count(), a.true_count());
                let no = a.len() - nulls - yes;
                for (name, rows) in [("false", no), ("true", yes)] {
                    if rows > 0 {
                        profile.number(f64::from(u8::from(name == "true")));
                        profile.category(name, rows as u64);
                    }
                }
                profile.nulls += nulls as u64;
            }
            Self::Integer(a) => {
                chunk.eights(2, a.values().iter().map(|v| *v as u64).collect(), a.nulls());
                integers(a, profile);
                count_integers(a, profile);
            }
            Self::Count(a) => {
                chunk.eights(2, a.values().iter().map(|v| *v as u64).collect(), a.nulls());
                integers(a, profile);
            }
            Self::Float(a) => {
                chunk.eights(3, a.values().iter().map(|v| bits(*v)).collect(), a.nulls());
                let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
                for (i, v) in a.values().iter().enumerate() {
                    if v.is_finite() && a.is_valid(i) {
                        (least, most) = (least.min(*v), most.max(*v));
                    }
                }
                if least <= most {
                    profile.number(least);
                    profile.number(most);
                }
                profile.nulls += a.null_count() as u64;
            }
            Self::Text(a) => {
                chunk.texts(4, *a);
                profile.nulls += (0..a.len()).filter(|&i| a.is_null(i)).count() as u64;
                a.counts().iter().for_each(|(v, n)| profile.category(v, *n));
            }
            Self::Vector(vectors) => chunk.vectors(5, vectors, profile),
        }
    }
}

fn integers(a: &Int64Array, profile: &mut ColumnProfile) {
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    for v in a.iter().flatten() {
        (least, most) = (least.min(v), most.max(v));
    }
    if least <= most {
        profile.number(least as f64);
        profile.number(most as f64);
    }
    profile.nulls += a.null_count() as u64;
}

/// Counts the values of a chunk as categories, as long as there are few.
fn count_integers(a: &Int64Array, profile: &mut ColumnProfile) {
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    for v in a.iter().flatten() {
        *counts.entry(v).or_insert(0) += 1;
        if counts.len() > MAX_CATEGORIES {
            profile.categories = None;
            return;
        }
    }
    for (v, n) in counts {
        profile.category(&v.to_string(), n);
    }
}

/// One spelling for every NaN and for both zeros.
fn bits(v: f64) -> u64 {
    if v.is_nan() {
        f64::NAN.to_bits()
    } else {
        (v + 0.0).to_bits()
    }
}
