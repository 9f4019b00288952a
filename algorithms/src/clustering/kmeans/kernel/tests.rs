use emberline_pipeline::datasets::random::Draw;
use emberline_pipeline::datasets::{Block, Csr, Features, Matrix};

use super::*;

#[derive(Default, Debug, PartialEq)]
struct Found(Vec<(usize, u64)>);

fn block(features: Features) -> Block {
    let n = features.dim().0;
    Block {
        features,
        label: None,
        weight: None,
        row_ids: (0..n as u64).collect(),
    }
}

fn euclidean() -> Geometry {
    Geometry {
        cosine: false,
        column: "features".to_owned(),
    }
}

/// The definition, with nothing clever.
fn plainly(x: &[f64], d: usize, centres: &Centres) -> Found {
    let nearest = |row: &[f64]| {
        let mut best = (0, f64::INFINITY);
        for c in 0..centres.k() {
            let distance = squared_distance(row, centres.row(c));
            if distance < best.1 {
                best = (c, distance);
            }
        }
        (best.0, best.1.to_bits())
    };
    Found(x.chunks(d).map(nearest).collect())
}

fn found(block: &Block, targets: &Targets, bounds: Option<&mut Bounds>) -> Found {
    let mut found = Found::default();
    let mut each = |start: usize, own: &[u32], distances: &[f64]| {
        assert_eq!(start, found.0.len());
        let pairs = own.iter().zip(distances);
        found
            .0
            .extend(pairs.map(|(c, d)| (*c as usize, d.to_bits())));
    };
    let sink = Sink::Each(&mut each);
    assign(&euclidean(), block, targets, bounds, sink).unwrap();
    found
}

fn draws(n: usize, purpose: u64, f: impl Fn(f64) -> f64) -> Vec<f64> {
    let draw = Draw::new(3, "kernel tests").at(purpose);
    (0..n).map(|i| f(draw.uniform(i as u64))).collect()
}

/// Rows `(n, d)` of kinds that tempt a screen: plain, far off, on a grid full of ties, of wide range, out of the range of `f32`.
fn kinds(n: usize, d: usize) -> Vec<(&'static str, Vec<f64>)> {
    vec![
        ("plain", draws(n * d, 1, |u| 4.0 * u - 2.0)),
        ("far off", draws(n * d, 2, |u| 1e6 + u)),
        ("grid", draws(n * d, 3, |u| (3.0 * u).floor())),
        ("wide", draws(n * d, 4, |u| (40.0 * u - 20.0).exp())),
        ("tiny", draws(n * d, 5, |u| 1e-30 * u)),
        ("vanishing", draws(n * d, 6, |u| 1e-200 * u)),
        (
            "near the end of f32",
            draws(n * d, 12, |u| 3e19 * (u - 0.5)),
        ),
        ("huge", draws(n * d, 7, |u| 1e60 * (u - 0.5))),
    ]
}

#[test]
fn screens_and_bounds_find_what_measuring_all_centres_finds() {
    for (d, k) in [
        (1, 3),
        (2, 40),
        (5, 16),
        (16, 10),
        (16, 40),
        (17, 17),
        (33, 100),
        (100, 7),
    ] {
        let n = 700;
        for (kind, x) in kinds(n, d) {
            let mut centres = Centres::of(d, x[..k * d].to_vec());
            let (mut bounds, mut moved) = (Bounds::default(), None);
            for round in 0..5_u64 {
                let block = block(Features::F64(Matrix::new(n, d, x.clone()).unwrap()));
                let targets = Targets::new(&centres, moved, false);
                let want = plainly(&x, d, &centres);
                let kept = found(&block, &targets, Some(&mut bounds));
                assert_eq!(kept, want, "{kind}, d {d}, k {k}, round {round}");
                let mut fresh = Bounds::default();
                assert_eq!(found(&block, &targets, Some(&mut fresh)), want);
                assert_eq!(found(&block, &targets, None), want, "{kind}, d {d}, k {k}");
                // Some centres move a little, one leaps onto a row, the others stay.
                let mut next = centres.clone();
                for c in (0..k).filter(|c| c % 3 == round as usize % 3) {
                    let toward = &x[(c + 7 * round as usize) * d..][..d];
                    let pairs = next.row_mut(c).iter_mut().zip(toward);
                    pairs.for_each(|(a, b)| *a += (b - *a) / 8.0);
                }
                next.row_mut(round as usize % k)
                    .copy_from_slice(&x[(n - d - round as usize - 1) * d..][..d]);
                let by = |c| squared_distance(next.row(c), centres.row(c)).sqrt();
                moved = Some((centres.print(), (0..k).map(by).collect()));
                centres = next;
            }
        }
    }
}

