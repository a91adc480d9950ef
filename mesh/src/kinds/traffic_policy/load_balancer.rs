//! `loadBalancer`.

use super::duration;
use crate::decode::{Fields, Problems, describe, quoted, record};
use http::HeaderName;
use routing::{Balance, HashCookie, HashKey, Warmup};

/// A load balancer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LoadBalancer {
    /// Which endpoint.
    pub(crate) balance: Balance,
    /// Slow start.
    pub(crate) warmup: Option<Warmup>,
    /// `localityLbSetting`.
    pub(crate) locality: Option<Locality>,
}

/// `localityLbSetting`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Locality {
    /// `enabled`, default true.
    pub(crate) is_disabled: bool,
    /// `distribute`.
    pub(crate) distribute: Vec<Distribute>,
    /// `failover`: from region, to region.
    pub(crate) failover: Vec<(String, String)>,
    /// `failoverPriority`: label, or label and the value that counts as ours.
    pub(crate) failover_priority: Vec<(String, Option<String>)>,
}

/// Shares of localities (`region/zone`, `*`) for clients of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Distribute {
    /// Whose.
    pub(crate) from: String,
    /// Locality and per cent.
    pub(crate) to: Vec<(String, u32)>,
}

impl LoadBalancer {
    /// Reads `loadBalancer` of these fields.
    pub(super) fn read(fields: &Fields<'_>, problems: &Problems) -> Option<Self> {
        fields.record("loadBalancer", |fields| {
            let hash = fields.record("consistentHash", |fields| hash_key(fields, problems));
            let simple = simple(fields);
            if hash.is_some() && fields.get("simple").is_some() {
                fields.error(
                    "simple",
                    "`simple` and `consistentHash` exclude each other: the hash is in force",
                );
            }
            Self {
                balance: hash.flatten().map_or(simple, Balance::Hash),
                warmup: warmup(fields),
                locality: fields.record("localityLbSetting", |fields| Locality::read(fields, problems)),
            }
        })
    }
}

fn simple(fields: &Fields<'_>) -> Balance {
    match fields.text("simple") {
        None | Some("UNSPECIFIED" | "LEAST_REQUEST" | "LEAST_CONN") => Balance::LeastRequest,
        Some("ROUND_ROBIN") => Balance::RoundRobin,
        Some("RANDOM") => Balance::Random,
        Some("PASSTHROUGH") => {
            let message = "PASSTHROUGH is not supported at a waypoint, which is addressed by Service: \
                           LEAST_REQUEST is in force";
            fields.error("simple", message);
            Balance::LeastRequest
        }
        Some(other) => {
            let known = "LEAST_REQUEST, ROUND_ROBIN or RANDOM";
            let message = format!("expected {known}, found {}: LEAST_REQUEST is in force", quoted(other));
            fields.error("simple", message);
            Balance::LeastRequest
        }
    }
}

fn hash_key(fields: &Fields<'_>, problems: &Problems) -> Option<HashKey> {
    for name in ["minimumRingSize", "ringHash", "maglev"] {
        if fields.get(name).is_some() {
            let message = format!("`{name}` is not needed: hashing is consistent without a table");
            fields.warning(name, message);
        }
    }
    let header = fields.text("httpHeaderName").and_then(|name| {
        let parsed = HeaderName::try_from(name);
        if parsed.is_err() {
            fields.error(
                "httpHeaderName",
                format!("expected a header name, found {}", quoted(name)),
            );
        }
        parsed.ok().map(HashKey::Header)
    });
    let cookie = fields.record("httpCookie", |fields| cookie(fields, problems));
    let cookie = cookie.flatten().map(HashKey::Cookie);
    let source = fields.boolean("useSourceIp").filter(|by_source| *by_source);
    let query = fields.text("httpQueryParameterName").filter(|name| !name.is_empty());
    let keys = [
        header,
        cookie,
        source.map(|_| HashKey::SourceIp),
        query.map(|name| HashKey::Query(name.into())),
    ];
    let mut keys = keys.into_iter().flatten();
    let key = keys.next();
    if key.is_none() {
        let message = "expected one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName: \
                       LEAST_REQUEST is in force";
        fields.error("httpHeaderName", message);
    }
    if keys.next().is_some() {
        fields.error(
            "httpHeaderName",
            "expected one key, found several: the first of them is in force",
        );
    }
    key
}

