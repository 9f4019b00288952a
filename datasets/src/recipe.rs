//! A dataset written down: what another process needs to read the same rows.
//!
//! A recipe holds no row. It names the files, how they are read, and the steps that follow; who reads it opens the files again,
//! and refuses them where their columns or the boundaries of their chunks are no longer those the recipe was written for.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::batch::Batch;
use crate::dataset::{Dataset, RowOp};
use crate::memory::Memory;
use crate::options::{BadRows, SourceOptions};
use crate::schema::{Roles, Schema};
use crate::source::{Chunk, Source, open_within};
use crate::split::split_step;
use crate::store::{KeptSource, from_bytes, to_bytes};
use crate::{DataError, Result};

/// A row-wise step by name and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Who can read the state: `crate/kind`.
    pub name: String,
    /// The state, in a form of the step's own.
    pub state: Vec<u8>,
}

impl Step {
    /// The step of that name with this state.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn of<T: Serialize>(name: &str, state: &T) -> Result<Self> {
        let state =
            postcard::to_allocvec(state).map_err(|e| DataError::format(name, e.to_string()))?;
        Ok(Self {
            name: name.to_owned(),
            state,
        })
    }

    /// The state that [`Step::of`] wrote.
    ///
    /// # Errors
    /// The bytes are no such state.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        postcard::from_bytes(&self.state).map_err(|e| DataError::format(&self.name, e.to_string()))
    }
}

/// How a dataset is made: from a source, through steps. Made by [`Dataset::recipe`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    origin: Origin,
    roles: Roles,
    steps: Vec<Step>,
    schema: Schema,
    chunks: [u8; 32],
    kept: Vec<String>,
}

/// Where the rows are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// In files, read like this.
    Opened(SourceOptions),
    /// Here: a small table that lay in memory, a batch a chunk.
    Here {
        name: String,
        schema: Schema,
        batches: Vec<Vec<u8>>,
    },
}

/// Bytes of the largest table that travels with its recipe.
const LARGEST_TABLE: usize = 256 << 20;

impl Origin {
    pub(crate) fn opened(options: &SourceOptions) -> Result<Self> {
        let refuse = |message: String| Err(DataError::Unusable(message));
        if options.source == "-" {
            return refuse(
                "rows from standard input can be read by this process alone; write them to a file"
                    .to_owned(),
            );
        }
        if options.bad_rows == BadRows::Quarantine {
            return refuse(format!(
                "`data.bad_rows = \"quarantine\"` writes one side file, which several processes cannot share; clean `{}` first, or set \"fail\"",
                options.source
            ));
        }
        Ok(Self::Opened(SourceOptions {
            source: absolute(&options.source)?,
            ..options.clone()
        }))
    }

    pub(crate) fn in_memory(source: &dyn Source) -> Result<Self> {
        let too_large = || {
            DataError::Unusable(format!(
                "the rows of `{}` lie in the memory of this process; write them to files that every machine can read",
                source.origin()
            ))
        };
        let batches = source.in_memory().ok_or_else(too_large)?;
        if batches.iter().map(Batch::memory).sum::<usize>() > LARGEST_TABLE {
            return Err(too_large());
        }
        Ok(Self::Here {
            name: source.origin().to_owned(),
            schema: (**source.schema()).clone(),
            batches: batches.iter().map(to_bytes).collect::<Result<_>>()?,
        })
    }

    fn name(&self) -> &str {
        match self {
            Self::Opened(options) => &options.source,
            Self::Here { name, .. } => name,
        }
    }

    fn open(&self, memory: &Memory) -> Result<Dataset> {
        match self {
            Self::Opened(options) => open_within(options, memory.limit()),
            Self::Here {
                name,
                schema,
                batches,
            } => {
                let schema = Arc::new(schema.clone());
                let all: Vec<usize> = (0..schema.columns().len()).collect();
                let batches = batches.iter().map(|bytes| from_bytes(bytes, &schema, &all));
                let batches = batches.collect::<Result<_>>()?;
                Ok(Dataset::from_batches(name, schema, batches))
            }
        }
    }
}

impl Recipe {
    pub(crate) fn of(
        origin: Origin,
        base: &Schema,
        steps: Vec<Step>,
        schema: &Schema,
        chunks: &[Chunk],
        kept: Vec<String>,
    ) -> Self {
        Self {
            origin,
            roles: base.roles().clone(),
            steps,
            schema: schema.clone(),
            chunks: digest(chunks),
            kept,
        }
    }

    /// What tells sources apart: recipes of one print read the same files in the same way and keep the same columns of them.
    #[must_use]
    pub fn source_print(&self) -> [u8; 32] {
        let parts = (&self.origin, &self.roles, &self.chunks, &self.kept);
        // All of it is plain data, which has a spelling.
        Sha256::digest(postcard::to_allocvec(&parts).unwrap_or_default()).into()
    }

