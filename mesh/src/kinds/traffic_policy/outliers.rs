//! `outlierDetection`.

use super::{count, duration};
use crate::decode::Fields;
use routing::OutlierDetection;

/// Reads `outlierDetection` of these fields. Defaults are Envoy's, as Istio leaves them.
pub(super) fn read(fields: &Fields<'_>) -> Option<OutlierDetection> {
    fields.record("outlierDetection", |fields| {
        let default = OutlierDetection::default();
        let percent = |name| {
            let number = fields.integer(name, 0..=100)?;
            u32::try_from(number).ok()
        };
        if fields.get("consecutiveErrors").is_some() {
            let message = "`consecutiveErrors` is not heeded: it was replaced by `consecutive5xxErrors` and \
                           `consecutiveGatewayErrors`";
            fields.error("consecutiveErrors", message);
        }
        let split_local = fields.boolean("splitExternalLocalOriginErrors").unwrap_or_default();
        let consecutive_local = count(fields, "consecutiveLocalOriginFailures");
        if consecutive_local.is_some() && !split_local {
            let message = "without `splitExternalLocalOriginErrors: true` local failures count as gateway errors: \
                           this count is not in force";
            fields.warning("consecutiveLocalOriginFailures", message);
        }
        let positive = |name| {
            let time = duration(fields, name)?;
            if time.is_zero() {
                fields.error(name, "expected a time above 0");
            }
            Some(time).filter(|time| !time.is_zero())
        };
        OutlierDetection {
            consecutive_5xx: count(fields, "consecutive5xxErrors").unwrap_or(default.consecutive_5xx),
            consecutive_gateway: count(fields, "consecutiveGatewayErrors").unwrap_or(default.consecutive_gateway),
            consecutive_local: consecutive_local.unwrap_or(default.consecutive_local),
            split_local,
            interval: positive("interval").unwrap_or(default.interval),
            base_ejection: positive("baseEjectionTime").unwrap_or(default.base_ejection),
            // 0 is what is not set, in Istio's API.
            max_ejection_percent: percent("maxEjectionPercent")
                .filter(|percent| *percent > 0)
                .unwrap_or(default.max_ejection_percent),
            min_health_percent: percent("minHealthPercent").unwrap_or(default.min_health_percent),
        }
    })
}
