//! `--set KEY=VALUE`.

use super::*;

const TWO: &str = "[data]\nsource = \"a\"\n[[pipeline]]\nstage = \"scale\"\n[[pipeline]]\nstage = \"scale\"\n[[pipeline]]\nstage = \"vote\"\n";

fn number(config: &Config, stage: usize, key: &str) -> f64 {
    let value = &config.stages[stage].params[key];
    value
        .as_float()
        .or(value.as_integer().map(|i| i as f64))
        .unwrap()
}

#[test]
fn values_of_tables_and_stages_can_be_set() {
    let config = parse_set(
        GOOD,
        &[
            "seed=9",
            "data.source=data/*.csv",
            "data.memory_limit=2GB",
            "data.schema.\"a.b\"=text",
            "vote.n_voters=200",
            "vote.classifier.max_iter = 5",
            "pipeline.1.factor=3.5",
            "output.model=models/x.ember",
            "evaluate.metrics=[\"f1\"]",
        ],
    )
    .unwrap();
    assert_eq!(config.seed, 9);
    assert_eq!(config.data.source, "data/*.csv");
    assert_eq!(config.memory_limit, Some(ByteSize(2_000_000_000)));
    assert!(config.data.schema.contains_key("a.b"));
    assert_eq!(number(&config, 1, "n_voters"), 200.0);
    assert_eq!(
        config.stages[1].params["classifier"]["max_iter"].as_integer(),
        Some(5)
    );
    assert_eq!(
        config.stages[1].params["classifier"]["reg_param"].as_float(),
        Some(0.5)
    );
    assert_eq!(number(&config, 0, "factor"), 3.5);
    assert_eq!(config.output.model.as_deref(), Some("models/x.ember"));
    assert_eq!(config.evaluate.metrics, ["f1"]);
}

#[test]
fn a_later_override_wins_and_tables_are_made_where_absent() {
    let config = parse_set(TWO, &["seed=1", "seed=2", "data.split.test=0.5"]).unwrap();
    assert_eq!(config.seed, 2);
    assert_eq!(config.split.unwrap().test, Some(0.5));
}

#[test]
fn a_stage_that_occurs_twice_is_chosen_by_number() {
    let config = parse_set(TWO, &["scale#2.factor=4", "pipeline.1.factor=3"]).unwrap();
    assert_eq!(
        (number(&config, 0, "factor"), number(&config, 1, "factor")),
        (3.0, 4.0)
    );
}

#[test]
fn bad_overrides_are_named_in_their_message() {
    let cases = [
        ("seed", "an override is written KEY=VALUE"),
        ("=3", "the key cannot be read"),
        ("data..source=3", "the key cannot be read"),
        ("seed=x", "`seed`: invalid type: string \"x\""),
        ("seed=", "`seed`: invalid type"),
        (
            "sede=1",
            "`sede` is neither a table nor a stage of this pipeline (did you mean `seed`?)",
        ),
        (
            "data.sorce=x",
            "unknown key `data.sorce` (did you mean `source`?)",
        ),
        ("data.source.x=1", "`source` is not a table"),
        (
            "scale.factor=2",
            "`scale` is ambiguous: the pipeline has 2 of them (choose scale#1 (pipeline.1) or scale#2 (pipeline.2))",
        ),
        ("scale#3.factor=2", "there is no such `scale`"),
        ("scale#x.factor=2", "there is no such `scale`"),
        (
            "pipeline.0.factor=2",
            "there is no stage `pipeline.0` (stages count from 1: pipeline.1 (scale)",
        ),
        ("pipeline.9.factor=2", "there is no stage `pipeline.9`"),
        ("vote=3", "a whole stage cannot be set"),
        (
            "vote.n_voters=0",
            "parameter `n_voters` must be at least 1, got 0",
        ),
        (
            "vote.voters=1",
            "parameter `voters` is unknown to `vote`; did you mean `n_voters`?",
        ),
        (
            "vote.classifier.reg_param=-1",
            "parameter `classifier` needs a `stage`",
        ),
        ("evaluate.metrics=[f1]", "the value cannot be read"),
        ("data.source=\"x", "the value cannot be read"),
        (
            "data.split.test=3",
            "`data.split.test` must be above 0 and below 1",
        ),
        ("tune.folds=3", "`tune` is neither a table nor a stage"),
    ];
    let mut wrong = Vec::new();
    for (set, message) in cases {
        let found = mistakes(TWO, &[set]);
        let start = format!("-: --set {set}: ");
        if found.len() != 1 || !found[0].starts_with(&start) || !found[0].contains(message) {
            wrong.push(format!("{set}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let deep = format!("data{}=1", ".x".repeat(100));
    assert!(mistakes(TWO, &[&deep])[0].contains("nests too deep"));
}

#[test]
fn an_override_mends_a_mistake_of_the_file() {
    let text = GOOD.replace("seed = 7", "seed = \"x\"");
    assert_eq!(mistakes(&text, &[]).len(), 1);
    assert_eq!(parse_set(&text, &["seed=3"]).unwrap().seed, 3);
}
