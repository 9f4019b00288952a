//! What the tests train.

use crate::support::Job;

pub fn config(name: &str, stages: &str) -> Job {
    Job::new(&format!(
        "name = {name:?}\nseed = 7\n[data]\nsource = \"bundled:letter\"\n[data.split]\ntest = 0.25\n\
         [[pipeline]]\nstage = \"vector_assembler\"\ninputs = [\"*\"]\n{stages}"
    ))
}

/// Runs of two seconds and more on two cores, many rounds each.
pub fn kmeans() -> Job {
    config(
        "kmeans",
        "[[pipeline]]\nstage = \"kmeans\"\nk = 60\nn_init = 3\nmax_iter = 120\ntol = 0.0\n",
    )
}

pub fn forest(trees: usize) -> Job {
    config(
        "forest",
        &format!("[[pipeline]]\nstage = \"random_forest_classifier\"\nnum_trees = {trees}\n"),
    )
}

pub fn logistic() -> Job {
    config(
        "logistic",
        "[[pipeline]]\nstage = \"polynomial_expansion\"\ninput = \"features\"\noutput = \"products\"\n\
         [[pipeline]]\nstage = \"logistic_regression\"\nfeatures_col = \"products\"\nmax_iter = 100\ntol = 0.0\n",
    )
}
