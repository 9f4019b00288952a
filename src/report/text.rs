//! Escaping, and numbers as people read them.

/// Escapes text for element content and for attribute values in either kind of quotes.
///
/// Control characters that no XML or HTML text may hold become the replacement character.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// At most `max` characters of a text: where it is longer, an ellipsis stands for its middle, since names that share
/// their beginning (`color=red`, `color=blue`) differ at the end.
pub(super) fn shorten(text: &str, max: usize) -> String {
    let n = text.chars().count();
    if n <= max {
        return text.to_owned();
    }
    let kept = max.saturating_sub(1);
    let tail = kept / 2;
    let head = text.chars().take(kept - tail);
    head.chain(std::iter::once('…'))
        .chain(text.chars().skip(n - tail))
        .collect()
}

/// A number with four significant digits; integers and numbers of 1,000 and more keep all digits before the point.
pub(super) fn number(v: f64) -> String {
    let size = v.abs();
    if v.is_nan() {
        "NaN".to_owned()
    } else if v.is_infinite() {
        if v > 0.0 {
            "∞".to_owned()
        } else {
            "-∞".to_owned()
        }
    } else if v == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e15).contains(&size) {
        scientific(v)
    } else if v.fract() == 0.0 || size >= 1000.0 {
        thousands(&format!("{v:.0}"))
    } else {
        // size is within 1e-4..1e3 here, so this is 1 to 7 decimals.
        let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
        thousands(&trim_zeros(&format!("{v:.decimals$}")))
    }
}

/// A score from 0 to 1 with four decimals, so that a column of them lines up.
pub(super) fn score(v: f64) -> String {
    if v.is_finite() && v.abs() < 1e6 {
        format!("{v:.4}")
    } else {
        number(v)
    }
}

/// A share from 0 to 1 as a percentage.
pub(super) fn percent(v: f64) -> String {
    if v.is_finite() {
        format!("{:.1} %", v * 100.0)
    } else {
        number(v)
    }
}

/// A duration in the units that suit its size.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "n/a".to_owned();
    }
    // Rounded first, so that 59.96 s does not read "60.0 s".
    match seconds {
        s if s < 0.0005 => "< 1 ms".to_owned(),
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 59.95 => format!("{s:.1} s"),
        s if s < 3599.5 => format!("{} min {} s", s.round() as u64 / 60, s.round() as u64 % 60),
        s => {
            let minutes = (s / 60.0).round() as u64;
            format!(
                "{} h {} min",
                thousands(&(minutes / 60).to_string()),
                minutes % 60
            )
        }
    }
}

/// The label of a tick: just enough decimals to tell neighbours apart at distance `step`, and one unit for an axis whose
/// largest number is `largest`.
pub(super) fn tick(v: f64, step: f64, largest: f64) -> String {
    let (step, largest) = (step.abs(), largest.abs().max(step.abs()));
    // A multiple of the step that misses 0 by a rounding.
    let v = if v.abs() < step * 1e-9 { 0.0 } else { v };
    let (scale, unit) = match largest {
        s if !(1e-4..1e15).contains(&s) => {
            return if v == 0.0 {
                "0".to_owned()
            } else {
                scientific(v)
            };
        }
        s if s >= 1e12 => (1e12, "T"),
        s if s >= 1e9 => (1e9, "G"),
        s if s >= 1e6 => (1e6, "M"),
        s if s >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    if v == 0.0 && scale > 1.0 {
        return "0".to_owned();
    }
    // A short step far from 0 would take more digits with the unit than without.
    let (scale, unit) = if step / scale < 1e-4 {
        (1.0, "")
    } else {
        (scale, unit)
    };
    // The step is 1, 2 or 5 times a power of ten; the nudge keeps 0.1 from reading as 0.0999.
    let decimals = (-(step / scale).log10() - 1e-9).ceil().clamp(0.0, 12.0) as usize;
    let text = format!("{:.decimals$}", v / scale);
    format!("{}{unit}", thousands(&text))
}

fn scientific(v: f64) -> String {
    let text = format!("{v:.3e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", trim_zeros(mantissa)),
        None => text,
    }
}

fn trim_zeros(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

/// Puts commas between the thousands of a decimal number.
fn thousands(text: &str) -> String {
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = digits
        .split_once('.')
        .map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}
