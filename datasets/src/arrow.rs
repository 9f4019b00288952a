//! The parts of Arrow that tables are made of, in the version that goes with this crate.
//!
//! Everything in the workspace names Arrow through this module, and so should scripts: `emberline::arrow`. It is made of Arrow's
//! own crates one by one, under the paths of the umbrella crate `arrow`, which would bring its casting, arithmetic,
//! string and sorting kernels along: half a minute of a core in a clean build, and more, for code that nothing here calls.

pub use arrow_buffer::buffer;
pub use arrow_ipc as ipc;

/// Arrays and their builders.
pub mod array {
    pub use arrow_array::builder::*;
    pub use arrow_array::cast::*;
    pub use arrow_array::*;
    pub use arrow_data::{ArrayData, ArrayDataBuilder};
}

/// Types, fields and schemas.
pub mod datatypes {
    pub use arrow_array::types::*;
    pub use arrow_array::{ArrowNumericType, ArrowPrimitiveType};
    pub use arrow_buffer::ArrowNativeType;
    pub use arrow_schema::*;
}

/// Kernels over whole arrays.
pub mod compute {
    pub use arrow_select::concat::{concat, concat_batches};
    pub use arrow_select::filter::filter;
    pub use arrow_select::take::take;
}

/// Arrow's errors.
pub mod error {
    pub use arrow_schema::ArrowError;
}
