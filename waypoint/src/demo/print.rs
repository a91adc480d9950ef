//! How the demo writes: plain text, aligned, to standard output.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

/// Writes a line. When nobody reads any more, the demo goes on to its orderly end all the same.
pub(super) fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", line.to_string().trim_end_matches(' ')).and_then(|()| out.flush());
}

/// Begins a step of the tour.
pub(super) fn step(number: u32, title: &str) {
    say(format!("\n{number}  {title}"));
}

/// `1234567` as `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds with two places.
pub(super) fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// A bar of at most `width` blocks.
pub(super) fn bar(share: f64, width: u32) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let blocks = (share.clamp(0.0, 1.0) * f64::from(width)).round() as usize;
    "█".repeat(blocks)
}

/// One column of a chart: eight heights, an eighth apart.
pub(super) fn column(share: f64) -> char {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let height = (share.clamp(0.0, 1.0) * 8.0).round() as usize;
    HEIGHTS.get(height).copied().unwrap_or('█')
}

/// `part` of `all`; 0 of nothing.
pub(super) fn share(part: u64, all: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let (part, all) = (part as f64, all.max(1) as f64);
    part / all
}

#[cfg(test)]
mod tests;
