//! What is refused, and parameters as text.

use super::*;

#[test]
fn what_cannot_be_clustered_is_refused() {
    let message = |params, data: &Dataset| fit(params, data, 1).err().unwrap().to_string();
    let data = table(&array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(
        message(k(0), &data),
        "parameter `k` must be at least 1, got 0"
    );
    assert!(message(k(2), &table(&Array2::zeros((0, 2)))).contains("no rows"));
    let error = message(k(2), &table(&array![[1.0, 2.0], [f64::NAN, 4.0]]));
    assert!(error.contains("`features[x0]`, row 1"), "{error}");
    let error = message(k(2), &table(&array![[1.0, 2.0], [3.0, f64::INFINITY]]));
    assert!(error.contains("`features[x1]`, row 1: inf"), "{error}");
    assert!(
        message(given(&[&[1.0]]), &data).contains("1 numbers each, column `features` has 2 slots")
    );
    assert!(message(given(&[]), &data).contains("`centers` must list"));
    assert!(
        message(
            KMeansParams {
                k: 3,
                ..given(&[&[1.0, 2.0]])
            },
            &data
        )
        .contains("`k` is 3, but `centers` lists 1")
    );
    assert!(
        message(
            KMeansParams {
                centers: vec![vec![1.0]],
                ..k(1)
            },
            &data
        )
        .contains("is read with")
    );
    let weightless = weighted(&array![[1.0], [2.0]], &[0.0, 0.0]);
    assert!(
        message(
            KMeansParams {
                weight_col: Some("w".to_owned()),
                ..k(1)
            },
            &weightless
        )
        .contains("weight 0")
    );
    let negative = weighted(&array![[1.0], [2.0]], &[1.0, -1.0]);
    let error = message(
        KMeansParams {
            weight_col: Some("w".to_owned()),
            ..k(1)
        },
        &negative,
    );
    assert!(error.contains("column `w`, row 1"), "{error}");
}

#[test]
fn parameters_survive_toml() {
    let table: toml::Table = "init_mode = \"given\"\ncenters = [[1, 2.5], [3, 4]]"
        .parse()
        .unwrap();
    let stage = ENTRY.build(&table, &Registry::new()).unwrap();
    assert_eq!(
        stage.stage().params()["centers"],
        serde_json::json!([[1.0, 2.5], [3.0, 4.0]])
    );
    let error = ENTRY
        .build(
            &"init_mode = \"kmeans\"\nn_innit = 3".parse().unwrap(),
            &Registry::new(),
        )
        .err()
        .unwrap();
    assert_eq!(error.0.len(), 2);
}

#[test]
fn starts_beyond_what_memory_holds_are_refused_before_they_are_made() {
    // Found by putting every number at the edges of its range: the centres of all starts are allocated at once.
    let table = "n_init = 2147483648\ninit_steps = 0".parse().unwrap();
    let errors = ENTRY.build(&table, &Registry::new()).err().unwrap();
    let told: Vec<String> = errors.0.iter().map(|e| e.message.clone()).collect();
    assert_eq!(
        told,
        [
            "must be between 1 and 1000, got 2147483648",
            "must be between 1 and 1000, got 0"
        ]
    );
}
