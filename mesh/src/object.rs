//! One Kubernetes object: what every kind has (names, labels), where it was read, and its parsed body.

use crate::decode::{At, Fields, Problems, describe, quoted, record};
use crate::kinds::Body;
use crate::recent;
use authz::Problem;
use routing::Seldom;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// A name's length limit (RFC 1123 subdomain).
const MAX_NAME_BYTES: usize = 253;

/// A file as it was when objects were read from it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct SourceFile {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Hash of its content: places are looked up only while the content is the same.
    pub(crate) hash: u64,
}

/// Where an object was read.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The file.
    pub(crate) file: Arc<SourceFile>,
    /// Which document of it.
    pub(crate) document: u32,
    /// Which item of a `kind: List`.
    pub(crate) item: Option<u32>,
    /// Line of the document.
    pub(crate) line: u32,
    /// Column of the document.
    pub(crate) column: u32,
}

/// `metadata`, less what is of no concern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meta {
    /// Empty for kinds without one.
    pub(crate) namespace: Arc<str>,
    /// Never empty.
    pub(crate) name: Arc<str>,
    /// Labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Annotations that matter here.
    pub(crate) annotations: Seldom<BTreeMap<String, String>>,
    /// `creationTimestamp` in unix seconds.
    pub(crate) created: Option<i64>,
    /// `generation`: what a status was said about.
    pub(crate) generation: Option<i64>,
    /// The controlling owner: kind and name.
    pub(crate) owner: Option<Box<(String, String)>>,
}

/// A parsed object.
#[derive(Debug)]
pub(crate) struct Object {
    /// `HTTPRoute`, as written.
    pub(crate) kind: Arc<str>,
    /// See [`id_of`].
    pub(crate) id: u64,
    /// Names and labels.
    pub(crate) meta: Meta,
    /// What the kind says.
    pub(crate) body: Body,
    /// Where it was read, when from a file.
    pub(crate) origin: Option<Origin>,
    /// What was wrong with it alone.
    pub(crate) problems: Box<[Problem]>,
    /// What its regular expressions take, compiled.
    pub(crate) regex_bytes: usize,
}

impl Object {
    /// Of the same kind and name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.meta.name == other.meta.name
            && self.kind == other.kind
            && self.meta.namespace == other.meta.namespace
    }
}

/// Of an annotation: whether anything here reads it. The others are not kept.
pub(crate) fn is_read_annotation(key: &str) -> bool {
    key.contains("istio.io/") || key.starts_with("waypoint-proxy.io/")
}

/// Hash of kind and name, of this process: names are compared again and again, and are long and alike.
pub(crate) fn id_of(kind: &str, namespace: &str, name: &str) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one((kind, namespace, name))
}

/// `HTTPRoute default/reviews`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.meta.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.meta.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.meta.namespace, self.meta.name)
        }
    }
}

/// A document that is no object: told, not used.
#[derive(Debug)]
pub(crate) struct NoObject {
    /// `HTTPRoute`, when that is known.
    pub(crate) object: Option<String>,
    /// What is missing.
    pub(crate) problem: Problem,
    /// Where, when from a file.
    pub(crate) origin: Option<Origin>,
}

/// Reads one document: an object, or a `List` of them. `regex_room` is what their regular expressions may take, in
/// bytes, and then what is left of that.
pub(crate) fn read(
    value: &Value,
    origin: Option<Origin>,
    regex_room: &mut usize,
    objects: &mut Vec<Arc<Object>>,
    bad: &mut Vec<NoObject>,
) {
    let is_list = value
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind == "List");
    match value.get("items") {
        Some(Value::Array(items)) if is_list => {
            for (index, item) in items.iter().enumerate() {
                let origin = origin.clone().map(|origin| Origin {
                    item: u32::try_from(index).ok(),
                    ..origin
                });
                read_one(item, origin, regex_room, objects, bad);
            }
        }
        _ => read_one(value, origin, regex_room, objects, bad),
    }
}

fn read_one(
    value: &Value,
    origin: Option<Origin>,
    regex_room: &mut usize,
    objects: &mut Vec<Arc<Object>>,
    bad: &mut Vec<NoObject>,
) {
    match object(value, origin.clone(), *regex_room) {
        Ok(object) => {
            *regex_room = regex_room.saturating_sub(object.regex_bytes);
            objects.push(Arc::new(object));
        }
        Err((object, problem)) => bad.push(NoObject {
            object,
            problem,
            origin,
        }),
    }
}

type Refusal = (Option<String>, Problem);

