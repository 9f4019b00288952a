//! Vector columns: reading their rows, and building them.

use std::sync::Arc;

use crate::arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, StructArray};
use crate::arrow::buffer::ScalarBuffer;
use crate::arrow::datatypes::{Float32Type, Float64Type, UInt32Type};
use crate::batch::aligned;
use crate::schema::{Column, ColumnType, Element, Layout};
use crate::{DataError, Result};

/// A vector column, row by row.
#[derive(Debug, Clone, Copy)]
pub struct VectorColumn<'a> {
    width: usize,
    rows: usize,
    values: Values<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Values<'a> {
    F64(
        &'a ScalarBuffer<f64>,
        Option<&'a crate::arrow::buffer::NullBuffer>,
    ),
    F32(
        &'a ScalarBuffer<f32>,
        Option<&'a crate::arrow::buffer::NullBuffer>,
    ),
    Sparse {
        offsets: &'a [i32],
        indices: &'a [u32],
        values: &'a crate::arrow::array::ArrayRef,
    },
}

impl<'a> VectorColumn<'a> {
    pub(super) fn of(array: &'a ArrayRef, column: &Column) -> Option<Self> {
        let ColumnType::Vector {
            width,
            element,
            layout,
        } = &column.ty
        else {
            return None;
        };
        match layout {
            Layout::Dense => {
                let list: &FixedSizeListArray = array.as_fixed_size_list_opt()?;
                let width = list.value_length() as usize;
                // Slicing a list slices its child, so row 0 starts at 0.
                let child = list.values();
                let nulls = child.nulls().filter(|n| n.null_count() > 0);
                let values = match element {
                    Element::F64 => {
                        Values::F64(child.as_primitive_opt::<Float64Type>()?.values(), nulls)
                    }
                    Element::F32 => {
                        Values::F32(child.as_primitive_opt::<Float32Type>()?.values(), nulls)
                    }
                };
                Some(Self {
                    width,
                    rows: list.len(),
                    values,
                })
            }
            Layout::Sparse => {
                let pair: &StructArray = array.as_struct_opt()?;
                let indices = pair.column(0).as_list_opt::<i32>()?;
                let values = pair.column(1).as_list_opt::<i32>()?;
                let offsets = indices.value_offsets();
                let flat = indices.values().as_primitive_opt::<UInt32Type>()?.values();
                Some(Self {
                    width: (*width)?,
                    rows: pair.len(),
                    values: Values::Sparse {
                        offsets,
                        indices: flat,
                        values: values.values(),
                    },
                })
            }
        }
    }

    /// Slots per row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes row `i` into `out` (`width` long); a missing slot becomes NaN, a slot that is not stored zero.
    pub fn read(&self, i: usize, out: &mut [f64]) {
        match &self.values {
            Values::F64(values, nulls) => {
                out.copy_from_slice(&values[i * self.width..(i + 1) * self.width]);
                blank(out, *nulls, i * self.width);
            }
            Values::F32(values, nulls) => {
                for (o, v) in out
                    .iter_mut()
                    .zip(&values[i * self.width..(i + 1) * self.width])
                {
                    *o = f64::from(*v);
                }
                blank(out, *nulls, i * self.width);
            }
            Values::Sparse { .. } => {
                out.fill(0.0);
                self.for_each_stored(i, |j, v| out[j] = v);
            }
        }
    }

    /// Calls `f(slot, value)` for each stored slot of row `i`, in slot order; dense rows store every slot.
    pub fn for_each_stored(&self, i: usize, mut f: impl FnMut(usize, f64)) {
        match &self.values {
            Values::Sparse {
                offsets,
                indices,
                values,
            } => {
                let range = offsets[i] as usize..offsets[i + 1] as usize;
                if let Some(v64) = values.as_primitive_opt::<Float64Type>() {
                    for k in range {
                        f(indices[k] as usize, v64.value(k));
                    }
                } else if let Some(v32) = values.as_primitive_opt::<Float32Type>() {
                    for k in range {
                        f(indices[k] as usize, f64::from(v32.value(k)));
                    }
                }
            }
            Values::F64(values, nulls) => {
                for j in 0..self.width {
                    let k = i * self.width + j;
                    f(
                        j,
                        if nulls.is_some_and(|n| n.is_null(k)) {
                            f64::NAN
                        } else {
                            values[k]
                        },
                    );
                }
            }
            Values::F32(values, nulls) => {
                for j in 0..self.width {
                    let k = i * self.width + j;
                    f(
                        j,
                        if nulls.is_some_and(|n| n.is_null(k)) {
                            f64::NAN
                        } else {
                            f64::from(values[k])
                        },
                    );
                }
            }
        }
    }

