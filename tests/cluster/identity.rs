//! The same model file, byte for byte, on this machine and on a cluster.

use crate::support::{Cluster, Job, emberline};

const ASSEMBLE: &str = "[[pipeline]]\nstage = \"vector_assembler\"\ninputs = [\"*\"]\n";

fn config(name: &str, source: &str, stages: &str) -> Job {
    Job::new(&format!(
        "name = {name:?}\nseed = 42\n[data]\nsource = {source:?}\n[data.split]\ntest = 0.25\n{ASSEMBLE}{stages}"
    ))
}

#[test]
fn r_03_models_are_equal_to_the_byte_for_one_two_and_three_executors() {
    let jobs = [
        config(
            "pendigits-forest",
            "bundled:pendigits",
            "[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 40\nmax_depth = 12\n",
        ),
        config(
            "letter-one-vs-rest",
            "bundled:letter",
            "[[pipeline]]\nstage = \"one_vs_rest\"\n\n[pipeline.classifier]\nstage = \"logistic_regression\"\n",
        ),
        config(
            "digits-kmeans",
            "bundled:digits",
            "[[pipeline]]\nstage = \"kmeans\"\nk = 10\nn_init = 5\n",
        ),
    ];
    let local: Vec<Vec<u8>> = jobs.iter().map(Job::locally).collect();
    let mut passed = 0;
    for executors in [1, 2, 3] {
        let cluster = Cluster::up(executors, &[]);
        for (job, local) in jobs.iter().zip(&local) {
            assert!(job.on(&cluster) == *local, "{executors} executors");
            passed += 1;
        }
    }
    println!("R-03: {passed}/9 models equal on 1, 2 and 3 executors");
}

#[test]
fn predictions_and_metrics_of_executors_are_those_of_one_machine() {
    let job = config(
        "pendigits-forest",
        "bundled:pendigits",
        "[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = 10\n",
    );
    job.locally();
    let model = job.path("local.ember");
    let model = model.to_str().unwrap();
    let cluster = Cluster::up(2, &[]);
    let url = cluster.url();
    let folder = |name: &str| format!("{}/", job.path(name).display());
    let predict = |output: &str, more: &[&str]| {
        let mut arguments = vec![
            "predict",
            model,
            "--data",
            "bundled:pendigits",
            "--output",
            output,
            "--output-format",
            "csv",
        ];
        arguments.extend(more);
        let output = emberline(&arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let (here, there) = (folder("here"), folder("there"));
    predict(&here, &[]);
    predict(&there, &["--scheduler", &url]);
    // A second time: the same files, and no other.
    predict(&there, &["--scheduler", &url]);
    let rows = |folder: &str| -> Vec<String> {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "csv"))
            .collect();
        files.sort();
        let text = |p: &std::path::PathBuf| std::fs::read_to_string(p).unwrap();
        let lines = |p| {
            text(p)
                .lines()
                .skip(1)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        files.iter().flat_map(lines).collect()
    };
    assert_eq!(rows(&there).len(), 10_992);
    assert!(rows(&there) == rows(&here));
    let manifest = std::fs::read_to_string(format!("{there}_manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["rows"], 10_992);
    assert_eq!(manifest["files"].as_array().unwrap().len(), 2);

    let evaluate = |more: &[&str]| -> serde_json::Value {
        let mut arguments = vec![
            "evaluate",
            model,
            "--data",
            "bundled:pendigits",
            "--on-train",
            "--json",
        ];
        arguments.extend(more);
        serde_json::from_slice(&emberline(&arguments).stdout).unwrap()
    };
    assert_eq!(
        evaluate(&["--scheduler", &url])["metrics"],
        evaluate(&[])["metrics"]
    );

    let refused = emberline(&[
        "predict",
        model,
        "--data",
        "bundled:pendigits",
        "--output",
        "one.csv",
        "--scheduler",
        &url,
    ]);
    assert_eq!(refused.status.code(), Some(2));
}
