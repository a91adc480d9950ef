//! Where requests and their copies go: `route`, `mirror`, `mirrors`.

use super::fault::percentage;
use super::headers;
use crate::decode::{At, Fields, Problems, record};
use routing::{Filters, Share};
use serde_json::Value;

/// Destinations, and mirrors, of one rule (ours; Istio has no limit). The rest is not in force.
const MAX_DESTINATIONS: usize = 256;
/// The Gateway API's limit of a weight.
const MAX_WEIGHT: i64 = 1_000_000;

/// A Destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// `host`.
    pub(crate) host: String,
    /// `port.number`.
    pub(crate) port: Option<u16>,
    /// `subset`.
    pub(crate) subset: Option<String>,
}

/// An HTTPRouteDestination.
#[derive(Debug)]
pub(crate) struct WeightedDestination {
    /// Its place in `route`.
    pub(crate) index: usize,
    /// `None`: not understood, its share answers 500.
    pub(crate) destination: Option<Destination>,
    /// `weight`; that of one alone is 1.
    pub(crate) weight: u32,
    /// `headers`.
    pub(crate) filters: Filters,
}

/// Where copies go.
#[derive(Debug)]
pub(crate) struct MirrorTo {
    /// `mirror`, or `mirrors[n].destination`: where it stands in the rule.
    pub(crate) field: String,
    /// Where to.
    pub(crate) destination: Destination,
    /// Of which requests.
    pub(crate) share: Share,
}

/// Reads `route`.
pub(super) fn weighted(fields: &Fields<'_>, problems: &Problems) -> Vec<WeightedDestination> {
    let is_alone = fields
        .get("route")
        .and_then(Value::as_array)
        .is_some_and(|list| list.len() == 1);
    let read = fields.bounded_list("route", MAX_DESTINATIONS, |value, at| {
        let index = at.position();
        record(value, at, problems, |fields| {
            let mut filters = Filters::default();
            headers::read(fields, &mut filters, problems);
            let weight = weight(fields, is_alone);
            if fields.get("destination").is_none() {
                fields.error("destination", "`destination` is missing: its share answers 500");
            }
            WeightedDestination {
                index,
                destination: fields.record("destination", destination).flatten(),
                weight,
                filters,
            }
        })
    });
    if !is_alone && !read.is_empty() && read.iter().all(|one| one.weight == 0) {
        fields.error("route", "expected a weight above 0: the rule answers 500");
    }
    read
}

/// A weight that is not understood gets no traffic. Of several destinations, one without a weight gets none (Istio).
fn weight(fields: &Fields<'_>, is_alone: bool) -> u32 {
    let weight = match fields.get("weight") {
        None => 0,
        Some(_) => fields.integer("weight", 0..=MAX_WEIGHT).unwrap_or(0),
    };
    match u32::try_from(weight).unwrap_or(0) {
        0 if is_alone => 1,
        weight => weight,
    }
}

/// Reads `mirror`, with its percentage, and `mirrors`.
pub(super) fn mirrors(fields: &Fields<'_>, problems: &Problems) -> Vec<MirrorTo> {
    let to = |field: String, destination, share: Option<Share>| {
        Some(MirrorTo {
            field,
            destination: destination?,
            share: share?,
        })
    };
    let share = match (
        fields.get("mirrorPercentage"),
        fields.get("mirrorPercent").or(fields.get("mirror_percent")),
    ) {
        (Some(_), _) => fields.record("mirrorPercentage", percentage).flatten(),
        (None, Some(_)) => {
            let name = if fields.get("mirrorPercent").is_some() {
                "mirrorPercent"
            } else {
                "mirror_percent"
            };
            let percent = fields
                .integer(name, 0..=100)
                .and_then(|percent| u32::try_from(percent).ok());
            percent.map(|percent| Share::percent(f64::from(percent)))
        }
        (None, None) => Some(Share::ALL),
    };
    let mut all = Vec::new();
    if fields.get("mirror").is_some() {
        let destination = fields.record("mirror", destination).flatten();
        all.extend(to("mirror".to_owned(), destination, share));
    }
    all.extend(fields.bounded_list("mirrors", MAX_DESTINATIONS, |value, at: &At<'_>| {
        let read = record(value, at, problems, |fields| {
            let share = match fields.get("percentage") {
                None => Some(Share::ALL),
                Some(_) => fields.record("percentage", percentage).flatten(),
            };
            let field = format!("mirrors[{}].destination", at.position());
            to(field, fields.record("destination", destination).flatten(), share)
        });
        read.flatten()
    }));
    all
}

fn destination(fields: &Fields<'_>) -> Option<Destination> {
    let port = match fields.get("port") {
        None => None,
        Some(_) => Some(fields.record("port", |fields| fields.port("number")).flatten()?),
    };
    Some(Destination {
        host: fields.required("host")?.to_ascii_lowercase(),
        port,
        subset: fields.text("subset").filter(|text| !text.is_empty()).map(str::to_owned),
    })
}
