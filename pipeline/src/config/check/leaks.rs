//! The label among the features: a model that has seen the answer.

use emberline_datasets::Schema;

use super::super::document::Notes;
use super::schemas::label_of;
use crate::config::{Config, StageConfig};
use crate::registry::Kind;

/// Notes every learner whose features hold its label, or a column made from it.
pub(super) fn check(config: &Config, schemas: &[Schema], notes: &mut Notes) {
    for (i, stage) in config.stages.iter().enumerate() {
        if let Some(schema) = schemas.get(i).filter(|_| is_learner(stage)) {
            check_learner(config, i, schema, schemas, notes);
        }
    }
}

fn check_learner(
    config: &Config,
    index: usize,
    schema: &Schema,
    schemas: &[Schema],
    notes: &mut Notes,
) {
    let stage = &config.stages[index];
    let supervised = stage.kind != Kind::Clusterer;
    if !supervised && schema.roles().label.is_none() {
        return;
    }
    let label = label_of(config, index, schema);
    let Ok(label_column) = schema.get(&label) else {
        return;
    };
    // A label that was indexed before still comes from its column of the source.
    let origin = label_column.origin();
    let Ok(features) = schema.get(features_of(stage)) else {
        return;
    };
    let Some(slot) = features.slots.iter().find(|s| s.column == origin) else {
        return;
    };
    let named_as_input = config.stages[..index]
        .iter()
        .enumerate()
        .find_map(|(i, earlier)| {
            let place = config.stage_place(i);
            let inputs = ["inputs", "input"]
                .iter()
                .find_map(|k| place.children.get(*k));
            let makes_vector = schemas
                .get(i + 1)?
                .columns()
                .iter()
                .any(|c| c.ty.is_vector() && c.slots.iter().any(|s| s.column == origin));
            let text = inputs.and_then(|p| p.find_text(&slot.name).or_else(|| p.find_text(&label)));
            (makes_vector && earlier.kind != Kind::Classifier).then_some(text)?
        });
    let span = named_as_input
        .unwrap_or(config.stage_place(index))
        .value
        .clone();
    let what = if slot.name == origin {
        format!(
            "the label `{label}` is among the features of `{}`: the model would see the answer",
            stage.stage
        )
    } else {
        format!(
            "`{}` among the features of `{}` is made from the label `{origin}`: the model would see the answer",
            slot.name, stage.stage
        )
    };
    notes.help(
        span,
        what,
        Some(format!(
            "leave it out, for instance with \"!{}\"",
            slot.name
        )),
    );
}

/// The name of a learner's features column.
pub(super) fn features_of(stage: &StageConfig) -> &str {
    let own = stage.params.get("features_col");
    own.and_then(toml::Value::as_str).unwrap_or("features")
}

/// True for stages that predict.
pub(super) fn is_learner(stage: &StageConfig) -> bool {
    matches!(
        stage.kind,
        Kind::Classifier | Kind::Regressor | Kind::Clusterer
    )
}
