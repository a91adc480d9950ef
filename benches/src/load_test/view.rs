//! What is shown while a load runs: a panel on a terminal, a line a second elsewhere.

use super::seconds::Seconds;
use crate::process::count;
use crate::report::Moment;
use hdrhistogram::Histogram;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// A terminal is drawn anew this often.
const FRAME: Duration = Duration::from_millis(250);
/// Elsewhere a line is printed this often.
const LINE: Duration = Duration::from_secs(1);
/// Seconds in the picture of the tail.
const HISTORY: usize = 48;
/// Whether a terminal wraps lines (DECAWM).
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is to be seen now.
pub(super) struct Seen {
    /// Since the measurement began.
    pub(super) time: Duration,
    /// Which step.
    pub(super) window: usize,
    pub(super) wanted: Option<u64>,
    pub(super) answers: Vec<(String, u64)>,
    pub(super) failed: u64,
    /// Of this step so far.
    pub(super) latencies: Histogram<u64>,
    /// What the proxy takes, in words, where it is seen.
    pub(super) proxy: Option<String>,
}

impl Seen {
    /// Answers of all kinds.
    pub(super) fn answered(&self) -> u64 {
        self.answers.iter().map(|(_, count)| count).sum()
    }
}

/// The view.
pub(super) struct View {
    title: String,
    total: Duration,
    is_terminal: bool,
    next: Duration,
    /// Lines drawn last, which are drawn over.
    drawn: usize,
    seconds: Seconds,
    /// Answers in the last whole second.
    rate: Option<f64>,
    /// p99 of the last seconds.
    tail: Vec<f64>,
}

impl View {
    pub(super) fn new(title: String, total: Duration) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        if !is_terminal {
            println!("{title}");
        }
        Self {
            title,
            total,
            is_terminal,
            next: Duration::ZERO,
            drawn: 0,
            seconds: Seconds::default(),
            rate: None,
            tail: Vec::new(),
        }
    }

    /// Draws when it is time to.
    pub(super) fn show(&mut self, seen: &Seen) {
        if seen.time < self.next {
            return;
        }
        self.next = seen.time.saturating_add(if self.is_terminal { FRAME } else { LINE });
        let second = self.seconds.look(seen);
        if let Some(second) = &second {
            self.rate = Some(second.per_second);
            self.tail.push(second.p99_us);
            let too_many = self.tail.len().saturating_sub(HISTORY);
            self.tail.drain(..too_many);
        }
        if self.is_terminal {
            self.draw(seen);
        } else if let Some(second) = second {
            println!("{}", line(seen, &second));
        }
    }

    /// The panel stays; what comes next is below it. Gives what was seen second by second.
    pub(super) fn end(self) -> Vec<Moment> {
        println!();
        self.seconds.into_moments()
    }

    fn draw(&mut self, seen: &Seen) {
        let lines = panel(&self.title, seen, self.total, self.rate, &self.tail);
        // What is too long is cut: wrapped lines would not be drawn over.
        let mut text = String::from(NO_WRAP);
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in &lines {
            text.push_str(&format!("\r\x1b[2K{line}\n"));
        }
        text.push_str(WRAP);
        self.drawn = lines.len();
        // A terminal that is gone sees nothing.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }
}

/// `  12 s   1000/s   p50 0.52 ms   p99 1.10 ms   200: 12000`
fn line(seen: &Seen, second: &Moment) -> String {
    let mut line = format!(
        "{:4} s  {:8.0}/s   p50 {:>9}   p99 {:>9}   {}",
        seen.time.as_secs(),
        second.per_second,
        millis(second.p50_us),
        millis(second.p99_us),
        told(&seen.answers)
    );
    if let Some(proxy) = &seen.proxy {
        line.push_str(&format!("   proxy: {proxy}"));
    }
    line
}

fn panel(title: &str, seen: &Seen, total: Duration, rate: Option<f64>, tail: &[f64]) -> Vec<String> {
    let latency = |quantile| millis(count(seen.latencies.value_at_quantile(quantile)) / 1e3);
    let wanted = seen
        .wanted
        .map_or_else(|| "as many as go".to_owned(), |rate| format!("{rate}/s wanted"));
    let rate = rate.map_or_else(String::new, |rate| format!("{rate:.0}/s, "));
    let mut lines = vec![
        title.to_owned(),
        format!(
            "{}  {} of {} s",
            bar(seen.time, total),
            seen.time.as_secs(),
            total.as_secs()
        ),
        format!("rate     {rate}{wanted}"),
        format!(
            "latency  p50 {}   p90 {}   p99 {}   p99.9 {}   longest {}",
            latency(0.5),
            latency(0.9),
            latency(0.99),
            latency(0.999),
            millis(count(seen.latencies.max()) / 1e3)
        ),
        format!("answers  {}", told(&seen.answers)),
        format!("p99      {}", sparkline(tail)),
    ];
    lines.extend(seen.proxy.as_ref().map(|proxy| format!("proxy    {proxy}")));
    lines
}

fn told(answers: &[(String, u64)]) -> String {
    let told: Vec<_> = answers
        .iter()
        .map(|(answer, count)| format!("{answer}: {count}"))
        .collect();
    told.join("   ")
}

fn bar(time: Duration, total: Duration) -> String {
    const WIDTH: u128 = 40;
    let done = (time.as_millis().saturating_mul(WIDTH) / total.as_millis().max(1)).min(WIDTH);
    (0..WIDTH).map(|place| if place < done { '█' } else { '░' }).collect()
}

/// Each second as a bar, the highest at the top.
fn sparkline(tail: &[f64]) -> String {
    let most = tail.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let bar = |value: &f64| {
        let reached = BARS
            .iter()
            .zip(1_u8..)
            .filter(|(_, step)| value / most >= f64::from(*step) / 8.0);
        reached.last().map_or('▁', |(bar, _)| *bar)
    };
    tail.iter().map(bar).collect()
}

fn millis(micros: f64) -> String {
    format!("{:.2} ms", micros / 1e3)
}

#[cfg(test)]
mod tests;
