//! `emberline check CONFIG`.

use emberline::prelude::*;

use super::ConfigArgs;
use super::output::Out;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &CheckArgs, registry: &Registry) -> Result<()> {
    let config = args.config.read(registry)?;
    let (data, test) = config.dataset()?;
    let report = config.check_data(registry, &data, test.as_ref())?;
    let mut out = Out::lock();
    if args.json {
        out.json(&serde_json::to_value(&report).unwrap_or_default());
    } else {
        out.line(report);
    }
    Ok(())
}
