//! Tests of the page as a whole: well-formed, escaped, and sound at the extremes.

use super::fixture::{classification, clustering, regression};
use super::*;

/// Checks that every tag is closed in its order and that no attribute or text breaks out; returns the number of elements.
fn well_formed(page: &str) -> Result<usize, String> {
    let (mut open, mut elements, mut rest) = (Vec::new(), 0, page);
    while let Some(start) = rest.find('<') {
        if rest[..start].contains('>') && open.last() != Some(&"style") {
            return Err(format!("a bare `>` in {:?}", &rest[..start]));
        }
        rest = &rest[start + 1..];
        let end = rest.find('>').ok_or("a tag without an end")?;
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if tag.contains('<') || tag.matches('"').count() % 2 == 1 {
            return Err(format!("broken tag <{tag}>"));
        }
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("</{name}> closes {last:?}"));
            }
        } else if !tag.starts_with('!') {
            elements += 1;
            if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap_or(""));
            }
        }
    }
    if open.is_empty() {
        Ok(elements)
    } else {
        Err(format!("left open: {open:?}"))
    }
}

fn sound(report: &Report) -> String {
    let page = report.to_html();
    if let Err(fault) = well_formed(&page) {
        panic!("{fault}");
    }
    for attribute in [
        "x", "y", "cx", "cy", "x1", "y2", "width", "height", "d", "viewBox",
    ] {
        for part in page.split(&format!(" {attribute}=\"")).skip(1) {
            let value = part.split('"').next().unwrap();
            assert!(
                !value.contains("NaN") && !value.contains("inf"),
                "{attribute}={value}"
            );
        }
    }
    page
}

#[test]
fn the_balance_check_itself_finds_faults() {
    assert!(well_formed("<a><b/></a>").is_ok());
    for bad in ["<a><b></a>", "<a>", "</a>", "<a x=\"></a>", "<a>></a>"] {
        assert!(well_formed(bad).is_err(), "{bad}");
    }
}

