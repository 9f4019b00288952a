//! Stages from outside the workspace: a sound one, and the same with one fault each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use emberline::arrow::array::{Array, Float64Array};
use emberline::datasets::SchemaErrors;
use emberline::pipeline::invalid::{Fate, Reason};
use emberline::pipeline::persist::{Arrays, state, to_state};
use emberline::pipeline::predictor::extend;
use emberline::pipeline::row::{Cell, RowLayout, RowStep};
use emberline::pipeline::{Partial, Round};
use emberline::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

type Schemas<T> = std::result::Result<T, SchemaErrors>;

/// What is wrong with a toy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Nothing.
    None,
    /// What it learns depends on the number of partitions.
    CountsPartitions,
    /// Fitting changes its parameters.
    Mutates,
    /// It takes keys that it does not know.
    TakesAnyKey,
    /// A row's result depends on the rows beside it.
    LooksAround,
    /// It finds its column by position.
    CountsColumns,
    /// A missing value becomes zero.
    FillsIn,
    /// It keeps far more than it says.
    Hoards,
    /// Its saved state has three decimals.
    RoundsWhenSaved,
    /// It skips rows and does not say that it may.
    Hides,
    /// It skips rows and does not count them.
    Forgets,
    /// It counts rows that it did not skip.
    Overcounts,
}

/// What a toy does with a value that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Refuse it.
    Error,
    /// Drop the row.
    Skip,
}

/// Centres a column.
#[derive(Debug)]
pub struct Centring {
    name: &'static str,
    input: String,
    scale: f64,
    handle_invalid: Policy,
    fault: Fault,
    fits: AtomicU64,
}

/// A fitted [`Centring`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Centre {
    name: String,
    input: String,
    scale: f64,
    mean: f64,
    handle_invalid: Policy,
    fault: Fault,
}

fn output() -> Column {
    Column::new("centred", ColumnType::Float, false)
}

fn promised(input: &Schema, column: &str) -> Schemas<Schema> {
    let found = input.get(column)?;
    if !found.ty.is_numeric() {
        return Err(emberline::datasets::SchemaError::Type {
            column: column.to_owned(),
            found: found.ty.to_string(),
            expected: "a number".to_owned(),
        }
        .into());
    }
    extend(input, vec![output()])
}

/// A finite number, or why there is none.
fn finite(v: Option<f64>, column: &str, row: u64) -> std::result::Result<f64, DataError> {
    let column = column.to_owned();
    match v {
        Some(value) if value.is_infinite() => Err(DataError::NotFinite { column, row, value }),
        Some(v) if !v.is_nan() => Ok(v),
        _ => Err(DataError::Missing { column, row }),
    }
}

/// The values of a batch; `None` for a row that is skipped.
fn values(
    batch: &Batch,
    column: &str,
    policy: Policy,
    fault: Fault,
) -> std::result::Result<Vec<Option<f64>>, DataError> {
    let name = match fault {
        Fault::CountsColumns => batch.schema().columns()[0].name.clone(),
        _ => column.to_owned(),
    };
    let numbers = batch.numbers(&name)?;
    let value = |i: usize| {
        let v = numbers.is_valid(i).then(|| numbers.value(i));
        let v = if fault == Fault::FillsIn {
            v.or(Some(0.0))
        } else {
            v
        };
        match finite(v, column, batch.row_ids()[i]) {
            Err(_) if policy == Policy::Skip => Ok(None),
            other => other.map(Some),
        }
    };
    (0..batch.num_rows()).map(value).collect()
}

#[derive(Serialize, Deserialize)]
struct Sums {
    rows: u64,
    sum: f64,
}

impl Partial for Sums {
    fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.sum += later.sum;
    }
}

#[derive(Serialize, Deserialize)]
struct SumRound {
    column: String,
    handle_invalid: Policy,
    fault: Fault,
}

impl Round for SumRound {
    const NAME: &'static str = "centring/sum";
    type Unit = Batch;
    type Partial = Sums;
    type Scratch = ();

    fn map(&self, batch: &Batch, (): &mut ()) -> std::result::Result<Sums, DataError> {
        let values = values(batch, &self.column, self.handle_invalid, self.fault)?;
        Ok(Sums {
            rows: values.iter().flatten().count() as u64,
            sum: values.iter().flatten().sum(),
        })
    }
}

