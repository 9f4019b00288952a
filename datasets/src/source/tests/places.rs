use super::*;

#[test]
fn folders_and_globs_take_files_by_name_and_skip_hidden_ones() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("d")).unwrap();
    for (name, x) in [
        ("d/2.csv", 2),
        ("d/1.csv", 1),
        ("d/10.csv", 10),
        ("d/_SUCCESS", 0),
        ("d/.hidden.csv", 0),
    ] {
        folder.write(name, format!("x\n{x}\n"));
    }
    let data = open(&folder.options("d")).unwrap();
    let x: Vec<f64> = all(&data)
        .unwrap()
        .iter()
        .map(|b| b.numbers("x").unwrap().value(0))
        .collect();
    assert_eq!(x, [1.0, 10.0, 2.0]);
    assert_eq!(ids(&data), [0, 1 << 40, 2 << 40]);
    let data = open(&folder.options("d/*.csv")).unwrap();
    assert_eq!(data.count().unwrap(), 3);
    let error = open_error(&folder.options("d/*.tsv"));
    assert!(error.contains("no file matches the glob"), "{error}");
}

#[test]
fn files_of_different_columns_or_formats_are_refused_by_name() {
    let folder = Folder::new();
    folder.write("a.csv", "x,y\n1,2\n");
    folder.write("b.csv", "x,z\n1,2\n");
    let error = open_error(&folder.options("*.csv"));
    assert!(error.contains("a.csv` and `"), "{error}");
    assert!(
        error.contains("only the first has `y`, only the second `z`"),
        "{error}"
    );
    folder.write("c.jsonl", "{\"x\":1}\n");
    let error = open_error(&folder.options("*"));
    assert!(error.contains("c.jsonl` have different formats"), "{error}");
    folder.write("d.txt", "1\n");
    let error = open_error(&folder.options("d.txt"));
    assert!(
        error.contains("does not tell its format; set `format`"),
        "{error}"
    );
}

#[test]
fn missing_files_and_unknown_schemes_are_explained() {
    let folder = Folder::new();
    folder.write("digits.csv", "x\n1\n");
    let error = open_error(&folder.options("digit.csv"));
    assert!(
        error.contains("no such file or folder; did you mean `digits.csv`?"),
        "{error}"
    );
    let error = open_error(&SourceOptions::new("gs://bucket/a.csv"));
    assert!(
        error.contains("`gs:` is no kind of source") && error.contains("`s3://`"),
        "{error}"
    );
    if cfg!(not(feature = "s3")) {
        let error = open_error(&SourceOptions::new("s3://bucket/a.csv"));
        assert!(error.contains("build it with `--features s3`"), "{error}");
    }
    let error = open_error(&SourceOptions::new("s3://name:secret@bucket/a.csv"));
    assert!(
        error.contains("AWS_SECRET_ACCESS_KEY") && !error.contains("secret@"),
        "{error}"
    );
    let error = open_error(&SourceOptions::new("bundle:iris"));
    assert!(error.contains("did you mean `bundled:`?"), "{error}");
    let error = open_error(&SourceOptions::new("bundled:irish"));
    assert!(error.contains("did you mean `iris`?"), "{error}");
    assert!(open_error(&SourceOptions::default()).contains("no source is named"));
}

#[test]
fn file_addresses_are_paths() {
    let folder = Folder::new();
    folder.write("a b.csv", "x\n1\n");
    let path = folder.path("a%20b.csv").display().to_string();
    let data = open(&SourceOptions::new(format!("file://{path}"))).unwrap();
    assert_eq!(data.count().unwrap(), 1);
    assert!(open_error(&SourceOptions::new("file://a.csv")).contains("needs a full path"));
}

#[test]
fn options_of_another_format_are_refused() {
    let folder = Folder::new();
    let mut options = folder.write("a.jsonl", "{\"x\":1}\n");
    options.delimiter = Some(";".to_owned());
    assert!(open_error(&options).contains("`delimiter` applies to CSV files alone"));
}

#[test]
fn a_role_of_an_absent_column_is_refused() {
    let folder = Folder::new();
    let mut options = folder.write("a.csv", "x,label\n1,2\n");
    options.label = Some("labels".to_owned());
    assert_eq!(
        open_error(&options),
        "no column `labels`; did you mean `label`?"
    );
}

#[test]
fn rows_are_brought_together_as_the_options_say_and_keep_their_roles() {
    let mut options = SourceOptions::new("bundled:iris");
    options.partition_by = Some(crate::PartitionBy::Hash(vec!["species".to_owned()]));
    let data = open(&options).unwrap();
    assert_eq!(data.schema().roles().label.as_deref(), Some("species"));
    assert_eq!(data.count().unwrap(), 150);
    options.partition_by = Some(crate::PartitionBy::Range("petal".to_owned()));
    assert!(open_error(&options).contains("no column `petal`"));
}

#[test]
fn a_stream_is_spooled_and_its_compression_seen() {
    let text = b"x\n1\n2\n";
    for bytes in [text.to_vec(), gzip(text)] {
        let input =
            crate::source::content::Input::spool("standard input", bytes.as_slice()).unwrap();
        let options = SourceOptions::new("-");
        let source = crate::source::csv::open(vec![input], &options, false).unwrap();
        let data = Dataset::new(std::sync::Arc::new(source));
        assert_eq!(data.count().unwrap(), 2);
    }
}
