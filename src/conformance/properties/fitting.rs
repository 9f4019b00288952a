//! Learning semantics, the course of a fit: 45 and 46.

use std::sync::Arc;

use super::ranges::choices;
use super::{Held, Property, Tried, Verdict, ensure};
use crate::conformance::scored::score;
use crate::conformance::subject::{Fit, Subject, fit_stage};
use crate::conformance::table::Cells;
use crate::pipeline::model_file::Probes;
use crate::pipeline::stage::apply;
use crate::pipeline::{Evidence, StopReason};
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(45, "honest convergence", convergence),
    Property::new(46, "pipeline equals its steps", pipeline_is_steps),
];

/// Rounds are counted; stopping at `max_iter` is told as such, with a warning, and never as convergence; a fit that converged does so in
/// the round it says and not before; the objective does not rise where that is declared.
fn convergence(s: &Subject<'_>) -> Verdict {
    if !s.learns()? {
        return Ok(Held::NotAsked("it learns nothing"));
    }
    let report = |params: &toml::Table| -> std::result::Result<FitReport, String> {
        let fit = s
            .fit_with(
                params,
                &s.table().dataset().tried("table")?,
                &Run::local(1, 1),
            )
            .tried("fit")?;
        fit.report.ok_or("there is no report".to_owned())
    };
    let plain = report(&s.example())?;
    ensure!(plain.rounds >= 1, "it learnt in {} rounds", plain.rounds);
    ensure!(
        plain.rows == s.table().rows() as u64,
        "it learnt from {} rows",
        plain.rows
    );
    let falls = |h: &[f64]| h.windows(2).all(|w| w[1] <= w[0] + 1e-12 * w[0].abs());
    if s.traits.falling_objective {
        ensure!(
            plain.history.len() >= 2,
            "there is no history of the objective"
        );
        ensure!(
            falls(&plain.history),
            "the objective rises: {:?}",
            plain.history
        );
    } else {
        ensure!(
            plain.history.len() < 3 || !falls(&plain.history),
            "the objective never rises: declare `falling_objective`"
        );
    }
    if !s.has("max_iter") {
        ensure!(
            matches!(plain.stop, StopReason::Done | StopReason::Converged),
            "without a limit of rounds it ended with: {}",
            plain.stop
        );
        return Ok(Held::Yes);
    }
    // A solver without rounds has nothing to stop early.
    let mut params = s.example();
    let solvers = s.parameters().remove("solver");
    let solvers = solvers.map_or_else(Vec::new, |about| choices(&about, &(s.entry.schema)()));
    if solvers.iter().any(|c| c == "lbfgs") {
        params.insert("solver".to_owned(), toml::Value::String("lbfgs".to_owned()));
    }
    let limited = |rounds: u64| {
        let mut params = params.clone();
        params.insert("max_iter".to_owned(), toml::Value::Integer(rounds as i64));
        report(&params)
    };
    let free = limited(100_000)?;
    ensure!(
        matches!(free.stop, StopReason::Converged | StopReason::NoProgress),
        "with 100,000 rounds it ended with: {}",
        free.stop
    );
    ensure!(
        falls(&free.history) || !s.traits.falling_objective,
        "the objective rises: {:?}",
        free.history
    );
    let warns = |r: &FitReport| r.warnings.iter().any(|w| w.contains("max_iter"));
    ensure!(
        !warns(&free),
        "it converged, and warns of `max_iter`: {:?}",
        free.warnings
    );
    ensure!(free.rounds > 1, "the standard table is learnt in one round");
    let one = limited(1)?;
    ensure!(
        one.stop == StopReason::MaxIter && one.rounds <= 2, // one, and a last pass that measures
        "with `max_iter = 1` it ended after {} rounds with: {}",
        one.rounds,
        one.stop
    );
    ensure!(
        warns(&one),
        "stopping at `max_iter` gives no warning: {:?}",
        one.warnings
    );
    let before = limited(free.rounds - one.rounds)?;
    ensure!(
        before.stop != StopReason::Converged,
        "it says that it converged in round {}, and with one round less as well",
        free.rounds
    );
    Ok(Held::Yes)
}

/// A stage before and one after, from the workspace.
fn neighbours() -> std::result::Result<(AnyStage, AnyStage), String> {
    let registry = crate::registry();
    let build = |name: &str, params: &str| {
        let entry = registry.get(name).ok_or(format!("there is no `{name}`"))?;
        let params: toml::Table = params.parse().tried("parameters")?;
        entry.build(&params, &registry).tried(name)
    };
    Ok((
        build("standard_scaler", "inputs = [\"x1\"]\nwith_mean = true")?,
        build("min_max_scaler", "inputs = [\"x2\"]\noutputs = [\"after\"]")?,
    ))
}