impl Centring {
    fn learn(&self, data: &Dataset, run: &Run) -> Result<Fitted<Centre>> {
        self.fits.fetch_add(1, Ordering::Relaxed);
        let round = SumRound {
            column: self.input.clone(),
            handle_invalid: self.handle_invalid,
            fault: self.fault,
        };
        let columns = match self.fault {
            Fault::CountsColumns => vec![data.schema().columns()[0].name.clone()],
            _ => vec![self.input.clone()],
        };
        let sums = run.scan(data, &columns, &round)?;
        let sums = sums.ok_or_else(|| DataError::Unusable("there are no rows".to_owned()))?;
        let mut mean = sums.sum / sums.rows as f64;
        if self.fault == Fault::Hoards {
            let hoard = vec![mean; 40 * sums.rows as usize];
            mean = std::hint::black_box(&hoard)[hoard.len() / 2];
        }
        if self.fault == Fault::CountsPartitions {
            mean += 1e-9 * data.n_partitions() as f64;
        }
        Ok(Fitted {
            model: Centre {
                name: self.name.to_owned(),
                input: self.input.clone(),
                scale: self.scale,
                mean,
                handle_invalid: self.handle_invalid,
                fault: self.fault,
            },
            report: FitReport {
                rows: sums.rows,
                rounds: 1,
                ..FitReport::default()
            },
        })
    }
}

impl Centre {
    fn of(&self, v: f64) -> f64 {
        (v - self.mean) * self.scale
    }
}

impl Stage for Centre {
    fn name(&self) -> &str {
        &self.name
    }

    fn output_schema(&self, input: &Schema) -> Schemas<Schema> {
        promised(input, &self.input)
    }

    fn reads(&self, _: &Schema) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn writes(&self, _: &Schema) -> Vec<String> {
        vec![output().name]
    }

    fn params(&self) -> Value {
        serde_json::json!({
            "input": self.input, "scale": self.scale, "handle_invalid": self.handle_invalid,
        })
    }
}

impl Transformer for Centre {
    fn transform(&self, batch: Batch) -> std::result::Result<Batch, DataError> {
        promised(batch.schema(), &self.input)?;
        let values = values(&batch, &self.input, self.handle_invalid, self.fault)?;
        let keep: Vec<bool> = values.iter().map(Option::is_some).collect();
        let values: Vec<f64> = values.into_iter().flatten().collect();
        let around = match self.fault {
            Fault::LooksAround => values.iter().sum::<f64>() / values.len().max(1) as f64,
            _ => 0.0,
        };
        let centred: Float64Array = values.iter().map(|v| Some(self.of(v - around))).collect();
        let batch = batch.filter(&keep.into())?;
        batch.with_column(output(), Arc::new(centred))
    }

    fn drops_rows(&self) -> bool {
        self.handle_invalid == Policy::Skip
    }

    fn invalid_fate(&self) -> Option<Fate> {
        (self.drops_rows() && self.fault != Fault::Hides).then_some(Fate::Skipped)
    }

    fn find_invalid(
        &self,
        batch: &Batch,
        note: &mut dyn FnMut(usize, Reason, usize),
    ) -> std::result::Result<(), DataError> {
        let numbers = batch.numbers(&self.input)?;
        for i in 0..batch.num_rows() {
            let v = numbers.is_valid(i).then(|| numbers.value(i));
            match (v, self.fault) {
                (_, Fault::Forgets) => {}
                (Some(v), _) if v.is_infinite() => note(0, Reason::Infinite, i),
                (Some(v), fault) if !v.is_nan() && fault != Fault::Overcounts => {}
                _ => note(0, Reason::Missing, i),
            }
        }
        Ok(())
    }

    fn save(&self, _: &mut Arrays) -> Value {
        let mut saved = self.clone();
        if self.fault == Fault::RoundsWhenSaved {
            saved.mean = (self.mean * 1e3).round() / 1e3;
        }
        to_state(&saved)
    }

    fn row_step(&self, layout: &mut RowLayout) -> Schemas<Box<dyn RowStep>> {
        promised(layout.schema(), &self.input)?;
        let (from, to, own) = (
            layout.cell(&self.input)?,
            layout.add(output()),
            self.clone(),
        );
        Ok(Box::new(move |cells: &mut [Cell]| {
            match finite(cells[from].number(), &own.input, 0) {
                Err(_) if own.handle_invalid == Policy::Skip => Ok(false),
                found => {
                    cells[to] = Cell::Number(own.of(found?));
                    Ok(true)
                }
            }
        }))
    }
}

impl Load for Centre {
    fn load(value: &Value, _: &Arrays, _: &Registry) -> std::result::Result<Self, ModelError> {
        let loaded: Self = state("centring", value)?;
        if loaded.mean.is_finite() && loaded.scale.is_finite() {
            return Ok(loaded);
        }
        Err(ModelError::stage("centring", "a number is not finite"))
    }
}

