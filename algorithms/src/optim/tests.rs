use super::*;

/// A function of a closure.
struct Function<F>(F);

impl<F: FnMut(&[f64]) -> (f64, Vec<f64>)> Objective for Function<F> {
    fn evaluate(&mut self, x: &[f64]) -> Result<(f64, Vec<f64>)> {
        Ok((self.0)(x))
    }
}

fn start(x: &[f64]) -> Start {
    Start {
        x: x.to_vec(),
        l1: Vec::new(),
    }
}

fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
    let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
    let value = a * a + 100.0 * b * b;
    (value, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
}

/// A quadratic with eigenvalues from 1 to `cond` and its minimum at `1, 2, 3, ...`.
fn quadratic(x: &[f64], cond: f64) -> (f64, Vec<f64>) {
    let n = x.len();
    let curvature = |i: usize| cond.powf(i as f64 / (n - 1) as f64);
    let off = |i: usize| x[i] - (i + 1) as f64;
    let value = (0..n).map(|i| 0.5 * curvature(i) * off(i) * off(i)).sum();
    (value, (0..n).map(|i| curvature(i) * off(i)).collect())
}

#[test]
fn rosenbrocks_valley_is_followed_to_its_end() {
    let options = Options {
        tol: 1e-10,
        ..Options::default()
    };
    let found = minimize(&mut Function(rosenbrock), start(&[-1.2, 1.0]), &options).unwrap();
    assert_eq!(found.stop, StopReason::Converged);
    assert!((found.x[0] - 1.0).abs() < 1e-8 && (found.x[1] - 1.0).abs() < 1e-8);
    assert!(found.history.windows(2).all(|w| w[1] <= w[0]));
}

#[test]
fn an_ill_conditioned_quadratic_is_solved_below_the_noise_of_its_value() {
    let options = Options {
        tol: 1e-15,
        max_iter: 1_000,
        ..Options::default()
    };
    let mut passes = 0;
    let mut f = Function(|x: &[f64]| {
        passes += 1;
        // The constant makes differences of values vanish below 1e-13: only slopes can show the way from there.
        let (v, g) = quadratic(x, 1e4);
        (v + 1e3, g)
    });
    let found = minimize(&mut f, start(&[0.0; 20]), &options).unwrap();
    for (i, x) in found.x.iter().enumerate() {
        // The value is blind below 1e-6 here: sqrt(2 * 16 * EPSILON * 1e3) along the flattest axis.
        assert!(
            (x - (i + 1) as f64).abs() < 1e-5,
            "{i}: {x}, {:?} after {}, {:e}",
            found.stop,
            found.history.len(),
            found.gradient_norm
        );
    }
    assert!(passes < 1_000, "{passes} passes");
}

#[test]
fn a_flat_start_is_recognised() {
    let found = minimize(
        &mut Function(|x: &[f64]| quadratic(x, 10.0)),
        start(&[1.0, 2.0]),
        &Options::default(),
    )
    .unwrap();
    assert_eq!(
        (found.stop, found.history.len()),
        (StopReason::Converged, 1)
    );
}

#[test]
fn the_l1_penalty_gives_the_soft_threshold() {
    // 1/2 (x - c)^2 + l |x| has its minimum at sign(c) max(|c| - l, 0): closed form.
    let centre = [3.0, -0.4, 0.5, -2.0, 0.1];
    let mut f = Function(|x: &[f64]| {
        let g: Vec<f64> = x.iter().zip(&centre).map(|(x, c)| x - c).collect();
        (g.iter().map(|v| 0.5 * v * v).sum(), g)
    });
    let l1 = vec![0.5, 0.5, 0.5, 0.5, 0.0];
    let from = Start {
        x: vec![-1.0, 1.0, 1.0, 1.0, 1.0],
        l1,
    };
    let options = Options {
        tol: 1e-12,
        ..Options::default()
    };
    let found = minimize(&mut f, from, &options).unwrap();
    for (x, want) in found.x.iter().zip([2.5, 0.0, 0.0, -1.5, 0.1]) {
        assert!((x - want).abs() < 1e-10, "{:?}", found.x);
    }
    assert_eq!((found.x[1], found.x[2]), (0.0, 0.0));
}

#[test]
fn problems_side_by_side_follow_the_paths_they_follow_alone() {
    struct Both(Vec<usize>);
    impl Objectives for Both {
        fn evaluate_all(&mut self, points: &[Point<'_>]) -> Result<Vec<(f64, Vec<f64>)>> {
            self.0.push(points.len());
            let one = |p: &Point<'_>| match p.problem {
                0 => quadratic(p.x, 2.0),
                _ => quadratic(p.x, 1e3),
            };
            Ok(points.iter().map(one).collect())
        }
    }
    let options = Options::default();
    let mut both = Both(Vec::new());
    let found = minimize_all(
        &mut both,
        vec![start(&[0.0; 5]), start(&[0.0; 5])],
        &options,
        None,
    )
    .unwrap();
    let alone = minimize(
        &mut Function(|x: &[f64]| quadratic(x, 1e3)),
        start(&[0.0; 5]),
        &options,
    )
    .unwrap();
    assert_eq!(found[1], alone);
    // The easy problem drops out of the passes before the hard one ends.
    assert_eq!((both.0[0], both.0.last()), (2, Some(&1)));
}

#[test]
fn a_step_into_overflow_is_taken_back() {
    // exp(x) - x from 10: the first full steps overflow nothing, but from 700 on the value is infinite.
    let mut f = Function(|x: &[f64]| (x[0].exp() - x[0], vec![x[0].exp() - 1.0]));
    let found = minimize(&mut f, start(&[-800.0]), &Options::default()).unwrap();
    assert!(found.x[0].abs() < 1e-5, "{found:?}");
}

#[test]
fn running_out_of_steps_is_told() {
    let options = Options {
        max_iter: 2,
        ..Options::default()
    };
    let found = minimize(&mut Function(rosenbrock), start(&[-1.2, 1.0]), &options).unwrap();
    assert_eq!((found.stop, found.history.len()), (StopReason::MaxIter, 3));
}

#[test]
fn a_metric_that_is_the_inverse_hessian_leaves_one_step() {
    struct Counted(usize);
    impl Objectives for Counted {
        fn evaluate_all(&mut self, points: &[Point<'_>]) -> Result<Vec<(f64, Vec<f64>)>> {
            self.0 += 1;
            Ok(points.iter().map(|p| quadratic(p.x, 1e6)).collect())
        }
    }
    let inverse = (0..8).map(|i| 1e6_f64.powf(-f64::from(i) / 7.0));
    let metric = Metric::diagonal(inverse.collect());
    let mut counted = Counted(0);
    let starts = vec![start(&[0.0; 8])];
    let found = minimize_all(&mut counted, starts, &Options::default(), Some(&metric)).unwrap();
    assert_eq!((found[0].stop, counted.0), (StopReason::Converged, 2));
}
