//! Trains a random forest on handwritten digits, evaluates it on held-out rows, and writes the model and a report.
//!
//! Run with `cargo run --release --example train_forest`.

use emberline::prelude::*;

fn main() -> Result<()> {
    // 10,992 rows that come with the library; `SourceOptions::new("data/*.parquet")` works the same way.
    let data = open(&SourceOptions::new("bundled:pendigits"))?;

    // Parameters are plain structs: name what differs from the defaults. Mistakes of all stages come back at once.
    let pipeline = Pipeline::builder()
        .stage(VectorAssemblerParams::default())
        .stage(RandomForestClassifierParams {
            num_trees: 100,
            max_depth: 16,
            ..Default::default()
        })
        .build()?;

    // The plan owns the split: no stage sees a held-out row while it is fitted.
    let plan =
        TrainPlan::new("digits", data, pipeline).split(Split::new(0.25, 42).stratified("digit"));
    let trained = train(&plan, &emberline::registry(), &Run::local(42, 0))?;

    let metrics = trained
        .metrics
        .as_ref()
        .ok_or_else(|| Error::Usage("there were no held-out rows".to_owned()))?;
    for (name, value) in &metrics.values {
        println!("{name:>28} {value:.4}");
    }

    let folder = std::env::temp_dir().join("emberline-train-forest");
    std::fs::create_dir_all(&folder).map_err(|e| DataError::io(&folder, e))?;
    let saved = trained.model_file.save(folder.join("digits.ember"), true)?;
    println!("model: {} bytes, sha256 {}", saved.bytes, saved.sha256);

    let mut report = Report::of_metrics(metrics);
    report.title = "Handwritten digits".to_owned();
    report.add_stages(&trained.stages);
    report
        .write(folder.join("report"))
        .map_err(|e| Error::Usage(e.to_string()))?;
    println!("report: {}", folder.join("report/report.html").display());

    // A regression test of one's own is one line.
    assert!(
        metrics.values["accuracy"] >= 0.985,
        "the forest got worse: {:?}",
        metrics.values
    );
    Ok(())
}
