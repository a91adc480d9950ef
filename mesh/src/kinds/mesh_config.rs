//! MeshConfig: the YAML text under key `mesh` of ConfigMap `istio`, where Istio users have it.

use super::extension_provider::{self, AuthProvider};
use super::telemetry_provider;
use crate::decode::{At, Fields, Problems, quoted, record};
use crate::kinds::traffic_policy::Locality;
use crate::yaml;
use request::Mode;
use serde_json::Value;

/// What a waypoint reads of MeshConfig.
#[derive(Debug, Default)]
pub(crate) struct MeshConfig {
    /// `trustDomain`.
    pub(crate) trust_domain: Option<String>,
    /// `trustDomainAliases`.
    pub(crate) trust_domain_aliases: Vec<String>,
    /// `rootNamespace`.
    pub(crate) root_namespace: Option<String>,
    /// `pathNormalization.normalization`.
    pub(crate) path_mode: Mode,
    /// `accessLogFile`, with `accessLogEncoding`.
    pub(crate) access_log: Option<String>,
    /// `defaultConfig.tracing.sampling`, per cent.
    pub(crate) trace_sampling_percent: Option<f64>,
    /// `extensionProviders` that CUSTOM policies may ask.
    pub(crate) auth_providers: Vec<AuthProvider>,
    /// Providers of telemetry, and what else it says of them.
    pub(crate) telemetry: telemetry_provider::Defaults,
    /// `localityLbSetting`.
    pub(crate) locality: Option<Locality>,
}

/// Parses the text. Faults are reported at `data.mesh` of the ConfigMap.
pub(crate) fn parse(text: &str, problems: &Problems) -> MeshConfig {
    let root = At::Root;
    let data = root.field("data");
    let at = data.field("mesh");
    let value = match yaml::documents(text) {
        Ok(documents) => documents.into_iter().next().map(|document| document.value),
        Err(bad) => {
            problems.error(&at, format!("line {} of the text in `mesh`: {}", bad.line, bad.message));
            None
        }
    };
    let Some(value) = value else {
        return MeshConfig::default();
    };
    record(&value, &at, problems, |fields| read(fields, problems)).unwrap_or_default()
}

fn read(fields: &Fields<'_>, problems: &Problems) -> MeshConfig {
    fields.leave_open();
    let text = |name: &'static str| fields.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let path_mode = fields.record("pathNormalization", |fields| match fields.text("normalization") {
        None | Some("DEFAULT" | "BASE") => Mode::Base,
        Some("NONE") => Mode::None,
        Some("MERGE_SLASHES") => Mode::MergeSlashes,
        Some("DECODE_AND_MERGE_SLASHES") => Mode::DecodeAndMergeSlashes,
        Some(other) => {
            let known = "NONE, BASE, MERGE_SLASHES or DECODE_AND_MERGE_SLASHES";
            let message = format!("expected {known}, found {}: the strictest is in force", quoted(other));
            fields.error("normalization", message);
            Mode::DecodeAndMergeSlashes
        }
    });
    let sampling = fields.record("defaultConfig", |fields| {
        fields.leave_open();
        let sampling = fields.record("tracing", |fields| {
            fields.leave_open();
            fields.get("sampling").map(|value| sampling(fields, value))
        });
        sampling.flatten().flatten()
    });
    let access_log = text("accessLogFile").map(|_| match fields.text("accessLogEncoding") {
        Some("JSON") => "JSON".to_owned(),
        None | Some("TEXT") => "TEXT".to_owned(),
        Some(other) => {
            fields.error(
                "accessLogEncoding",
                format!("expected TEXT or JSON, found {}", quoted(other)),
            );
            "TEXT".to_owned()
        }
    });
    MeshConfig {
        trust_domain: text("trustDomain"),
        trust_domain_aliases: fields
            .texts("trustDomainAliases", 256)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        root_namespace: text("rootNamespace"),
        path_mode: path_mode.unwrap_or_default(),
        access_log,
        trace_sampling_percent: sampling.flatten(),
        auth_providers: extension_provider::read(fields, problems),
        telemetry: telemetry_provider::read(fields, problems),
        locality: fields.record("localityLbSetting", |fields| Locality::read(fields, problems)),
    }
}

fn sampling(fields: &Fields<'_>, value: &Value) -> Option<f64> {
    let percent = value.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
    if percent.is_none() {
        fields.error(
            "sampling",
            format!(
                "expected a number from 0 to 100, found {}",
                crate::decode::describe(value)
            ),
        );
    }
    percent
}
