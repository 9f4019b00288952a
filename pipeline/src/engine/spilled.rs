//! Blocks as bytes, for the temporary file of a run. Written and read by one process; never an exchange format.

use std::sync::Arc;

use emberline_datasets::{Block, Csr, DataError, Features, Matrix, Mixed};

type Result<T> = std::result::Result<T, DataError>;

const F64: u8 = 0;
const F32: u8 = 1;
const CSR: u8 = 2;
const MIXED: u8 = 3;

/// A block, little-endian: kind, flags, rows, slots, stored values; then ids, label, weight and features.
pub(super) fn to_bytes(block: &Block) -> Vec<u8> {
    let (n, d) = block.features.dim();
    let (kind, stored) = match &block.features {
        Features::F64(x) => (F64, x.as_slice().len()),
        Features::F32(x) => (F32, x.as_slice().len()),
        Features::Csr(x) => (CSR, x.values.len()),
        Features::Mixed(x) => (MIXED, x.ones_per_row()),
    };
    let mut out = Vec::with_capacity(block.memory() + 32);
    let flags = u8::from(block.label.is_some()) | u8::from(block.weight.is_some()) << 1;
    out.extend([kind, flags]);
    put(&mut out, [n, d, stored].map(|v| v as u64), u64::to_le_bytes);
    put(&mut out, block.row_ids.iter().copied(), u64::to_le_bytes);
    for numbers in [&block.label, &block.weight].into_iter().flatten() {
        put(&mut out, numbers.iter().copied(), f64::to_le_bytes);
    }
    match &block.features {
        Features::F64(x) => put(&mut out, x.as_slice().iter().copied(), f64::to_le_bytes),
        Features::F32(x) => put(&mut out, x.as_slice().iter().copied(), f32::to_le_bytes),
        Features::Csr(x) => {
            put(
                &mut out,
                x.offsets.iter().map(|o| *o as u64),
                u64::to_le_bytes,
            );
            put(&mut out, x.indices.iter().copied(), u32::to_le_bytes);
            put(&mut out, x.values.iter().copied(), f64::to_le_bytes);
        }
        Features::Mixed(x) => {
            put(&mut out, [x.slots().len() as u64], u64::to_le_bytes);
            put(&mut out, x.slots().iter().copied(), u32::to_le_bytes);
            let numbers = x.numbers().as_slice().iter().copied();
            put(&mut out, numbers, f64::to_le_bytes);
            put(&mut out, x.all_ones().iter().copied(), u32::to_le_bytes);
        }
    }
    out
}

fn put<T, const N: usize>(
    out: &mut Vec<u8>,
    values: impl IntoIterator<Item = T>,
    bytes: impl Fn(T) -> [u8; N],
) {
    for value in values {
        out.extend_from_slice(&bytes(value));
    }
}

/// The block behind these bytes.
///
/// # Errors
/// The bytes are not those of a block: the temporary file was damaged.
pub(super) fn from_bytes(bytes: &[u8]) -> Result<Block> {
    let mut reader = Reader(bytes);
    let head = reader.take(2)?;
    let (kind, flags) = (head[0], head[1]);
    let shape = reader.numbers(3, u64::from_le_bytes)?;
    let (n, d, stored) = (shape[0] as usize, shape[1] as usize, shape[2] as usize);
    let row_ids: Arc<[u64]> = reader.numbers(n, u64::from_le_bytes)?.into();
    let mut column = |present: bool| -> Result<Option<Vec<f64>>> {
        present
            .then(|| reader.numbers(n, f64::from_le_bytes))
            .transpose()
    };
    let label = column(flags & 1 != 0)?;
    let weight = column(flags & 2 != 0)?;
    let features = match kind {
        F64 => Features::F64(Matrix::new(
            n,
            d,
            reader.numbers(stored, f64::from_le_bytes)?,
        )?),
        F32 => Features::F32(Matrix::new(
            n,
            d,
            reader.numbers(stored, f32::from_le_bytes)?,
        )?),
        CSR => Features::Csr(Csr {
            offsets: reader
                .numbers(n + 1, u64::from_le_bytes)?
                .into_iter()
                .map(|o| o as usize)
                .collect(),
            indices: reader.numbers(stored, u32::from_le_bytes)?,
            values: reader.numbers(stored, f64::from_le_bytes)?,
            width: d,
        }),
        MIXED => {
            let p = reader.numbers(1, u64::from_le_bytes)?[0] as usize;
            let slots = reader.numbers(p, u32::from_le_bytes)?.into();
            let of = |per_row: usize| n.checked_mul(per_row).ok_or_else(damaged);
            let numbers = reader.numbers(of(p)?, f64::from_le_bytes)?;
            let ones = reader.numbers(of(stored)?, u32::from_le_bytes)?;
            let numbers = Matrix::new(n, p, numbers)?;
            Features::Mixed(Mixed::new(numbers, slots, ones, stored, d)?)
        }
        _ => return Err(damaged()),
    };
    if !reader.0.is_empty() {
        return Err(damaged());
    }
    Ok(Block {
        features,
        label,
        weight,
        row_ids,
    })
}

fn damaged() -> DataError {
    DataError::format("spilled block", "the temporary file is damaged")
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (piece, rest) = self.0.split_at_checked(n).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(piece)
    }

    fn numbers<T, const N: usize>(
        &mut self,
        n: usize,
        number: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let bytes = self.take(n.checked_mul(N).ok_or_else(damaged)?)?;
        let (whole, _) = bytes.as_chunks::<N>();
        Ok(whole.iter().map(|b| number(*b)).collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn blocks() -> Vec<Block> {
        let block = |features, label, weight| Block {
            features,
            label,
            weight,
            row_ids: Arc::new([5, 1 << 41]),
        };
        let csr = Csr {
            offsets: vec![0, 0, 2],
            indices: vec![1, 6],
            values: vec![-0.0, 2.5],
            width: 7,
        };
        let mixed = Mixed::new(
            array![[0.1, -0.0], [7.0, 1e300]].into(),
            Arc::new([0, 3]),
            vec![1, 9, 2, 4],
            2,
            9,
        )
        .unwrap();
        vec![
            block(
                Features::F64(array![[1.0, -0.0, 0.1], [f64::MIN_POSITIVE, 1e300, 7.0]].into()),
                Some(vec![0.0, 1.0]),
                None,
            ),
            block(
                Features::F32(array![[1.5], [0.1]].into()),
                None,
                Some(vec![2.0, 0.5]),
            ),
            block(Features::Csr(csr), Some(vec![1.0; 2]), Some(vec![1.0; 2])),
            block(Features::F64(Array2::zeros((2, 0)).into()), None, None),
            block(Features::Mixed(mixed), Some(vec![1.0; 2]), None),
        ]
    }

    #[test]
    fn blocks_come_back_as_they_were() {
        for block in blocks() {
            assert_eq!(from_bytes(&to_bytes(&block)).unwrap(), block);
        }
    }

    #[test]
    fn a_missing_value_stays_missing() {
        let block = Block {
            features: Features::F64(array![[f64::NAN]].into()),
            label: None,
            weight: None,
            row_ids: Arc::new([0]),
        };
        let back = from_bytes(&to_bytes(&block)).unwrap();
        assert!(back.dense()[(0, 0)].is_nan());
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        for block in blocks() {
            let bytes = to_bytes(&block);
            for end in 0..bytes.len() {
                assert!(from_bytes(&bytes[..end]).is_err());
            }
            let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
            assert!(from_bytes(&longer).is_err());
        }
    }
}