#[test]
fn narrow_and_sparse_rows_find_what_dense_rows_find() {
    let (n, d, k) = (600, 37, 21);
    // Numbers that f32 holds, two of three slots empty.
    let x = draws(n * d, 8, |u| {
        if u < 0.66 {
            0.0
        } else {
            f64::from((9.0 * u) as f32)
        }
    });
    let centres = Centres::of(d, draws(k * d, 9, |u| 3.0 * u));
    let narrow: Vec<f32> = x.iter().map(|v| *v as f32).collect();
    let mut csr = Csr {
        offsets: vec![0],
        indices: Vec::new(),
        values: Vec::new(),
        width: d,
    };
    for row in x.chunks(d) {
        for (j, v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            csr.indices.push(j as u32);
            csr.values.push(*v);
        }
        csr.offsets.push(csr.values.len());
    }
    let want = plainly(&x, d, &centres);
    let narrow = block(Features::F32(Matrix::new(n, d, narrow).unwrap()));
    let targets = Targets::new(&centres, None, false);
    for bounds in [None, Some(&mut Bounds::default())] {
        assert_eq!(found(&narrow, &targets, bounds), want);
    }
    let sparse = block(Features::Csr(csr));
    let targets = Targets::new(&centres, None, true);
    for bounds in [None, Some(&mut Bounds::default())] {
        assert_eq!(found(&sparse, &targets, bounds), want);
    }
}

#[test]
fn sums_that_are_kept_are_those_made_anew_to_the_bit() {
    let narrow = |v: f64| f64::from(v as f32);
    // The last three keep sums alone, the others bounds as well.
    for (d, k) in [
        (24, 40),
        (40, 17),
        (80, 3),
        (33, 60),
        (16, 10),
        (5, 3),
        (3, 1),
    ] {
        let n = 700;
        let mut tight = draws(n * d, 17, |u| (64.0 * u).floor() / 64.0);
        for row in tight.chunks_mut(d).step_by(2) {
            row.iter_mut().for_each(|v| *v += 1024.0);
        }
        for (kind, exact, x) in [
            ("f32", true, draws(n * d, 14, |u| narrow(4.0 * u - 2.0))),
            ("far off", true, draws(n * d, 15, |u| narrow(1e6 + u))),
            ("grid", true, draws(n * d, 16, |u| (9.0 * u).floor())),
            // Two clusters a thousand times as far apart as they are wide: squared distances have to be measured.
            ("tight", true, tight),
            ("f64", false, draws(n * d, 18, |u| (2.0 * u).exp())),
            (
                "wide",
                false,
                draws(n * d, 19, |u| narrow((80.0 * u - 40.0).exp())),
            ),
        ] {
            let mut centres = Centres::of(d, x[..k * d].to_vec());
            let (mut bounds, mut moved) = (Bounds::default(), None);
            for round in 0..12 {
                let rows = Features::F64(Matrix::new(n, d, x.clone()).unwrap());
                let block = block(rows);
                let targets = Targets::new(&centres, moved, false);
                let summed = |bounds: &mut Bounds| {
                    let mut sums = Sums::none(k, d);
                    let sink = Sink::Sums {
                        weights: None,
                        sums: &mut sums,
                    };
                    assign(&euclidean(), &block, &targets, Some(bounds), sink).unwrap();
                    sums
                };
                let what = format!("{kind}, d {d}, k {k}, round {round}");
                let kept = summed(&mut bounds);
                assert_eq!(kept, summed(&mut Bounds::default()), "{what}");
                assert_eq!(bounds.tally.is_some(), exact, "{what}");
                let mut plain = Sums::none(k, d);
                for ((c, distance), row) in plainly(&x, d, &centres).0.iter().zip(x.chunks(d)) {
                    plain.weights[*c] += 1.0;
                    plain.cost += f64::from_bits(*distance);
                    let sums = plain.sums[c * d..(c + 1) * d].iter_mut();
                    sums.zip(row).for_each(|(sum, v)| *sum += v);
                }
                assert_eq!(kept.sums, plain.sums, "{what}");
                assert_eq!(kept.weights, plain.weights, "{what}");
                // Up to 256 times the result cancels, of terms that are each right to some 1e-15.
                let off = (kept.cost - plain.cost).abs();
                assert!(
                    off <= 1e-12 * plain.cost,
                    "{what}: {} for {}",
                    kept.cost,
                    plain.cost
                );
                let mean = |c: usize| {
                    let count = kept.weights[c].max(1.0);
                    kept.sums[c * d..(c + 1) * d].iter().map(move |s| s / count)
                };
                let next = Centres::of(d, (0..k).flat_map(mean).collect());
                let by = |c| squared_distance(next.row(c), centres.row(c)).sqrt();
                moved = Some((centres.print(), (0..k).map(by).collect()));
                centres = next;
            }
        }
    }
}

