//! All arrays of a model as one `safetensors` block, and back.

use std::borrow::Cow;

use safetensors::tensor::{Dtype, SafeTensors, View, serialize};

use super::json;
use crate::persist::{Arrays, Numbers, Tensor};

/// Most bytes of the header that names the arrays.
const MAX_HEADER: usize = 16 << 20;

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        match self.numbers {
            Numbers::F64(_) => Dtype::F64,
            Numbers::F32(_) => Dtype::F32,
            Numbers::I64(_) => Dtype::I64,
            Numbers::U32(_) => Dtype::U32,
            Numbers::U8(_) => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match &self.numbers {
            Numbers::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Numbers::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Numbers::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Numbers::U32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Numbers::U8(v) => v.into(),
        }
    }

    fn data_len(&self) -> usize {
        match &self.numbers {
            Numbers::F64(v) => 8 * v.len(),
            Numbers::I64(v) => 8 * v.len(),
            Numbers::F32(v) => 4 * v.len(),
            Numbers::U32(v) => 4 * v.len(),
            Numbers::U8(v) => v.len(),
        }
    }
}

/// The arrays as bytes; their order follows from types and names alone.
pub(super) fn write(arrays: &Arrays) -> Result<Vec<u8>, String> {
    let bytes = serialize(arrays.tensors(), None).map_err(|e| e.to_string())?;
    header(&bytes)?;
    Ok(bytes)
}

/// The JSON header of a block.
fn header(bytes: &[u8]) -> Result<&[u8], String> {
    let len = bytes
        .first_chunk::<8>()
        .and_then(|n| usize::try_from(u64::from_le_bytes(*n)).ok())
        .ok_or("the arrays lack their header")?;
    if len > MAX_HEADER {
        return Err(format!(
            "the header of the arrays has {len} bytes, {MAX_HEADER} are allowed"
        ));
    }
    bytes
        .get(8..8 + len)
        .ok_or_else(|| "the header of the arrays is cut short".to_owned())
}

/// The arrays of a block. Names, types, shapes and offsets are checked against the bytes present.
pub(super) fn read(bytes: &[u8]) -> Result<Arrays, String> {
    // The library keeps the last of two equal names; here they are refused.
    let names = json::parse(header(bytes)?)?;
    if names.get("__metadata__").is_some() {
        return Err("the arrays carry foreign metadata".to_owned());
    }
    let block = SafeTensors::deserialize(bytes).map_err(|e| format!("arrays: {e}"))?;
    let mut arrays = Arrays::new();
    for (name, view) in block.tensors() {
        let numbers = numbers(view.dtype(), view.data())
            .ok_or_else(|| format!("array `{name}` has type {:?}", view.dtype()))?;
        let product = view
            .shape()
            .iter()
            .try_fold(1_usize, |n, d| n.checked_mul(*d));
        if product != Some(numbers.len()) {
            return Err(format!(
                "array `{name}` has shape {:?} but {} numbers",
                view.shape(),
                numbers.len()
            ));
        }
        arrays.insert(
            name,
            Tensor {
                shape: view.shape().to_vec(),
                numbers,
            },
        );
    }
    Ok(arrays)
}

fn numbers(dtype: Dtype, data: &[u8]) -> Option<Numbers> {
    Some(match dtype {
        Dtype::F64 => Numbers::F64(words(data, f64::from_le_bytes)),
        Dtype::F32 => Numbers::F32(words(data, f32::from_le_bytes)),
        Dtype::I64 => Numbers::I64(words(data, i64::from_le_bytes)),
        Dtype::U32 => Numbers::U32(words(data, u32::from_le_bytes)),
        Dtype::U8 => Numbers::U8(data.to_vec()),
        _ => return None,
    })
}

fn words<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|w| read(*w)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn arrays_of_every_type_come_back_bit_for_bit() {
        let mut arrays = Arrays::new();
        arrays.put_f64("0.f", &[0.1, -0.0, f64::MIN_POSITIVE]);
        arrays.put_u32("0.u", &[7, u32::MAX]);
        arrays.put_i64("1.i", &[i64::MIN]);
        arrays.put_u8("1.b", b"abc");
        arrays.put_f64("empty", &[]);
        arrays.insert(
            "g",
            Tensor {
                shape: vec![1, 2],
                numbers: Numbers::F32(vec![1.5, f32::MAX]),
            },
        );
        let bytes = write(&arrays).unwrap();
        assert_eq!(read(&bytes).unwrap(), arrays);
        assert_eq!(bytes, write(&read(&bytes).unwrap()).unwrap());
    }

    #[test]
    fn hostile_headers_are_refused() {
        let cases = [
            (
                "wrong type",
                block(
                    r#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#,
                    &[0; 4],
                ),
            ),
            (
                "shape overflow",
                block(
                    r#"{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
                    &[0; 8],
                ),
            ),
            (
                "offset out of bounds",
                block(
                    r#"{"a":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}"#,
                    &[0; 8],
                ),
            ),
            (
                "offsets reversed",
                block(
                    r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[8,0]}}"#,
                    &[0; 8],
                ),
            ),
            (
                "bytes that belong to nothing",
                block(
                    r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
                    &[0; 2],
                ),
            ),
            (
                "two of one name",
                block(
                    r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
                    &[0],
                ),
            ),
            ("metadata", block(r#"{"__metadata__":{"x":"y"}}"#, &[])),
            (
                "header longer than the block",
                [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
            ),
            ("no header", b"{}".to_vec()),
            ("no JSON", block("hello", &[])),
        ];
        for (what, bytes) in cases {
            assert!(read(&bytes).is_err(), "{what}");
        }
    }
}
