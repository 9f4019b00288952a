//! NumPy files: little-endian `float32` and `int32` arrays of one or two axes in C order.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use bytemuck::Pod;
use emberline::arrow::buffer::ScalarBuffer;
use emberline::arrow::datatypes::ArrowNativeType;
use emberline::datasets::batch::aligned;

use crate::Outcome;

/// An array as it lies in the file.
pub struct Array<T: ArrowNativeType> {
    /// Row-major values.
    pub values: ScalarBuffer<T>,
    /// Rows.
    pub rows: usize,
    /// Columns; 1 for an array of one axis.
    pub columns: usize,
}

/// A number that an `.npy` file holds.
pub trait Number: ArrowNativeType + Pod {
    /// NumPy's name of the type.
    const DESCR: &'static str;
    /// The number of four little-endian bytes.
    fn of(bytes: [u8; 4]) -> Self;
}

impl Number for f32 {
    const DESCR: &'static str = "<f4";
    fn of(bytes: [u8; 4]) -> Self {
        Self::from_le_bytes(bytes)
    }
}

impl Number for i32 {
    const DESCR: &'static str = "<i4";
    fn of(bytes: [u8; 4]) -> Self {
        Self::from_le_bytes(bytes)
    }
}

/// Reads `FOLDER/NAME.npy`. Memory: the values, as [`aligned`] lays them, and one buffer.
pub fn read<T: Number>(folder: &Path, name: &str) -> Outcome<Array<T>> {
    let path = folder.join(name).with_extension("npy");
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut file = BufReader::with_capacity(1 << 20, File::open(&path).map_err(|e| told(&e))?);
    let (rows, columns) = header::<T>(&mut file).map_err(|e| told(&e))?;
    let mut outcome = Ok(());
    let values = aligned(rows * columns, |values| {
        outcome = numbers(&mut file, values)
    });
    outcome.map_err(|e| told(&e))?;
    Ok(Array {
        values,
        rows,
        columns,
    })
}

/// The numbers after the header.
fn numbers<T: Number>(file: &mut impl Read, values: &mut [T]) -> std::io::Result<()> {
    let mut buffer = vec![0_u8; 1 << 20];
    for values in values.chunks_mut(buffer.len() / 4) {
        let bytes = &mut buffer[..4 * values.len()];
        file.read_exact(bytes)?;
        let four = |b: &[u8]| T::of([b[0], b[1], b[2], b[3]]);
        let read = bytes.chunks_exact(4).map(four);
        values.iter_mut().zip(read).for_each(|(v, read)| *v = read);
    }
    Ok(())
}

/// Rows and columns; the text after the magic number is a Python dictionary with `descr`, `fortran_order` and `shape`.
fn header<T: Number>(file: &mut impl Read) -> Outcome<(usize, usize)> {
    let mut head = [0_u8; 10];
    file.read_exact(&mut head)?;
    if &head[..8] != b"\x93NUMPY\x01\x00" {
        return Err("not an .npy file of version 1.0".into());
    }
    let mut text = vec![0_u8; usize::from(u16::from_le_bytes([head[8], head[9]]))];
    file.read_exact(&mut text)?;
    let text = String::from_utf8(text)?;
    if !text.contains(&format!("'{}'", T::DESCR)) || !text.contains("'fortran_order': False") {
        return Err(format!("{} in C order was expected, found {text}", T::DESCR).into());
    }
    let (_, shape) = text.split_once('(').ok_or("no shape")?;
    let (shape, _) = shape.split_once(')').ok_or("no shape")?;
    let axes: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    match axes[..] {
        [rows] => Ok((rows, 1)),
        [rows, columns] => Ok((rows, columns)),
        _ => Err(format!("one or two axes were expected, found {axes:?}").into()),
    }
}
