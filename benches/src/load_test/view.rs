//! What is shown while a load runs: a panel on a terminal, a line a second elsewhere.

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
    pub(super) wanted: Option<u64>,
    pub(super) answers: Vec<(String, u64)>,
    /// Of this step so far.
    pub(super) latencies: Histogram<u64>,
    /// What the proxy takes, in words, where it is seen.
    pub(super) proxy: Option<String>,
}

/// The view.
pub(super) struct View {
    title: String,
    total: Duration,
    is_terminal: bool,
    next: Duration,
    /// Lines drawn last, which are drawn over.
    drawn: usize,
    last: Option<Last>,
    /// Answers in the last whole second.
    rate: Option<f64>,
    /// p99 of each second, nanoseconds.
    tail: Vec<u64>,
}

/// What was seen at the last second.
struct Last {
    time: Duration,
    answered: u64,
    latencies: Histogram<u64>,
}

/// What happened since.
struct Second {
    rate: f64,
    p50: u64,
    p99: u64,
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
            last: None,
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
        let second = self.second(seen);
        if self.is_terminal {
            self.draw(seen);
        } else if let Some(second) = second {
            println!("{}", line(seen, &second));
        }
    }

    /// The panel stays; what comes next is below it.
    pub(super) fn end(&mut self) {
        self.drawn = 0;
        println!();
    }

    /// A second has passed since the last one: what happened in it.
    fn second(&mut self, seen: &Seen) -> Option<Second> {
        let now = Last {
            time: seen.time,
            answered: answered(seen),
            latencies: seen.latencies.clone(),
        };
        let Some(last) = &self.last else {
            self.last = Some(now);
            return None;
        };
        let time = seen.time.saturating_sub(last.time);
        if time < LINE {
            return None;
        }
        let mut since = seen.latencies.clone();
        // A new step begins with nothing: then all of it is new.
        if since.len() >= last.latencies.len() && since.subtract(&last.latencies).is_err() {
            since.clone_from(&seen.latencies);
        }
        let count = now.answered.saturating_sub(last.answered);
        let second = Second {
            rate: crate::process::count(count) / time.as_secs_f64(),
            p50: since.value_at_quantile(0.5),
            p99: since.value_at_quantile(0.99),
        };
        self.rate = Some(second.rate);
        self.tail.push(second.p99);
        let too_many = self.tail.len().saturating_sub(HISTORY);
        self.tail.drain(..too_many);
        self.last = Some(now);
        Some(second)
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
fn line(seen: &Seen, second: &Second) -> String {
    let mut line = format!(
        "{:4} s  {:8.0}/s   p50 {:>9}   p99 {:>9}   {}",
        seen.time.as_secs(),
        second.rate,
        millis(second.p50),
        millis(second.p99),
        told(&seen.answers)
    );
    if let Some(proxy) = &seen.proxy {
        line.push_str(&format!("   proxy: {proxy}"));
    }
    line
}

fn panel(title: &str, seen: &Seen, total: Duration, rate: Option<f64>, tail: &[u64]) -> Vec<String> {
    let latency = |quantile| millis(seen.latencies.value_at_quantile(quantile));
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
            millis(seen.latencies.max())
        ),
        format!("answers  {}", told(&seen.answers)),
        format!("p99      {}", sparkline(tail)),
    ];
    lines.extend(seen.proxy.as_ref().map(|proxy| format!("proxy    {proxy}")));
    lines
}

fn answered(seen: &Seen) -> u64 {
    seen.answers.iter().map(|(_, count)| count).sum()
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
fn sparkline(tail: &[u64]) -> String {
    let most = tail.iter().copied().max().unwrap_or_default().max(1);
    let steps = BARS.len() as u64 - 1;
    let bar = |value: &u64| {
        let step = value.saturating_mul(steps) / most;
        BARS.get(usize::try_from(step).unwrap_or_default())
            .copied()
            .unwrap_or(' ')
    };
    tail.iter().map(bar).collect()
}

fn millis(nanos: u64) -> String {
    format!("{:.2} ms", crate::process::count(nanos) / 1e6)
}

#[cfg(test)]
mod tests;
