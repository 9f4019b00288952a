//! a model of any numbers survives saving and loading to the byte, and parameters survive TOML.

use std::collections::BTreeMap;

use emberline::pipeline::persist::{Numbers, Tensor};
use emberline::pipeline::{Arrays, SavedStage};
use emberline::prelude::*;
use serde_json::Value;

use crate::common::dice::{Dice, amount};
use crate::common::write;
use crate::learners::{LEARNERS, config, csv, train_unnamed};

/// Any finite number: bits at random, and the edges of the type.
fn any_number(dice: &mut Dice) -> f64 {
    let edges = [
        0.0,
        -0.0,
        1.0,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        1e308,
        0.1,
    ];
    match dice.below(3) {
        0 => *dice.pick(&edges),
        1 => dice.unit() * 2.0 - 1.0,
        _ => Some(f64::from_bits(dice.bits()))
            .filter(|v| v.is_finite())
            .unwrap_or(0.5),
    }
}

/// Replaces numbers that are no counts or indices.
fn reroll(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Number(n) if n.is_f64() && dice.below(2) == 0 => *value = any_number(dice).into(),
        Value::Array(items) => items.iter_mut().for_each(|v| reroll(v, dice)),
        Value::Object(fields) => fields.values_mut().for_each(|v| reroll(v, dice)),
        _ => {}
    }
}

/// The arrays with other numbers. Floats alone: integers are indices and counts, which must fit each other.
fn rerolled(arrays: &Arrays, dice: &mut Dice) -> Arrays {
    let mut other = Arrays::new();
    // One kind of change a model: a threshold of anything rarely fits probabilities of anything.
    let chosen = dice.below(arrays.tensors().len() + 1);
    for (i, (name, tensor)) in arrays.tensors().iter().enumerate() {
        let mut numbers = tensor.numbers.clone();
        if i == chosen || chosen == arrays.tensors().len() {
            match &mut numbers {
                Numbers::F64(v) => v.iter_mut().for_each(|x| *x = any_number(dice)),
                Numbers::F32(v) => v
                    .iter_mut()
                    .for_each(|x| *x = any_number(dice).clamp(-1e30, 1e30) as f32),
                _ => {}
            }
        }
        other.insert(
            name.clone(),
            Tensor {
                numbers,
                ..tensor.clone()
            },
        );
    }
    other
}

#[test]
fn random_models_of_every_kind_survive_saving_and_loading_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path(), "rows.csv", &csv(300));
    let registry = emberline::registry();
    let models: Vec<ModelFile> = LEARNERS
        .iter()
        .map(|(_, label, stages)| train_unnamed(&config(label, stages, &source), &[]).model_file)
        .collect();
    let wanted = amount("EMBERLINE_MODELS", 4_000);
    let (mut passed, mut kinds, mut seed) = (0, BTreeMap::new(), 0);
    while kinds.values().sum::<usize>() < wanted {
        let mut dice = Dice(seed);
        let i = seed as usize % models.len();
        seed += 1;
        assert!(
            seed < 40 * wanted as u64,
            "most random models are refused: {kinds:?}"
        );
        let mut arrays = Arrays::new();
        let mut stages: Vec<SavedStage> = models[i].model.save_stages(&mut arrays);
        if dice.below(2) == 0 {
            arrays = rerolled(&arrays, &mut dice);
        } else {
            stages
                .iter_mut()
                .for_each(|s| reroll(&mut s.state, &mut dice));
        }
        let input = models[i].model.input_schema().clone();
        // Numbers that contradict each other are refused; what is taken must come back.
        let Ok(model) = PipelineModel::load_stages(&stages, &arrays, input, &registry) else {
            continue;
        };
        *kinds.entry(LEARNERS[i].0).or_insert(0) += 1;
        let file = ModelFile {
            model,
            ..models[i].clone()
        };
        let first = file.to_bytes().unwrap();
        let again = ModelFile::from_bytes(&first, "m.ember", &registry)
            .unwrap_or_else(|e| panic!("seed {}: {e}", seed - 1));
        let mut kept = Arrays::new();
        let same_stages =
            again.model.save_stages(&mut kept) == stages && kept.tensors() == arrays.tensors();
        passed += usize::from(again.to_bytes().unwrap() == first && same_stages);
    }
    println!(
        "R-37: {passed}/{wanted} random models of {} kinds saved, loaded and saved to the same bytes",
        kinds.len()
    );
    assert_eq!(passed, wanted);
    assert_eq!(kinds.len(), LEARNERS.len(), "{kinds:?}");
}

/// Another value of the same type.
fn another(value: &toml::Value, dice: &mut Dice) -> toml::Value {
    match value {
        toml::Value::Boolean(b) => (!b).into(),
        toml::Value::Integer(_) => (dice.below(1 << 12) as i64).into(),
        toml::Value::Float(_) => any_number(dice).abs().into(),
        toml::Value::String(_) => format!("any text \" \\ \u{e9}\u{1}{}", dice.below(100)).into(),
        toml::Value::Array(items) => (0..dice.below(4))
            .map(|i| match items.first() {
                None => dice.unit().into(),
                Some(v) if i == 0 => v.clone(),
                Some(v) => another(v, dice),
            })
            .collect::<Vec<toml::Value>>()
            .into(),
        other => other.clone(),
    }
}

#[test]
fn random_parameters_of_every_stage_survive_toml() {
    let registry = emberline::registry();
    let entries: Vec<_> = registry.entries().collect();
    let wanted = amount("EMBERLINE_MODELS", 4_000);
    let (mut taken, mut passed) = (0, 0);
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0.. {
        if taken == wanted {
            break;
        }
        assert!(
            seed < 100 * wanted as u64,
            "most random parameters are refused"
        );
        let mut dice = Dice(seed);
        let entry = entries[seed as usize % entries.len()];
        let defaults = entry.resolve(&toml::Table::new()).unwrap();
        let mut params = toml::Table::new();
        for (key, value) in &defaults {
            if dice.below(3) == 0 {
                params.insert(key.clone(), another(value, &mut dice));
            }
        }
        if let Some(Value::Object(all)) = (entry.schema)().get("properties") {
            let absent: Vec<&String> = all.keys().filter(|k| !defaults.contains_key(*k)).collect();
            if !absent.is_empty() && dice.below(2) == 0 {
                let value = [toml::Value::from("a"), 1.5.into(), 3.into()];
                params.insert((*dice.pick(&absent)).clone(), dice.pick(&value).clone());
            }
        }
        let Ok(built) = entry.build(&params, &registry) else {
            continue;
        };
        taken += 1;
        kinds.insert(entry.name);
        let written = entry.resolve(&params).unwrap();
        let text = toml::to_string(&written).unwrap();
        let read: toml::Table = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        let again = entry
            .build(&read, &registry)
            .unwrap_or_else(|e| panic!("{}: {text}: {e}", entry.name));
        let same = read == written
            && entry.resolve(&read).unwrap() == written
            && built.stage().params() == again.stage().params();
        if !same {
            eprintln!("{}: {text}", entry.name);
        }
        passed += usize::from(same);
    }
    println!(
        "R-37: {passed}/{wanted} random parameters of {} stages read back equal from TOML",
        kinds.len()
    );
    assert_eq!(passed, wanted);
}
