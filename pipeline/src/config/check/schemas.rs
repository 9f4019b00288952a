//! The schema chain, with every mistake at its place in the config.

use std::ops::Range;

use emberline_datasets::{Schema, SchemaError};

use super::super::document::{Notes, Place};
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::registry::Kind;

/// The schema before the first stage and after each one, as far as the chain holds.
pub(super) fn chain(
    config: &Config,
    pipeline: &Pipeline,
    input: &Schema,
    notes: &mut Notes,
) -> Vec<Schema> {
    let mut schemas = vec![input.clone()];
    for (i, stage) in pipeline.stages().iter().enumerate() {
        let last = schemas.last().unwrap_or(input);
        let absent_label = missing_label(config, i, last, notes);
        match stage.stage().output_schema(last) {
            Ok(next) => schemas.push(next),
            Err(errors) => {
                for error in &errors.0 {
                    // Said already, in words that name the remedy.
                    let told =
                        absent_label.is_some() && column_of(error) == absent_label.as_deref();
                    if !told {
                        note(config, i, error, notes);
                    }
                }
                break;
            }
        }
    }
    schemas
}

fn note(config: &Config, index: usize, error: &SchemaError, notes: &mut Notes) {
    let place = config.stage_place(index);
    let what = format!("stage `{}`: {error}", config.stages[index].stage);
    notes.at(span_of(place, error), what);
}

/// The key an error concerns: the one whose value names the column, or one that the message names; else the whole stage.
fn span_of(place: &Place, error: &SchemaError) -> Range<usize> {
    let named = column_of(error).and_then(|column| {
        // Not the stage's own name, should a column be called alike.
        let keys = place.children.iter().filter(|(key, _)| *key != "stage");
        keys.map(|(_, p)| p).find_map(|p| p.find_text(column))
    });
    let mentioned = || {
        let message = error.to_string();
        let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let in_lists = |w: &&str| {
            let keys = place.children.iter().filter(|(key, _)| *key != "stage");
            keys.map(|(_, p)| p).find_map(|p| p.find_text(w))
        };
        words
            .iter()
            .find_map(|w| place.children.get(*w).or_else(|| in_lists(w)))
    };
    named.or_else(mentioned).unwrap_or(place).value.clone()
}

/// The column an error is about.
pub(super) fn column_of(error: &SchemaError) -> Option<&str> {
    match error {
        SchemaError::Missing { column, .. }
        | SchemaError::Type { column, .. }
        | SchemaError::Exists { column }
        | SchemaError::Duplicate { column } => Some(column),
        _ => None,
    }
}

/// Notes a learner whose label does not exist; gives the label's name then.
fn missing_label(
    config: &Config,
    index: usize,
    schema: &Schema,
    notes: &mut Notes,
) -> Option<String> {
    let stage = &config.stages[index];
    if !matches!(stage.kind, Kind::Classifier | Kind::Regressor) {
        return None;
    }
    let label = label_of(config, index, schema);
    let Err(error) = schema.get(&label) else {
        return None;
    };
    let place = config.stage_place(index);
    let given = place.children.get("label_col");
    let span = given.unwrap_or(place).value.clone();
    let what = format!("stage `{}`: there is no label: {error}", stage.stage);
    let help = "name the column to predict: label = \"...\" in [data]";
    notes.help(span, what, Some(help));
    Some(label)
}

/// The label of a learner: its parameter, else the column with the role, else `label`.
pub(super) fn label_of(config: &Config, index: usize, schema: &Schema) -> String {
    let own = config.stages[index].params.get("label_col");
    own.and_then(toml::Value::as_str)
        .or(schema.roles().label.as_deref())
        .unwrap_or("label")
        .to_owned()
}
