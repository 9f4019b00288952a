//! Line search as a dialogue: it names a step, is told value and slope there, and names the next or is content.

/// Sufficient decrease, and the share of the slope that may be left.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// A difference of function values below this share of the value is noise: 16 rounding errors.
pub(super) const NOISE: f64 = 16.0 * f64::EPSILON;
const MAX_TRIALS: u32 = 30;

/// Value and slope at a step along the direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub step: f64,
    pub value: f64,
    pub slope: f64,
}

/// What to do after a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// The step serves.
    Accept,
    /// Try this step next. The step just tried is the best so far where `keep`.
    Try { step: f64, keep: bool },
    /// No step was found; the best kept one, if any, still lowers the function.
    Fail,
}

/// A search for a step under the strong Wolfe conditions, or the approximate ones where values are equal to rounding.
#[derive(Debug, Clone)]
pub(super) struct Wolfe {
    start: Sample,
    low: Sample,
    high: Option<Sample>,
    trials: u32,
}

impl Wolfe {
    /// `value` and `slope` (negative) at step 0.
    pub fn new(value: f64, slope: f64) -> Self {
        let start = Sample {
            step: 0.0,
            value,
            slope,
        };
        Self {
            start,
            low: start,
            high: None,
            trials: 0,
        }
    }

    /// Judges the step just tried.
    pub fn judge(&mut self, trial: Sample) -> Verdict {
        self.trials += 1;
        let start = self.start;
        let noise = NOISE * start.value.abs();
        let finite = trial.value.is_finite() && trial.slope.is_finite();
        let decreases = trial.value <= start.value + DECREASE * trial.step * start.slope;
        let equal = trial.value <= start.value + noise
            && trial.slope <= (2.0 * DECREASE - 1.0) * start.slope;
        let lowers = finite && (decreases || equal);
        if lowers && trial.slope.abs() <= CURVATURE * start.slope.abs() {
            return Verdict::Accept;
        }
        if self.trials >= MAX_TRIALS {
            return Verdict::Fail;
        }
        let keep = lowers && trial.slope < 0.0;
        if keep {
            self.low = trial;
        } else {
            self.high = Some(trial);
        }
        let step = self.next();
        if step == self.low.step || !step.is_finite() {
            return Verdict::Fail;
        }
        Verdict::Try { step, keep }
    }

    fn next(&self) -> f64 {
        let Some(high) = self.high else {
            // Still going down: where the slope would vanish if it went on changing as it did, within bounds.
            let (a, b) = (self.start, self.low);
            let secant = b.step + (b.step - a.step) * b.slope / (a.slope - b.slope);
            let (least, most) = (2.0 * b.step, 10.0 * b.step);
            return if secant.is_finite() && secant > b.step {
                secant.clamp(least, most)
            } else {
                most
            };
        };
        let low = self.low;
        let width = high.step - low.step;
        if !high.value.is_finite() || !high.slope.is_finite() {
            return low.step + 0.1 * width;
        }
        let guess = if high.slope > 0.0 {
            low.step - low.slope * width / (high.slope - low.slope)
        } else {
            // The value rose though the slope is down: the parabola through both values and the first slope.
            let rise = high.value - low.value - low.slope * width;
            low.step - low.slope * width * width / (2.0 * rise)
        };
        let (least, most) = (low.step + 0.1 * width, high.step - 0.1 * width);
        if guess.is_finite() {
            guess.clamp(least, most)
        } else {
            low.step + 0.5 * width
        }
    }
}

/// Halves the step until the objective falls enough; for OWL-QN, whose steps are bent at the orthant's edge.
#[derive(Debug, Clone, Default)]
pub(super) struct Backtrack {
    trials: u32,
}

impl Backtrack {
    /// `value` must fall from `start` by a share of `expected` (negative: pseudo-gradient times the bent step). Values equal to
    /// rounding pass where the pseudo-gradient `norm` fell.
    pub fn judge(
        &mut self,
        step: f64,
        start: f64,
        value: f64,
        expected: f64,
        norms: (f64, f64),
    ) -> Verdict {
        self.trials += 1;
        let equal = value <= start + NOISE * start.abs() && norms.1 < 0.9 * norms.0;
        if value <= start + DECREASE * expected && expected < 0.0 || equal {
            Verdict::Accept
        } else if self.trials >= MAX_TRIALS || expected == 0.0 {
            Verdict::Fail
        } else {
            Verdict::Try {
                step: 0.5 * step,
                keep: false,
            }
        }
    }
}
