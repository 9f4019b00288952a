//! Partitioned datasets for Emberline: sources, splits, partitioners, blocks and bundled data.
//!
//! Start at [`Dataset`]: an immutable, lazily read table cut into chunks that follow from the source alone. Stages see
//! its rows as [`Batch`]es (columns) or as [`Block`]s (matrices).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arrow;
pub mod batch;
pub mod block;
pub mod bundled;
mod cache;
mod dataset;
mod describe;
mod error;
pub mod files;
mod keys;
mod memory;
pub mod numeric;
mod objects;
mod options;
mod parallel;
mod partition;
pub mod random;
pub mod recipe;
pub mod schema;
pub mod simd;
pub mod source;
pub mod spill;
mod split;
mod store;
mod text_column;
pub mod write;

pub use batch::{Batch, VectorColumn};
pub use block::{
    Block, BlockSpec, Classes, Csr, Features, LabelSpec, LabelValues, Matrix, MissingRule, Mixed,
    StoredRows,
};
pub use bundled::BundledInfo;
pub use dataset::{Dataset, RowOp, spread};
pub use describe::{
    CategoryCount, ColumnDescription, Description, Distinct, MAX_DISTINCT, RangeDescription,
    RangeEnd, VectorDescription, describe,
};
pub use error::DataError;
pub use memory::{Held, Memory};
pub use numeric::Moments;
pub use options::{BadRows, Format, PartitionBy, SourceOptions, TypeName, types_of};
pub use parallel::map_in_order;
pub use schema::{
    Attribute, Column, ColumnType, Element, Layout, Roles, Schema, SchemaError, SchemaErrors, Slot,
};
pub use source::{BLOCK_ROWS, Chunk, Source, row_id};
pub use split::{Folds, HeldOut, Split};
pub use text_column::{CodedText, TextColumn};
pub use write::TableWriter;

/// Result of the data layer.
pub type Result<T> = std::result::Result<T, DataError>;