fn object(value: &Value, origin: Option<Origin>, regex_room: usize) -> Result<Object, Refusal> {
    let refuse = |object: Option<String>, field: &str, message: String| {
        (
            object,
            Problem {
                field: field.to_owned(),
                message,
                error: true,
            },
        )
    };
    if !value.is_object() {
        let message = format!("expected a Kubernetes object, found {}", describe(value));
        return Err(refuse(None, "", message));
    }
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(kind) = text("kind") else {
        return Err(refuse(
            None,
            "kind",
            "expected a Kubernetes object, but `kind` is missing".to_owned(),
        ));
    };
    let kind = shown(kind);
    let Some(api_version) = text("apiVersion") else {
        return Err(refuse(
            Some(kind),
            "apiVersion",
            "`apiVersion` is missing: it must be given".to_owned(),
        ));
    };
    let problems = Problems::within(regex_room);
    let meta = match value.get("metadata").map(|metadata| meta(metadata, &problems)) {
        Some(Some(meta)) => meta,
        _ => {
            let first = problems.into_vec().into_iter().next();
            let missing = || {
                refuse(
                    None,
                    "metadata.name",
                    "`metadata.name` is missing: it must be given".to_owned(),
                )
                .1
            };
            return Err((Some(kind), first.unwrap_or_else(missing)));
        }
    };
    if let Some(spec) = value.get("spec").filter(|spec| !spec.is_object() && !spec.is_null()) {
        let message = format!(
            "expected a mapping, found {}: nothing of this object is used",
            describe(spec)
        );
        return Err(refuse(Some(format!("{kind} {}", meta.name)), "spec", message));
    }
    let body = crate::kinds::body(&kind, api_version, value, &problems);
    let meta = placed(meta, &body);
    Ok(Object {
        id: id_of(&kind, &meta.namespace, &meta.name),
        kind: recent::text(&kind),
        meta,
        body,
        origin,
        regex_bytes: problems.regex_room.taken_bytes(),
        problems: problems.into_vec().into(),
    })
}

/// `default` where a namespace is needed and none was written, none where none belongs.
fn placed(meta: Meta, body: &Body) -> Meta {
    let namespace = match body {
        _ if body.is_cluster_wide() => recent::text(""),
        _ if meta.namespace.is_empty() => recent::text("default"),
        _ => meta.namespace,
    };
    Meta { namespace, ..meta }
}

fn meta(value: &Value, problems: &Problems) -> Option<Meta> {
    let at = At::Root;
    let at = at.field("metadata");
    record(value, &at, problems, |fields| {
        fields.leave_open();
        let name = Arc::from(plain_name(fields, "name", fields.required("name")?)?);
        let namespace = match fields.text("namespace") {
            Some(namespace) if !namespace.is_empty() => recent::text(plain_name(fields, "namespace", namespace)?),
            _ => recent::text(""),
        };
        let mut annotations = fields.text_map("annotations");
        annotations.retain(|key, _| is_read_annotation(key));
        Some(Meta {
            namespace,
            name,
            labels: fields.text_map("labels"),
            annotations: annotations.into(),
            created: fields.text("creationTimestamp").and_then(|text| created(fields, text)),
            generation: fields.get("generation").and_then(Value::as_i64),
            owner: owner(fields),
        })
    })
    .flatten()
}

/// A name is printed, compared and put into hosts: nothing but what Kubernetes admits.
fn plain_name<'n>(fields: &Fields<'_>, field: &str, name: &'n str) -> Option<&'n str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    if name.len() <= MAX_NAME_BYTES && name.bytes().all(plain) {
        return Some(name);
    }
    let message = format!(
        "expected a name of letters, digits, `-` and `.`, at most 253 long, found {}",
        quoted(name)
    );
    fields.error(field, message);
    None
}

/// A kind as a message may show it.
fn shown(kind: &str) -> String {
    kind.chars().filter(|c| c.is_ascii_alphanumeric()).take(64).collect()
}

fn created(fields: &Fields<'_>, text: &str) -> Option<i64> {
    let seconds = rfc3339_seconds(text);
    if seconds.is_none() {
        let message = format!("expected a time such as 2026-01-31T12:00:00Z, found {}", quoted(text));
        fields.error("creationTimestamp", message);
    }
    seconds
}

fn owner(fields: &Fields<'_>) -> Option<Box<(String, String)>> {
    let owners = fields.list("ownerReferences", 64, |value, _| {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let controls = value.get("controller").and_then(Value::as_bool).unwrap_or(false);
        Some((controls, text("kind")?, text("name")?))
    });
    owners
        .into_iter()
        .find(|(controls, ..)| *controls)
        .map(|(_, kind, name)| Box::new((kind, name)))
}

/// Unix seconds of an RFC 3339 time.
fn rfc3339_seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<i64>().ok())
            .flatten()
    };
    let mut parts = date.splitn(3, '-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let split = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(split);
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let mut parts = clock.splitn(3, ':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let offset = match zone.get(1..)? {
        "" => 0,
        zone_text => {
            let (hours, minutes) = zone_text.split_once(':')?;
            let seconds = number(hours)?
                .checked_mul(3600)?
                .checked_add(number(minutes)?.checked_mul(60)?)?;
            if zone.starts_with('-') { -seconds } else { seconds }
        }
    };
    let sane = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && offset.abs() < 86_400;
    sane.then(|| days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests;
