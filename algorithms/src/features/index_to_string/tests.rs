use emberline_pipeline::{Pipeline, Run};

use super::*;
use crate::features::string_indexer::StringIndexerParams;
use crate::testing::stages::{check_stage, failure, integers, table, texts_of, through};
use crate::testing::texts;

fn labelled(labels: &[&str]) -> IndexToStringParams {
    let labels = labels.iter().map(ToString::to_string).collect();
    IndexToStringParams {
        input: Some("i".into()),
        labels,
        ..IndexToStringParams::default()
    }
}

#[test]
fn what_was_indexed_comes_back() {
    let words = [Some("b"), Some("a"), Some("b"), Some("c")];
    let data = table(vec![texts("t", &words)]);
    let pipeline = Pipeline::builder()
        .stage(StringIndexerParams {
            input: Some("t".into()),
            ..StringIndexerParams::default()
        })
        .stage(IndexToStringParams {
            inputs: vec!["*".into()],
            ..IndexToStringParams::default()
        })
        .build()
        .unwrap();
    let model = pipeline.fit(&data, &Run::local(0, 1)).unwrap().model;
    let out = through(&model, &data);
    assert_eq!(
        texts_of(&out, "t_index_string"),
        words.map(|w| w.map(ToOwned::to_owned))
    );
    assert_eq!(out.schema().get("t_index_string").unwrap().origin(), "t");
    let again = crate::testing::stages::reload(&model);
    assert_eq!(through(&again, &data).columns(), out.columns());
}

#[test]
fn given_labels_serve_plain_numbers_and_missing_stays_missing() {
    let data = table(vec![integers("i", &[Some(1), None, Some(0)])]);
    let out = check_stage(labelled(&["no", "yes"]), &data);
    assert_eq!(
        texts_of(&out, "i_string"),
        [Some("yes".to_owned()), None, Some("no".to_owned())]
    );
}

#[test]
fn what_is_no_index_is_refused() {
    let data = table(vec![integers("i", &[Some(0), Some(2)])]);
    let (message, code) = failure(labelled(&["no", "yes"]), &data);
    assert!(
        message.contains("column `i`, row 1: 2 is no index: there are labels for 0 to 1"),
        "{message}"
    );
    assert_eq!(code, 3);
    let (message, code) = failure(labelled(&[]), &data);
    assert!(
        message.contains("column `i` carries no categories; give them in `labels`"),
        "{message}"
    );
    assert_eq!(code, 2);
}
