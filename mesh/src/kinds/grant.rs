//! ReferenceGrant: whom a namespace lets refer to its objects.

use super::Body;
use crate::decode::{At, Fields, Problems, record};
use serde_json::Value;

/// A ReferenceGrant. What is faulty in it grants nothing.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    /// `from`: group, kind, namespace.
    pub(crate) from: Vec<(String, String, String)>,
    /// `to`: group, kind, and a name when it is for one object only.
    pub(crate) to: Vec<(String, String, Option<String>)>,
}

/// Parses a ReferenceGrant.
pub(crate) fn parse(spec: &Value, at: &At<'_>, problems: &Problems) -> Body {
    let grant = record(spec, at, problems, |fields| Grant {
        from: fields.list("from", 16, |value, at| {
            record(value, at, problems, |fields| {
                let (group, kind) = group_kind(fields)?;
                let namespace = fields.required("namespace")?.to_owned();
                if namespace == "*" {
                    fields.error(
                        "namespace",
                        "expected the name of a namespace, found \"*\": there is no wildcard",
                    );
                    return None;
                }
                Some((group, kind, namespace))
            })
            .flatten()
        }),
        to: fields.list("to", 16, |value, at| {
            record(value, at, problems, |fields| {
                let (group, kind) = group_kind(fields)?;
                // A name that cannot be read must not become "any".
                let name = match fields.get("name") {
                    None => None,
                    Some(_) => Some(fields.text("name")?.to_owned()),
                };
                Some((group, kind, name))
            })
            .flatten()
        }),
    });
    Body::Grant(grant.unwrap_or_default())
}

fn group_kind(fields: &Fields<'_>) -> Option<(String, String)> {
    let group = fields.text("group").unwrap_or_default().to_owned();
    Some((group, fields.required("kind")?.to_owned()))
}