#[test]
fn products_in_whole_numbers_are_off_by_no_more_than_bounds_allow() {
    struct Errors(usize);
    impl VectorKernel for Errors {
        type Output = Option<f64>;

        /// The largest error in units of what is allowed for it.
        #[inline(always)]
        fn run<S: Vectors>(self, simd: S) -> Option<f64> {
            let (d, k) = (self.0, 40);
            let x = draws((16 + k) * d, 13, |u| (12.0 * u - 6.0).exp() - 3.0);
            let centres = Centres::of(d, x[16 * d..].to_vec());
            let targets = Targets::new(&centres, None, false);
            let screen = &targets.screen;
            let coarse = screen.coarse.as_ref()?;
            let mut rows = Dense::stored(&x[..16 * d], d);
            rows.reserve(16, screen);
            let slots = std::array::from_fn(|l| l);
            let seen = (screen, Some(coarse));
            let [square, _] = rows.load(simd, 0, slots, &[0; 16], seen);
            let length = screen.lengths(simd, square).length;
            let mut lengths = [0.0; 16];
            simd.store(length, &mut lengths);
            let mut most = 0.0_f64;
            for g in 0..screen.groups() {
                let products = rows.apart(simd, (slots, length), g, seen);
                for (c, product) in (g * 16..k).zip(products) {
                    let mut found = [0.0; 16];
                    simd.store(product, &mut found);
                    for (i, found) in found.into_iter().enumerate() {
                        let slot = |j: usize| {
                            let shift = f64::from(screen.shift()[j]);
                            (x[i * d + j] - shift) * -2.0 * (centres.row(c)[j] - shift)
                        };
                        let exact: f64 = (0..d).map(slot).sum();
                        let allowed = coarse.slope(g)[c % 16] * lengths[i];
                        most = most.max((f64::from(found) - exact).abs() / f64::from(allowed));
                    }
                }
            }
            Some(most)
        }
    }
    for d in [32, 33, 64, 300] {
        if let Some(most) = vectors(Errors(d)) {
            // Errors of slots cancel, the more of them the more: a hundredth tells that what is allowed is of the right size.
            assert!((0.01..=1.0).contains(&most), "d {d}: {most}");
        }
    }
}

#[test]
fn a_block_of_rows_that_whole_numbers_do_not_tell_apart_goes_on_without_them() {
    let (n, d, k) = (700, 40, 50);
    let plain = draws(n * d, 14, |u| u - 0.5);
    let mut far = draws(n * d, 15, |u| 0.1 * u);
    for (i, v) in far.iter_mut().enumerate() {
        // Two heaps, each with half of the centres.
        *v += if i / d % 2 == 0 { 1e3 } else { -1e3 };
    }
    for (x, serve) in [(plain, true), (far, false)] {
        let centres = Centres::of(d, x[..k * d].to_vec());
        let targets = Targets::new(&centres, None, false);
        let block = block(Features::F64(Matrix::new(n, d, x.clone()).unwrap()));
        let mut bounds = Bounds::default();
        let want = plainly(&x, d, &centres);
        assert_eq!(found(&block, &targets, Some(&mut bounds)), want);
        let has = emberline_datasets::simd::Words::new().is_some();
        assert_eq!(bounds.coarse(&targets).is_some(), has && serve);
    }
}

#[test]
fn bounds_of_other_centres_are_not_used() {
    let (n, d, k) = (300, 80, 9);
    let x = draws(n * d, 10, |u| u);
    let block = block(Features::F64(Matrix::new(n, d, x.clone()).unwrap()));
    let (a, b) = (
        Centres::of(d, x[..k * d].to_vec()),
        Centres::of(d, x[k * d..2 * k * d].to_vec()),
    );
    let mut bounds = Bounds::default();
    found(&block, &Targets::new(&a, None, false), Some(&mut bounds));
    // A claim about centres that the bounds are not for.
    let targets = Targets::new(&b, Some((b.print(), vec![0.0; k])), false);
    assert_eq!(
        found(&block, &targets, Some(&mut bounds)),
        plainly(&x, d, &b)
    );
}

#[test]
fn one_row_alone_gets_the_bits_of_its_block() {
    let (n, d, k) = (200, 13, 11);
    let x = draws(n * d, 11, |u| u - 0.5);
    let centres = Centres::of(d, x[..k * d].to_vec());
    let panels = Panels::new(&centres);
    let one = |row: &[f64]| {
        let (c, distance) = panels.nearest(row);
        (c, distance.to_bits())
    };
    assert_eq!(
        Found(x.chunks(d).map(one).collect()),
        plainly(&x, d, &centres)
    );
}

#[test]
fn distances_to_a_few_centres_are_those_of_the_definition() {
    let (n, d, k) = (300, 19, 3);
    let x = draws(n * d, 13, |u| 5.0 * u);
    let centres = Centres::of(d, x[..k * d].to_vec());
    let block = block(Features::F64(Matrix::new(n, d, x.clone()).unwrap()));
    let want: Vec<f64> = x
        .chunks(d)
        .flat_map(|row| (0..k).map(|c| squared_distance(row, centres.row(c))))
        .collect();
    assert_eq!(distances(&euclidean(), &block, &centres).unwrap(), want);
}
