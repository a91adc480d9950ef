//! Where spans go, from `OTEL_EXPORTER_OTLP_*`.

use super::{Export, ExportProtocol};
use http::uri::{Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// Default of `OTEL_EXPORTER_OTLP_TIMEOUT`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the traces-specific variable, else the general one. Empty counts as unset (OpenTelemetry's rule).
fn setting(var: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<(String, String, bool)> {
    let read = |name: String, specific: bool| {
        let value = var(&name)?.trim().to_owned();
        (!value.is_empty()).then_some((name, value, specific))
    };
    read(format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), true)
        .or_else(|| read(format!("OTEL_EXPORTER_OTLP_{name}"), false))
}

pub(super) fn from_env(var: &dyn Fn(&str) -> Option<String>) -> Result<Option<Export>, String> {
    let is = |name: &str, wanted: &str| var(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let Some((name, endpoint, specific)) = setting(var, "ENDPOINT") else {
        return Ok(None);
    };
    let mut export = Export {
        protocol: protocol(var, &endpoint)?,
        headers: headers(var)?,
        timeout: timeout(var)?,
        endpoint: if endpoint.contains("://") {
            endpoint
        } else {
            format!("http://{endpoint}")
        },
    };
    export.uri().map_err(|error| format!("{name}: {error}"))?;
    if !specific && export.protocol == ExportProtocol::HttpProtobuf {
        // The general endpoint is a base: the signal's path is appended to its own.
        export.endpoint = format!("{}/v1/traces", export.endpoint.trim_end_matches('/'));
    }
    Ok(Some(export))
}

/// Unset, it follows the port: 4317 is gRPC's, anything else OpenTelemetry's default, HTTP.
fn protocol(var: &dyn Fn(&str) -> Option<String>, endpoint: &str) -> Result<ExportProtocol, String> {
    let Some((name, value, _)) = setting(var, "PROTOCOL") else {
        let grpc = endpoint.trim_end_matches('/').ends_with(":4317");
        return Ok(if grpc {
            ExportProtocol::Grpc
        } else {
            ExportProtocol::HttpProtobuf
        });
    };
    match value.as_str() {
        "grpc" => Ok(ExportProtocol::Grpc),
        "http/protobuf" => Ok(ExportProtocol::HttpProtobuf),
        other => Err(format!("{name}: expected `grpc` or `http/protobuf`, found `{other}`")),
    }
}

fn timeout(var: &dyn Fn(&str) -> Option<String>) -> Result<Duration, String> {
    let Some((name, value, _)) = setting(var, "TIMEOUT") else {
        return Ok(DEFAULT_TIMEOUT);
    };
    match value.parse::<u32>() {
        Ok(millis @ 1..) => Ok(Duration::from_millis(u64::from(millis))),
        _ => Err(format!("{name}: expected milliseconds, at least 1, found `{value}`")),
    }
}

/// `key=value,key=value`, values percent-encoded. An error names the entry's place, not its value: it may be a secret.
fn headers(var: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    let Some((name, value, _)) = setting(var, "HEADERS") else {
        return Ok(Vec::new());
    };
    let entries = value
        .split(',')
        .enumerate()
        .filter(|(_, entry)| !entry.trim().is_empty());
    entries
        .map(|(index, entry)| {
            let wrong = || {
                format!(
                    "{name}: entry {} is not `key=value` with a valid header name and value",
                    index + 1
                )
            };
            let (key, value) = entry.split_once('=').ok_or_else(wrong)?;
            let (key, value) = (
                key.trim().to_ascii_lowercase(),
                percent_decode(value.trim()).ok_or_else(wrong)?,
            );
            HeaderName::from_bytes(key.as_bytes()).map_err(|_| wrong())?;
            HeaderValue::from_str(&value).map_err(|_| wrong())?;
            Ok((key, value))
        })
        .collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

impl Export {
    /// The address to send to, checked.
    pub(super) fn uri(&self) -> Result<Uri, String> {
        let found = &self.endpoint;
        let uri: Uri = found
            .parse()
            .map_err(|error| format!("expected `http://host:port`, found `{found}`: {error}"))?;
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return Err(format!(
                "`{found}`: TLS to the collector is not built in; use `http://` and let the mesh encrypt it"
            ));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if uri.scheme() != Some(&Scheme::HTTP) || authority.is_empty() || authority.contains('@') {
            return Err(format!(
                "expected `http://host:port` without user info, found `{found}`"
            ));
        }
        // `http://host:4318` and nothing behind it: the path is ours to choose.
        let bare = self.protocol == ExportProtocol::HttpProtobuf && found.ends_with(authority);
        if !bare {
            return Ok(uri);
        }
        format!("{found}/v1/traces")
            .parse()
            .map_err(|error| format!("`{found}`: {error}"))
    }

    /// The extra headers, checked.
    pub(super) fn header_map(&self) -> Result<HeaderMap, String> {
        let mut map = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let wrong = || format!("`{name}`: not a valid header name, or its value is not valid");
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            map.append(key, value);
        }
        Ok(map)
    }
}
