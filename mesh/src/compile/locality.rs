//! Locality: which endpoints are near, and what that makes of their priority and their share.
//!
//! As Istio has it: a DestinationRule's `localityLbSetting` goes before the Service's `trafficDistribution`, and that
//! before the mesh's setting. Failing over by region and zone needs outlier detection, which tells what has failed;
//! `trafficDistribution` and `distribute` do not.

use super::clusters::Address;
use super::workloads::Workloads;
use crate::Scope;
use crate::kinds::service::Distribution;
use crate::kinds::traffic_policy::{Distribute, Locality};
use request::Workload;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Label of region.
pub(crate) const REGION: &str = "topology.kubernetes.io/region";
/// Label of zone.
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";
/// Shares of one per cent: what is divided among the endpoints of a locality.
const PARTS: u32 = 1000;

/// Where something runs; empty parts are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Region.
    pub(crate) region: String,
    /// Zone.
    pub(crate) zone: String,
    /// Node.
    pub(crate) node: String,
}

impl From<&Workload> for Place {
    fn from(workload: &Workload) -> Self {
        Self {
            region: workload.region.clone(),
            zone: workload.zone.clone(),
            node: workload.node.clone(),
        }
    }
}

/// Where this waypoint runs.
#[derive(Debug, Default)]
pub(crate) struct Own<'r> {
    /// Its place; all empty when nothing is known of it.
    pub(crate) place: Place,
    labels: Option<&'r BTreeMap<String, String>>,
}

/// What was known of it in the compile before: place and labels.
pub(crate) type Known = (Place, Option<BTreeMap<String, String>>);

/// What decides how near an endpoint is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    /// The Service's `trafficDistribution`.
    pub(crate) distribution: Distribution,
    /// The DestinationRule's `localityLbSetting`.
    pub(crate) rule: Option<&'a Locality>,
    /// The mesh's.
    pub(crate) mesh: Option<&'a Locality>,
    /// Endpoints that fail are told from others.
    pub(crate) has_outliers: bool,
}

/// An endpoint's priority and share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rank {
    /// 0 first.
    pub(crate) priority: u8,
    /// At least 1; 0: not to be used at all.
    pub(crate) weight: u32,
}

impl<'r> Own<'r> {
    /// By flags, else by the waypoint's own Pod, of this name or address.
    pub(crate) fn find(scope: &Scope, workloads: &Workloads<'r>) -> Self {
        let by_name = scope.namespace.as_deref().zip(scope.pod.as_deref());
        let ip = by_name
            .and_then(|(namespace, name)| workloads.ip_of(namespace, name))
            .or(scope.ip);
        let mut place = ip.map(|ip| workloads.place(ip)).unwrap_or_default();
        for (flag, part) in [
            (&scope.node, &mut place.node),
            (&scope.zone, &mut place.zone),
            (&scope.region, &mut place.region),
        ] {
            if let Some(flag) = flag.as_ref().filter(|flag| !flag.is_empty()) {
                part.clone_from(flag);
            }
        }
        Self {
            place: workloads.complete(place),
            labels: ip.and_then(|ip| workloads.labels(ip)),
        }
    }

    /// Whether this is all that was known.
    pub(crate) fn is(&self, known: &Known) -> bool {
        self.place == known.0 && self.labels == known.1.as_ref()
    }

    /// For the next compile.
    pub(crate) fn known(&self) -> Known {
        (self.place.clone(), self.labels.cloned())
    }

    /// Ranks endpoints, one by one as they come.
    pub(crate) fn rank(&self, setting: &Setting<'_>, addresses: &[Address<'_>]) -> Vec<Rank> {
        let even = |address: &Address<'_>| Rank {
            priority: 0,
            weight: address.weight,
        };
        let evenly = || addresses.iter().map(even).collect();
        if self.place == Place::default() {
            return evenly();
        }
        let distances: Vec<usize> = match setting.in_force() {
            InForce::Nothing => return evenly(),
            InForce::Distribute(all) => {
                let mine = all.iter().find(|one| self.place.is_in(&one.from));
                return mine.map_or_else(evenly, |mine| shares(mine, addresses));
            }
            InForce::Labels(labels) => addresses.iter().map(|one| self.unlike(&labels, one)).collect(),
            InForce::Failover(failover) => addresses
                .iter()
                .map(|one| self.place.distance(&one.place, failover))
                .collect(),
        };
        // Priorities are dense: distances at which there is nothing are left out.
        let known: BTreeSet<usize> = distances.iter().copied().collect();
        let priority = |distance: usize| known.iter().position(|one| *one == distance).unwrap_or_default();
        let ranks = addresses.iter().zip(&distances).map(|(address, distance)| Rank {
            priority: u8::try_from(priority(*distance)).unwrap_or(u8::MAX),
            weight: address.weight,
        });
        ranks.collect()
    }

    /// How many of these labels, from the first that differs on, are not shared.
    fn unlike(&self, labels: &[(&str, Option<&str>)], address: &Address<'_>) -> usize {
        let own = |label| label_of(&self.place, self.labels, label);
        let same = labels.iter().take_while(|(label, value)| {
            value.unwrap_or(own(label)) == label_of(&address.place, address.labels, label)
        });
        labels.len().saturating_sub(same.count())
    }
}

