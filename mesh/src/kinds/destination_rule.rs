//! DestinationRule: how a waypoint uses the endpoints of a host, and subsets of them by labels.

use super::Body;
use super::traffic_policy::TrafficSpec;
use crate::decode::{At, Fields, Problems, record};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A DestinationRule.
#[derive(Debug, Default)]
pub(crate) struct DestinationRule {
    /// `host`, as written.
    pub(crate) host: String,
    /// `trafficPolicy`.
    pub(crate) policy: Option<TrafficSpec>,
    /// `subsets`.
    pub(crate) subsets: Vec<Subset>,
    /// `exportTo`, as written; empty: to all.
    pub(crate) export_to: Vec<String>,
    /// It has a `workloadSelector`: it is for sidecars, not for waypoints.
    pub(crate) is_selective: bool,
}

/// A subset.
#[derive(Debug)]
pub(crate) struct Subset {
    /// Its place in the list.
    pub(crate) index: usize,
    /// `name`.
    pub(crate) name: Arc<str>,
    /// `labels`, all of which a pod must have.
    pub(crate) labels: BTreeMap<String, String>,
    /// `trafficPolicy`, which goes before the rule's.
    pub(crate) policy: Option<TrafficSpec>,
}

impl Subset {
    /// Whether something with these labels is of it.
    pub(crate) fn selects(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let mut wanted = self.labels.iter();
        wanted.all(|(key, value)| labels.is_some_and(|labels| labels.get(key) == Some(value)))
    }
}

/// Parses a DestinationRule.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let rule = record(spec, at, problems, |fields| read(fields, problems));
    Body::DestinationRule(Box::new(rule.unwrap_or_default()))
}

fn read(fields: &Fields<'_>, problems: &Problems) -> DestinationRule {
    let host = fields.required("host").unwrap_or_default().to_ascii_lowercase();
    let is_selective = fields.get("workloadSelector").is_some();
    if is_selective {
        let message = "a waypoint is selected by no labels: a rule with a workloadSelector is for sidecars, \
                       and not in force here";
        fields.warning("workloadSelector", message);
    }
    let subsets = fields.list("subsets", 1000, |value, at| {
        record(value, at, problems, |fields| subset(fields, at.position(), problems)).flatten()
    });
    DestinationRule {
        host,
        policy: TrafficSpec::read(fields, problems),
        subsets,
        export_to: fields.texts("exportTo", 256).into_iter().map(str::to_owned).collect(),
        is_selective,
    }
}

fn subset(fields: &Fields<'_>, index: usize, problems: &Problems) -> Option<Subset> {
    let policy = TrafficSpec::read(fields, problems);
    let labels = fields.text_map("labels");
    let wanted = fields
        .get("labels")
        .and_then(Value::as_object)
        .map_or(0, |map| map.len());
    let name = fields.required("name")?;
    // With one label less it would be another subset.
    (labels.len() == wanted).then(|| Subset {
        index,
        name: Arc::from(name),
        labels,
        policy,
    })
}
