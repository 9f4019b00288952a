//! `config_toml`: a config is read or refused, with every mistake at a place inside it.

use std::sync::LazyLock;

use emberline::prelude::*;

static REGISTRY: LazyLock<Registry> = LazyLock::new(emberline::registry);

/// Reads a config; what is taken must read again, equal, from its canonical form.
pub fn config_toml(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse_with_env("c.toml", &text, &[], &REGISTRY, &|_| None) {
        Ok(config) => {
            let canonical = config.effective_toml();
            let again = Config::parse_with_env("c.toml", &canonical, &[], &REGISTRY, &|_| None);
            let again =
                again.unwrap_or_else(|e| panic!("its canonical form is refused: {e}\n{canonical}"));
            assert_eq!(again.digest(), config.digest(), "{canonical}");
            true
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            for span in errors.errors.iter().filter_map(|e| e.span.as_ref()) {
                assert!(span.start <= span.end && span.start <= text.len());
            }
            assert!(!errors.to_string().is_empty());
            false
        }
    }
}
