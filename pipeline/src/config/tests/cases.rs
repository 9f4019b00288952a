//! One mistake each: where it is found, and what is said about it.

use super::*;

/// A good config of which one line is replaced: (line with the mistake, expected `line:column`, part of the message).
/// The replaced lines are named by their start.
#[rustfmt::skip] // one case a line
const ONE_LINE: &[(&str, &str, &str, &str)] = &[
    ("seed", "seed = \"seven\"", "3:8", "`seed`: invalid type: string \"seven\", expected a whole number"),
    ("seed", "seed = -1", "3:8", "`seed`: invalid value: integer `-1`"),
    ("seed", "seed = 1.5", "3:8", "`seed`: invalid type: floating point"),
    ("seed", "seed = 99999999999999999999999", "3:8", "`seed`"),
    ("seed", "sed = 7", "3:1", "unknown key `sed` (did you mean `seed`?)"),
    ("seed", "seed = 7\nseed = 8", "4:1", "`seed` is given twice"),
    ("name", "name = \" \"", "2:8", "`name` must be one line"),
    ("name", "name = toy", "2:8", "(text needs quotes)"),
    ("[data]", "[dat]", "5:2", "unknown key `dat` (did you mean `data`?)"),
    ("[evaluate]", "[tune]", "30:2", "unknown key `tune`"),
    ("[engine]", "[evaluate]", "33:2", "`evaluate` is given twice"),
    ("source", "sorce = \"bundled:iris\"", "6:1", "unknown key `data.sorce` (did you mean `source`?)"),
    ("source", "", "5:1", "`data.source` is missing"),
    ("source", "source = 3", "6:10", "`data.source`: invalid type: integer `3`, expected a string"),
    ("source", "source = \"\"", "6:10", "`data.source` must be a file, a glob"),
    ("label", "label = true", "7:9", "`data.label`: invalid type: boolean `true`"),
    ("label", "label = \"y\"\nweight = \"y\"", "8:10", "`data.weight` must be another column than `data.label`"),
    ("label", "format = \"xml\"", "7:10", "`data.format`: unknown choice `xml`, expected one of `csv`"),
    ("label", "header = \"yes\"", "7:10", "`data.header`: invalid type"),
    ("label", "delimiter = \";;\"", "7:13", "`data.delimiter` must be one ASCII character"),
    ("label", "delimiter = \"\\\"\"", "7:13", "`data.delimiter` must be one ASCII character other than a quote"),
    ("label", "delimiter = \"é\"", "7:13", "`data.delimiter` must be one ASCII character"),
    ("label", "partitions = 0", "7:14", "`data.partitions` must be between 1 and"),
    ("label", "bad_rows = \"skip\"", "7:12", "expected `fail` or `quarantine`"),
    ("sample_rows", "sample_rows = 0", "8:15", "`data.sample_rows` must be at least 1"),
    ("null_tokens", "null_tokens = [\"?\", 3]", "9:21", "`data.null_tokens`: invalid type: integer `3`"),
    ("memory_limit", "memory_limit = \"64 bananas\"", "10:16", "`64 bananas` is not a size such as"),
    ("memory_limit", "memory_limit = 1000", "10:16", "`data.memory_limit` must be at least 1MiB"),
    ("memory_limit", "memory_limit = [1]", "10:16", "expected a size such as"),
    ("partition_by", "partition_by = { hsh = [\"a\"] }", "11:18", "unknown choice `hsh`"),
    ("partition_by", "partition_by = { hash = [] }", "11:16", "`data.partition_by` must be given at least one column"),
    ("\"sepal", "\"sepal length\" = \"flot\"", "14:18", "unknown choice `flot`"),
    ("[data.split]", "[data.spilt]", "16:7", "unknown key `data.spilt` (did you mean `split`?)"),
    ("test", "test = 1.0", "17:8", "`data.split.test` must be above 0 and below 1, got 1"),
    ("test", "test = nan", "17:8", "`data.split.test` must be above 0 and below 1, got NaN"),
    ("test", "", "16:1", "`data.split` needs `test` or `source`"),
    ("test", "test = 0.2\nsource = \"b.csv\"", "18:10", "takes `test` or `source`, not both"),
    ("test", "source = \"b.csv\"", "18:12", "`data.split.stratify` means nothing beside `source`"),
    ("stratify", "stratify = 1", "18:12", "`data.split.stratify`: invalid type"),
    ("stage = \"scale\"", "stage = \"scal\"", "21:9", "unknown stage `scal` (did you mean `scale`?)"),
    ("stage = \"scale\"", "stage = 5", "21:9", "`stage` is an integer, not text"),
    ("stage = \"scale\"", "stag = \"scale\"", "21:1", "the stage has no name"),
    ("inputs", "input = [\"*\"]", "22:1", "stage `scale`: parameter `input` is unknown to `scale`; did you mean `inputs`?"),
    ("inputs", "inputs = \"*\"", "22:10", "stage `scale`: parameter `inputs`"),
    ("factor", "factor = 0", "23:10", "stage `scale`: parameter `factor` must be above 0, got 0"),
    ("factor", "mode = \"quick\"", "23:8", "expected `fast` or `exact`"),
    ("factor", "splits = [0.0, nan, 1.0]", "23:16", "parameter `splits[1]` must be a number"),
    ("factor", "factor = 99999999999999999999", "23:10", "parameter `factor`"),
    ("n_voters", "n_voters = -3", "27:12", "stage `vote`: parameter `n_voters`"),
    ("classifier", "classifier = { stage = \"guess\", reg_param = -1 }", "28:45", "parameter `classifier.reg_param` must be not negative, got -1"),
    ("classifier", "classifier = { stage = \"guess\", reg_pram = 1 }", "28:33", "`classifier.reg_pram` is unknown to `guess`; did you mean `reg_param`?"),
    ("classifier", "classifier = { stage = \"ges\" }", "28:24", "parameter `classifier.stage` names no stage: `ges`"),
    ("classifier", "classifier = { }", "28:14", "parameter `classifier` needs a `stage`"),
    ("metrics", "metrics = [\"accuracy\", \"acuracy\"]", "31:24", "unknown metric `acuracy` (did you mean `accuracy`?)"),
    ("metrics", "metrics = [\"rmse\"]", "31:12", "metric `rmse` does not fit a classifier (known: accuracy, f1, log_loss)"),
    ("metrics", "metrics = [\"f1\", \"f1\"]", "31:18", "metric `f1` is given twice"),
    ("metrics", "metrics = \"f1\"", "31:11", "`evaluate.metrics`: invalid type: string \"f1\", expected a list"),
    ("metrics", "on_train = 1", "31:12", "`evaluate.on_train`"),
    ("kind", "kind = \"cluster\"", "34:8", "`engine.scheduler` is missing: a cluster is found by the address of its scheduler (add scheduler = \"http://127.0.0.1:50050\" (`emberline cluster up` starts one), or use kind = \"local\")"),
    ("kind", "kind = \"cluster\"\nscheduler = \"10.0.0.1\"", "35:13", "`10.0.0.1` is no address of a scheduler (it looks like \"http://127.0.0.1:50050\")"),
    ("kind", "kind = \"cluster\"\nscheduler = \"https://10.0.0.1:50050\"", "35:13", "`engine.tls_ca` is missing: the certificate of a scheduler that speaks TLS is checked (add tls_ca = \"ca.pem\", the file of the authority that signed it, or write http://)"),
    ("kind", "kind = \"cluster\"\nscheduler = \"http://10.0.0.1:50050\"\ntls_ca = \"ca.pem\"", "36:10", "`engine.tls_ca` is for TLS, and `http://10.0.0.1:50050` is without (write https://, or leave it out)"),
    ("kind", "scheduler = \"http://127.0.0.1:50050\"", "34:13", "`engine.scheduler` applies to a cluster alone (set kind = \"cluster\", or leave it out)"),
    ("kind", "kind = \"spark\"", "34:8", "unknown choice `spark`"),
    ("threads", "threads = 1025", "35:11", "`engine.threads` must be at most 1024"),
    ("threads", "thread = 1", "35:1", "unknown key `engine.thread` (did you mean `threads`?)"),
    ("model", "model = \"\"", "38:9", "`output.model` must not be empty"),
    ("model", "model = \"reports/toy\"", "39:10", "`output.report` must be another path than `output.model`"),
    ("model", "modle = \"m\"", "38:1", "unknown key `output.modle` (did you mean `model`?)"),
    ("model", "model = \"${SECRET}\"", "38:9", "environment variable `SECRET` is not in `env.allow`"),
    ("model", "model = \"m", "38:", ""),
    ("model", "model = = 3", "38:", ""),
    ("[output]", "[output", "37:", ""),
    ("[output]", "[env]\nallow = [\"UNSET\"]\n[output]\npredictions = \"${UNSET}/p.csv\"", "40:15", "environment variable `UNSET` is not set"),
    ("[output]", "[env]\nallow = [\"HOME\"]\n[output]\npredictions = \"${HOM}/p.csv\"", "40:15", "(did you mean `HOME`?)"),
    ("[output]", "[env]\nallow = \"HOME\"\n[output]", "38:9", "`env.allow`"),
    ("[output]", "[output]\npredictions = \"a${b\"", "38:15", "`${` without `}`"),
];

