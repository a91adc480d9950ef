//! Durations as Istio's API takes them, in Go's syntax: `30s`, `1.5h`, `1m30s`, `100ms`.

use std::time::Duration;

/// What is expected, for messages.
pub(crate) const EXPECTED: &str = "a duration such as 10s, 1m30s, 1.5h or 100ms";

/// Parts of one duration at most.
const MAX_PARTS: usize = 8;

/// Parses a duration that is not negative.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..MAX_PARTS {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite())?;
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
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
    fn the_syntax_of_go() {
        for (text, want) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("100ms", Some(100)),
            ("1.5h", Some(5_400_000)),
            ("1h30m10s5ms", Some(5_410_005)),
            (".5s", Some(500)),
            ("2000us", Some(2)),
            ("", None),
            ("1", None),
            ("-1s", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1s ", None),
            ("99999999999999999999999h", None),
        ] {
            assert_eq!(parse(text), want.map(Duration::from_millis), "{text:?}");
        }
    }
}
