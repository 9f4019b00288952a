//! From slots to their powers and products.

use std::borrow::Cow;

use emberline_pipeline::datasets::{
    Attribute, Column, ColumnType, SchemaError, SchemaErrors, Slot,
};
use emberline_pipeline::persist::{state, to_state};
use emberline_pipeline::{Arrays, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::PolynomialExpansionParams;
use crate::adapters::{Refusal, VectorMap, VectorRule, width};
use crate::columns::Choice;

/// Most terms of a column: they are all stored, for every row.
const MOST: usize = 65_536;

/// A term: an earlier one (`None`: the constant 1) times a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term {
    earlier: Option<usize>,
    slot: usize,
}

/// The terms of each column.
#[derive(Debug, Clone)]
pub struct Polynomials {
    degree: u32,
    widths: Vec<usize>,
    terms: Vec<Vec<Term>>,
}

impl Polynomials {
    fn of(degree: u32, widths: Vec<usize>) -> Result<Self, String> {
        let terms = widths
            .iter()
            .map(|d| terms(*d, degree))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            degree,
            widths,
            terms,
        })
    }
}

/// Number of terms of `d` slots, without the constant; `None` beyond [`MOST`].
fn size(d: usize, degree: u32) -> Option<usize> {
    // (d + i choose i) step by step: every quotient is whole.
    let mut n: usize = 1;
    for i in 1..=degree as usize {
        n = n.checked_mul(d.checked_add(i)?)? / i;
        if n > MOST + 1 {
            return None;
        }
    }
    Some(n - 1)
}

fn terms(d: usize, degree: u32) -> Result<Vec<Term>, String> {
    let Some(n) = size(d, degree) else {
        return Err(format!(
            "{d} slots at degree {degree} have more than {MOST} terms; lower `degree`, or take fewer slots"
        ));
    };
    let mut out: Vec<Term> = Vec::with_capacity(n);
    // The terms (`None`: the constant) of the slots before the current one with their degrees, in order.
    let mut group: Vec<(Option<usize>, u32)> = vec![(None, 0)];
    for slot in 0..d {
        let mut last = group.clone();
        for _ in 0..degree {
            let mut next = Vec::new();
            for (earlier, sum) in last.iter().filter(|(_, sum)| *sum < degree) {
                next.push((Some(out.len()), sum + 1));
                out.push(Term {
                    earlier: *earlier,
                    slot,
                });
            }
            group.extend_from_slice(&next);
            last = next;
        }
    }
    Ok(out)
}

impl VectorRule for Polynomials {
    type Params = PolynomialExpansionParams;

    fn from_params(params: &PolynomialExpansionParams) -> Self {
        Self {
            degree: params.degree,
            widths: Vec::new(),
            terms: Vec::new(),
        }
    }
}

/// The slots of a column as factors: a number is one, and a vector may come without names.
fn factors(input: &Column) -> Vec<Slot> {
    match &input.ty {
        ColumnType::Vector { width: Some(w), .. } if input.slots.len() == *w => {
            input.slots.to_vec()
        }
        ColumnType::Vector { width, .. } => (0..width.unwrap_or(0))
            .map(|j| Slot {
                name: format!("{}[{j}]", input.name),
                ..Slot::numeric(&input.name)
            })
            .collect(),
        _ => vec![Slot {
            name: input.name.clone(),
            ..Slot::numeric(input.origin())
        }],
    }
}

/// Names terms after their factors (`x^2*y`), and their columns after those of the factors.
fn slots(terms: &[Term], factors: &[Slot]) -> Vec<Slot> {
    let mut powers: Vec<Vec<(usize, u32)>> = Vec::with_capacity(terms.len());
    for term in terms {
        let mut own = term.earlier.map(|e| powers[e].clone()).unwrap_or_default();
        match own.last_mut() {
            Some((slot, power)) if *slot == term.slot => *power += 1,
            _ => own.push((term.slot, 1)),
        }
        powers.push(own);
    }
    let named = powers.iter().map(|own| {
        if let [(slot, 1)] = own[..] {
            return factors[slot].clone();
        }
        let names = own.iter().map(|(slot, power)| match power {
            1 => factors[*slot].name.clone(),
            _ => format!("{}^{power}", factors[*slot].name),
        });
        let mut columns: Vec<&str> = own
            .iter()
            .map(|(slot, _)| factors[*slot].column.as_str())
            .collect();
        columns.dedup();
        Slot {
            name: names.collect::<Vec<_>>().join("*"),
            column: columns.join("*"),
            attribute: Attribute::Numeric,
        }
    });
    named.collect()
}

impl VectorMap for Polynomials {
    const STAGE: &'static str = "polynomial_expansion";

    fn choice(&self) -> Choice {
        Choice {
            expected: "a vector or a number",
            by_name: |c| c.ty.is_vector() || c.ty.is_numeric(),
            by_glob: |c| c.ty.is_vector(),
            output: |name| format!("polynomial_{name}"),
        }
    }

    fn bound(&self, inputs: &[&Column]) -> Result<Cow<'_, Self>, SchemaErrors> {
        let Some(widths) = inputs.iter().map(|c| width(c)).collect::<Option<Vec<_>>>() else {
            return Ok(Cow::Borrowed(self));
        };
        if widths == self.widths {
            return Ok(Cow::Borrowed(self));
        }
        let bound = Self::of(self.degree, widths).map_err(SchemaError::Rule)?;
        Ok(Cow::Owned(bound))
    }

    fn column(&self, k: usize, input: &Column) -> Result<Column, SchemaError> {
        let (Some(terms), Some(_)) = (self.terms.get(k), width(input)) else {
            return Ok(Column::vector_of_unknown_width(""));
        };
        let mut column = Column::vector("", slots(terms, &factors(input)));
        if let (ColumnType::Vector { element, .. }, ColumnType::Vector { element: own, .. }) =
            (&mut column.ty, &input.ty)
        {
            *element = *own;
        }
        column.nullable = input.nullable;
        Ok(column)
    }

    fn map(&self, k: usize, x: &[f64], out: &mut [f64]) -> Result<(), Refusal> {
        for (i, term) in self.terms[k].iter().enumerate() {
            let factor = x[term.slot];
            out[i] = term.earlier.map_or(factor, |e| out[e] * factor);
            // Times zero it would be no number at all, and pass for a missing value.
            if out[i].is_infinite() {
                return Err(Refusal::Value(format!(
                    "a term of {factor:?} is beyond the largest number; scale the slots first"
                )));
            }
        }
        Ok(())
    }

    fn save(&self, _: &mut Arrays) -> Value {
        to_state(&Saved {
            degree: self.degree,
            widths: self.widths.clone(),
        })
    }

    fn load(value: &Value, _: &Arrays, columns: usize) -> Result<Self, ModelError> {
        let Saved { degree, widths } = state(Self::STAGE, value)?;
        let invalid = |message: String| ModelError::stage(Self::STAGE, message);
        if !(1..=64).contains(&degree) || (!widths.is_empty() && widths.len() != columns) {
            return Err(invalid(format!(
                "degree {degree}, {} widths for {columns} columns",
                widths.len()
            )));
        }
        Self::of(degree, widths).map_err(invalid)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    degree: u32,
    widths: Vec<usize>,
}
