//! Training runs on toy stages.

use std::sync::Arc;

use emberline_datasets::{Dataset, Schema, Split};

use super::*;
use crate::config::Config;
use crate::event::EventLog;
use crate::row::Cell;
use crate::toy::{ToyMean, ToyTag, pipeline, registry, table};
use crate::{Error, Pipeline, Stage};

fn plan() -> TrainPlan {
    TrainPlan::new("toy", table(0, 20_000), pipeline()).test(table(20_000, 21_000))
}

fn trained() -> TrainOutcome {
    train(&plan(), &registry(), &Run::local(42, 1)).unwrap()
}

fn usage(result: Result<impl Sized>) -> String {
    match result.err().unwrap() {
        Error::Usage(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn partitions_and_threads_leave_no_trace_in_the_bytes() {
    let bytes = |partitions: usize, threads: usize| {
        let mut plan = plan();
        plan.data = plan.data.repartition(partitions);
        let outcome = train(&plan, &registry(), &Run::local(42, threads)).unwrap();
        outcome.model_file.to_bytes().unwrap()
    };
    let one = bytes(1, 1);
    for partitions in [1, 2, 3, 7, 64] {
        for threads in [1, 2, 4] {
            assert!(
                bytes(partitions, threads) == one,
                "{partitions} partitions, {threads} threads"
            );
        }
    }
}

#[test]
fn the_evidence_tells_of_rows_ranges_parameters_and_metrics() {
    let outcome = trained();
    let evidence = &outcome.model_file.evidence;
    assert_eq!((evidence.rows.train, evidence.rows.test), (20_000, 1_000));
    assert_eq!(
        evidence.metrics.as_ref().unwrap().values["rmse"],
        outcome.metrics.unwrap().values["rmse"]
    );
    assert!(evidence.metrics.as_ref().unwrap().curves.is_empty());
    assert_eq!(evidence.importances[0].0, "x1");
    assert_eq!(evidence.stages[1].params["slope"], 0.1);
    let data = evidence.data.as_ref().unwrap();
    assert_eq!(
        data.columns.keys().collect::<Vec<_>>(),
        ["features", "name", "y"],
        "unused columns are not read"
    );
    let names = data.columns["name"].categories.as_ref().unwrap();
    assert_eq!(names["drop"], 2_857, "rows 1, 8, 15, ...");
    assert_eq!(data.columns["name"].nulls, 2_858);
    assert_eq!(data.columns["features"].nulls, 4_000);
    assert_eq!(data.columns["features"].max, Some(0.1 * 19_999.0));
}

#[test]
fn more_categories_than_are_counted_are_left_out() {
    let run = Run::local(0, 1);
    let data = profile::profile(&table(0, 300), &["size".to_owned()], &run).unwrap();
    assert_eq!(
        (data.columns["size"].max, &data.columns["size"].categories),
        (Some(149.0), &None)
    );
}

#[test]
fn events_come_in_order_and_end_the_run() {
    let log = Arc::new(EventLog::default());
    train(
        &plan(),
        &registry(),
        &Run::local(42, 1).with_events(log.clone()),
    )
    .unwrap();
    let names: Vec<String> = log
        .events()
        .iter()
        .map(|e| {
            serde_json::to_value(e).unwrap()["event"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        names,
        [
            "run_started",
            "stage_started",
            "stage_finished",
            "metric_computed",
            "run_finished"
        ]
    );
    let log = Arc::new(EventLog::default());
    let broken = TrainPlan::new("none", table(0, 0), pipeline());
    assert!(
        train(
            &broken,
            &registry(),
            &Run::local(42, 1).with_events(log.clone())
        )
        .is_err()
    );
    assert!(matches!(
        log.events().last(),
        Some(Event::RunFinished { ok: false, .. })
    ));
}

#[test]
fn an_unknown_metric_is_refused_before_any_row_is_read() {
    let plan = plan().metrics(["rmsee"]);
    let message = usage(train(&plan, &registry(), &Run::local(0, 1)));
    assert_eq!(
        message,
        "`rmsee` is no metric of a regressor; did you mean `rmse`?"
    );
    let tags = Pipeline::builder()
        .stage(ToyTag::default())
        .build()
        .unwrap();
    let plan = TrainPlan::new("tags", table(0, 10), tags).metrics(["rmse"]);
    assert!(usage(train(&plan, &registry(), &Run::local(0, 1))).contains("no classifier"));
}

#[test]
fn named_metrics_alone_are_computed_and_training_rows_on_demand() {
    let outcome = train(
        &plan().metrics(["worst"]).on_train(),
        &registry(),
        &Run::local(0, 1),
    )
    .unwrap();
    assert_eq!(
        outcome.metrics.unwrap().values.keys().collect::<Vec<_>>(),
        ["worst"]
    );
    // One row in seven is dropped by the first stage.
    assert_eq!(outcome.train_metrics.unwrap().rows, 20_000 - 2_857);
}

#[test]
fn no_rows_on_either_side_are_an_error_of_the_data() {
    for plan in [
        TrainPlan::new("none", table(0, 0), pipeline()),
        plan().test(table(0, 0)),
    ] {
        let error = train(&plan, &registry(), &Run::local(0, 1)).err().unwrap();
        assert_eq!(error.exit_code(), 3, "{error}");
    }
}

#[test]
fn a_split_keeps_held_out_rows_from_every_fit() {
    let run = Run::local(3, 1);
    let data = table(0, 1_000);
    let split = Split::new(0.25, 3);
    let outcome = train(
        &TrainPlan::new("split", data.clone(), pipeline()).split(split.clone()),
        &registry(),
        &run,
    )
    .unwrap();
    assert_eq!((outcome.rows.train, outcome.rows.test), (750, 250));
    let parts = data.split(&split).unwrap();
    let apart = train(
        &TrainPlan::new("split", parts.train, pipeline()).test(parts.test.clone()),
        &registry(),
        &run,
    )
    .unwrap();
    assert!(apart.model_file.to_bytes().unwrap() == outcome.model_file.to_bytes().unwrap());
    let both = TrainPlan::new("both", data, pipeline())
        .split(split)
        .test(parts.test);
    assert!(usage(train(&both, &registry(), &run)).contains("not from both"));
}

#[test]
fn a_config_and_a_script_give_one_model_and_outputs_and_threads_leave_no_trace() {
    let bytes = |extra: &str| {
        let text = format!(
            "name = \"c\"\nseed = 5\n[data]\nsource = \"x.csv\"\n[data.split]\ntest = 0.2\n[[pipeline]]\nstage = \"toy_tag\"\n\
             [[pipeline]]\nstage = \"toy_mean\"\nslope = 0.25\n{extra}"
        );
        let config = Config::parse("c.toml", &text, &[], &registry()).unwrap();
        let plan = TrainPlan::with_data(&config, table(0, 500), None, &registry()).unwrap();
        train(&plan, &registry(), &config.run()).unwrap().model_file
    };
    let plain = bytes("");
    let placed = bytes("[engine]\nthreads = 3\n[output]\nmodel = \"elsewhere.ember\"");
    assert!(plain.to_bytes().unwrap() == placed.to_bytes().unwrap());
    assert!(
        plain
            .evidence
            .config
            .as_ref()
            .unwrap()
            .contains("slope = 0.25")
    );
    let mean = ToyMean {
        slope: 0.25,
        ..ToyMean::default()
    };
    let script = Pipeline::builder()
        .stage(ToyTag::default())
        .stage(mean)
        .build()
        .unwrap();
    let script = TrainPlan::new("c", table(0, 500), script).split(Split::new(0.2, 5));
    let mut scripted = train(&script, &registry(), &Run::local(5, 1))
        .unwrap()
        .model_file;
    scripted.evidence.config = plain.evidence.config.clone();
    assert!(scripted.to_bytes().unwrap() == plain.to_bytes().unwrap());
}

#[test]
fn rows_that_were_trained_on_are_refused_or_told() {
    let (file, run, options) = (
        trained().model_file,
        Run::local(0, 1),
        EvaluateOptions::default(),
    );
    let evaluate = |data: Dataset, options: &EvaluateOptions| {
        evaluate_model(&file, &data, options, &registry(), &run)
    };
    assert!(
        usage(evaluate(table(0, 20_000).repartition(5), &options))
            .contains("fitted on these very rows")
    );
    let allowed = EvaluateOptions {
        allow_training_rows: true,
        ..options.clone()
    };
    assert_eq!(
        evaluate(table(0, 20_000), &allowed).unwrap().training_share,
        Some(1.0)
    );
    let mostly = evaluate(table(5_000, 22_000), &options).unwrap();
    // 15,000 of 17,000 rows are known: 0.88; the estimate has a standard error of 0.02.
    let share = mostly.training_share.unwrap();
    assert!((0.78..0.98).contains(&share), "{share}");
    assert!(mostly.warnings[0].contains("flatter"));
    let fresh = evaluate(table(20_000, 40_000), &options).unwrap();
    assert_eq!((fresh.training_share, fresh.warnings.len()), (Some(0.0), 0));
}

#[test]
fn a_test_set_of_training_rows_is_told() {
    let plan = plan().test(table(0, 10_000));
    let outcome = train(&plan, &registry(), &Run::local(0, 1)).unwrap();
    assert!(
        outcome
            .warnings
            .iter()
            .any(|w| w.contains("also training rows")),
        "{:?}",
        outcome.warnings
    );
}

#[test]
fn a_stage_whose_two_paths_disagree_is_found_out() {
    let crooked = Pipeline::builder()
        .stage(ToyTag { crooked: true })
        .stage(ToyMean::default())
        .build()
        .unwrap();
    let error = train(
        &TrainPlan::new("crooked", table(0, 50), crooked),
        &registry(),
        &Run::local(0, 1),
    )
    .err()
    .unwrap();
    assert!(
        error
            .to_string()
            .contains("column `tag`: the batch path gives"),
        "{error}"
    );
}

#[test]
fn probes_hold_missing_values_and_dropped_rows_and_replay_bit_for_bit() {
    let file = trained().model_file;
    assert_eq!(file.probes.rows.len(), 8);
    let cells = || file.probes.rows.iter().flat_map(|r| &r.input);
    assert!(cells().any(|c| matches!(c, Cell::Vector(v) if v.len() == 3)));
    let verification = file.verify().unwrap();
    assert!(verification.is_ok());
    assert_eq!((verification.rows, verification.values), (8, 16));
    let mut changed = file.clone();
    let output = changed
        .probes
        .rows
        .iter_mut()
        .find_map(|r| r.output.as_mut())
        .unwrap();
    let Cell::Number(expected) = output[1] else {
        panic!("{output:?}")
    };
    output[1] = Cell::Number(f64::from_bits(expected.to_bits() ^ 1));
    let differences = changed.verify().unwrap().differences;
    assert_eq!(
        (differences.len(), differences[0].column.as_str()),
        (1, "prediction")
    );
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.columns().iter().map(|c| c.name.as_str()).collect()
}

#[test]
fn predictions_come_with_the_inputs_or_the_columns_asked_for() {
    let model = trained().model;
    let data = predict(&model, &table(0, 100), None).unwrap();
    assert_eq!(
        names(data.schema()),
        ["name", "features", "size", "big", "y", "prediction"]
    );
    let columns = ["prediction".to_owned(), "tag".to_owned()];
    let data = predict(&model, &table(0, 100), Some(&columns)).unwrap();
    let batch = data.read(0, None).unwrap();
    assert_eq!(
        (names(batch.schema()), batch.num_rows()),
        (vec!["prediction", "tag"], 85)
    );
    let error = predict(&model, &table(0, 10), Some(&["predicton".to_owned()]))
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("did you mean `prediction`?"),
        "{error}"
    );
}

#[test]
fn a_table_with_an_old_prediction_and_no_label_is_predicted_anew() {
    let model = trained().model;
    let without: Vec<String> = ["features", "name", "prediction"].map(str::to_owned).into();
    let old = predict(&model, &table(0, 50), Some(&without)).unwrap();
    let again = predict(&model, &old, None).unwrap();
    assert_eq!(names(again.schema()), ["features", "name", "prediction"]);
    let column = ["prediction".to_owned()];
    assert_eq!(
        old.read(0, Some(&column)).unwrap().columns()[0].len(),
        again.read(0, Some(&column)).unwrap().columns()[0].len()
    );
}

#[test]
fn every_column_that_is_absent_or_of_another_type_is_reported() {
    let model = trained().model;
    let keep: Vec<String> = ["name", "size"].map(str::to_owned).into();
    let data = table(0, 10);
    let columns = keep.iter().map(|n| {
        let batch = data.read(0, None).unwrap();
        let column = data.schema().get(n).unwrap().clone();
        // The integers come under the name of the text column.
        let from = if n == "name" { "size" } else { n };
        let ty = data.schema().get(from).unwrap().ty.clone();
        (
            emberline_datasets::Column { ty, ..column },
            batch.column(from).unwrap().clone(),
        )
    });
    let data = Dataset::from_columns(columns.collect()).unwrap();
    let error = predict(&model, &data, None).err().unwrap();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(
        text.contains("`name` is integer, text, as in training, is needed"),
        "{text}"
    );
    assert!(text.contains("no column `features`"), "{text}");
}

mod numbers {
    use emberline_datasets::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
    use emberline_datasets::{Column, ColumnType};

    use super::*;

    fn one(ty: ColumnType, array: ArrayRef) -> Dataset {
        Dataset::from_columns(vec![(Column::new("x", ty, true), array)]).unwrap()
    }

    /// A model that reads `name` alone, under the guise of a number column.
    fn model(trained: &Dataset) -> crate::PipelineModel {
        crate::PipelineModel::new(vec![Arc::new(Reads)], trained.schema().clone())
    }

    struct Reads;

    impl Stage for Reads {
        fn name(&self) -> &str {
            "reads"
        }
        fn output_schema(
            &self,
            input: &Schema,
        ) -> std::result::Result<Schema, emberline_datasets::SchemaErrors> {
            Ok(input.clone())
        }
        fn reads(&self, _: &Schema) -> Vec<String> {
            vec!["x".to_owned()]
        }
        fn writes(&self, _: &Schema) -> Vec<String> {
            Vec::new()
        }
        fn params(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
    }

    impl crate::Transformer for Reads {
        fn transform(
            &self,
            batch: emberline_datasets::Batch,
        ) -> std::result::Result<emberline_datasets::Batch, emberline_datasets::DataError> {
            Ok(batch)
        }
        fn save(&self, _: &mut crate::Arrays) -> serde_json::Value {
            serde_json::Value::Null
        }
        fn row_step(
            &self,
            _: &mut crate::row::RowLayout,
        ) -> std::result::Result<Box<dyn crate::row::RowStep>, emberline_datasets::SchemaErrors>
        {
            Ok(Box::new(|_: &mut [Cell]| Ok(true)))
        }
    }

    #[test]
    fn integers_serve_where_floats_were_and_whole_floats_where_integers_were() {
        let ints = || {
            one(
                ColumnType::Integer,
                Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)])),
            )
        };
        let floats = |v: f64| {
            one(
                ColumnType::Float,
                Arc::new(Float64Array::from(vec![Some(1.0), None, Some(v)])),
            )
        };
        let given = |trained: &Dataset, data: &Dataset| {
            let data = predict(&model(trained), data, None).unwrap();
            data.read(0, None)
                .map(|b| format!("{:?}", b.numbers("x").unwrap().iter().collect::<Vec<_>>()))
        };
        assert_eq!(
            given(&floats(0.5), &ints()).unwrap(),
            "[Some(1.0), None, Some(-3.0)]"
        );
        assert_eq!(
            given(&ints(), &floats(2.0)).unwrap(),
            "[Some(1.0), None, Some(2.0)]"
        );
        let error = given(&ints(), &floats(2.5)).unwrap_err().to_string();
        assert!(error.contains("row 2: 2.5 is no whole number"), "{error}");
        let text = one(ColumnType::Text, Arc::new(StringArray::from(vec!["1"])));
        assert!(predict(&model(&ints()), &text, None).is_err());
    }
}
