//! What a stage promises of itself beyond its schema. The conformance suite tests each promise in both directions: what is declared
//! holds, and what is not declared gives a documented error or makes a difference.

/// Maps of a learner's features under which its predictions stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariance {
    /// Each feature through an increasing map of its own: only the order of values counts.
    Monotone,
    /// Each feature in a unit of its own: `a x + b` with `a > 0`.
    Affine,
    /// All features in one other unit: `a x + b` with the same `a > 0` and `b`.
    Similar,
}

/// What a stage promises; stands in its registry [`Entry`](super::Entry).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traits {
    /// Parameters under which the stage works on the standard table of the suite, as TOML: what it must be told (which columns, which
    /// splits), and what makes it quick. Empty where the defaults do.
    pub example: &'static str,
    /// The same rows and seed give the same model, byte for byte.
    pub deterministic: bool,
    /// The run's seed changes the model.
    pub uses_seed: bool,
    /// The order of rows changes no byte of the model, as long as each keeps its id. Stages that learn nothing need not say so.
    pub row_order_free: bool,
    /// Rows count by the column with the role `weight`: a weight of 2 is the row twice, and of 0 no row.
    pub weighted: bool,
    /// It learns from the column with the role `label`.
    pub needs_label: bool,
    /// A missing number is taken, by the parameters of `example`.
    pub accepts_nan: bool,
    /// An infinite number is a number like any other when the stage is applied; training may still refuse it.
    pub accepts_inf: bool,
    /// Where it reads vectors, they may be sparse.
    pub accepts_sparse: bool,
    /// It learns which values its columns have; others are strangers.
    pub learns_categories: bool,
    /// The objective after each round is never above that after the round before.
    pub falling_objective: bool,
    /// Which maps of the features leave its predictions alone; all of them that do.
    pub invariant_to: &'static [Invariance],
}

impl Traits {
    /// A deterministic stage without a seed over complete, finite, dense numbers, that promises nothing else.
    #[must_use]
    pub const fn new(example: &'static str) -> Self {
        Self {
            example,
            deterministic: true,
            uses_seed: false,
            row_order_free: false,
            weighted: false,
            needs_label: false,
            accepts_nan: false,
            accepts_inf: false,
            accepts_sparse: false,
            learns_categories: false,
            falling_objective: false,
            invariant_to: &[],
        }
    }
}
