//! Data contract, what the schema tells: 20 to 23.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Held, Property, Tried, Verdict, ensure, refused};
use crate::conformance::scored::score_dataset;
use crate::conformance::scratch::Scratch;
use crate::conformance::subject::{Fit, Subject};
use crate::conformance::table::{Cells, Table};
use crate::datasets::source::MemorySource;
use crate::datasets::write::TableWriter;
use crate::datasets::{Chunk, Column, ColumnType, Dataset, Element, Layout, Slot, Source};
use crate::prelude::*;

pub const PROPERTIES: &[Property] = &[
    Property::new(20, "input untouched", input_untouched),
    Property::new(21, "schema propagation", schema_propagation),
    Property::new(22, "schema rejection", schema_rejection),
    Property::new(
        23,
        "missing, mistyped, surplus columns",
        missing_and_surplus,
    ),
];

/// Fitting and applying change neither the arrays they are given nor a file, which may be read-only.
fn input_untouched(s: &Subject<'_>) -> Verdict {
    let data = s.table().dataset().tried("table")?;
    let fit = s.fit(&data, &Run::local(1, 2)).tried("fit")?;
    score_dataset(&fit.model, &data).tried("transform")?;
    let fresh = s.table().dataset().tried("table")?;
    let pairs = data
        .batches(None)
        .tried("read")?
        .zip(fresh.batches(None).tried("read")?);
    for (used, fresh) in pairs {
        let (used, fresh) = (used.tried("read")?, fresh.tried("read")?);
        ensure!(
            used.columns() == fresh.columns() && used.row_ids() == fresh.row_ids(),
            "the rows were changed"
        );
    }
    let folder = Scratch::new().tried("temporary folder")?;
    let path = folder.path().join("table.parquet");
    let schema = s.table().schema().tried("schema")?;
    let mut writer = TableWriter::create(&path, None, &schema).tried("write")?;
    writer
        .write(&s.table().batch().tried("table")?)
        .tried("write")?;
    writer.finish().tried("write")?;
    let mut permissions = std::fs::metadata(&path).tried("file")?.permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).tried("file")?;
    let before = std::fs::read(&path).tried("file")?;
    let file = open(&SourceOptions::new(path.display().to_string())).tried("open")?;
    let file = file.with_roles(s.table().roles).tried("roles")?;
    let fit = s
        .fit(&file, &Run::local(1, 1))
        .tried("fit on a read-only file")?;
    score_dataset(&fit.model, &file).tried("transform a read-only file")?;
    ensure!(
        std::fs::read(&path).tried("file")? == before,
        "the file was changed"
    );
    Ok(Held::Yes)
}

/// Tables that differ in schema, all of them fine.
fn variants(s: &Subject<'_>) -> std::result::Result<Vec<(&'static str, Table)>, String> {
    let plain = s.table();
    let mut reversed = plain.clone();
    reversed.columns.reverse();
    let mut complete = plain.clone();
    complete
        .columns
        .iter_mut()
        .for_each(|(c, _)| c.nullable = false);
    let mut crowded = plain.clone();
    let extra = Cells::Numbers(vec![Some(1.0); plain.rows()]);
    crowded
        .columns
        .insert(0, (Column::new("surplus", ColumnType::Float, true), extra));
    let with_vector = |f: &dyn Fn(&mut ColumnType)| {
        let mut table = plain.clone();
        for (column, _) in table.columns.iter_mut().filter(|(c, _)| c.ty.is_vector()) {
            f(&mut column.ty);
        }
        table
    };
    let narrow = with_vector(&|ty| {
        if let ColumnType::Vector { element, .. } = ty {
            *element = Element::F32;
        }
    });
    let mut all = vec![
        ("as it is", plain.clone()),
        ("columns reversed", reversed),
        ("without nulls", complete),
        ("a surplus column", crowded),
        ("f32 vectors", narrow),
    ];
    if s.traits.accepts_sparse {
        let sparse = with_vector(&|ty| {
            if let ColumnType::Vector { layout, .. } = ty {
                *layout = Layout::Sparse;
            }
        });
        all.push(("sparse vectors", sparse));
    }
    Ok(all)
}

