//! Trains the census pipeline (missing values, categories, numbers), then scores single records as a service would.
//!
//! Run with `cargo run --release --example score_records`.

use std::time::Instant;

use emberline::pipeline::row::Cell;
use emberline::prelude::*;

fn main() -> Result<()> {
    let data = open(&SourceOptions::new("bundled:adult"))?;
    let columns = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let pipeline = Pipeline::builder()
        .stage(ImputerParams {
            inputs: columns(&["workclass", "occupation", "native_country"]),
            strategy: Strategy::Mode,
            ..Default::default()
        })
        .stage(StringIndexerParams {
            inputs: columns(&["*"]),
            ..Default::default()
        })
        .stage(OneHotEncoderParams {
            inputs: columns(&["*_index"]),
            ..Default::default()
        })
        .stage(VectorAssemblerParams {
            inputs: columns(&[
                "age",
                "education_num",
                "capital_gain",
                "capital_loss",
                "hours_per_week",
                "*_onehot",
            ]),
            ..Default::default()
        })
        .stage(StandardScalerParams::default())
        .stage(LogisticRegressionParams {
            reg_param: 1e-4,
            ..Default::default()
        })
        .build()?;
    let plan = TrainPlan::new("census", data.clone(), pipeline)
        .split(Split::new(0.25, 42).stratified("income"));
    let trained = train(&plan, &emberline::registry(), &Run::local(42, 0))?;
    if let Some(metrics) = &trained.metrics {
        println!("held-out accuracy {:.4}", metrics.values["accuracy"]);
    }

    // A scorer is compiled once: no planning and no allocation for each record.
    let schema = data.schema();
    let mut scorer = trained.model.scorer(schema)?;
    let (prediction, probability) = (
        scorer.position("prediction")?,
        scorer.position("probability")?,
    );
    let record = [
        ("age", Cell::Number(47.0)),
        ("workclass", Cell::Text("Private".to_owned())),
        ("education", Cell::Text("Masters".to_owned())),
        ("education_num", Cell::Number(14.0)),
        (
            "marital_status",
            Cell::Text("Married-civ-spouse".to_owned()),
        ),
        ("occupation", Cell::Null),
        ("relationship", Cell::Text("Husband".to_owned())),
        ("race", Cell::Text("White".to_owned())),
        ("sex", Cell::Text("Male".to_owned())),
        ("capital_gain", Cell::Number(0.0)),
        ("capital_loss", Cell::Number(0.0)),
        ("hours_per_week", Cell::Number(50.0)),
        ("native_country", Cell::Text("United-States".to_owned())),
    ];
    for (name, value) in &record {
        let position = scorer.position(name)?;
        scorer.input()[position] = value.clone();
    }
    scorer.score()?;
    println!(
        "prediction {:?}, probability {:?}",
        scorer.cell(prediction),
        scorer.cell(probability)
    );

    const CALLS: u32 = 100_000;
    let started = Instant::now();
    for i in 0..CALLS {
        scorer.input()[0] = Cell::Number(20.0 + f64::from(i % 50));
        scorer.score()?;
    }
    println!(
        "{:.2} microseconds a record",
        started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
    );
    Ok(())
}
