//! What the command line cannot show: a test whose body needs a store in its environment runs itself again with one.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use emberline::datasets::files::{Found, RealDisk, WholeFile, look, read};
use emberline::datasets::recipe::Recipe;
use emberline::datasets::{DataError, Memory, source};
use emberline::prelude::*;
use std::io::Write;

use crate::store::{CLEARED, Store};
use crate::{convert, table, write};

const INSIDE: &str = "EMBERLINE_TEST_INSIDE";

/// True in the process where the body is to run. In the other one it starts that, in a new folder, and looks at what came of it;
/// `meanwhile` runs beside it.
fn inside(test: &str, folder: &std::path::Path, meanwhile: impl FnOnce(&Store)) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let store = Store::shared();
    let mut command = Command::new(std::env::current_exe().unwrap());
    for name in CLEARED {
        command.env_remove(name);
    }
    let name = format!("inside::{test}");
    command.args(["--exact", &name, "--nocapture"]);
    let child = command
        .current_dir(folder)
        .env(INSIDE, "1")
        .envs(store.environment())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    meanwhile(store);
    let output = child.wait_with_output().unwrap();
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{out}\n{error}"
    );
    false
}

fn wait_for(path: &std::path::Path) {
    for _ in 0..600 {
        if path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{} did not appear", path.display());
}

#[test]
fn an_object_that_changed_since_it_was_opened_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let csv = |rows| write(at, "t.csv", table(rows, 0));
    if std::env::var_os(INSIDE).is_none() {
        let store = Store::shared();
        store.bucket("changing");
        let csv = csv(20_000);
        convert(&csv, &at.join("t.parquet"));
        for name in ["t.csv", "t.parquet"] {
            store.put("changing", name, &at.join(name));
        }
    }
    let swap = |store: &Store| {
        wait_for(&at.join("opened"));
        // As long as the first, but for the last row; and of the same columns.
        let text = std::fs::read_to_string(at.join("t.csv")).unwrap();
        write(at, "t.csv", text.replace("green", "GREEN"));
        convert(&at.join("t.csv"), &at.join("t.parquet"));
        for name in ["t.csv", "t.parquet"] {
            store.put("changing", name, &at.join(name));
        }
        write(at, "swapped", "");
    };
    if !inside(
        "an_object_that_changed_since_it_was_opened_is_refused",
        at,
        swap,
    ) {
        return;
    }
    let open =
        |name: &str| source::open(&SourceOptions::new(format!("s3://changing/{name}"))).unwrap();
    let all = [open("t.csv"), open("t.parquet")];
    all[0].chunks().unwrap();
    std::fs::write("opened", "").unwrap();
    wait_for(&PathBuf::from("swapped"));
    for data in all {
        let error = data
            .batches(None)
            .unwrap()
            .find_map(std::result::Result::err)
            .unwrap();
        assert!(
            error.to_string().contains("changed while it was in use"),
            "{error}"
        );
    }
}

#[test]
fn of_two_writers_of_a_new_object_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    if std::env::var_os(INSIDE).is_none() {
        Store::shared().bucket("race");
    }
    if !inside(
        "of_two_writers_of_a_new_object_one_wins",
        folder.path(),
        |_| {},
    ) {
        return;
    }
    let path = PathBuf::from("s3://race/x/m.ember");
    let start = |text: &str| {
        let mut file = WholeFile::create(Arc::new(RealDisk), &path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let (first, second) = (start("first"), start("second"));
    assert_eq!(look(&path).unwrap(), Found::Nothing);
    first.finish(false).unwrap();
    let error = second.finish(false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(read(&path, 100).unwrap(), b"first");
    start("third").finish(true).unwrap();
    assert_eq!(look(&path).unwrap(), Found::File(5));
    assert_eq!(read(&path, 100).unwrap(), b"third");
    drop(start("dropped"));
    assert_eq!(read(&path, 3).unwrap(), b"thi");
}

/// The other machine is another process in another folder, with nothing but the recipe.
#[test]
fn a_recipe_of_objects_opens_on_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    if std::env::var_os(INSIDE).is_none() {
        let store = Store::shared();
        store.bucket("recipe");
        for i in 0..3 {
            let csv = write(at, &format!("{i}.csv"), table(9_000, 9_000 * i));
            store.put("recipe", &format!("d/{i}.csv"), &csv);
        }
    }
    let name = "a_recipe_of_objects_opens_on_another_machine";
    if std::env::var_os(INSIDE).is_none() {
        inside(name, at, |_| {});
        let bytes = std::fs::read(at.join("recipe")).unwrap();
        crate::store::assert_no_secret(&bytes);
        let other = tempfile::tempdir().unwrap();
        write(other.path(), "there", bytes);
        inside(name, other.path(), |_| {});
        let ids = |folder: &std::path::Path| std::fs::read(folder.join("ids")).unwrap();
        assert!(ids(at) == ids(other.path()));
        return;
    }
    let recipe: Recipe = match std::fs::read("there") {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => {
            let data = source::open(&SourceOptions::new("s3://recipe/d/*.csv")).unwrap();
            let recipe = data.recipe().unwrap();
            std::fs::write("recipe", serde_json::to_vec(&recipe).unwrap()).unwrap();
            recipe
        }
    };
    let opened = recipe.open_source(&Memory::default()).unwrap();
    let unknown = |_: &_| Err(DataError::Unusable("no step".to_owned()));
    let data = recipe.with_steps(&opened, &unknown).unwrap();
    let ids: Vec<u64> = data
        .batches(None)
        .unwrap()
        .flat_map(|b| b.unwrap().row_ids().to_vec())
        .collect();
    assert_eq!(ids.len(), 27_000);
    std::fs::write("ids", serde_json::to_vec(&ids).unwrap()).unwrap();
}
