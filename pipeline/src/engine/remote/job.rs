//! What driver and hosts tell each other, as bytes.

use std::ops::Range;
use std::path::PathBuf;

use emberline_datasets::recipe::Recipe;
use emberline_datasets::write::PartFile;
use emberline_datasets::{BlockSpec, DataError, Format, Slot};
use serde::{Deserialize, Serialize};
// A `Vec<u8>` would travel number by number, which takes milliseconds a megabyte.
use serde_bytes::ByteBuf;

use crate::engine::tree::Node;
use crate::{Error, Result};

/// SHA-256 of bytes that hosts fetch by it, once each.
pub type BlobId = [u8; 32];

/// Bytes that travel with a job, or lie ready under their digest where they are large.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Payload {
    Inline(ByteBuf),
    Blob(BlobId),
}

/// A round or work by name and state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Named {
    pub name: String,
    pub state: Payload,
}

/// The rows a job is about, and how they become blocks; lies ready under its digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rows {
    pub recipe: Recipe,
    pub spec: Option<BlockSpec>,
}

/// What all parts of a job share.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    /// Blocks that are needed no more.
    pub forget: Vec<BlobId>,
    pub rows: BlobId,
    pub task: Task,
}

/// What is to be done with the rows of a part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Task {
    /// Make blocks and keep them; tell how many rows each chunk has.
    Pin,
    /// A round over blocks, of `n_blocks` in all.
    Blocks { round: Named, n_blocks: usize },
    /// A round over the named columns, of `n_chunks` chunks in all.
    Batches {
        columns: Vec<String>,
        round: Named,
        n_chunks: usize,
    },
    /// Write the rows as a file of a folder.
    Write { folder: PathBuf, format: Format },
    /// An exchange between the blocks of `n_parts` parts.
    Exchange { exchange: Named, n_parts: usize },
    /// Pieces of work, each over all blocks.
    Pieces { work: Named, blocks: Payload },
}

/// The blocks of a dataset: which chunks have rows, and their shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Blocks {
    /// The chunk of each block.
    pub chunks: Vec<u32>,
    pub rows: u64,
    pub width: usize,
}

/// One part of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Part {
    /// These chunks; their first block, or the file they become, has this number.
    Chunks {
        chunks: Range<usize>,
        first_block: usize,
    },
    /// These pieces.
    Pieces(Range<u64>),
}

/// What a host answers to a part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Pinned(Pinned),
    /// Partials of the largest nodes inside the part.
    Nodes(Vec<(Node, Option<ByteBuf>)>),
    Written(PartFile),
    /// Outputs of pieces, in order.
    Outputs(Vec<ByteBuf>),
}

/// What became of the chunks of a part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pinned {
    /// Rows of each chunk.
    pub rows: Vec<u64>,
    /// Slots of a row, where there is one.
    pub width: Option<usize>,
    /// Description of the slots, as the first chunk of the part has it.
    pub slots: Vec<Slot>,
}

/// An error as it travels: who must act, what kind, and the text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Failure {
    exit_code: u8,
    kind: String,
    message: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit_code: error.exit_code(),
            kind: error.kind().to_owned(),
            message: match error {
                Error::Engine(message) => message,
                other => other.to_string(),
            },
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure.exit_code {
            2 => Self::Usage(failure.message),
            3 => Self::Data(DataError::elsewhere(&failure.kind, failure.message)),
            130 => Self::Interrupted,
            _ => Self::Engine(failure.message),
        }
    }
}

/// An answer or an error.
pub(super) type Outcome = std::result::Result<Answer, Failure>;

/// What a part sends to a group of an exchange, as bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    /// First block of the part: pieces are brought into this order.
    pub first_block: usize,
    /// The piece, or why there is none: every group then fails with it.
    pub piece: std::result::Result<ByteBuf, Failure>,
}

/// What comes back, as bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    /// Whether the blocks of the part were there already; `None` where it needs none.
    pub kept: Option<bool>,
    pub outcome: Outcome,
}

pub(super) fn unexpected<T>() -> Result<T> {
    Err(Error::Engine(
        "an executor answered another question than was asked; do all run the same version?"
            .to_owned(),
    ))
}