enum InForce<'a> {
    Nothing,
    Distribute(&'a [Distribute]),
    Labels(Vec<(&'a str, Option<&'a str>)>),
    Failover(&'a [(String, String)]),
}

impl<'a> Setting<'a> {
    fn in_force(&self) -> InForce<'a> {
        let plain = |labels: &[&'static str]| InForce::Labels(labels.iter().map(|label| (*label, None)).collect());
        match (self.rule, self.distribution) {
            (Some(rule), _) => self.of(rule),
            (None, Distribution::SameZone) => plain(&[REGION, ZONE]),
            (None, Distribution::SameNode) => plain(&[REGION, ZONE, HOSTNAME]),
            (None, Distribution::Any) => match self.mesh {
                Some(mesh) => self.of(mesh),
                None if self.has_outliers => InForce::Failover(&[]),
                None => InForce::Nothing,
            },
        }
    }

    fn of(&self, locality: &'a Locality) -> InForce<'a> {
        if locality.is_disabled {
            return InForce::Nothing;
        }
        if !locality.distribute.is_empty() {
            return InForce::Distribute(&locality.distribute);
        }
        if !self.has_outliers {
            return InForce::Nothing;
        }
        if locality.failover_priority.is_empty() {
            return InForce::Failover(&locality.failover);
        }
        let labels = locality.failover_priority.iter();
        InForce::Labels(
            labels
                .map(|(label, value)| (label.as_str(), value.as_deref()))
                .collect(),
        )
    }
}

impl Place {
    /// 0: the same zone; 1: the same region; 2: another, or the one that `failover` names; 3: any but that one.
    fn distance(&self, other: &Self, failover: &[(String, String)]) -> usize {
        if self.region != other.region {
            let to = failover.iter().find(|(from, _)| *from == self.region);
            return if to.is_some_and(|(_, to)| *to != other.region) {
                3
            } else {
                2
            };
        }
        usize::from(self.zone != other.zone)
    }

    /// Whether it is in a locality (`region/zone`, with `*` for any).
    fn is_in(&self, locality: &str) -> bool {
        let mut parts = locality.split('/');
        let mut fits = |own: &str| match parts.next() {
            None | Some("*" | "") => true,
            Some(part) => part == own,
        };
        fits(&self.region) && fits(&self.zone) && matches!(parts.next(), None | Some("*" | ""))
    }
}

fn label_of<'a>(place: &'a Place, labels: Option<&'a BTreeMap<String, String>>, label: &str) -> &'a str {
    match label {
        REGION => &place.region,
        ZONE => &place.zone,
        HOSTNAME => &place.node,
        other => labels.and_then(|labels| labels.get(other)).map_or("", String::as_str),
    }
}

/// Shares by locality; what is in none of them gets nothing.
fn shares(distribute: &Distribute, addresses: &[Address<'_>]) -> Vec<Rank> {
    // What is told more closely goes first.
    let mut localities: Vec<&(String, u32)> = distribute.to.iter().collect();
    localities.sort_by_key(|(locality, _)| (locality.contains('*'), std::cmp::Reverse(locality.len())));
    let of = |address: &Address<'_>| {
        localities
            .iter()
            .position(|(locality, _)| address.place.is_in(locality))
    };
    let places: Vec<Option<usize>> = addresses.iter().map(of).collect();
    let mut sums: HashMap<usize, u32> = HashMap::new();
    for (address, place) in addresses.iter().zip(&places) {
        let sum = sums.entry(place.unwrap_or(usize::MAX)).or_default();
        *sum = sum.saturating_add(address.weight);
    }
    let share = |(address, place): (&Address<'_>, &Option<usize>)| {
        let place = place.unwrap_or(usize::MAX);
        let percent = localities.get(place).map_or(0, |(_, percent)| *percent);
        let sum = sums.get(&place).copied().unwrap_or(1);
        let whole = percent.saturating_mul(PARTS).saturating_mul(address.weight);
        Rank {
            priority: 0,
            weight: if percent == 0 {
                0
            } else {
                whole.checked_div(sum).unwrap_or_default().max(1)
            },
        }
    };
    addresses.iter().zip(&places).map(share).collect()
}
