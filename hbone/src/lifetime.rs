//! How long a connection lives: PING keep-alive, idleness, age. The same for both ends.

use crate::io::Activity;
use crate::slots::Slots;
use h2::{Ping, PingPong};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// "Never" is ten years, so that no sum of times overflows.
pub(crate) const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The limits, and by whom they are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_age: Option<Duration>,
}

impl Limits {
    fn clamped(self) -> Self {
        Self {
            ping_interval: self.ping_interval.clamp(Duration::from_millis(1), NEVER),
            ping_timeout: self.ping_timeout.min(NEVER),
            idle_timeout: self.idle_timeout.min(NEVER),
            max_age: self.max_age.map(|age| age.min(NEVER)),
        }
    }
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The peer does not answer: close at once.
    Dead,
    /// No tunnel for the idle time: leave. Reported again after another idle time, should it be ignored.
    Idle,
    /// Old enough: leave. Reported once.
    Aged,
}

/// The clock of one connection. Deadlines are looked at when the one timer fires, so that traffic costs nothing here.
pub(crate) struct Lifetime {
    limits: Limits,
    activity: Arc<Activity>,
    slots: Arc<Slots>,
    pings: Option<PingPong>,
    ping_sent: Option<Instant>,
    idle_since: Option<Instant>,
    age_limit: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Lifetime {
    pub(crate) fn new(limits: Limits, activity: Arc<Activity>, slots: Arc<Slots>, pings: Option<PingPong>) -> Self {
        let now = Instant::now();
        let limits = limits.clamped();
        Self {
            limits,
            activity,
            slots,
            pings,
            ping_sent: None,
            idle_since: Some(now),
            age_limit: limits.max_age.map(|age| now + age),
            timer: Box::pin(tokio::time::sleep_until(now)),
        }
    }

    /// Resolves when something is due. Call it again afterwards.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        self.note_idleness();
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let mut next = now + self.limits.ping_interval;
            if let Some(due) = self.check(cx, now, &mut next) {
                return Poll::Ready(due);
            }
            self.timer.as_mut().reset(next);
        }
    }

    fn note_idleness(&mut self) {
        match (self.slots.in_use(), self.idle_since) {
            (0, None) => self.idle_since = Some(Instant::now()),
            (1.., Some(_)) => self.idle_since = None,
            _ => {}
        }
    }

    fn check(&mut self, cx: &mut Context<'_>, now: Instant, next: &mut Instant) -> Option<Due> {
        if self.is_dead(cx, now, next) {
            return Some(Due::Dead);
        }
        if let Some(deadline) = self.age_limit {
            if now >= deadline {
                self.age_limit = None;
                return Some(Due::Aged);
            }
            *next = deadline.min(*next);
        }
        if let Some(since) = self.idle_since {
            let deadline = since + self.limits.idle_timeout;
            if now >= deadline {
                self.idle_since = Some(now);
                return Some(Due::Idle);
            }
            *next = deadline.min(*next);
        }
        None
    }

    /// Sends a PING when nothing was received for the interval. Anything received after it counts as a sign of life.
    fn is_dead(&mut self, cx: &mut Context<'_>, now: Instant, next: &mut Instant) -> bool {
        let Some(pings) = &mut self.pings else { return false };
        let heard = self.activity.last_received();
        if let Some(sent) = self.ping_sent {
            if pings.poll_pong(cx).is_pending() {
                let deadline = sent.max(heard) + self.limits.ping_timeout;
                *next = deadline.min(*next);
                return now >= deadline;
            }
            self.ping_sent = None;
        }
        let due = heard + self.limits.ping_interval;
        if now < due {
            *next = due.min(*next);
        } else if pings.send_ping(Ping::opaque()).is_ok() {
            self.ping_sent = Some(now);
            *next = (now + self.limits.ping_timeout).min(*next);
        }
        false
    }
}