    /// Opens the files: the dataset before all steps. The columns that are to be kept are, as chunks of them are read, for as long as
    /// `memory` has room; what finds none is read again.
    ///
    /// # Errors
    /// The files cannot be opened, or their rows differ from those the recipe was written for.
    pub fn open_source(&self, memory: &Memory) -> Result<Dataset> {
        let data = self.origin.open(memory)?.with_roles(self.roles.clone())?;
        if digest(&data.chunks()?) != self.chunks {
            return self.differs("it has other rows");
        }
        if self.kept.is_empty() {
            return Ok(data);
        }
        let columns = data.source().schema().columns();
        let place = |name: &String| columns.iter().position(|c| c.name == *name);
        let kept: Vec<usize> = self.kept.iter().filter_map(place).collect();
        let memory = memory.clone();
        Ok(data.through(|source| Arc::new(KeptSource::new(source, kept, memory))))
    }

    fn differs<T>(&self, what: &str) -> Result<T> {
        Err(DataError::Source {
            origin: self.origin.name().to_owned(),
            message: format!(
                "{what} here than where the run was started; every machine must read the same files"
            ),
        })
    }

    /// Adds the steps to the dataset that [`Recipe::open_source`] gave. `read` makes the steps that this crate does not know.
    ///
    /// # Errors
    /// A step is unknown or does not fit, or the columns differ from those the recipe was written for.
    pub fn with_steps(
        &self,
        source: &Dataset,
        read: &dyn Fn(&Step) -> Result<Arc<dyn RowOp>>,
    ) -> Result<Dataset> {
        let mut data = source.clone();
        for step in &self.steps {
            let op = match split_step(step) {
                Some(op) => op?,
                None => read(step)?,
            };
            data = data.with_op(op)?;
        }
        if **data.schema() != self.schema {
            return self.differs("it has other columns");
        }
        Ok(data)
    }
}

/// The source as every process of this machine names it.
fn absolute(source: &str) -> Result<String> {
    if source.starts_with("bundled:") || source.contains("://") {
        return Ok(source.to_owned());
    }
    let path = std::path::absolute(source).map_err(|e| DataError::io(source, e))?;
    Ok(path.to_string_lossy().into_owned())
}

/// Where chunks start and how many rows they have.
fn digest(chunks: &[Chunk]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for chunk in chunks {
        hash.update(chunk.first_row.to_le_bytes());
        hash.update((chunk.rows as u64).to_le_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Split, source};

    fn open(recipe: &Recipe) -> Result<Dataset> {
        let source = recipe.open_source(&Memory::default())?;
        recipe.with_steps(&source, &|step| {
            Err(DataError::Unusable(format!("no step `{}`", step.name)))
        })
    }

    #[test]
    fn both_sides_of_a_split_are_read_again_from_their_recipes() {
        let mut options = SourceOptions::new("bundled:pendigits");
        options.weight = Some("x1".to_owned());
        let data = source::open(&options).unwrap();
        let mut split = Split::new(0.25, 3);
        split.stratify = Some("digit".to_owned());
        let parts = data.split(&split).unwrap();
        for side in [parts.train, parts.test] {
            let bytes = postcard::to_allocvec(&side.recipe().unwrap()).unwrap();
            let recipe: Recipe = postcard::from_bytes(&bytes).unwrap();
            let again = open(&recipe).unwrap();
            assert_eq!(again.schema(), side.schema());
            let ids = |d: &Dataset| -> Vec<u64> {
                let batches = d.batches(None).unwrap();
                let ids = batches.flat_map(|b| b.unwrap().row_ids().to_vec());
                ids.collect()
            };
            assert_eq!(ids(&again), ids(&side));
        }
    }

    #[test]
    fn a_file_that_changed_since_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "a,b\n1,2\n3,4\n").unwrap();
        let options = SourceOptions::new(path.to_string_lossy());
        let recipe = source::open(&options).unwrap().recipe().unwrap();
        std::fs::write(&path, "a,b\n1,2\n3,4\n5,6\n").unwrap();
        let error = open(&recipe).unwrap_err().to_string();
        assert!(error.contains("it has other rows here"), "{error}");
        std::fs::write(&path, "a,c\n1,2\n3,4\n").unwrap();
        let error = open(&recipe).unwrap_err().to_string();
        assert!(error.contains("it has other columns here"), "{error}");
    }

    #[test]
    fn rows_in_memory_standard_input_and_side_files_have_no_recipe() {
        let data = source::open(&SourceOptions::new("bundled:iris")).unwrap();
        let error = data.cache(None).unwrap().recipe().unwrap_err().to_string();
        assert!(
            error.contains("lie in the memory of this process"),
            "{error}"
        );
        let mut options = SourceOptions::new("bundled:iris");
        options.bad_rows = BadRows::Quarantine;
        let error = source::open(&options).unwrap().recipe().unwrap_err();
        assert!(error.to_string().contains("quarantine"), "{error}");
    }
}
