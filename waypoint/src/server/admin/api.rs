//! `/api/config`: the config in force with what is wrong in it, our certificate, our listeners. What the page shows.

use super::Admin;
use crate::live::unix_ms;
use serde_json::{Value, json};
use std::time::SystemTime;

/// The dump of the config, and what surrounds it.
pub(super) fn config(admin: &Admin) -> Value {
    let node = &admin.node;
    let mut told = node.snapshot.load().dump(node.clock.now_ms());
    let identity = node.own.0.current();
    let left = identity.not_after.duration_since(SystemTime::now()).unwrap_or_default();
    let listeners = admin
        .listeners
        .iter()
        .map(|(name, address)| json!({ "name": name, "address": address.to_string() }));
    let more = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listeners": listeners.collect::<Vec<_>>(),
        "certificate": {
            "identity": identity.id.as_str(),
            "notBeforeMs": unix_ms(identity.not_before),
            "notAfterMs": unix_ms(identity.not_after),
            "daysLeft": left.as_secs() / 86_400,
        },
        "findings": node.live.findings(),
    });
    if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more);
    }
    told
}
