//! `emberline explain CONFIG`.

use emberline::prelude::*;

use super::ConfigArgs;
use super::output::{Out, table};

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub fn run(args: &ExplainArgs, registry: &Registry) -> Result<()> {
    let config = args.config.read(registry)?;
    let (data, test) = config.dataset()?;
    config.check_data(registry, &data, test.as_ref())?;
    let pipeline = config.pipeline(registry)?;
    let schemas = pipeline.schemas(data.schema())?;
    let mut fused: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for (stage, input) in pipeline.stages().iter().zip(&schemas) {
        let name = stage.stage().name().to_owned();
        let reads = shorten(&stage.stage().reads(input));
        let writes = shorten(&stage.stage().writes(input));
        match stage {
            AnyStage::Transformer(_) => rows.push(vec![
                name.clone(),
                "row by row, no pass of its own".to_owned(),
                reads,
                writes,
            ]),
            AnyStage::Estimator(_) => {
                let before = if fused.is_empty() {
                    "passes over the source".to_owned()
                } else {
                    format!("passes over the source through {}", fused.join(" > "))
                };
                rows.push(vec![name.clone(), before, reads, writes]);
            }
        }
        fused.push(name);
    }
    let run = config.run();
    let mut out = Out::lock();
    out.line(format!(
        "{}: {} in {} partitions, engine: {}",
        config.name,
        config.data.source,
        data.n_partitions(),
        run.engine.describe()
    ));
    out.line(table(
        &["stage", "how it is fitted", "reads", "writes"],
        rows,
        &[],
    ));
    out.line("Blocks of 8,192 rows follow from the source alone; their partial results merge along one tree, so partitions and threads change no bit.");
    Ok(())
}

/// The first names of a list, and how many more there are.
fn shorten(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
