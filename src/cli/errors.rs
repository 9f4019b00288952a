//! How errors are shown: config mistakes with the place in the file, everything else as a chain of causes.

use std::io::IsTerminal;

use emberline::prelude::*;
use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, NamedSource, SourceCode};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use super::output::{Format, Out};

/// Logs to standard error: errors by default, more with `--verbose` or EMBERLINE_LOG.
pub fn start_logging(verbose: bool) {
    let default = if verbose {
        "emberline=debug,emberline_pipeline=debug,warn"
    } else {
        "error"
    };
    let asked = std::env::var("EMBERLINE_LOG").ok();
    let targets = |text: &str| text.parse::<Targets>().ok();
    let filter = asked
        .as_deref()
        .and_then(targets)
        .or_else(|| targets(default));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .without_time()
        .with_ansi(colours());
    // A second subscriber in one process is refused; the first one serves.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
}

/// Colours on standard error: a terminal, and nobody asked for none.
pub fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Shows an error; programs that asked for JSON get one object on standard output.
pub fn show(error: &Error, format: Format) {
    if format == Format::Json {
        let mistakes = if let Error::Config(errors) = error {
            mistakes(errors)
        } else {
            serde_json::Value::Null
        };
        let mut object = serde_json::json!({ "error": { "message": error.to_string(), "exit_code": error.exit_code() } });
        if !mistakes.is_null() {
            object["error"]["mistakes"] = mistakes;
        }
        Out::lock().json(&object);
    }
    match error {
        Error::Config(errors) => show_config(errors),
        Error::Interrupted => eprintln!("interrupted"),
        other => eprintln!("error: {other}"),
    }
}

fn mistakes(errors: &ConfigErrors) -> serde_json::Value {
    let one = |e: &ConfigError| {
        let place = e.span.as_ref().map(|s| errors.position(s.start));
        serde_json::json!({
            "line": place.map(|p| p.0), "column": place.map(|p| p.1), "message": e.message, "help": e.help,
        })
    };
    errors.errors.iter().map(one).collect()
}

fn show_config(errors: &ConfigErrors) {
    let n = errors.errors.len();
    eprintln!(
        "error: {} has {n} mistake{}",
        errors.file,
        if n == 1 { "" } else { "s" }
    );
    let theme = if colours() {
        miette::GraphicalTheme::unicode()
    } else {
        miette::GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_context_lines(1);
    for error in &errors.errors {
        let place = error.span.as_ref().map_or(String::new(), |s| {
            let (line, column) = errors.position(s.start);
            format!(":{line}:{column}")
        });
        let shown = Shown {
            message: format!("{}{place}: {}", errors.file, error.message),
            text: NamedSource::new(&errors.file, errors.text.clone()),
            span: error.span.clone(),
            help: error.help.clone(),
        };
        let mut text = String::new();
        match handler.render_report(&mut text, &shown) {
            Ok(()) => eprint!("{text}"),
            Err(_) => eprintln!("{}", shown.message),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Shown {
    message: String,
    text: NamedSource<String>,
    span: Option<std::ops::Range<usize>>,
    help: Option<String>,
}

impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|h| Box::new(h) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.is_some().then_some(&self.text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::underline(span))))
    }
}
