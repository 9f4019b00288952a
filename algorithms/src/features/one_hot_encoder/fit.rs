//! Finding the categories of each column.

use emberline_pipeline::datasets::{Column, DataError, Dataset, SchemaError, SchemaErrors};
use emberline_pipeline::{FitReport, Fitted, Result, Run};

use super::model::{OneHot, choice, known, spread};
use super::{OneHotEncoderModel, OneHotEncoderParams};
use crate::adapters::{Learn, VectorMapper};
use crate::columns::{Choice, Pair};
use crate::stats::{Counts, count, no_values};

/// Most categories of a column of plain numbers: slots are stored, so a stray large number must not ask for a billion.
const MOST: f64 = 65_536.0;

impl Learn for OneHotEncoderParams {
    type Model = OneHotEncoderModel;

    fn choice(&self) -> Choice {
        choice()
    }

    fn column(&self, input: &Column) -> std::result::Result<Column, SchemaError> {
        Ok(match known(input) {
            Some(categories) => spread(input, &categories, self.drop_last, self.handle_invalid),
            None => Column::vector_of_unknown_width(""),
        })
    }

    fn learn(
        &self,
        data: &Dataset,
        pairs: &[Pair],
        run: &Run,
    ) -> Result<Fitted<OneHotEncoderModel>> {
        let mut categories = Vec::with_capacity(pairs.len());
        for pair in pairs {
            categories.push(known(
                data.schema().get(&pair.input).map_err(SchemaErrors::from)?,
            ));
        }
        let unknown = pairs
            .iter()
            .zip(&categories)
            .filter(|(_, known)| known.is_none());
        let unknown: Vec<String> = unknown.map(|(pair, _)| pair.input.clone()).collect();
        let mut report = FitReport::default();
        let mut counted = Vec::new();
        if !unknown.is_empty() {
            (report.rows, counted) = count(data, &unknown, None, run)?;
            report.rounds = 1;
        }
        let mut found = unknown
            .iter()
            .zip(&counted)
            .map(|(name, counts)| numbered(name, counts));
        let mut lists = Vec::with_capacity(pairs.len());
        for (pair, known) in pairs.iter().zip(categories) {
            let list = match known {
                Some(list) => list,
                None => found.next().transpose()?.unwrap_or_default(),
            };
            if list.len() == 1 && self.drop_last {
                report.warnings.push(format!(
                    "column `{}` has one category: without the last no slot is left",
                    pair.input
                ));
            }
            lists.push(list);
        }
        let map = OneHot::new(self.drop_last, self.handle_invalid, lists);
        Ok(Fitted {
            model: VectorMapper::fitted(pairs, self, map),
            report,
        })
    }
}

/// The categories `0`, `1`, ... up to the greatest value of a column of plain numbers.
fn numbered(name: &str, counts: &Counts) -> std::result::Result<Vec<String>, DataError> {
    let fits = |v: f64| (0.0..MOST).contains(&v) && v.fract() == 0.0;
    if let Some((bad, _)) = counts.numbers().find(|(v, _)| !fits(*v)) {
        return Err(DataError::Unusable(format!(
            "column `{name}` holds {bad}, categories are whole numbers from 0 to {}; add a `string_indexer` or a `bucketizer` \
             before this stage",
            MOST - 1.0
        )));
    }
    let (greatest, _) = counts.numbers().last().ok_or_else(|| no_values(name))?;
    Ok((0..=greatest as usize).map(|i| i.to_string()).collect())
}
