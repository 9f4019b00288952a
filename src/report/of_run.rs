//! Fills a report from what a fit and an evaluation leave behind.

use emberline_pipeline::{FitReport, InvalidRows, Metrics, StageReport};

use super::model::{
    ClassScores, Confusion, Curve, InvalidAmong, LossHistory, NamedValue, Report, StageTiming,
};

impl Report {
    /// Metrics, per-class scores, confusion matrix and curves of an evaluation.
    #[must_use]
    pub fn of_metrics(metrics: &Metrics) -> Self {
        let per_class: Vec<ClassScores> = metrics
            .by_label
            .iter()
            .map(|l| ClassScores {
                class: l.label.clone(),
                precision: l.precision,
                recall: l.recall,
                f1: l.f1,
                support: l.support,
            })
            .collect();
        let curve = |name: &str, area: &str| {
            let points = metrics.curves.get(name)?.clone();
            Some(Curve {
                name: name.to_uppercase(),
                points,
                auc: metrics.values.get(area).copied(),
            })
        };
        Self {
            metrics: metrics
                .values
                .iter()
                .map(|(name, value)| NamedValue::new(name, *value))
                .collect(),
            confusion: (!metrics.confusion.is_empty()).then(|| Confusion {
                labels: per_class.iter().map(|c| c.class.clone()).collect(),
                matrix: metrics.confusion.clone(),
            }),
            per_class,
            roc: curve("roc", "area_under_roc").into_iter().collect(),
            pr: curve("pr", "area_under_pr").into_iter().collect(),
            warnings: metrics.warnings.clone(),
            ..Self::default()
        }
    }

    /// Importances, training curve and explained variance of one fitted stage.
    #[must_use]
    pub fn of_fit(stage: &str, fit: &FitReport) -> Self {
        let mut report = Self::default();
        report.add_fit(stage, fit);
        report
    }

    fn add_fit(&mut self, stage: &str, fit: &FitReport) {
        self.importances.extend(
            fit.importances
                .iter()
                .map(|(name, value)| NamedValue::new(name, *value)),
        );
        if fit.history.len() > 1 {
            let losses = (1..).zip(fit.history.iter().copied()).collect();
            self.training_curve.push(LossHistory {
                name: stage.to_owned(),
                losses,
            });
        }
        let ratios = fit
            .figures
            .iter()
            .filter(|(name, _)| name.starts_with("explained_variance_ratio"));
        self.explained_variance
            .extend(ratios.map(|(_, value)| *value));
    }

    /// Adds what stages let pass of these rows: `training rows` or `held-out rows`.
    pub fn add_invalid(&mut self, invalid: &[InvalidRows], among: &'static str) {
        let of = |found: &InvalidRows| InvalidAmong {
            among,
            found: found.clone(),
        };
        self.invalid.extend(invalid.iter().map(of));
    }

    /// Adds the timings, histories and importances of all stages of a pipeline.
    pub fn add_stages(&mut self, stages: &[StageReport]) {
        for stage in stages {
            let summary = stage.report.as_ref().map_or_else(String::new, summary);
            let rounds = stage.report.as_ref().map(|r| r.rounds).filter(|r| *r > 0);
            self.stages.push(StageTiming {
                name: stage.stage.clone(),
                seconds: stage.seconds,
                rounds,
                summary,
            });
            self.add_invalid(&stage.invalid, "training rows");
            if let Some(fit) = &stage.report {
                self.add_fit(&stage.stage, fit);
                self.warnings.extend(fit.warnings.iter().cloned());
            }
        }
    }
}

/// How a fit ended and its figures, in one line.
fn summary(fit: &FitReport) -> String {
    let figures = fit
        .figures
        .iter()
        .take(4)
        .map(|(name, value)| format!("{name} {value:.6}"));
    std::iter::once(fit.stop.to_string())
        .chain(figures)
        .collect::<Vec<_>>()
        .join(", ")
}
