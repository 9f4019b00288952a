//! Texts that no honest author writes.

use proptest::prelude::*;

use super::*;

#[test]
fn deep_nests_are_refused_before_they_are_parsed() {
    let n = 300_000;
    let texts = [
        format!("a = {}", "[".repeat(n)),
        format!("a = {}", "{a=".repeat(n)),
        format!("a{} = 1", ".a".repeat(n)),
        format!("[a{}]", ".a".repeat(n)),
        format!("x = \"\"\"a\"\"\"\"\" , y{} = 1", ".a".repeat(n)),
        format!(
            "[[pipeline]]\nclassifier = {}",
            "{ stage = 'vote', classifier = ".repeat(2000)
        ),
    ];
    for text in &texts {
        let found = mistakes(text, &[]);
        assert!(found[0].contains("nests deeper than 64"), "{found:?}");
    }
}

#[test]
fn oversized_files_foreign_bytes_and_nul_are_refused() {
    let large = "#".repeat(limits::MAX_BYTES + 1);
    assert!(mistakes(&large, &[])[0].contains("larger than 1048576 bytes"));
    let nul = GOOD.replace("bundled", "bun\0dled");
    assert_eq!(
        mistakes(&nul, &[]),
        ["6:14: a NUL byte (a config is a text file in UTF-8)"]
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    for (bytes, message) in [
        (b"seed = 1\nname = \"\xff\"".to_vec(), ":2:9: not UTF-8"),
        (large.into_bytes(), "larger than"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = Config::read(&path, &[], &registry()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    assert!(Config::read(folder.path(), &[], &registry()).is_err());
    std::fs::write(&path, GOOD).unwrap();
    assert!(Config::read(&path, &["seed=1".to_owned()], &registry()).is_ok());
}

#[test]
fn thousands_of_mistakes_end_in_a_bounded_list() {
    let text: String = (0..20_000).map(|i| format!("k{i} = 1\n")).collect();
    let errors = parse(&text).unwrap_err();
    assert!(errors.errors.len() <= 201);
    assert!(errors.to_string().ends_with("more mistakes"));
}

/// Reads, and walks every path behind a success and a failure: nothing of it may panic.
fn exercise(text: &str) {
    match parse(text) {
        Ok(config) => {
            let _ = (config.effective_toml(), config.digest());
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            let _ = errors.to_string();
            for error in &errors.errors {
                assert!(error.span.as_ref().is_none_or(|s| s.start <= s.end));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn byte_mutants_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6)) {
        let mut bytes = super::cases_with_env().into_bytes();
        for (at, byte, how) in edits {
            if bytes.is_empty() {
                break;
            }
            let i = at.index(bytes.len());
            match how {
                0 => bytes[i] = byte,
                1 => { bytes.remove(i); }
                2 => bytes.insert(i, b"[]{}.,=\"'\n#$"[usize::from(byte) % 12]),
                _ => bytes.truncate(i.max(1)),
            }
        }
        exercise(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn line_mutants_never_panic(order in proptest::collection::vec(0_usize..40, 1..60)) {
        let whole = super::cases_with_env();
        let lines: Vec<&str> = whole.lines().collect();
        let text: Vec<&str> = order.iter().map(|i| lines[i % lines.len()]).collect();
        exercise(&text.join("\n"));
    }

    #[test]
    fn any_override_is_taken_or_refused(set in "[a-z#.\"=\\[{}0-9 ]{0,24}") {
        let _ = mistakes(GOOD, &[&set]);
        let _ = mistakes(GOOD, &[&format!("vote.classifier={set}"), &set]);
    }
}
