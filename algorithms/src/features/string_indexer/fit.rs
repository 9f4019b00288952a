//! Counting the categories and putting them in order.

use std::cmp::Reverse;

use emberline_pipeline::datasets::{
    Column, ColumnType, DataError, Dataset, SchemaError, SchemaErrors,
};
use emberline_pipeline::{Error, FitReport, Fitted, Result, Run};

use super::model::{Indexing, UNKNOWN, choice, indexed};
use super::{StringIndexerModel, StringIndexerParams, StringOrderType};
use crate::adapters::{ColumnMapper, HandleInvalid, Learn};
use crate::columns::{Choice, Pair};
use crate::stats::{Counts, count, no_values};

impl Learn for StringIndexerParams {
    type Model = StringIndexerModel;

    fn choice(&self) -> Choice {
        choice()
    }

    fn column(&self, _: &Column) -> std::result::Result<Column, SchemaError> {
        Ok(indexed(Vec::new()))
    }

    fn learn(
        &self,
        data: &Dataset,
        pairs: &[Pair],
        run: &Run,
    ) -> Result<Fitted<StringIndexerModel>> {
        let inputs: Vec<String> = pairs.iter().map(|p| p.input.clone()).collect();
        let (rows, counts) = count(data, &inputs, None, run)?;
        let mut tables = Vec::with_capacity(inputs.len());
        for (name, counts) in inputs.iter().zip(&counts) {
            let ty = data
                .schema()
                .get(name)
                .map_err(SchemaErrors::from)?
                .ty
                .clone();
            tables.push((ty.clone(), self.categories(name, &ty, counts)?));
        }
        let map = Indexing::new(tables, self.handle_invalid).map_err(Error::Usage)?;
        let report = FitReport {
            rows,
            rounds: 1,
            ..FitReport::default()
        };
        Ok(Fitted {
            model: ColumnMapper::fitted(pairs, self, map),
            report,
        })
    }
}

impl StringIndexerParams {
    /// The categories of a column in the order of their numbers.
    fn categories(
        &self,
        name: &str,
        ty: &ColumnType,
        counts: &Counts,
    ) -> std::result::Result<Vec<String>, DataError> {
        let distinct = counts.n_distinct();
        if distinct == 0 && self.handle_invalid != HandleInvalid::Keep {
            return Err(no_values(name));
        }
        if distinct > self.max_categories {
            return Err(DataError::Unusable(format!(
                "column `{name}` has {distinct} distinct values, `max_categories` is {}; leave the column out, or raise it",
                self.max_categories
            )));
        }
        let text = counts.texts().map(|(t, n)| (t.to_owned(), n));
        let numbers = counts.numbers().map(|(v, n)| {
            (
                if *ty == ColumnType::Boolean {
                    (v != 0.0).to_string()
                } else {
                    v.to_string()
                },
                n,
            )
        });
        // Ascending to begin with, and every sort is stable: ties stay ascending.
        let mut all: Vec<(String, u64)> = text.chain(numbers).collect();
        match self.string_order_type {
            StringOrderType::FrequencyDesc => all.sort_by_key(|(_, n)| Reverse(*n)),
            StringOrderType::FrequencyAsc => all.sort_by_key(|(_, n)| *n),
            StringOrderType::AlphabetAsc => {}
            StringOrderType::AlphabetDesc => all.reverse(),
        }
        // A category that happens to bear the shared name joins the unknown ones: two of one name could not be told apart.
        let shared = self.handle_invalid == HandleInvalid::Keep;
        Ok(all
            .into_iter()
            .map(|(c, _)| c)
            .filter(|c| !(shared && c == UNKNOWN))
            .collect())
    }
}
