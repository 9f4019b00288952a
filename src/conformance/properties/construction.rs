//! Construction and parameters: 1 to 7.

use std::sync::Arc;

use serde_json::Value;

use super::{Held, Property, Tried, Verdict, ensure, ranges};
use crate::conformance::scored::score;
use crate::conformance::subject::{Subject, fit_stage};
use crate::pipeline::Event;
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(1, "default and description", default_and_description),
    Property::new(2, "range", ranges::range),
    Property::new(3, "TOML round trip", ranges::toml_round_trip),
    Property::new(4, "unknown key", unknown_key),
    Property::new(5, "no mutation", no_mutation),
    Property::new(6, "copy", copy),
    Property::new(7, "explain", explain),
];

/// The defaults make a stage, or the refusal names a parameter that the example gives. Every parameter has a type, a doc text and a
/// default, and every number a range or the word that says there is none.
fn default_and_description(s: &Subject<'_>) -> Verdict {
    s.stage(&s.example()).tried("the example is refused")?;
    if let Err(errors) = s.stage(&toml::Table::new()) {
        ensure!(
            errors.0.iter().all(|e| gives(&s.example(), &e.name)),
            "the defaults are refused for something the example does not give: {errors}"
        );
    }
    ensure!(!s.entry.summary.is_empty(), "it has no summary");
    let defaults = (s.entry.defaults)();
    for (name, about) in s.parameters() {
        let doc = about
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or("");
        ensure!(doc.len() > 10, "parameter `{name}` has no doc text");
        let typed = ["type", "anyOf", "oneOf", "enum", "$ref"];
        ensure!(
            typed.iter().any(|t| about.get(t).is_some()),
            "parameter `{name}` has no type: {about}"
        );
        ensure!(
            defaults.get(&name).is_some(),
            "parameter `{name}` has no default"
        );
        if let Some(number) = ranges::Number::of(&about) {
            ensure!(
                number.is_bounded() || doc.contains("finite") || name == "seed",
                "parameter `{name}` has no range in its schema, and its text does not say `finite`: {doc}"
            );
            for bound in number.stated() {
                ensure!(
                    doc.replace(',', "").contains(&bound),
                    "the text of parameter `{name}` does not name its bound {bound}: {doc}"
                );
            }
        }
    }
    Ok(Held::Yes)
}

/// Whether a table gives the parameter that a refusal names, in one of its spellings: `input` or `inputs`.
fn gives(given: &toml::Table, path: &str) -> bool {
    let key = path.split(['.', '[']).next().unwrap_or(path);
    let spelt = [key.to_owned(), format!("{key}s"), format!("{key}_array")];
    spelt.iter().any(|k| given.contains_key(k))
}

/// A misspelt key in a config is one mistake, with its line and column and the key that was meant.
fn unknown_key(s: &Subject<'_>) -> Verdict {
    let meant = s.parameters().into_keys().max_by_key(String::len);
    let typo = match &meant {
        // The last letter but one is lost.
        Some(name) if name.len() > 3 => {
            let mut typo = name.clone();
            typo.remove(name.len() - 2);
            typo
        }
        _ => "surprise".to_owned(),
    };
    let head = "seed = 1\n[data]\nsource = \"bundled:iris\"\n[[pipeline]]\n";
    let example = s.entry.traits.example;
    let mut text = format!("{head}stage = \"{}\"\n{}\n", s.entry.name, example.trim());
    let line = text.matches('\n').count() + 1;
    text.push_str(&format!("{typo} = 1\n"));
    let errors = match Config::parse("c.toml", &text, &[], s.registry) {
        Ok(_) => return Err(format!("the key `{typo}` is accepted")),
        Err(errors) => errors,
    };
    let message = errors.to_string();
    ensure!(errors.errors.len() == 1, "more than one mistake: {message}");
    ensure!(
        message.contains(&format!("c.toml:{line}:1")) && message.contains(&format!("`{typo}`")),
        "line {line}, column 1 and `{typo}` are not named: {message}"
    );
    if meant.is_some() && typo != "surprise" {
        // `outpus` may mean `output` or `outputs`: either will do.
        let known = s.parameters();
        let suggested = |name: &&String| message.contains(&format!("did you mean `{name}`"));
        ensure!(
            known.keys().any(|name| suggested(&name)),
            "no parameter is suggested: {message}"
        );
    }
    Ok(Held::Yes)
}

/// Fitting and applying leave the parameters as they were.
fn no_mutation(s: &Subject<'_>) -> Verdict {
    let stage = s.stage(&s.example()).tried("build")?;
    let before = stage.stage().params();
    let fit = fit_stage(
        stage.clone(),
        &s.table().dataset().tried("table")?,
        &Run::local(1, 1),
    )
    .tried("fit")?;
    let after_fit = stage.stage().params();
    ensure!(
        before == after_fit,
        "fit changed the parameters: {before} to {after_fit}"
    );
    let of_model = fit.stage().params();
    score(&fit.model, &s.table()).tried("transform")?;
    ensure!(
        of_model == fit.stage().params(),
        "transform changed the model's parameters"
    );
    ensure!(
        stage.stage().params() == before,
        "transform changed the parameters"
    );
    Ok(Held::Yes)
}