    /// True where every slot is stored.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        !matches!(self.values, Values::Sparse { .. })
    }

    /// The rows of a sparse `f64` column: where each row starts among its slots and values (`rows + 1`), slots, values.
    #[must_use]
    pub fn as_sparse(&self) -> Option<(&'a [i32], &'a [u32], &'a [f64])> {
        let Values::Sparse {
            offsets,
            indices,
            values,
        } = self.values
        else {
            return None;
        };
        let values: &[f64] = values.as_primitive_opt::<Float64Type>()?.values();
        // A slice of rows has the offsets of its own and the values of all.
        let starts_here = offsets.first() == Some(&0);
        (starts_here && offsets.last().map(|o| *o as usize) == Some(values.len()))
            .then_some((offsets, indices, values))
    }

    /// All rows of a dense `f64` column without nulls, row-major, without a copy.
    #[must_use]
    pub fn as_f64_slice(&self) -> Option<&'a [f64]> {
        match &self.values {
            Values::F64(values, None) => Some(&values[..self.rows * self.width]),
            _ => None,
        }
    }

    /// The memory of a dense `f64` column without nulls, row-major; shared, not copied.
    #[must_use]
    pub fn as_f64_buffer(&self) -> Option<ScalarBuffer<f64>> {
        match &self.values {
            Values::F64(values, None) => Some(values.slice(0, self.rows * self.width)),
            _ => None,
        }
    }

    /// The memory of a dense `f32` column without nulls, row-major; shared, not copied.
    #[must_use]
    pub fn as_f32_buffer(&self) -> Option<ScalarBuffer<f32>> {
        match &self.values {
            Values::F32(values, None) => Some(values.slice(0, self.rows * self.width)),
            _ => None,
        }
    }
}

fn blank(out: &mut [f64], nulls: Option<&crate::arrow::buffer::NullBuffer>, start: usize) {
    if let Some(nulls) = nulls {
        for (j, o) in out.iter_mut().enumerate() {
            if nulls.is_null(start + j) {
                *o = f64::NAN;
            }
        }
    }
}

/// Builds a dense vector column from row-major numbers; NaN is stored as a null slot where `nan_is_missing`.
///
/// `values` is `(n, width)`; `f32` columns round here, once. They are copied to where [`aligned`] lays them.
///
/// # Errors
/// [`DataError::Format`] where the length is no multiple of the width.
pub fn dense_vectors(
    values: Vec<f64>,
    width: usize,
    element: Element,
    nan_is_missing: bool,
    rows: usize,
) -> Result<ArrayRef> {
    use crate::arrow::array::PrimitiveArray;
    use crate::arrow::buffer::NullBuffer;
    use crate::arrow::datatypes::{DataType, Field};
    let nulls = (nan_is_missing && values.iter().any(|v| v.is_nan()))
        .then(|| NullBuffer::from(values.iter().map(|v| !v.is_nan()).collect::<Vec<bool>>()));
    let (ty, child): (DataType, ArrayRef) = match element {
        Element::F64 => {
            let wide = aligned(values.len(), |x| x.copy_from_slice(&values));
            let numbers = PrimitiveArray::<Float64Type>::new(wide, nulls);
            (DataType::Float64, Arc::new(numbers))
        }
        Element::F32 => {
            let narrow = aligned(values.len(), |x: &mut [f32]| {
                x.iter_mut().zip(&values).for_each(|(x, v)| *x = *v as f32);
            });
            let numbers = PrimitiveArray::<Float32Type>::new(narrow, nulls);
            (DataType::Float32, Arc::new(numbers))
        }
    };
    let size = i32::try_from(width).map_err(|e| DataError::format("vector width", e))?;
    let field = Arc::new(Field::new("item", ty, true));
    Ok(Arc::new(FixedSizeListArray::try_new_with_length(
        field, size, child, None, rows,
    )?))
}

/// Builds a sparse `f64` vector column from `offsets` (`rows + 1`), slot indices (ascending in each row) and values.
///
/// # Errors
/// [`DataError::Format`] where the lengths disagree.
pub fn sparse_vectors(offsets: Vec<i32>, indices: Vec<u32>, values: Vec<f64>) -> Result<ArrayRef> {
    sparse_vectors_of(offsets, indices, values, Element::F64)
}

/// As [`sparse_vectors`], with numbers of this width; `f32` columns round here, once.
///
/// # Errors
/// As [`sparse_vectors`].
pub fn sparse_vectors_of(
    offsets: Vec<i32>,
    indices: Vec<u32>,
    values: Vec<f64>,
    element: Element,
) -> Result<ArrayRef> {
    use crate::arrow::array::{ListArray, PrimitiveArray};
    use crate::arrow::buffer::{OffsetBuffer, ScalarBuffer};
    use crate::arrow::datatypes::{DataType, Field};
    if offsets.windows(2).any(|w| w[0] > w[1])
        || offsets.first() != Some(&0)
        || offsets.last().map(|o| *o as usize) != Some(indices.len())
    {
        return Err(DataError::format(
            "sparse vectors",
            "offsets do not match the indices",
        ));
    }
    let ends = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let list = |ty: DataType, child: ArrayRef| -> Result<ArrayRef> {
        Ok(Arc::new(ListArray::try_new(
            Arc::new(Field::new("item", ty, false)),
            ends.clone(),
            child,
            None,
        )?))
    };
    let slots = list(
        DataType::UInt32,
        Arc::new(PrimitiveArray::<UInt32Type>::new(indices.into(), None)),
    )?;
    let numbers = match element {
        Element::F64 => {
            let values = PrimitiveArray::<Float64Type>::new(values.into(), None);
            list(DataType::Float64, Arc::new(values))?
        }
        Element::F32 => {
            let narrow: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            let values = PrimitiveArray::<Float32Type>::new(narrow.into(), None);
            list(DataType::Float32, Arc::new(values))?
        }
    };
    let fields = vec![
        Field::new("indices", slots.data_type().clone(), false),
        Field::new("values", numbers.data_type().clone(), false),
    ];
    Ok(Arc::new(StructArray::try_new(
        fields.into(),
        vec![slots, numbers],
        None,
    )?))
}