#[test]
fn pages_of_all_tasks_are_well_formed() {
    for report in [
        classification(2),
        classification(10),
        classification(26),
        regression(),
        clustering(),
        Report::default(),
    ] {
        sound(&report);
    }
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = classification(10).to_html();
    for outside in [
        "<script", "<link", "<img", "src=", "href=", "url(", "@import", "http://", "https://",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    assert_eq!(classification(26).to_html(), classification(26).to_html());
}

#[test]
fn every_text_is_escaped() {
    let evil =
        "</title></style></svg><script>alert('x')</script>\" onload=\"x' & \u{0}\u{1b}".to_owned();
    let mut report = classification(3);
    let value = |v| NamedValue {
        name: evil.clone(),
        value: v,
    };
    report.title = evil.clone();
    report.task = evil.clone();
    report.generated_by = evil.clone();
    report.config = evil.clone();
    report.warnings = vec![evil.clone()];
    report.facts = vec![FactGroup {
        heading: evil.clone(),
        rows: vec![(evil.clone(), evil.clone())],
    }];
    report.metrics = vec![value(1.0); 12];
    report.importances = vec![value(1.0); 30];
    report
        .per_class
        .iter_mut()
        .for_each(|c| c.class = evil.clone());
    report
        .stages
        .iter_mut()
        .for_each(|s| (s.name, s.summary) = (evil.clone(), evil.clone()));
    report
        .roc
        .iter_mut()
        .chain(&mut report.pr)
        .for_each(|c| c.name = evil.clone());
    report
        .training_curve
        .iter_mut()
        .for_each(|c| c.name = evil.clone());
    report.confusion.as_mut().unwrap().labels = vec![evil.clone(); 3];
    let page = sound(&report);
    assert!(!page.contains("<script"));
    assert!(!page.contains("onload=\""));
    assert!(!page.contains(['\u{0}', '\u{1b}']));
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"));
}

#[test]
fn empty_and_single_points_leave_a_sound_page() {
    let curve = |points: &[(f64, f64)]| Curve {
        name: "a".to_owned(),
        points: points.to_vec(),
        auc: None,
    };
    for points in [
        &[][..],
        &[(0.5, 0.5)],
        &[(f64::NAN, 0.1)],
        &[
            (0.0, f64::INFINITY),
            (0.5, 0.5),
            (f64::NAN, 1.0),
            (1.0, 1.0),
        ],
    ] {
        let report = Report {
            roc: vec![curve(points)],
            pr: vec![curve(points), curve(&[])],
            predicted_vs_actual: points.to_vec(),
            residuals: Some(Residuals {
                points: points.to_vec(),
                histogram: Histogram {
                    edges: vec![1.0],
                    counts: vec![3.0, f64::NAN],
                },
            }),
            importances: points.iter().map(|p| NamedValue::new("f", p.1)).collect(),
            training_curve: vec![LossHistory {
                name: "t".to_owned(),
                losses: points.iter().map(|p| (1, p.1)).collect(),
            }],
            explained_variance: points.iter().map(|p| p.0).collect(),
            ..Report::default()
        };
        sound(&report);
    }
}

#[test]
fn a_plot_without_finite_values_says_so() {
    let report = Report {
        importances: vec![NamedValue::new("f", f64::NAN)],
        ..Report::default()
    };
    let page = sound(&report);
    assert!(page.contains("no finite value"));
    assert!(page.contains("<td class=\"n\">NaN</td>"));
}

#[test]
fn ragged_and_odd_confusion_matrices_are_drawn() {
    let labels = |n: usize| {
        (0..n)
            .map(|i| format!("a rather long class name {i}"))
            .collect()
    };
    for (n, matrix) in [
        (0, vec![]),
        (3, vec![]),
        (1, vec![vec![1.0, 2.0], vec![f64::NAN, f64::INFINITY]]),
        (2, vec![vec![-1.0], vec![1e18, 0.25]]),
        (70, vec![vec![1.0; 70]; 70]),
    ] {
        sound(&Report {
            confusion: Some(Confusion {
                labels: labels(n),
                matrix,
            }),
            ..Report::default()
        });
    }
}

#[test]
fn many_classes_show_the_largest_sixty_and_list_the_errors() {
    let matrix: Vec<Vec<f64>> = (0..100)
        .map(|t| {
            (0..100)
                .map(|p| {
                    if t == p {
                        t as f64 + 10.0
                    } else {
                        f64::from(u8::from(p == 0))
                    }
                })
                .collect()
        })
        .collect();
    let labels = (0..100).map(|i| format!("c{i}")).collect();
    let page = sound(&Report {
        confusion: Some(Confusion { labels, matrix }),
        ..Report::default()
    });
    assert!(page.contains("The 60 largest of 100 classes are shown."));
    assert!(page.contains("true c99, predicted c99"));
    assert!(!page.contains("true c39, predicted c39"));
    assert!(page.contains("The 99 largest of 99 kinds of error."));
}

#[test]
fn of_a_hundred_features_the_plot_shows_twenty_five_and_the_table_all() {
    let report = Report {
        importances: (0..100)
            .map(|i| NamedValue::new(format!("f{i}"), f64::from(i)))
            .collect(),
        ..Report::default()
    };
    let page = sound(&report);
    assert_eq!(page.matches("class=\"bar s0\"").count(), 25);
    assert!(page.contains("The 25 most important of 100 features."));
    assert!((0..100).all(|i| page.contains(&format!("<th scope=\"row\">f{i}</th>"))));
}

#[test]
fn large_inputs_keep_the_page_small() {
    let mut report = regression();
    report.predicted_vs_actual = (0..1_000_000)
        .map(|i| (f64::from(i), f64::from(i % 977)))
        .collect();
    report.roc = vec![Curve {
        name: "a".to_owned(),
        points: (0..1_000_000)
            .map(|i| (f64::from(i) / 1e6, f64::from(i) / 1e6))
            .collect(),
        auc: None,
    }];
    // 2,000 dots of some 110 bytes each, two tables of 200 rows, and the rest of the report: well under a megabyte.
    assert!(sound(&report).len() < 1_000_000);
}

#[test]
fn long_names_are_cut_in_plots_and_whole_in_tooltips() {
    let page = regression().to_html();
    assert!(page.contains("</title>working day w…for the plot<"));
    assert!(page.contains("<title>working day with a name far too long for the plot: 0.1</title>"));
}

#[test]
fn metrics_json_is_flat_ordered_and_valid() {
    let mut report = classification(3);
    report.metrics = vec![
        NamedValue::new("z", 0.5),
        NamedValue::new("a\"<", f64::NAN),
        NamedValue::new("z", 0.7),
    ];
    let text = report.to_metrics_json().unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["metrics"]["z"], 0.5);
    assert!(json["metrics"]["a\"<"].is_null());
    assert!(text.find("\"z\"") < text.find("\"a\\\"<\""));
    assert_eq!(json["per_class"].as_array().unwrap().len(), 3);
    assert_eq!(
        json["confusion"]["matrix"][0][0],
        report.confusion.unwrap().matrix[0][0]
    );
}

#[test]
fn writing_makes_the_folder_and_replaces_what_was_there() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("a/b");
    Report::default().write(&folder).unwrap();
    let report = clustering();
    report.write(&folder).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["metrics.json", "report.html"]);
    assert_eq!(
        std::fs::read_to_string(folder.join("report.html")).unwrap(),
        report.to_html()
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("metrics.json")).unwrap(),
        report.to_metrics_json().unwrap()
    );
}

#[test]
fn an_unusable_folder_is_named_in_the_error() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("taken");
    std::fs::write(&file, "").unwrap();
    let error = Report::default().write(&file).unwrap_err();
    assert!(matches!(error, ReportError::Folder { .. }));
    assert!(error.to_string().contains("taken"));
}