fn with_line(start: &str, line: &str) -> String {
    let at = GOOD.lines().position(|l| l.starts_with(start)).unwrap();
    let mut lines: Vec<&str> = GOOD.lines().collect();
    lines[at] = line;
    lines.join("\n") + "\n"
}

#[test]
fn every_single_mistake_is_found_at_its_place() {
    let mut wrong = Vec::new();
    for (start, line, place, message) in ONE_LINE {
        let found = mistakes(&with_line(start, line), &[]);
        let fits = |m: &String| m.starts_with(place) && m.contains(message);
        if !found.iter().any(fits) {
            wrong.push(format!(
                "{line}\n  wanted {place} {message}\n  got {found:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_single_mistake_is_reported_once() {
    // Those that break a table or hide one thing behind another are left out.
    let several = [
        "[dat]",
        "[tune]",
        "[evaluate]",
        "sorce",
        "source = 3",
        "[data.spilt]",
        "stag ",
        "format",
        "source = \"b",
        "allow = \"HOME\"",
    ];
    let mut wrong = Vec::new();
    for (start, line, _, _) in ONE_LINE {
        if several.iter().any(|s| line.contains(s)) {
            continue;
        }
        let found = mistakes(&with_line(start, line), &[]);
        if found.len() != 1 {
            wrong.push(format!("{line}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whole_configs_that_lack_something_say_what() {
    let cases: [(&str, &[&str]); 6] = [
        (
            "",
            &["`data.source` is missing", "the pipeline has no stage"],
        ),
        (
            "data = 3",
            &[
                "`data` is an integer, not a table",
                "the pipeline has no stage",
            ],
        ),
        (
            "pipeline = 3",
            &[
                "`data.source` is missing",
                "`pipeline` is an integer, not a list",
            ],
        ),
        (
            "pipeline = [1]\n[data]\nsource = \"a\"",
            &["a stage is a table, not an integer"],
        ),
        (
            "pipeline = []\n[data]\nsource = \"a\"",
            &["the pipeline has no stage"],
        ),
        (
            "[pipeline]\nstage = \"guess\"\n[data]\nsource = \"a\"",
            &["`pipeline` is a table, not a list"],
        ),
    ];
    for (text, wanted) in cases {
        let found = mistakes(text, &[]);
        assert_eq!(found.len(), wanted.len(), "{text}: {found:#?}");
        for message in wanted {
            assert!(
                found.iter().any(|f| f.contains(message)),
                "{text}: {found:#?}"
            );
        }
    }
}

#[test]
fn a_file_with_ten_mistakes_reports_ten_in_file_order() {
    let text = r#"seed = "x"
sede = 1
[data]
sorce = "a.csv"
memory_limit = "lots"
[data.split]
test = 2
[[pipeline]]
stage = "scale"
factor = -1
inptus = ["*"]
[[pipeline]]
stage = "ges"
[evaluate]
metrics = ["acuracy"]
[engine]
threads = -4
[tune]
folds = 5
[output
"#;
    let found = mistakes(text, &[]);
    let wanted = [
        "1:8: `seed`",
        "2:1: unknown key `sede`",
        "4:1: unknown key `data.sorce`",
        "5:16: `data.memory_limit`",
        "7:8: `data.split.test`",
        "10:10: stage `scale`: parameter `factor`",
        "11:1: stage `scale`: parameter `inptus`",
        "13:9: unknown stage `ges`",
        "15:12: unknown metric `acuracy`",
        "17:11: `engine.threads`",
        "18:2: unknown key `tune`",
        "20:",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found} / {wanted}");
    }
}

#[test]
fn several_syntax_errors_are_reported_beside_other_mistakes() {
    let text = "seed = \n[data]\nsource = a.csv\nlable = \"y\"\n[[pipeline]]\nstage = \"ges\"\nfactor = 1e\n";
    let found = mistakes(text, &[]);
    for place in [
        "1:",
        "3:",
        "4:1: unknown key `data.lable`",
        "6:9: unknown stage `ges`",
        "7:",
    ] {
        assert!(
            found.iter().any(|f| f.starts_with(place)),
            "{place}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn variables_are_put_in_from_the_allow_list_and_never_reach_messages() {
    let text = with_line(
        "[output]",
        "[env]\nallow = [\"DATA_DIR\", \"EMPTY\"]\n[output]",
    )
    .replace("bundled:iris", "${DATA_DIR}/$${x}${EMPTY}.csv");
    let config = parse(&text).unwrap();
    assert_eq!(config.data.source, "/srv/s3cret/${x}.csv");
    assert!(!config.effective_toml().contains("s3cret"));
    let wrong = text.replace("factor = 2", "mode = \"${DATA_DIR}\"");
    let found = mistakes(&wrong, &[]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("${DATA_DIR}") && !found[0].contains("s3cret"),
        "{found:?}"
    );
}
