//! One pass over the rows of a run: digest, ranges, categories and a sketch of their hashes.

use std::collections::{BTreeMap, BTreeSet};

use emberline_datasets::arrow::array::{
    Array, AsArray, BooleanArray, Float64Array, Int64Array, StringArray,
};
use emberline_datasets::arrow::datatypes::{
    Date32Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use emberline_datasets::{Batch, Column, ColumnType, DataError, Dataset, VectorColumn};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Result;
use crate::engine::{Partial, Round};
use crate::model_file::{ColumnProfile, DataEvidence, SKETCH, hex};
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
struct ProfileRound {
    columns: Vec<Column>,
}

/// What some chunks look like.
#[derive(Serialize, Deserialize)]
struct Profile {
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
        let values = self
            .columns
            .iter()
            .map(|c| Values::of(batch, c))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let mut chunk = Sha256::new();
        let mut row = Vec::new();
        for i in 0..batch.num_rows() {
            row.clear();
            for (values, column) in values.iter().zip(&mut profile.columns) {
                values.take(i, &mut row, column);
            }
            let hash = Sha256::digest(&row);
            chunk.update(hash);
            if let Some(first) = hash.first_chunk::<8>() {
                profile.note(u64::from_le_bytes(*first));
            }
        }
        profile.rows = batch.num_rows() as u64;
        profile.chunks.push(chunk.finalize().into());
        Ok(profile)
    }
}

/// A column's values by type.
enum Values<'a> {
    Boolean(&'a BooleanArray),
    Integer(&'a Int64Array),
    /// Dates and timestamps as what they count.
    Count(Int64Array),
    Float(&'a Float64Array),
    Text(&'a StringArray),
    Vector(VectorColumn<'a>),
}

impl<'a> Values<'a> {
    fn of(batch: &'a Batch, column: &Column) -> std::result::Result<Self, DataError> {
        let array = batch.column(&column.name)?;
        let found = match column.ty {
            ColumnType::Boolean => array.as_boolean_opt().map(Self::Boolean),
            ColumnType::Integer => array.as_primitive_opt::<Int64Type>().map(Self::Integer),
            ColumnType::Float => array.as_primitive_opt::<Float64Type>().map(Self::Float),
            ColumnType::Text => array.as_string_opt::<i32>().map(Self::Text),
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

    fn is_null(&self, i: usize) -> bool {
        match self {
            Self::Boolean(a) => a.is_null(i),
            Self::Integer(a) => a.is_null(i),
            Self::Count(a) => a.is_null(i),
            Self::Float(a) => a.is_null(i),
            Self::Text(a) => a.is_null(i),
            Self::Vector(_) => false,
        }
    }

    /// Appends a spelling of row `i` that no other value shares, and notes the value in the profile.
    fn take(&self, i: usize, row: &mut Vec<u8>, profile: &mut ColumnProfile) {
        if self.is_null(i) {
            profile.nulls += 1;
            row.push(0);
            return;
        }
        match self {
            Self::Boolean(a) => {
                let v = a.value(i);
                row.extend([1, u8::from(v)]);
                profile.number(f64::from(u8::from(v)));
                profile.category(if v { "true" } else { "false" }, 1);
            }
            Self::Integer(a) => {
                let v = a.value(i);
                row.push(2);
                row.extend(v.to_le_bytes());
                profile.number(v as f64);
                if profile.categories.is_some() {
                    profile.category(&v.to_string(), 1);
                }
            }
            Self::Count(a) => {
                row.push(2);
                row.extend(a.value(i).to_le_bytes());
                profile.number(a.value(i) as f64);
            }
            Self::Float(a) => {
                row.push(3);
                row.extend(bits(a.value(i)));
                profile.number(a.value(i));
            }
            Self::Text(a) => {
                let v = a.value(i);
                row.push(4);
                row.extend((v.len() as u64).to_le_bytes());
                row.extend(v.as_bytes());
                profile.category(v, 1);
            }
            Self::Vector(vectors) => vector(vectors, i, row, profile),
        }
    }
}

/// A vector by its slots that are not zero, so that dense and sparse rows have one spelling.
fn vector(vectors: &VectorColumn<'_>, i: usize, row: &mut Vec<u8>, profile: &mut ColumnProfile) {
    let (width, mut stored) = (vectors.width(), 0);
    row.push(5);
    row.extend((width as u64).to_le_bytes());
    vectors.for_each_stored(i, |slot, v| {
        if v.is_nan() {
            profile.nulls += 1;
        }
        profile.number(v);
        if v != 0.0 {
            row.extend((slot as u64).to_le_bytes());
            row.extend(bits(v));
        }
        stored += 1;
    });
    if stored < width {
        profile.number(0.0);
    }
    row.extend(u64::MAX.to_le_bytes());
}

/// One spelling for every NaN and for both zeros.
fn bits(v: f64) -> [u8; 8] {
    let one = if v.is_nan() {
        f64::NAN
    } else if v == 0.0 {
        0.0
    } else {
        v
    };
    one.to_bits().to_le_bytes()
}