fn cookie(fields: &Fields<'_>, problems: &Problems) -> Option<HashCookie> {
    let attributes = fields.bounded_list("attributes", 16, |value, at| {
        record(value, at, problems, attribute).flatten()
    });
    let ttl = duration(fields, "ttl");
    let path = fields.text("path").unwrap_or_default();
    let name = fields.required("name")?;
    if !plain(name) || name.contains('=') {
        fields.error("name", format!("expected a cookie's name, found {}", quoted(name)));
        return None;
    }
    if !plain(path) {
        fields.error("path", format!("expected a path, found {}", quoted(path)));
        return None;
    }
    Some(HashCookie {
        name: name.into(),
        path: path.into(),
        ttl,
        attributes: attributes.concat().into(),
    })
}

/// What goes into a Set-Cookie header as it is.
fn plain(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'"' | b'\\'))
}

/// `; name=value`, or `; name`.
fn attribute(fields: &Fields<'_>) -> Option<String> {
    let value = fields.text("value").unwrap_or_default();
    let name = fields.required("name")?;
    if !plain(name) || name.contains('=') || !plain(value) {
        let message = format!(
            "expected an attribute of a cookie, found {}: it is left out",
            quoted(&format!("{name}={value}"))
        );
        fields.error("name", message);
        return None;
    }
    Some(if value.is_empty() {
        format!("; {name}")
    } else {
        format!("; {name}={value}")
    })
}

/// `warmup`, or the older `warmupDurationSecs`.
fn warmup(fields: &Fields<'_>) -> Option<Warmup> {
    let old = duration(fields, "warmupDurationSecs").map(|duration| Warmup {
        duration,
        least_percent: 10.0,
        aggression: 1.0,
    });
    let new = fields.record("warmup", |fields| {
        let number = |name: &'static str, otherwise: f64, fits: fn(f64) -> bool, expected: &str| {
            let Some(value) = fields.get(name) else {
                return otherwise;
            };
            let number = value.as_f64().filter(|number| fits(*number));
            if number.is_none() {
                fields.error(name, format!("expected {expected}, found {}", describe(value)));
            }
            number.unwrap_or(otherwise)
        };
        let least_percent = number(
            "minimumPercent",
            10.0,
            |n| (0.0..=100.0).contains(&n),
            "a number from 0 to 100",
        );
        let aggression = number("aggression", 1.0, |n| n >= 1.0, "a number from 1 on");
        if fields.get("duration").is_none() {
            fields.error("duration", "`duration` is missing: it must be given");
        }
        Some(Warmup {
            duration: duration(fields, "duration")?,
            least_percent,
            aggression,
        })
    });
    new.flatten().or(old).filter(|warmup| !warmup.duration.is_zero())
}

impl Locality {
    /// Whether it says what to fail over to.
    pub(crate) fn fails_over(&self) -> bool {
        !self.failover.is_empty() || !self.failover_priority.is_empty()
    }

    /// Reads the fields of a LocalityLoadBalancerSetting.
    pub(crate) fn read(fields: &Fields<'_>, problems: &Problems) -> Self {
        let distribute = fields.list("distribute", 256, |value, at| {
            record(value, at, problems, distribute).flatten()
        });
        let failover = fields.list("failover", 256, |value, at| {
            record(value, at, problems, |fields| {
                let (from, to) = (fields.required("from"), fields.required("to"));
                Some((from?.to_owned(), to?.to_owned()))
            })
            .flatten()
        });
        let failover_priority =
            fields
                .texts("failoverPriority", 64)
                .into_iter()
                .map(|text| match text.split_once('=') {
                    Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
                    None => (text.to_owned(), None),
                });
        let read = Self {
            is_disabled: fields.boolean("enabled") == Some(false),
            failover_priority: failover_priority.collect(),
            distribute,
            failover,
        };
        if read.fails_over() && !read.distribute.is_empty() {
            fields.error(
                "distribute",
                "`distribute` and failover exclude each other: `distribute` is in force",
            );
        }
        read
    }
}

fn distribute(fields: &Fields<'_>) -> Option<Distribute> {
    let to = fields.record("to", |fields| fields.percents())?;
    let sum: u32 = to.iter().map(|(_, percent)| *percent).sum();
    if sum != 100 {
        fields.error("to", format!("expected shares that add up to 100, found {sum}"));
        return None;
    }
    Some(Distribute {
        from: fields.required("from")?.to_owned(),
        to,
    })
}