/// Fitting a pipeline is fitting and applying its stages one by one; a pipeline in a pipeline changes nothing; a stage that trains
/// another one for each class trains, for two classes, that very one.
fn pipeline_is_steps(s: &Subject<'_>) -> Verdict {
    let (first, last) = neighbours()?;
    let own = s.stage(&s.example()).tried("build")?;
    let data = s.table().dataset().tried("table")?;
    let run = Run::local(1, 1);
    let whole = Pipeline::new(vec![first.clone(), own.clone(), last.clone()]);
    let whole = whole.fit(&data, &run).tried("pipeline")?.model;

    let mut by_hand: Vec<Fit> = Vec::new();
    let mut current = data.clone();
    for stage in [&first, &own, &last] {
        let fit = fit_stage(stage.clone(), &current, &run).tried("by hand")?;
        current = apply(&current, fit.stage().clone()).tried("by hand")?;
        by_hand.push(fit);
    }
    let steps = by_hand.iter().map(|f| f.stage().clone()).collect();
    let steps = PipelineModel::new(steps, data.schema().clone());
    let bytes = |model: &PipelineModel| {
        let file = ModelFile::new(
            "pipeline",
            model.clone(),
            Evidence::default(),
            Probes::default(),
        );
        file.to_bytes().tried("save")
    };
    if s.traits.deterministic {
        ensure!(
            bytes(&whole)? == bytes(&steps)?,
            "the pipeline gives another model than its steps"
        );
    }
    let expected = score(&steps, &s.table()).tried("by hand")?;
    expected
        .agrees(&score(&whole, &s.table()).tried("pipeline")?, 0.0)
        .tried("pipeline")?;

    let inner = Pipeline::new(vec![own, last]);
    let nested = Pipeline::new(vec![first, AnyStage::Estimator(Arc::new(inner))]);
    let nested = nested.fit(&data, &run).tried("nested")?.model;
    let scored = score(&nested, &s.table()).tried("nested")?;
    if s.traits.deterministic {
        expected.agrees(&scored, 0.0).tried("nested")?;
    }
    let mut registry = crate::registry();
    s.registry.entries().for_each(|e| {
        registry.register(*e);
    });
    let loaded =
        ModelFile::from_bytes(&bytes(&nested)?, "m.ember", &registry).tried("load nested")?;
    scored
        .agrees(&score(&loaded.model, &s.table()).tried("reloaded")?, 0.0)
        .tried("nested, reloaded")?;
    one_of_two(s)?;
    Ok(Held::Yes)
}

/// One against the rest, of two classes, is the classifier itself.
fn one_of_two(s: &Subject<'_>) -> std::result::Result<(), String> {
    let resolved = s.entry.resolve(&s.example()).tried("resolve")?;
    let Some(toml::Value::Table(inner)) = resolved.get("classifier") else {
        return Ok(());
    };
    let mut inner = inner.clone();
    let name = inner.remove("stage");
    let name = name
        .as_ref()
        .and_then(toml::Value::as_str)
        .ok_or("its classifier has no name")?;
    let entry = s
        .registry
        .get(name)
        .ok_or(format!("there is no `{name}`"))?;
    let Cells::Texts(labels) = &s.table().columns[s.table().position("class")?].1.clone() else {
        return Err("the class is no text".to_owned());
    };
    let rows: Vec<usize> = (0..labels.len())
        .filter(|&i| labels[i].as_deref() != Some("red"))
        .collect();
    let table = s.table().pick(&rows);
    let data = table.dataset().tried("table")?;
    let run = Run::local(1, 1);
    let binary =
        fit_stage(entry.build(&inner, s.registry).tried(name)?, &data, &run).tried(name)?;
    let own = s.fit(&data, &run).tried("two classes")?;
    let (mut a, mut b) = (
        score(&binary.model, &table).tried(name)?,
        score(&own.model, &table).tried("two classes")?,
    );
    // Raw scores are margins there and here, but of one class against the other in one and of each in the other.
    a.columns.retain(|n, _| n != "raw_prediction");
    b.columns.retain(|n, _| n != "raw_prediction");
    a.agrees(&b, 0.0)
        .tried(format!("two classes, and `{name}` itself"))
}
