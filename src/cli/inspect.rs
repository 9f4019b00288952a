//! `emberline inspect MODEL` and `emberline verify MODEL`.

use std::path::PathBuf;

use emberline::pipeline::model_file::Saved;
use emberline::prelude::*;
use serde_json::{Value, json};

use super::output::{Out, count, number, schema_rows, table};

#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// The model file.
    model: PathBuf,
    /// Print one JSON object: everything the file says about itself.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The model file.
    model: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &InspectArgs, registry: &Registry) -> Result<()> {
    let (file, saved) = ModelFile::load_with_digest(&args.model, registry)?;
    let mut out = Out::lock();
    if args.json {
        out.json(&everything(args, &file, &saved));
        return Ok(());
    }
    let evidence = &file.evidence;
    out.line(format!("{} ({})", args.model.display(), file.name));
    out.line(format!("sha256   {}", saved.sha256));
    out.line(format!(
        "written by {}, seed {}",
        file.program, evidence.seed
    ));
    out.line(format!(
        "rows     {} trained, {} held out",
        count(evidence.rows.train),
        count(evidence.rows.test)
    ));
    out.heading("stages");
    let stages = file
        .model
        .stages()
        .iter()
        .map(|s| vec![s.name().to_owned(), brief(&s.params())]);
    out.line(table(&["stage", "parameters"], stages.collect(), &[]));
    out.heading("columns of the training data");
    out.line(table(
        &["column", "type", "nulls", "role", "meaning"],
        schema_rows(file.model.input_schema()),
        &[],
    ));
    if let Some(metrics) = &evidence.metrics {
        out.heading("held-out metrics");
        let rows = metrics
            .values
            .iter()
            .map(|(name, value)| vec![name.clone(), number(*value)]);
        out.line(table(&["metric", "value"], rows.collect(), &[1]));
    }
    let importances: Vec<Vec<String>> = evidence
        .importances
        .iter()
        .take(20)
        .map(|(name, value)| vec![name.clone(), number(*value)])
        .collect();
    if !importances.is_empty() {
        out.heading("importances");
        out.line(table(&["column", "importance"], importances, &[1]));
    }
    Ok(())
}

/// What the file says about itself.
fn everything(args: &InspectArgs, file: &ModelFile, saved: &Saved) -> Value {
    let stages: Vec<Value> = file
        .model
        .stages()
        .iter()
        .map(|s| json!({ "stage": s.name(), "params": s.params() }))
        .collect();
    json!({
        "path": args.model, "sha256": saved.sha256, "bytes": saved.bytes, "name": file.name, "program": file.program,
        "stages": stages, "input_schema": **file.model.input_schema(), "evidence": file.evidence,
    })
}

/// Parameters on a few lines.
fn brief(params: &Value) -> String {
    let Some(map) = params.as_object() else {
        return params.to_string();
    };
    let shown = map
        .iter()
        .filter(|(_, v)| !v.is_null())
        .map(|(k, v)| format!("{k} = {v}"));
    let mut lines = vec![String::new()];
    for item in shown {
        let last = lines.len() - 1;
        if lines[last].chars().count() + item.chars().count() > 90 && !lines[last].is_empty() {
            lines.push(item);
        } else {
            let gap = if lines[last].is_empty() { "" } else { ", " };
            lines[last] = format!("{}{gap}{item}", lines[last]);
        }
    }
    lines.join("\n")
}

pub fn verify(args: &VerifyArgs, registry: &Registry) -> Result<()> {
    let (file, saved) = ModelFile::load_with_digest(&args.model, registry)?;
    let rows = file.require_probes(&args.model)?.rows;
    let mut out = Out::lock();
    if args.json {
        out.json(
            &json!({ "model": args.model, "sha256": saved.sha256, "probes": rows, "ok": true }),
        );
    } else {
        out.line(format!(
            "{}: {rows} probe rows give the same bits as when the model was written",
            args.model.display()
        ));
    }
    Ok(())
}