/// What the schema promises before any row is read is what comes out: from the unfitted stage in names and types, from the fitted one in
/// everything, for batches and for records.
fn schema_propagation(s: &Subject<'_>) -> Verdict {
    for (what, table) in variants(s)? {
        let schema = table.schema().tried("schema")?;
        let stage = s.stage(&s.example()).tried("build")?;
        let foretold = stage.stage().output_schema(&schema).tried(what)?;
        let fit = s.fit_on(&table).tried(what)?;
        let promised = fit.stage().output_schema(&schema).tried(what)?;
        let names = |s: &Schema| {
            s.columns()
                .iter()
                .map(|c| c.name.clone())
                .collect::<Vec<_>>()
        };
        ensure!(
            names(&foretold) == names(&promised),
            "{what}: before fitting {:?}, after {:?}",
            names(&foretold),
            names(&promised)
        );
        for (before, after) in foretold.columns().iter().zip(promised.columns()) {
            let unknown = matches!(before.ty, ColumnType::Vector { width: None, .. });
            ensure!(
                before.ty == after.ty || unknown && after.ty.is_vector(),
                "{what}: column `{}` is {} before fitting, {} after",
                before.name,
                before.ty,
                after.ty
            );
        }
        let out = fit
            .stage()
            .transform(table.batch().tried("table")?)
            .tried(what)?;
        ensure!(
            *out.schema().as_ref() == promised,
            "{what}: promised {promised:?}, given {:?}",
            out.schema()
        );
        out.to_record_batch()
            .tried(format!("{what}: a null where none is promised"))?;
        let scorer = fit.model.scorer(&schema).tried(what)?;
        ensure!(
            *scorer.schema() == promised,
            "{what}: the one-record path promises another schema"
        );
        let mut writes = fit.stage().writes(&schema);
        let mut changed: Vec<String> = promised
            .columns()
            .iter()
            .filter(|c| schema.get(&c.name).ok() != Some(*c))
            .map(|c| c.name.clone())
            .collect();
        writes.sort();
        changed.retain(|c| !writes.contains(c));
        ensure!(
            changed.is_empty(),
            "{what}: it changes {changed:?} without saying so in `writes`"
        );
    }
    Ok(Held::Yes)
}

/// Counts how often it is read.
#[derive(Debug)]
struct Spy {
    rows: MemorySource,
    reads: AtomicUsize,
}

impl Source for Spy {
    fn origin(&self) -> &str {
        self.rows.origin()
    }

    fn schema(&self) -> &Arc<Schema> {
        self.rows.schema()
    }

    fn chunks(&self) -> std::result::Result<Arc<[Chunk]>, DataError> {
        self.rows.chunks()
    }

    fn read(&self, chunk: usize, columns: &[usize]) -> std::result::Result<Batch, DataError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.rows.read(chunk, columns)
    }
}

/// The table with a column of another type, and values of that type.
fn retyped(table: &Table, name: &str, ty: &ColumnType) -> std::result::Result<Table, String> {
    let n = table.rows();
    let cells = match ty {
        ColumnType::Text => Cells::Texts((0..n).map(|i| Some(format!("t{}", i % 3))).collect()),
        ColumnType::Vector { .. } => Cells::Vectors(vec![vec![1.0, 0.0]; n]),
        _ => Cells::Numbers((0..n).map(|i| Some((i % 2) as f64)).collect()),
    };
    let column = match ty {
        ColumnType::Vector { .. } => Column::vector(name, ["a", "b"].map(Slot::numeric).to_vec()),
        _ => Column::new(name, ty.clone(), true),
    };
    table.clone().with(name, |c, v| (*c, *v) = (column, cells))
}

/// Every way in which a column that the stage reads may be absent or of another type.
fn spoiled(
    table: &Table,
    names: &[String],
) -> std::result::Result<Vec<(String, String, Table)>, String> {
    let types = [
        ColumnType::Text,
        ColumnType::Integer,
        ColumnType::Boolean,
        ColumnType::Float,
        ColumnType::dense(2),
    ];
    let mut all = Vec::new();
    for name in names {
        all.push((
            name.clone(),
            format!("`{name}` is absent"),
            table.clone().without(name),
        ));
        for ty in &types {
            let changed = retyped(table, name, ty)?;
            all.push((name.clone(), format!("`{name}` is {ty}"), changed));
        }
    }
    Ok(all)
}

