//! Which requests a listener wants: what it wrote into the query of `/tap`.

use super::Names;
use crate::live::Finished;
use std::time::Duration;

/// AND of all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `reviews`, `reviews.demo`, or its full host.
    service: Option<String>,
    /// Part of the route's name.
    route: Option<String>,
    status: Option<Status>,
    /// A response flag.
    flag: Option<String>,
    method: Option<String>,
    /// `namespace`, `namespace/serviceAccount`, or a workload's name.
    source: Option<String>,
    path: Option<String>,
    least: Duration,
    /// One of so many that pass.
    pub(super) every: u64,
    /// Lines at most.
    pub(super) limit: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Code(u16),
    /// `5xx`.
    Class(u16),
}

impl Filter {
    /// Reads `service=reviews&status=5xx&path=/api&minMs=100&sample=0.1&limit=50&flag=UH&method=GET&route=..&source=..`.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            filter.set(name, decoded(value))?;
        }
        Ok(filter)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "service" => self.service = Some(value),
            "route" => self.route = Some(value),
            "flag" => self.flag = Some(value),
            "method" => self.method = Some(value),
            "source" => self.source = Some(value),
            "path" => self.path = Some(value),
            "status" => self.status = Some(status(&value)?),
            "minMs" => {
                let millis: f64 = value
                    .parse()
                    .map_err(|_| format!("minMs: expected milliseconds, found {value:?}"))?;
                let least = Duration::try_from_secs_f64(millis / 1_000.0);
                self.least = least.map_err(|_| format!("minMs: expected milliseconds, found {value:?}"))?;
            }
            "sample" => self.every = every(&value)?,
            "limit" => {
                self.limit = Some(
                    value
                        .parse()
                        .map_err(|_| format!("limit: expected a number, found {value:?}"))?,
                )
            }
            other => {
                return Err(format!(
                    "unknown filter {other:?}; expected service, route, status, flag, method, source, path, minMs, \
                     sample or limit"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn admits(&self, finished: &Finished<'_>, (route, _): &Names) -> bool {
        let outcome = finished.outcome;
        let is = |wanted: &Option<String>, holds: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(holds);
        outcome.duration >= self.least
            && self.status.is_none_or(|status| status.is(outcome.status))
            && is(&self.service, &|wanted| is_service(outcome.service, wanted))
            && is(&self.route, &|wanted| {
                route.as_deref().is_some_and(|route| route.contains(wanted))
            })
            && is(&self.flag, &|wanted| {
                outcome.flags.split(',').any(|flag| flag == wanted)
            })
            && is(&self.method, &|wanted| outcome.method == wanted)
            && is(&self.source, &|wanted| is_source(finished, wanted))
            && is(&self.path, &|wanted| {
                finished.head.is_some_and(|head| head.path.as_str().starts_with(wanted))
            })
    }
}

impl Status {
    fn is(self, status: u16) -> bool {
        match self {
            Self::Code(code) => code == status,
            Self::Class(class) => class == status / 100,
        }
    }
}

fn is_service(service: &request::ServiceName, wanted: &str) -> bool {
    let (name, namespace) = wanted.split_once('.').unwrap_or((wanted, &service.namespace));
    *service.host == *wanted || (*service.name == *name && *service.namespace == *namespace)
}

fn is_source(finished: &Finished<'_>, wanted: &str) -> bool {
    let outcome = finished.outcome;
    let Some(identity) = outcome.source_identity else {
        return false;
    };
    match wanted.split_once('/') {
        Some((namespace, account)) => identity.namespace() == namespace && identity.service_account() == account,
        None => identity.namespace() == wanted || outcome.source.name == wanted || identity.service_account() == wanted,
    }
}

fn status(text: &str) -> Result<Status, String> {
    let error = || format!("status: expected a code such as 404 or a class such as 5xx, found {text:?}");
    match text.strip_suffix("xx") {
        Some(class) => class.parse().map(Status::Class).map_err(|_| error()),
        None => text.parse().map(Status::Code).map_err(|_| error()),
    }
}

/// `0.1`: one of ten.
fn every(text: &str) -> Result<u64, String> {
    let share: f64 = text
        .parse()
        .map_err(|_| format!("sample: expected a share such as 0.1, found {text:?}"))?;
    if !(share > 0.0 && share <= 1.0) {
        return Err(format!(
            "sample: expected a share above 0 and at most 1, found {text:?}"
        ));
    }
    // At least 1, and what is too large for a number is its largest.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let every = (1.0 / share).round() as u64;
    Ok(every)
}

/// `%2F` and `+` as browsers and curl write them.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut ahead = bytes.clone();
                let digits = (ahead.next().and_then(hex), ahead.next().and_then(hex));
                match digits {
                    (Some(high), Some(low)) => {
                        out.push(high * 16 + low);
                        bytes = ahead;
                    }
                    _ => out.push(b'%'),
                }
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
