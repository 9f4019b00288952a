//! Model files: equal bytes, damage, hostile content, races.

use std::sync::{Arc, Barrier};

use serde_json::Value;

use super::*;
use crate::toy::{pipeline, registry, table};
use crate::train::{TrainPlan, train};
use crate::{Error, Run};

fn small() -> ModelFile {
    let plan = TrainPlan::new("small", table(0, 40), pipeline()).test(table(40, 60));
    train(&plan, &registry(), &Run::local(7, 1))
        .unwrap()
        .model_file
}

fn load(bytes: &[u8]) -> std::result::Result<ModelFile, ModelError> {
    ModelFile::from_bytes(bytes, "m.ember", &registry())
}

#[test]
fn saving_loading_and_saving_again_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models/new/small.ember");
    let file = small();
    let saved = file.save(&path, false).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(
        (saved.bytes, &saved.sha256),
        (bytes.len() as u64, &container::sha256(&bytes))
    );
    let (loaded, digest) = ModelFile::load_with_digest(&path, &registry()).unwrap();
    assert_eq!(digest, saved);
    assert!(loaded.to_bytes().unwrap() == bytes);
    assert!(loaded.verify().unwrap().is_ok());
    assert_eq!(loaded.probes.rows.len(), 8);
    assert!(loaded.evidence.stages[1].report.as_ref().unwrap().history[1].is_nan());
    assert!(small().to_bytes().unwrap() == bytes, "trained twice");
}

#[test]
fn the_file_holds_no_word_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    small().save(folder.path().join("a.ember"), false).unwrap();
    let bytes = std::fs::read(folder.path().join("a.ember")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let here = folder.path().display().to_string();
    for word in [here.as_str(), "threads", "partitions", "seconds"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let bytes = small().to_bytes().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(
                matches!(load(&damaged), Err(ModelError::Damaged { .. })),
                "byte {at}, bit {bit}"
            );
        }
        assert!(
            matches!(load(&bytes[..at]), Err(ModelError::Damaged { .. })),
            "cut at {at}"
        );
    }
    assert!(load(&[&bytes[..], b"\n"].concat()).is_err(), "a byte more");
}

#[test]
fn what_is_no_model_is_told_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let model = small().to_bytes().unwrap();
    let cases = [
        (at("empty", b""), "it is empty (0 bytes)"),
        (at("json", b" {\"a\": 1}"), "it looks like JSON"),
        (
            at("zip", b"PK\x03\x04 some other archive"),
            "a ZIP archive, but no Emberline model",
        ),
        (at("cut", &model[..model.len() / 2]), "it was cut short"),
        (at("text", b"hello"), "it is no Emberline model"),
        (folder.path().to_owned(), "it is a folder"),
    ];
    for (path, expected) in cases {
        let error = ModelFile::load(&path, &registry()).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains(&*path.display().to_string()),
            "{text}"
        );
        assert_eq!(error.exit_code(), 4);
    }
    let missing = ModelFile::load(folder.path().join("none"), &registry())
        .err()
        .unwrap();
    assert_eq!(missing.exit_code(), 4);
}

/// The file with parts changed and its digest made anew.
fn forged(
    change: impl FnOnce(&mut Value, &mut Arrays, &mut Value),
) -> std::result::Result<ModelFile, ModelError> {
    let bytes = small().to_bytes().unwrap();
    let [model, arrays, probes] = container::verified(&bytes).unwrap().unpack().unwrap();
    let (mut model, mut probes) = (json::parse(model).unwrap(), json::parse(probes).unwrap());
    let mut arrays = tensors::read(arrays).unwrap();
    change(&mut model, &mut arrays, &mut probes);
    let model = json::write(&model).unwrap();
    let arrays = tensors::write(&arrays).unwrap();
    load(&container::pack([&model, &arrays, &json::write(&probes).unwrap()]).unwrap())
}