/// Where the schema is refused, data are refused with the same message before a row is read, and so is the one-record path; where it is
/// accepted, no row is refused for its column's type.
fn schema_rejection(s: &Subject<'_>) -> Verdict {
    let Fit { model, .. } = s.fitted()?;
    for (_, what, table) in spoiled(&s.table(), &s.reads()?)? {
        let schema = Arc::new(table.schema().tried("schema")?);
        let spy = Arc::new(Spy {
            rows: MemorySource::new("spy", schema.clone(), table.batches().tried("table")?),
            reads: AtomicUsize::new(0),
        });
        let data = Dataset::new(spy.clone());
        let whole = table.batch().tried("table")?;
        match model.output_schema(&schema) {
            Err(errors) => {
                let message = errors.to_string();
                refused(score_dataset(model, &data), 2, &[&message], &what)?;
                ensure!(
                    spy.reads.load(Ordering::Relaxed) == 0,
                    "{what}: rows are read before it is refused"
                );
                refused(
                    model.scorer(&schema).map(drop),
                    2,
                    &[],
                    &format!("{what}, one record"),
                )?;
                ensure!(
                    model.transform(whole).is_err(),
                    "{what}: a batch is accepted that the schema refuses"
                );
            }
            Ok(_) => {
                if let Err(error) = score_dataset(model, &data) {
                    ensure!(
                        error.exit_code() == 3,
                        "{what}: accepted by schema, then refused for it: {error}"
                    );
                }
            }
        }
    }
    Ok(Held::Yes)
}

/// A column that is absent or of an unfit type is named, before and after fitting; surplus columns pass through untouched and in order.
fn missing_and_surplus(s: &Subject<'_>) -> Verdict {
    let stage = s.stage(&s.example()).tried("build")?;
    let stage = stage.stage();
    let fit = s.fitted()?;
    let mut refusals = 0;
    let read = stage.reads(&s.table().schema().tried("schema")?);
    for (name, what, table) in spoiled(&s.table(), &read)? {
        let schema = table.schema().tried("schema")?;
        let absent = schema.get(&name).is_err();
        // A role that is gone leaves its default name.
        let words: &[&str] = if s.label() == Some(name.as_str()) && absent {
            &["label"]
        } else {
            &[&name]
        };
        if absent {
            refused(stage.output_schema(&schema), 2, words, &what)?;
            refusals += 1;
        } else if let Err(errors) = stage.output_schema(&schema) {
            refused(Err::<(), _>(errors), 2, words, &what)?;
            refusals += 1;
        }
        let after = fit.stage().output_schema(&schema);
        if s.reads()?.contains(&name) && (absent || after.is_err()) {
            refused(after, 2, &[&name], &format!("{what}, fitted"))?;
        }
    }
    ensure!(
        refusals >= read.len(),
        "it reads no column that can be missed"
    );
    let mut table = s.table();
    let n = table.rows();
    let text = Cells::Texts((0..n).map(|i| Some(format!("extra {i}"))).collect());
    let number = Cells::Numbers((0..n).map(|i| (i % 4 > 0).then_some(i as f64)).collect());
    table
        .columns
        .insert(1, (Column::new("extra text", ColumnType::Text, true), text));
    table.columns.insert(
        4,
        (Column::new("extra number", ColumnType::Float, true), number),
    );
    let batch = table.batch().tried("table")?;
    let given: Vec<String> = table.columns.iter().map(|(c, _)| c.name.clone()).collect();
    let out = fit.stage().transform(batch.clone()).tried("transform")?;
    let names: Vec<String> = out
        .schema()
        .columns()
        .iter()
        .map(|c| c.name.clone())
        .collect();
    ensure!(
        names.len() >= given.len() && names[..given.len()] == given,
        "the columns {given:?} come out as {names:?}"
    );
    let written = fit.stage().writes(batch.schema());
    for (i, name) in given
        .iter()
        .enumerate()
        .filter(|(_, n)| !written.contains(n))
    {
        ensure!(
            *out.columns()[i] == *batch.columns()[i],
            "column `{name}`, which it does not write, was changed"
        );
    }
    Ok(Held::Yes)
}
