//! Tests of scales, ticks and texts: what plots and tables are made of.

use super::axes::{Fit, Scale, nice_step, ticks};
use super::text::{duration, escape, number, shorten, tick};

#[test]
fn escaping_covers_both_kinds_of_quotes() {
    assert_eq!(
        escape("<a href='b'>\"&\u{7}"),
        "&lt;a href=&#39;b&#39;&gt;&quot;&amp;\u{fffd}"
    );
}

#[test]
fn numbers_have_four_digits_and_separators() {
    let cases = [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.989_083, "0.9891"),
        (0.95, "0.95"),
        (0.001_234_56, "0.001235"),
        (-12.3456, "-12.35"),
        (999.96, "1,000"),
        (1234.5678, "1,235"),
        (-1_234_567.0, "-1,234,567"),
        (49_530_123.25, "49,530,123"),
        (1.5e-7, "1.5e-7"),
        (2e300, "2e300"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "∞"),
        (f64::NEG_INFINITY, "-∞"),
    ];
    for (value, text) in cases {
        assert_eq!(number(value), text, "{value:e}");
    }
}

#[test]
fn durations_use_the_units_that_suit() {
    let cases = [
        (0.0, "< 1 ms"),
        (0.25, "250 ms"),
        (59.96, "1 min 0 s"),
        (83.2, "1 min 23 s"),
        (7260.0, "2 h 1 min"),
        (f64::NAN, "n/a"),
        (-1.0, "n/a"),
    ];
    for (seconds, text) in cases {
        assert_eq!(duration(seconds), text, "{seconds}");
    }
}

#[test]
fn steps_are_one_two_or_five_times_a_power_of_ten() {
    for (low, high) in [
        (0.0, 1.0),
        (0.0, 7.3),
        (-3.0, 11.0),
        (1e-9, 4e-9),
        (-1e12, 9e12),
        (0.997, 0.9991),
        (0.0, 1e300),
    ] {
        let step = nice_step(low, high, 5);
        let mantissa = step / 10f64.powf(step.log10().floor());
        // 1e-6: the power of ten and the quotient are each a few roundings off.
        assert!(
            [1.0, 2.0, 5.0, 10.0]
                .iter()
                .any(|m| (mantissa - m).abs() < 1e-6),
            "{step:e}"
        );
        let count = ticks(
            (low / step).floor() * step,
            (high / step).ceil() * step,
            step,
        )
        .len();
        assert!((3..=7).contains(&count), "{low} to {high}: {count} ticks");
    }
    assert_eq!(ticks(0.0, 1.0, 0.2).len(), 6);
}

#[test]
fn tick_labels_tell_neighbours_apart() {
    assert_eq!(tick(0.30000000000000004, 0.1, 1.0), "0.3");
    assert_eq!(tick(1e-18, 0.1, 1.0), "0.0");
    assert_eq!(tick(-20.0, 10.0, 40.0), "-20");
    assert_eq!(tick(5000.0, 1000.0, 9000.0), "5,000");
    assert_eq!(tick(5000.0, 5000.0, 20_000.0), "5k");
    assert_eq!(tick(0.0, 5000.0, 20_000.0), "0");
    assert_eq!(tick(1_500_000.0, 500_000.0, 2_000_000.0), "1.5M");
    assert_eq!(tick(3e-7, 1e-7, 5e-7), "3e-7");
}

#[test]
fn scales_stay_within_the_page_for_any_numbers() {
    let sets: [&[f64]; 8] = [
        &[],
        &[f64::NAN, f64::INFINITY],
        &[0.0],
        &[5.0, 5.0],
        &[f64::MIN, f64::MAX],
        &[f64::MIN_POSITIVE, 5e-324],
        &[1e9, 1e9 + 1e-7],
        &[-1e-320, 1e300],
    ];
    for values in sets {
        for fit in [
            Fit::Unit,
            Fit::Data,
            Fit::Zero,
            Fit::Tight,
            Fit::Rounds,
            Fit::Bars,
            Fit::MaybeLog,
        ] {
            let scale = Scale::new(values.iter().copied(), fit, 50.0, 500.0);
            for v in values.iter().filter(|v| v.is_finite()) {
                if let Some(place) = scale.at(*v) {
                    assert!(
                        (50.0..=500.0).contains(&place),
                        "{fit:?} {values:?}: {v} at {place}"
                    );
                }
            }
            assert_eq!(scale.at(f64::NAN), None);
        }
    }
}

#[test]
fn long_texts_lose_their_middle() {
    assert_eq!(shorten("äöüß", 3), "ä…ß");
    assert_eq!(shorten("äöüß", 4), "äöüß");
    assert_eq!(shorten("", 0), "");
    assert_eq!(shorten("ab", 0), "…");
}
