//! The effective config as text.

use proptest::prelude::*;

use super::*;

#[test]
fn the_effective_text_is_a_config_with_the_same_effective_text() {
    for text in [GOOD.to_owned(), super::cases_with_env()] {
        let config = parse(&text).unwrap();
        let again = parse(&config.effective_toml()).unwrap();
        assert_eq!(again.effective_toml(), config.effective_toml());
        assert_eq!(
            parse(&config.to_toml()).unwrap().to_toml(),
            config.to_toml()
        );
        assert_eq!(again.digest(), config.digest());
    }
}

#[test]
fn equal_settings_give_equal_text_however_they_are_written() {
    let other = r#"seed = 0x7
name = 'toy'
output.model = "models/toy.ember"
output.report = "reports/toy"
engine = { threads = 2 }
evaluate = { metrics = ["accuracy", "f1"], on_train = false }
pipeline = [
    { factor = 2.0, inputs = ["*", "!x"], stage = "scale", mode = "fast" },
    { classifier = { reg_param = 5e-1, stage = "guess", max_iter = 100 }, n_voters = 3, stage = "vote" },
]
[data]
label = "species"
source = "bundled:iris"
split = { stratify = true, test = 0.25, seed = 7 }
null_tokens = ["?", "NA"]
sample_rows = 1_00
memory_limit = 67108864
schema."sepal length" = "float"
partition_by.hash = ["species"]
"#;
    let (config, other) = (parse(GOOD).unwrap(), parse(other).unwrap());
    assert_eq!(other.effective_toml(), config.effective_toml());
    assert_eq!(other.digest(), config.digest());
    assert_eq!(config.digest().len(), 64);
}

#[test]
fn what_changes_no_result_does_not_change_the_evidence() {
    let config = parse(GOOD).unwrap();
    let sets = [
        "engine.threads=5",
        "data.partitions=64",
        "data.memory_limit=1GB",
        "output.model=x",
        "output.predictions=p.csv",
    ];
    assert_eq!(parse_set(GOOD, &sets).unwrap().to_toml(), config.to_toml());
    for set in [
        "seed=8",
        "scale.factor=3",
        "data.split.test=0.5",
        "data.label=x",
    ] {
        assert_ne!(
            parse_set(GOOD, &[set]).unwrap().digest(),
            config.digest(),
            "{set}"
        );
    }
}

#[test]
fn defaults_are_written_out() {
    let text = parse("[data]\nsource = \"a\"\n[[pipeline]]\nstage = \"vote\"")
        .unwrap()
        .to_toml();
    for line in [
        "seed = 42",
        "sample_rows = 10000",
        "n_voters = 1",
        "max_iter = 100",
        "on_train = false",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

proptest! {
    #[test]
    fn parameters_survive_the_way_through_toml(
        factor in 1e-300_f64..1e300,
        splits in proptest::collection::vec(any::<f64>().prop_filter("a number", |x| !x.is_nan()), 0..5),
        inputs in proptest::collection::vec("[^\u{0}]{0,8}", 0..4),
        voters in 1_usize..1_000_000,
    ) {
        let mut params = toml::Table::new();
        params.insert("factor".into(), factor.into());
        params.insert("splits".into(), splits.into());
        params.insert("inputs".into(), inputs.into_iter().map(|i| i.replace('$', "S")).collect::<Vec<_>>().into());
        let registry = registry();
        let resolved = registry.get("scale").unwrap().resolve(&params).unwrap();
        let mut stage = resolved.clone();
        stage.insert("stage".into(), "scale".into());
        let text = format!(
            "[data]\nsource = \"a\"\n[[pipeline]]\nstage = \"vote\"\nn_voters = {voters}\n[[pipeline]]\n{}",
            toml::to_string(&stage).unwrap()
        );
        let config = parse(&text).unwrap();
        prop_assert_eq!(&config.stages[1].params, &resolved);
        prop_assert_eq!(parse(&config.to_toml()).unwrap().stages, config.stages);
    }
}
