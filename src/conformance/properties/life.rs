//! Files and life cycle: 47 to 49.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::mutate::{change, change_arrays};
use super::{Held, Property, Tried, Verdict, ensure, refused};
use crate::conformance::scored::score;
use crate::conformance::scratch::Scratch;
use crate::conformance::subject::Subject;
use crate::datasets::random::Draw;
use crate::pipeline::SavedStage;
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(47, "save and load", save_and_load),
    Property::new(48, "damaged and hostile files", damaged),
    Property::new(49, "not fitted, wrong kind", wrong_kind),
];

/// Every `STRIDE`-th bit of the file is flipped, and as many cuts are made.
const STRIDE: usize = 61;
/// Hostile states of the stage.
const MUTANTS: u64 = 400;

/// A model file loads to a model that predicts the same bits and saves the same bytes, and is not overwritten unasked; the unfitted stage
/// is its TOML.
fn save_and_load(s: &Subject<'_>) -> Verdict {
    let folder = Scratch::new().tried("temporary folder")?;
    let path = folder.path().join("model.ember");
    let file = s.fitted()?.file();
    file.save(&path, false).tried("save")?;
    let bytes = std::fs::read(&path).tried("read")?;
    let loaded = ModelFile::load(&path, s.registry).tried("load")?;
    s.scored()?
        .agrees(&score(&loaded.model, &s.table()).tried("score")?, 0.0)
        .tried("loaded")?;
    ensure!(
        loaded.to_bytes().tried("save")? == bytes,
        "loaded and saved it is other bytes"
    );
    refused(
        file.save(&path, false),
        4,
        &["model.ember", "exists"],
        "a second save",
    )?;
    ensure!(
        std::fs::read(&path).tried("read")? == bytes,
        "the refused save changed the file"
    );
    file.save(&path, true).tried("overwrite")?;
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .tried("folder")?
        .flatten()
        .collect();
    ensure!(left.len() == 1, "saving leaves {left:?}");

    let text = toml::to_string(&s.entry.resolve(&s.example()).tried("resolve")?).tried("write")?;
    let read: toml::Table = text.parse().tried("read")?;
    let again = s
        .fit_with(
            &read,
            &s.table().dataset().tried("table")?,
            &Run::local(1, 1),
        )
        .tried("fit from its TOML")?;
    if s.traits.deterministic {
        ensure!(
            again.saved() == s.fitted()?.saved(),
            "built from its TOML it learns another model"
        );
    }
    Ok(Held::Yes)
}

/// Flipped bits and cut files are refused; a stage whose saved state is hostile is refused or works, in bounded time and without a panic.
fn damaged(s: &Subject<'_>) -> Verdict {
    let fit = s.fitted()?;
    let bytes = fit.bytes()?;
    let load = |bytes: &[u8]| ModelFile::from_bytes(bytes, "m.ember", s.registry);
    let offset = s.entry.name.len();
    let mut spoilt = bytes.clone();
    for bit in (offset..8 * bytes.len()).step_by(STRIDE) {
        spoilt[bit / 8] ^= 1 << (bit % 8);
        ensure!(
            matches!(load(&spoilt), Err(ModelError::Damaged { .. })),
            "bit {bit} flipped, and it loads"
        );
        spoilt[bit / 8] ^= 1 << (bit % 8);
    }
    for cut in (0..bytes.len()).step_by(STRIDE) {
        ensure!(
            load(&bytes[..cut]).is_err(),
            "cut to {cut} bytes, and it loads"
        );
    }
    let (saved, arrays) = fit.saved();
    let table = s.table().pick(&(0..20).collect::<Vec<_>>());
    let batch = table.batch().tried("table")?;
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    for seed in 0..MUTANTS {
        let mut stream = Draw::new(seed, "conformance mutants").stream();
        let mut below = |n: usize| stream.below(n as u64) as usize;
        let (mut saved, mut arrays) = (saved.clone(), arrays.clone());
        if below(2) == 0 || !change_arrays(&mut arrays, &mut below) {
            change(&mut saved.state, &mut below);
        }
        let started = Instant::now();
        // What loads must also work or refuse: on a batch and on a record.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let stage = s.registry.load(&saved, &arrays)?;
            let model = PipelineModel::new(vec![stage], batch.schema().clone());
            let worked = score(&model, &table).is_ok();
            let _ = crate::conformance::scored::score_records(&model, &table);
            Ok::<bool, ModelError>(worked)
        }));
        slowest = slowest.max(started.elapsed());
        let outcome = outcome.map_err(|_| format!("hostile state {seed}: a panic"))?;
        refused += u64::from(!matches!(outcome, Ok(true)));
    }
    ensure!(
        slowest < Duration::from_secs(1),
        "a hostile state takes {slowest:?}"
    );
    // If nearly all were taken, the changes would miss what matters.
    ensure!(
        refused > MUTANTS / 10,
        "only {refused} of {MUTANTS} hostile states are refused"
    );
    Ok(Held::Yes)
}

/// What is not a model of this stage is refused as a model file. The state of any other stage under this one's name is refused under that
/// name, with the other's where the two are written alike and the state tells it (a forest for a tree), or works as the stage that it is
/// of: scalers differ in how they learn their numbers, not in the numbers. A config in the place of a model is told from one, and a
/// program that does not know the stage says so.
fn wrong_kind(s: &Subject<'_>) -> Verdict {
    let own = s.entry.name;
    let mut refusals = 0;
    for entry in s.registry.entries().filter(|e| e.name != own) {
        let Ok(other) = Subject::new(entry, s.registry) else {
            continue; // that stage has its own failure
        };
        let (Ok(fit), Ok(expected)) = (other.fitted(), other.scored()) else {
            continue;
        };
        let (saved, arrays) = fit.saved();
        let tells = saved.state.get("name").is_some();
        let posing = SavedStage {
            stage: own.to_owned(),
            state: saved.state,
        };
        let what = format!("the state of `{}` under the name of `{own}`", entry.name);
        match s.registry.load(&posing, &arrays) {
            Err(error) => {
                let alike = error.to_string().contains("calls itself");
                let words = if alike {
                    &[own, entry.name][..]
                } else {
                    &[own]
                };
                refused(Err::<(), _>(error), 4, words, &what)?;
                refusals += 1;
            }
            Ok(stage) => {
                ensure!(!tells, "{what}: accepted, though it tells its own name");
                let model = PipelineModel::new(vec![stage], fit.model.input_schema().clone());
                let scored = score(&model, &other.table()).tried(&what)?;
                expected.agrees(&scored, 0.0).tried(&what)?;
            }
        }
    }
    ensure!(refusals > 0, "every state passes for one of `{own}`");
    let folder = Scratch::new().tried("temporary folder")?;
    let path = folder.path().join("stage.toml");
    let text = format!(
        "[[pipeline]]\nstage = \"{}\"\n{}\n",
        s.entry.name, s.traits.example
    );
    std::fs::write(&path, text).tried("write")?;
    let loaded = ModelFile::load(&path, s.registry).map(drop);
    refused(
        loaded,
        4,
        &["stage.toml", "config", "train"],
        "an unfitted stage as a model",
    )?;
    let loaded =
        ModelFile::from_bytes(&s.fitted()?.bytes()?, "m.ember", &Registry::new()).map(drop);
    refused(
        loaded.map_err(Error::from),
        4,
        &[s.entry.name, "knows no such stage"],
        "a program without the stage",
    )?;
    Ok(Held::Yes)
}