/// Declares a toy: its parameters, its stage, its name, its fault.
macro_rules! toy {
    ($params:ident, $stage:ident, $name:literal, $fault:ident $(, $strict:meta)?) => {
        /// Parameters of a toy.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        $(#[$strict])?
        pub struct $params {
            /// The column to centre, a number. Default: `x0`.
            input: String,
            /// What differences are multiplied with, 0 or more. Default: 1.
            #[schemars(range(min = 0.0))]
            scale: f64,
            /// What to do with a value that is missing or infinite: `error`, or `skip` the row. Default: `error`.
            handle_invalid: Policy,
        }

        impl Default for $params {
            fn default() -> Self {
                Self { input: "x0".to_owned(), scale: 1.0, handle_invalid: Policy::Error }
            }
        }

        impl ParamSet for $params {
            type Stage = $stage;
        }

        /// A toy.
        #[derive(Debug)]
        pub struct $stage(Centring);

        impl Component for $stage {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = "takes the mean of a column away";
            const KIND: Kind = Kind::Feature;
            type Params = $params;

            fn build(params: $params, _: &Registry) -> std::result::Result<Self, ParamErrors> {
                let mut check = ParamCheck::new();
                let holds = params.scale >= 0.0 && params.scale.is_finite();
                check.require("scale", params.scale, "a number from 0", holds);
                check.finish()?;
                Ok(Self(Centring {
                    name: $name,
                    input: params.input,
                    scale: params.scale,
                    handle_invalid: params.handle_invalid,
                    fault: Fault::$fault,
                    fits: AtomicU64::new(0),
                }))
            }

            fn erase(self) -> AnyStage {
                AnyStage::Estimator(Arc::new(self))
            }

            fn jobs(jobs: &mut Jobs) {
                jobs.round::<SumRound>();
            }
        }

        impl Stage for $stage {
            fn name(&self) -> &str {
                $name
            }

            fn output_schema(&self, input: &Schema) -> Schemas<Schema> {
                promised(input, &self.0.input)
            }

            fn reads(&self, _: &Schema) -> Vec<String> {
                vec![self.0.input.clone()]
            }

            fn writes(&self, _: &Schema) -> Vec<String> {
                vec![output().name]
            }

            fn params(&self) -> Value {
                let fits = match self.0.fault {
                    Fault::Mutates => self.0.fits.load(Ordering::Relaxed) as f64,
                    _ => 0.0,
                };
                serde_json::json!({
                    "input": self.0.input, "scale": self.0.scale + fits, "handle_invalid": self.0.handle_invalid,
                })
            }
        }

        impl Estimator for $stage {
            type Model = Centre;

            fn fit(&self, data: &Dataset, run: &Run) -> Result<Fitted<Centre>> {
                self.0.learn(data, run)
            }
        }
    };
}

toy!(
    SoundParams,
    Sound,
    "centring",
    None,
    serde(deny_unknown_fields)
);
toy!(
    PartitionsParams,
    Partitions,
    "counts_partitions",
    CountsPartitions,
    serde(deny_unknown_fields)
);
toy!(
    MutatesParams,
    Mutates,
    "mutates",
    Mutates,
    serde(deny_unknown_fields)
);
toy!(LenientParams, Lenient, "takes_any_key", TakesAnyKey);
toy!(
    AroundParams,
    Around,
    "looks_around",
    LooksAround,
    serde(deny_unknown_fields)
);
toy!(
    PositionalParams,
    Positional,
    "counts_columns",
    CountsColumns,
    serde(deny_unknown_fields)
);
toy!(
    FillsInParams,
    FillsIn,
    "fills_in",
    FillsIn,
    serde(deny_unknown_fields)
);
toy!(
    HoardsParams,
    Hoarder,
    "hoards",
    Hoards,
    serde(deny_unknown_fields)
);
toy!(
    RoundsParams,
    RoundsSaved,
    "rounds_when_saved",
    RoundsWhenSaved,
    serde(deny_unknown_fields)
);

toy!(
    HidesParams,
    Hider,
    "hides",
    Hides,
    serde(deny_unknown_fields)
);
toy!(
    ForgetsParams,
    Forgetter,
    "forgets",
    Forgets,
    serde(deny_unknown_fields)
);
toy!(
    OvercountsParams,
    Overcounter,
    "overcounts",
    Overcounts,
    serde(deny_unknown_fields)
);

/// The sound toy, covered by this line alone.
pub const SOUND: Entry = Entry::estimator::<Sound>();

/// Every faulty toy, with the property that must find it out.
pub const FAULTY: &[(Entry, u8)] = &[
    (Entry::estimator::<Partitions>(), 11),
    (Entry::estimator::<Mutates>(), 5),
    (Entry::estimator::<Lenient>(), 4),
    (Entry::estimator::<Around>(), 34),
    (Entry::estimator::<Positional>(), 16),
    (Entry::estimator::<FillsIn>(), 28),
    (Entry::estimator::<RoundsSaved>(), 47),
    (Entry::estimator::<Hoarder>(), 50),
    (Entry::estimator::<Hider>(), 28),
    (Entry::estimator::<Forgetter>(), 28),
    (Entry::estimator::<Overcounter>(), 28),
];
