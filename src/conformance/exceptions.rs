//! The one list of properties that a stage of the workspace need not hold. It may only shrink: an exception whose property holds is a
//! failure of the suite.

use super::Exception;

/// Stage, property, reason.
pub const EXCEPTIONS: &[Exception] = &[];
