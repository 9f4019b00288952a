//! Model files: `NAME.ember`.
//!
//! A ZIP archive of three stored entries: `model.json` (format version, name, stages, schemas, evidence),
//! `arrays.safetensors` (all long lists of numbers) and `probes.json` (rows in, outputs expected). The archive comment is
//! the SHA-256 of everything before it and is checked before anything is parsed. Data only: no code, no reference to
//! anything outside. Nothing in it tells of the clock, the machine, paths, threads or partitions, so equal models are
//! equal bytes.
//!
//! Reading trusts nothing: every length is checked against the bytes present, every document is bounded, every stage
//! checks its own indices, and the schema chain must give the columns the file promises.

mod container;
mod evidence;
mod json;
mod probes;
mod store;
mod tensors;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use emberline_datasets::Schema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use container::hex;
pub use evidence::{
    ColumnProfile, DataEvidence, Evidence, MAX_CATEGORIES, RowCounts, SKETCH, StageEvidence,
};
pub use probes::{Difference, PROBE_ROWS, Probe, Probes, Verification};
pub use store::Saved;

use crate::Result;
use crate::persist::{Arrays, ModelError, SavedStage};
use crate::pipeline::PipelineModel;
use crate::registry::Registry;
use crate::stage::{Stage, Transformer};

/// Newest format version this program reads, and the one it writes.
pub const FORMAT: u32 = 1;

/// A fitted pipeline with its evidence.
#[derive(Clone)]
pub struct ModelFile {
    /// Name of the config or plan it was trained by.
    pub name: String,
    /// Program and version that wrote it.
    pub program: String,
    /// The fitted stages.
    pub model: PipelineModel,
    /// Where it came from.
    pub evidence: Evidence,
    /// Rows with the outputs expected.
    pub probes: Probes,
}

/// The document `model.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    program: String,
    name: String,
    stages: Vec<SavedStage>,
    input: Schema,
    output: Schema,
    evidence: Evidence,
}

impl ModelFile {
    /// A file of this model, written by this version of the program.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        model: PipelineModel,
        evidence: Evidence,
        probes: Probes,
    ) -> Self {
        let program = concat!("emberline ", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            name: name.into(),
            program,
            model,
            evidence,
            probes,
        }
    }

    /// The columns after all stages, for rows like those of training.
    ///
    /// # Errors
    /// The stages do not fit each other.
    pub fn output_schema(&self) -> Result<Schema> {
        Ok(self.model.output_schema(self.model.input_schema())?)
    }

    /// Scores the probe rows again and compares all bits with what the file expects.
    ///
    /// # Errors
    /// The model refuses a row it once took.
    pub fn verify(&self) -> Result<Verification> {
        self.probes.replay(&self.model)
    }

    /// As [`ModelFile::verify`], and refuses a model whose probe rows do not give what they gave when it was written: this
    /// program, or this machine, would predict something else than was tested. `path` is for messages.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] with the first differences.
    pub fn require_probes(&self, path: &std::path::Path) -> Result<Verification> {
        let found = self.verify()?;
        if found.is_ok() {
            return Ok(found);
        }
        Err(ModelError::Damaged {
            file: path.display().to_string(),
            message: format!("its probe rows give other outputs than when it was written: {found}"),
        }
        .into())
    }

    /// The bytes of the file. Equal models give equal bytes.
    ///
    /// # Errors
    /// The model is larger than a model file may be, or cannot be written as data.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let too_large = |message: String| ModelError::Unwritable {
            name: self.name.clone(),
            message,
        };
        let mut arrays = Arrays::new();
        let document = Document {
            format: FORMAT,
            program: self.program.clone(),
            name: self.name.clone(),
            stages: self.model.save_stages(&mut arrays),
            input: (**self.model.input_schema()).clone(),
            output: self.output_schema()?,
            evidence: self.evidence.clone(),
        };
        let model = json::write(&document).map_err(too_large)?;
        let arrays = tensors::write(&arrays).map_err(too_large)?;
        let probes = json::write(&self.probes).map_err(too_large)?;
        Ok(container::pack([&model, &arrays, &probes]).map_err(too_large)?)
    }

    /// Reads a model from the bytes of its file; `file` is its name, for messages.
    ///
    /// # Errors
    /// The bytes are no model, are damaged or hostile, or were written by a newer program; each says what to do.
    pub fn from_bytes(
        bytes: &[u8],
        file: &str,
        registry: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        let damaged = |message: String| ModelError::Damaged {
            file: file.to_owned(),
            message,
        };
        let archive = container::verified(bytes).map_err(damaged)?;
        let document = json::parse(archive.first().map_err(damaged)?)
            .map_err(|e| damaged(format!("{}: {e}", container::ENTRIES[0])))?;
        check_format(&document, file)?;
        let [_, arrays, probes] = archive.unpack().map_err(damaged)?;
        let document: Document = read(document, container::ENTRIES[0]).map_err(damaged)?;
        let arrays = tensors::read(arrays).map_err(damaged)?;
        let probes: Probes = json::parse(probes)
            .and_then(|v| read(v, container::ENTRIES[2]))
            .map_err(damaged)?;
        let output = document.output.clone();
        let loaded = Self::assemble(document, &arrays, probes, registry)?;
        loaded.check(&output).map_err(damaged)?;
        Ok(loaded)
    }

    fn assemble(
        document: Document,
        arrays: &Arrays,
        probes: Probes,
        registry: &Registry,
    ) -> std::result::Result<Self, ModelError> {
        let input = Schema::new(document.input.columns().to_vec())
            .and_then(|s| s.with_roles(document.input.roles().clone()))
            .map_err(|e| ModelError::stage("input schema", e))?;
        let model =
            PipelineModel::load_stages(&document.stages, arrays, Arc::new(input), registry)?;
        Ok(Self {
            name: document.name,
            program: document.program,
            model,
            evidence: document.evidence,
            probes,
        })
    }

    /// Whether the parts fit each other: schema chain, compiled path, probes.
    fn check(&self, output: &Schema) -> std::result::Result<(), String> {
        let promised = self.output_schema().map_err(|e| e.to_string())?;
        if promised != *output {
            return Err("its stages do not give the columns it promises".to_owned());
        }
        let required = self.model.required_columns();
        let needed = self
            .model
            .input_schema()
            .select(&required)
            .map_err(|e| e.to_string())?;
        self.model.scorer(&needed).map_err(|e| e.to_string())?;
        if !self.probes.rows.is_empty() && self.probes.inputs != required {
            return Err("its probes have other columns than its stages read".to_owned());
        }
        self.probes.check(&self.model, output)
    }
}