/// A clone and its original share nothing that fitting changes.
fn copy(s: &Subject<'_>) -> Verdict {
    let original = s.stage(&s.example()).tried("build")?;
    let clone = original.clone();
    let run = Run::local(1, 1);
    let first =
        fit_stage(original.clone(), &s.table().dataset().tried("table")?, &run).tried("fit")?;
    let before = first.bytes()?;
    let other = s.table_of(90, 2).dataset().tried("table")?;
    fit_stage(clone, &other, &run).tried("fit of the clone")?;
    ensure!(
        first.bytes()? == before,
        "fitting a clone changed a model of the original"
    );
    let again = fit_stage(original, &s.table().dataset().tried("table")?, &run).tried("fit")?;
    ensure!(
        again.bytes()? == before,
        "fitting a clone changed what the original learns"
    );
    Ok(Held::Yes)
}

/// The model tells where it came from: effective parameters with every default, seed, rows, columns, digest of the rows, program; and
/// tells two runs apart that differ in one of them. The run tells its engine.
fn explain(s: &Subject<'_>) -> Verdict {
    let told = |rows: usize, seed: u64| -> std::result::Result<(ModelFile, Vec<Event>), String> {
        let pipeline = Pipeline::new(vec![s.stage(&s.example()).tried("build")?]);
        let data = s.table_of(rows, 1).dataset().tried("table")?;
        let log = Arc::new(EventLog::default());
        let run = Run::local(seed, 1).with_events(log.clone());
        let plan = TrainPlan::new("explained", data, pipeline);
        let outcome = train(&plan, s.registry, &run).tried("train")?;
        let bytes = outcome.model_file.to_bytes().tried("save")?;
        let file = ModelFile::from_bytes(&bytes, "m.ember", s.registry).tried("load")?;
        Ok((file, log.events()))
    };
    let (file, events) = told(200, 7)?;
    let evidence = &file.evidence;
    let own = evidence.stages.last().ok_or("the evidence has no stage")?;
    ensure!(
        own.stage == s.entry.name,
        "the evidence is of `{}`",
        own.stage
    );
    for name in s.parameters().into_keys() {
        ensure!(
            own.params.get(&name).is_some(),
            "parameter `{name}` is not in the evidence"
        );
    }
    let resolved = s.entry.resolve(&s.example()).tried("resolve")?;
    for (name, value) in &resolved {
        let value = serde_json::to_value(value).tried("JSON")?;
        ensure!(
            own.params[name] == value
                || own.params[name].as_f64() == value.as_f64() && value.is_number(),
            "parameter `{name}` is {value}, the evidence says {}",
            own.params[name]
        );
    }
    ensure!(
        evidence.seed == 7,
        "the evidence says seed {}",
        evidence.seed
    );
    ensure!(
        evidence.rows.train == 200,
        "the evidence says {} rows",
        evidence.rows.train
    );
    if s.learns()? {
        let report = own
            .report
            .as_ref()
            .ok_or("the evidence has no report of the fit")?;
        ensure!(report.rows == 200, "the report says {} rows", report.rows);
    }
    let data = evidence
        .data
        .as_ref()
        .ok_or("the evidence says nothing of the rows")?;
    ensure!(
        data.rows == 200 && data.digest.len() == 64,
        "the rows' digest is `{}`",
        data.digest
    );
    let (schema, have) = (file.model.input_schema(), s.table().columns.len());
    ensure!(
        schema.columns().len() == have,
        "{} columns of {have} are on record",
        schema.columns().len()
    );
    for name in s.reads()? {
        ensure!(
            data.columns.contains_key(&name),
            "column `{name}` has no profile"
        );
    }
    ensure!(
        file.program.starts_with("emberline ") && file.program.len() > 10,
        "written by `{}`",
        file.program
    );
    ensure!(
        !file.probes.rows.is_empty(),
        "the model carries no probe rows"
    );
    let engine = events.iter().find_map(|e| match e {
        Event::RunStarted { engine, .. } => Some(engine.as_str()),
        _ => None,
    });
    ensure!(
        engine == Some("local, 1 thread"),
        "the run tells of the engine {engine:?}"
    );
    let (fewer, _) = told(150, 8)?;
    ensure!(
        fewer.evidence.seed == 8 && fewer.evidence.rows.train == 150,
        "the evidence of another run is the same"
    );
    let digest = fewer.evidence.data.map(|d| d.digest);
    ensure!(
        digest.as_ref() != Some(&data.digest),
        "other rows have the same digest"
    );
    Ok(Held::Yes)
}
