//! `emberline check`: the config against the data's schema, before a row is read beyond the inference sample.

mod leaks;
mod memory;
mod open;
mod report;
mod schemas;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;

use emberline_datasets::{Dataset, Schema, files};

pub use memory::MemoryPlan;
pub use report::{CheckReport, ColumnReport, StepReport};

use super::document::{Notes, Place};
use super::{Config, EvaluateOn};
use crate::Result;
use crate::registry::Registry;

impl Config {
    /// As [`Config::check`], for data that are open already.
    ///
    /// # Errors
    /// As [`Config::check`], but for the opening.
    pub fn check_data(
        &self,
        registry: &Registry,
        data: &Dataset,
        test: Option<&Dataset>,
    ) -> Result<CheckReport> {
        let mut notes = self.output_mistakes();
        let pipeline = self.pipeline(registry)?;
        let schemas = schemas::chain(self, &pipeline, data.schema(), &mut notes);
        leaks::check(self, &schemas, &mut notes);
        self.needs(data.schema(), &mut notes);
        self.source.origin.finish(notes)?;
        Ok(report::of(self, &pipeline, data, test, &schemas))
    }

    /// Output paths that cannot be written, without writing anything.
    fn output_mistakes(&self) -> Notes {
        let mut notes = Notes::default();
        let outputs = [
            ("model", &self.output.model),
            ("report", &self.output.report),
            ("predictions", &self.output.predictions),
        ];
        for (key, path) in outputs {
            let Some(path) = path.as_deref().filter(|p| *p != "-") else {
                continue;
            };
            let key = format!("output.{key}");
            if let Err(why) = writable(Path::new(path), key == "output.report") {
                notes.at(self.key(&key), format!("`{key}`: {why}"));
            }
        }
        let known = ["csv", "jsonl", "ndjson", "parquet"];
        if let Some(path) = self.output.predictions.as_deref().filter(|p| *p != "-") {
            let extension = Path::new(path).extension().and_then(|e| e.to_str());
            if !extension.is_some_and(|e| known.contains(&e)) {
                let what = "`output.predictions` must end in .csv, .jsonl or .parquet";
                notes.at(self.key("output.predictions"), what);
            }
        }
        notes
    }

    /// What the split and the metrics need of data and pipeline.
    fn needs(&self, schema: &Schema, notes: &mut Notes) {
        let stratify = self.split.as_ref().is_some_and(|s| s.stratify);
        if stratify && schema.roles().label.is_none() {
            notes.help(
                self.key("data.split.stratify"),
                "`data.split.stratify` needs a label",
                Some("name one as `data.label`, or leave it out"),
            );
        }
        if !self.evaluate.metrics.is_empty() && !self.stages.iter().any(leaks::is_learner) {
            notes.help(
                self.key("evaluate.metrics"),
                "nothing to measure: the pipeline has no classifier, regressor or clusterer",
                Some("leave `evaluate.metrics` out"),
            );
        }
    }

    /// The place of a key, or of the nearest table above it.
    fn key(&self, path: &str) -> Range<usize> {
        self.source.places.find(path).0.value.clone()
    }

    /// The place of a stage: its `[[pipeline]]` line and everything below it.
    fn stage_place(&self, index: usize) -> &Place {
        self.source.places.find(&format!("pipeline.{index}")).0
    }
}

/// Whether a file (or folder) could be made there. An object store is not asked: its address alone is looked at.
fn writable(path: &Path, folder: bool) -> std::result::Result<(), String> {
    if files::is_object(path) {
        return files::addressable(path, folder).map_err(|e| e.to_string());
    }
    if path.exists() && path.is_dir() != folder {
        let is = if folder { "a file" } else { "a folder" };
        return Err(format!("`{}` is {is}", path.display()));
    }
    // The nearest folder that exists: everything below it would be made.
    for above in path.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        let Ok(meta) = above.metadata() else { continue };
        if !meta.is_dir() {
            return Err(format!("`{}` is a file, not a folder", above.display()));
        }
        if meta.permissions().readonly() {
            return Err(format!(
                "the folder `{}` cannot be written to",
                above.display()
            ));
        }
        return Ok(());
    }
    Ok(())
}