#[test]
fn hostile_content_under_a_right_digest_is_refused() {
    assert!(forged(|_, _, _| ()).is_ok());
    let refused =
        |change: fn(&mut Value, &mut Arrays, &mut Value)| forged(change).err().unwrap().to_string();
    let cases = [
        (
            refused(|m, _, _| m["stages"][0]["stage"] = "shell".into()),
            "`shell` is invalid: this program knows no such stage",
        ),
        (
            refused(|_, a, _| *a = Arrays::new()),
            "array `means` is missing",
        ),
        (
            refused(|_, a, _| a.put_u32("1.means", &[1, 2, 3])),
            "array `means` is not of type f64",
        ),
        (
            refused(|_, a, _| a.put_f64("1.means", &[1.0])),
            "array `means` has 1 values, 3 are needed",
        ),
        (
            refused(|_, a, _| a.put_f64("1.means", &[1.0, f64::NAN, 0.0])),
            "not finite",
        ),
        (
            refused(|m, _, _| m["surprise"] = 1.into()),
            "unknown field `surprise`",
        ),
        (
            refused(|m, _, _| m["stages"] = Value::Array(Vec::new())),
            "do not give the columns it promises",
        ),
        (
            refused(|m, _, _| m["output"]["columns"][0]["name"] = "other".into()),
            "do not give the columns it promises",
        ),
        (
            refused(|m, _, _| m["input"]["columns"][0]["name"] = "y".into()),
            "occurs twice",
        ),
        (
            refused(|m, _, _| m["input"]["roles"]["label"] = "gone".into()),
            "no column `gone`",
        ),
        (
            refused(|m, _, _| m["format"] = "one".into()),
            "no format version",
        ),
        (
            refused(|m, _, _| m["format"] = 0.into()),
            "no format version",
        ),
        (
            refused(|_, _, p| p["rows"][0]["in"] = Value::Array(Vec::new())),
            "a probe has 0 cells for 2 columns",
        ),
        (
            refused(|_, _, p| p["rows"][0]["in"][1] = "text".into()),
            "`features` is not vector[3] of f64",
        ),
        (
            refused(|_, _, p| p["inputs"][0] = "size".into()),
            "other columns than its stages read",
        ),
        (
            refused(|_, _, p| p["outputs"][0] = "gone".into()),
            "no column `gone`",
        ),
        (
            refused(|_, _, p| *p = Value::Array(Vec::new())),
            "probes.json",
        ),
    ];
    for (found, expected) in cases {
        assert!(found.contains(expected), "{found}\n  lacks: {expected}");
    }
}

#[test]
fn a_newer_format_is_known_as_such_whatever_else_the_file_holds() {
    let model = br#"{"format": 2, "everything": "else"}"#;
    let error = load(&container::pack([model, b"new", b"layout"]).unwrap())
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            ModelError::Newer {
                found: 2,
                supported: FORMAT,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("use a newer emberline"));
}

#[test]
fn a_key_twice_in_the_document_is_refused() {
    let error = load(&container::pack([br#"{"format": 1, "format": 1}"#, b"", b""]).unwrap())
        .err()
        .unwrap();
    assert!(error.to_string().contains("occurs twice"), "{error}");
}

#[test]
fn an_existing_target_stays_unless_overwriting_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ember");
    std::fs::write(&path, "mine").unwrap();
    let error = small().save(&path, false).err().unwrap();
    assert!(
        matches!(error, Error::Model(ModelError::Exists { .. })),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    small().save(&path, true).unwrap();
    assert!(ModelFile::load(&path, &registry()).is_ok());
    assert!(small().save(folder.path(), true).is_err(), "a folder");
    // Nothing temporary is left behind.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn of_two_that_save_at_once_one_wins_and_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = Arc::new(small());
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.ember"));
        let start = Arc::new(Barrier::new(2));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (file, start, path) = (file.clone(), start.clone(), path.clone());
                std::thread::spawn(move || {
                    start.wait();
                    file.save(&path, false).map(|_| ())
                })
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(
            results.iter().filter(|r| r.is_ok()).count(),
            1,
            "{results:?}"
        );
        let lost = results
            .into_iter()
            .find_map(std::result::Result::err)
            .unwrap();
        assert!(
            matches!(lost, Error::Model(ModelError::Exists { .. })),
            "{lost}"
        );
        assert!(ModelFile::load(&path, &registry()).is_ok());
    }
}

#[cfg(unix)]
#[test]
fn the_file_is_readable_by_others_as_any_new_file_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let usual = folder.path().join("usual");
    std::fs::write(&usual, "").unwrap();
    let path = folder.path().join("a.ember");
    small().save(&path, false).unwrap();
    let mode = |p: &std::path::Path| std::fs::metadata(p).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&usual));
}
