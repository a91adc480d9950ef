//! Gateway API durations (GEP-2257): `1h30m`, `10s`, `500ms`.

use std::time::Duration;

/// What is expected, for messages.
pub(crate) const EXPECTED: &str = "a duration such as 10s, 1m30s or 500ms (at most 5 digits and 4 parts)";

/// Parses `^([0-9]{1,5}(h|m|s|ms)){1,4}$`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=5).contains(&digits) {
            return None;
        }
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let (part, after) = if let Some(after) = unit.strip_prefix("ms") {
            (Duration::from_millis(number), after)
        } else if let Some(after) = unit.strip_prefix('h') {
            (Duration::from_secs(number * 3600), after)
        } else if let Some(after) = unit.strip_prefix('m') {
            (Duration::from_secs(number * 60), after)
        } else {
            (Duration::from_secs(number), unit.strip_prefix('s')?)
        };
        total += part;
        rest = after;
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_of_gep_2257() {
        for (text, want) in [
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("1h30m10s5ms", Some(5_410_005)),
            ("99999h", Some(359_996_400_000)),
            ("1m1m", Some(120_000)),
            ("", None),
            ("1", None),
            ("1.5s", None),
            ("-1s", None),
            ("100000s", None),
            ("1h1h1h1h1h", None),
            ("1 week", None),
            ("1us", None),
            ("1s ", None),
        ] {
            assert_eq!(parse(text), want.map(Duration::from_millis), "{text:?}");
        }
    }
}