/// A fitted stage as bytes, for other processes of the same run.
pub(crate) fn stage_to_bytes(stage: &dyn Transformer) -> std::result::Result<Vec<u8>, String> {
    let mut arrays = Arrays::new();
    let state = stage.save(&mut arrays);
    let saved = SavedStage {
        stage: stage.name().to_owned(),
        state,
    };
    let state = json::write(&saved)?;
    let mut bytes = (state.len() as u64).to_le_bytes().to_vec();
    bytes.extend(state);
    bytes.extend(tensors::write(&arrays)?);
    Ok(bytes)
}

/// The stage that [`stage_to_bytes`] wrote.
pub(crate) fn stage_from_bytes(
    bytes: &[u8],
    registry: &Registry,
) -> std::result::Result<Arc<dyn Transformer>, String> {
    let (len, rest) = bytes.split_first_chunk::<8>().ok_or("it is cut short")?;
    let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|e| e.to_string())?;
    let (state, arrays) = rest.split_at_checked(len).ok_or("it is cut short")?;
    let saved: SavedStage = read(json::parse(state)?, "stage")?;
    let arrays = tensors::read(arrays)?;
    PipelineModel::load_stage(&saved, &arrays, registry).map_err(|e| e.to_string())
}

/// The format version stands alone, so that a file of a newer program is known as such whatever else it holds.
fn check_format(document: &Value, file: &str) -> std::result::Result<(), ModelError> {
    let found = document
        .get("format")
        .and_then(Value::as_u64)
        .filter(|v| *v > 0);
    match found.and_then(|v| u32::try_from(v).ok()) {
        Some(found) if found > FORMAT => Err(ModelError::Newer {
            file: file.to_owned(),
            found,
            supported: FORMAT,
        }),
        Some(_) => Ok(()),
        None => Err(ModelError::Damaged {
            file: file.to_owned(),
            message: "it has no format version; it is no Emberline model".to_owned(),
        }),
    }
}

fn read<T: serde::de::DeserializeOwned>(
    value: Value,
    entry: &str,
) -> std::result::Result<T, String> {
    serde_json::from_value(value).map_err(|e| format!("{entry}: {e}"))
}
