//! Text to values: numbers, booleans, dates, timestamps; null tokens; inference of types.

use crate::schema::ColumnType;

/// Default null tokens of text files.
const NULLS: [&str; 8] = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"];

/// Fields that mean "missing".
#[derive(Debug, Clone)]
pub(crate) struct NullTokens {
    tokens: Vec<String>,
    /// Whether some token starts with this byte; most cells are told apart by their first byte alone.
    starts: Vec<bool>,
    empty: bool,
}

impl NullTokens {
    pub fn new(tokens: Option<&[String]>) -> Self {
        let tokens: Vec<String> = match tokens {
            Some(given) => given.to_vec(),
            None => NULLS.iter().map(ToString::to_string).collect(),
        };
        let mut starts = vec![false; 256];
        for first in tokens.iter().filter_map(|t| t.as_bytes().first()) {
            starts[usize::from(*first)] = true;
        }
        let empty = tokens.iter().any(String::is_empty);
        Self {
            tokens,
            starts,
            empty,
        }
    }

    #[inline]
    pub fn contains(&self, cell: &str) -> bool {
        match cell.as_bytes().first() {
            None => self.empty,
            Some(first) => {
                self.starts[usize::from(*first)] && self.tokens.iter().any(|t| t == cell)
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

pub(crate) fn boolean(cell: &str) -> Option<bool> {
    if cell.eq_ignore_ascii_case("true") {
        Some(true)
    } else if cell.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

pub(crate) fn integer(cell: &str) -> Option<i64> {
    cell.trim_ascii().parse().ok()
}

/// The nearest `f64`; NaN is no number.
#[inline]
pub(crate) fn float(cell: &str) -> Option<f64> {
    let short = short_decimal(cell.as_bytes());
    short.or_else(|| cell.trim_ascii().parse().ok().filter(|v: &f64| !v.is_nan()))
}

/// A plain decimal of few digits, as nearly all numbers in files are: rounded right because both the digits and the power of
/// ten are exact and one division rounds once (Clinger 1990, PLDI). `None` for everything else.
#[inline]
fn short_decimal(cell: &[u8]) -> Option<f64> {
    const TENS: [f64; 20] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19,
    ];
    const EXACT: u64 = 1 << 53;
    let (negative, digits) = match cell {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // 19 digits and a point cannot overflow.
    if digits.len() > 20 {
        return None;
    }
    let (mut value, mut point) = (0_u64, None);
    for (i, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if *byte == b'.' && point.is_none() {
            point = Some(i);
        } else {
            return None;
        }
    }
    let seen = digits.len() - usize::from(point.is_some());
    if seen == 0 || seen > 19 || value > EXACT {
        return None;
    }
    let decimals = point.map_or(0, |p| digits.len() - 1 - p);
    let size = value as f64 / TENS[decimals];
    Some(if negative { -size } else { size })
}

/// Days from 1970-01-01 of `YYYY-MM-DD` (years 0000 to 9999).
pub(crate) fn date(cell: &str) -> Option<i32> {
    let b = cell.as_bytes();
    if b.len() != 10 || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&b[..4])?, digits(&b[5..7])?, digits(&b[8..])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=last)
        .contains(&day)
        .then(|| days_from_civil(year, month, day))
}

fn digits(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + i32::from(b - b'0'))
    })
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that the leap day is last.
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day number; the inverse of [`days_from_civil`].
pub(crate) fn civil_from_days(days: i32) -> (i64, u32, u32) {
    let z = i64::from(days) + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = (if mp < 10 { mp + 3 } else { mp - 9 }) as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// Microseconds from 1970-01-01T00:00:00Z of `YYYY-MM-DD`, optionally with `T` or a blank, `HH:MM[:SS[.fraction]]` and
/// `Z` or `+HH:MM`. Without an offset the time is UTC; digits beyond the microsecond are dropped.
pub(crate) fn timestamp(cell: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    let day = i64::from(date(cell.get(..10)?)?) * 86_400 * SECOND;
    let rest = &cell.as_bytes()[10..];
    if rest.is_empty() {
        return Some(day);
    }
    if !matches!(rest[0], b'T' | b't' | b' ') || rest.len() < 6 || rest[3] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&rest[1..3])?, digits(&rest[4..6])?);
    let mut at = 6;
    let mut second = 0;
    if rest.get(at) == Some(&b':') {
        second = digits(rest.get(at + 1..at + 3)?)?;
        at += 3;
    }
    // 60 is a leap second; it counts as the first second of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut micros = 0;
    if rest.get(at) == Some(&b'.') {
        let fraction = rest[at + 1..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if fraction == 0 {
            return None;
        }
        let shown = &rest[at + 1..at + 1 + fraction.min(6)];
        micros = i64::from(digits(shown)?) * 10_i64.pow(6 - shown.len() as u32);
        at += 1 + fraction;
    }
    let offset = zone_offset(&rest[at..])?;
    let seconds = i64::from(hour * 3600 + minute * 60 + second) - offset;
    Some(day + seconds * SECOND + micros)
}

fn zone_offset(zone: &[u8]) -> Option<i64> {
    let sign = match zone.first() {
        None => return Some(0),
        Some(b'Z' | b'z') => return (zone.len() == 1).then_some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return None,
    };
    let (hours, minutes) = match zone.len() {
        6 if zone[3] == b':' => (digits(&zone[1..3])?, digits(&zone[4..])?),
        5 => (digits(&zone[1..3])?, digits(&zone[3..])?),
        3 => (digits(&zone[1..])?, 0),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// What the values of a column seen so far have in common.
#[derive(Debug, Clone)]
pub(crate) struct Guess {
    seen: bool,
    boolean: bool,
    integer: bool,
    float: bool,
    date: bool,
    timestamp: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self {
            seen: false,
            boolean: true,
            integer: true,
            float: true,
            date: true,
            timestamp: true,
        }
    }
}

impl Guess {
    /// Takes a cell that is not null. Types already ruled out are not tried again.
    pub fn see(&mut self, cell: &str) {
        self.seen = true;
        self.boolean = self.boolean && boolean(cell).is_some();
        self.integer = self.integer && integer(cell).is_some();
        self.float = self.float && (self.integer || float(cell).is_some());
        self.date = self.date && date(cell).is_some();
        self.timestamp = self.timestamp && timestamp(cell).is_some();
    }

    /// Takes a value whose type the format itself tells (JSON).
    pub fn see_typed(&mut self, ty: &ColumnType) {
        let is = |t: &ColumnType| ty == t;
        self.seen = true;
        self.boolean = self.boolean && is(&ColumnType::Boolean);
        self.integer = self.integer && is(&ColumnType::Integer);
        self.float = self.float && (is(&ColumnType::Integer) || is(&ColumnType::Float));
        self.date = false;
        self.timestamp = false;
    }

    /// Takes JSON text: a date or a timestamp where it looks like one, never a number.
    pub fn see_text(&mut self, cell: &str) {
        self.seen = true;
        (self.boolean, self.integer, self.float) = (false, false, false);
        self.date = self.date && date(cell).is_some();
        self.timestamp = self.timestamp && timestamp(cell).is_some();
    }

    /// True where no value was seen.
    pub fn is_blank(&self) -> bool {
        !self.seen
    }

    /// The narrowest type that holds every value seen; `Float` where none was.
    pub fn ty(&self) -> ColumnType {
        match self {
            Self { seen: false, .. } => ColumnType::Float,
            Self { boolean: true, .. } => ColumnType::Boolean,
            Self { integer: true, .. } => ColumnType::Integer,
            Self { float: true, .. } => ColumnType::Float,
            Self { date: true, .. } => ColumnType::Date,
            Self {
                timestamp: true, ..
            } => ColumnType::Timestamp,
            _ => ColumnType::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(cells: &[&str]) -> ColumnType {
        let mut g = Guess::default();
        cells.iter().for_each(|c| g.see(c));
        g.ty()
    }

    #[test]
    fn the_narrowest_type_that_holds_every_cell_is_taken() {
        assert_eq!(guess(&["1", "-2"]), ColumnType::Integer);
        assert_eq!(guess(&["1", "2.5"]), ColumnType::Float);
        assert_eq!(guess(&["true", "False"]), ColumnType::Boolean);
        assert_eq!(guess(&["2024-02-29"]), ColumnType::Date);
        assert_eq!(
            guess(&["2024-02-29", "2024-03-01T10:00:00Z"]),
            ColumnType::Timestamp
        );
        assert_eq!(guess(&["1", "x"]), ColumnType::Text);
        assert_eq!(guess(&[]), ColumnType::Float);
        // One digit too many for an i64.
        assert_eq!(guess(&["92233720368547758070"]), ColumnType::Float);
    }

    #[test]
    fn numbers_are_the_nearest_ones_however_they_are_written() {
        let plain = [
            "0",
            "-0",
            "1",
            "-1.5",
            ".5",
            "5.",
            "-.25",
            "0.1",
            "123456.789012",
            "9007199254740992",
            "9007199254740993",
            "0.30000000000000004",
            "1e5",
            "-2E-3",
            "inf",
            "-infinity",
            "+7",
            "00012.50",
            "1234567890123456789",
            "12345678901234567890",
            "0.00000000000000000001",
            "4.35",
            "0.000001",
            "8.41",
            "2.2250738585072011e-308",
            " 3.5 ",
        ];
        for text in plain {
            let wanted: f64 = text.trim().parse().unwrap();
            assert_eq!(
                float(text).map(f64::to_bits),
                Some(wanted.to_bits()),
                "{text}"
            );
        }
        for text in [
            "", "-", ".", "-.", "1.2.3", "1,5", "0x10", "nan", "1 2", "--1", "1-",
        ] {
            assert_eq!(float(text), None, "{text}");
        }
        // Six digits after the point, as tables often have them.
        for i in (0..4_000_000_u64).step_by(997) {
            let text = format!("{}.{:06}", i % 1_000, i * 7_919 % 1_000_000);
            assert_eq!(float(&text), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn dates_are_counted_from_1970() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2000-03-01"), Some(11_017)); // 30 years of 365 days, 7 leap days before 2000, 60 days of 2000
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("2023-02-29"), None);
        assert_eq!(date("2024-13-01"), None);
    }

    #[test]
    fn day_numbers_and_calendar_dates_turn_into_each_other() {
        for days in (-719_000..2_900_000).step_by(37) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(date(&format!("{y:04}-{m:02}-{d:02}")), Some(days));
        }
    }

    #[test]
    fn timestamps_are_utc_micros() {
        assert_eq!(timestamp("1970-01-01T00:00:01Z"), Some(1_000_000));
        assert_eq!(timestamp("1970-01-01 00:00:00.25"), Some(250_000));
        assert_eq!(timestamp("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(timestamp("1970-01-01T00:00:00.1234567Z"), Some(123_456));
        assert_eq!(timestamp("1970-01-01T25:00:00Z"), None);
        assert_eq!(timestamp("1970-01-01T10"), None);
        assert_eq!(timestamp("1970-01-01T10:00Zx"), None);
    }

    #[test]
    fn a_null_token_is_matched_whole() {
        let nulls = NullTokens::new(None);
        assert!(nulls.contains("NA") && nulls.contains("") && nulls.contains("?"));
        assert!(!nulls.contains("NAN") && !nulls.contains("0") && !nulls.contains("none"));
    }
}
