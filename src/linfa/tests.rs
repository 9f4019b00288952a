use emberline_algorithms::features::vector_assembler::VectorAssemblerParams;
use emberline_datasets::source::open;
use emberline_datasets::{BlockSpec, LabelSpec, MissingRule, SourceOptions};
use emberline_pipeline::{Pipeline, Run};

use super::*;

fn pinned() -> emberline_pipeline::Pinned {
    let data = open(&SourceOptions::new("bundled:diabetes")).unwrap();
    let run = Run::local(0, 1);
    let model = Pipeline::builder()
        .stage(VectorAssemblerParams::default())
        .build()
        .unwrap()
        .fit(&data, &run)
        .unwrap()
        .model;
    let spec = BlockSpec {
        features: "features".to_owned(),
        label: LabelSpec::Number("progression".to_owned()),
        weight: None,
        missing: MissingRule::Error,
    };
    run.pin(&model.transform_dataset(&data).unwrap(), &spec)
        .unwrap()
}

#[test]
fn a_block_becomes_a_linfa_view_without_a_copy() {
    let pinned = pinned();
    let block = pinned.block(0).unwrap();
    let view = block_view(&block).unwrap();
    assert_eq!(view.records().dim(), (442, 10));
    let emberline_datasets::Features::F64(x) = &block.features else {
        panic!("dense f64 was pinned")
    };
    assert_eq!(view.records().as_ptr(), x.as_slice().as_ptr());
    assert_eq!(
        view.targets().as_ptr(),
        block.label.as_ref().unwrap().as_ptr()
    );
}

#[test]
fn tables_survive_the_way_to_linfa_and_back() {
    let data = to_linfa(&pinned()).unwrap();
    let (records, targets) = (data.records.clone(), data.targets.clone());
    let back = from_linfa(data.regression()).unwrap();
    let batch = back.read(0, None).unwrap();
    assert_eq!(
        batch.vector("features").unwrap().as_f64_slice().unwrap(),
        records.as_slice().unwrap()
    );
    assert_eq!(
        batch.numbers("label").unwrap().values().to_vec(),
        targets.to_vec()
    );
    assert_eq!(batch.schema().get("features").unwrap().slots[2].name, "bmi");
}
