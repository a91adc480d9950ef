//! Where a signal goes, from `OTEL_EXPORTER_OTLP_*`.

use super::{Export, ExportProtocol, Signal};
use crate::dial::CollectorAddress;
use http::uri::{Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// Default of `OTEL_EXPORTER_OTLP_TIMEOUT`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the variable of the signal, else the general one. Empty counts as unset (OpenTelemetry's rule).
fn setting(signal: Signal, var: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<(String, String, bool)> {
    let read = |name: String, specific: bool| {
        let value = var(&name)?.trim().to_owned();
        (!value.is_empty()).then_some((name, value, specific))
    };
    read(format!("OTEL_EXPORTER_OTLP_{}_{name}", signal.variable()), true)
        .or_else(|| read(format!("OTEL_EXPORTER_OTLP_{name}"), false))
}

pub(super) fn from_env(signal: Signal, var: &dyn Fn(&str) -> Option<String>) -> Result<Option<Export>, String> {
    let is = |name: &str, wanted: &str| var(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted));
    let exporter = var(&format!("OTEL_{}_EXPORTER", signal.variable())).map(|value| value.trim().to_ascii_lowercase());
    let is_wanted = match exporter.as_deref() {
        None | Some("") => signal == Signal::Traces,
        Some(named) => named.split(',').any(|name| name.trim() == "otlp"),
    };
    if is("OTEL_SDK_DISABLED", "true") || !is_wanted {
        return Ok(None);
    }
    let Some((name, endpoint, specific)) = setting(signal, var, "ENDPOINT") else {
        return Ok(None);
    };
    let mut export = Export {
        protocol: protocol(signal, var, &endpoint)?,
        headers: headers(signal, var)?,
        timeout: timeout(signal, var)?,
        endpoint: if endpoint.contains("://") {
            endpoint
        } else {
            format!("http://{endpoint}")
        },
    };
    export.uri(signal).map_err(|error| format!("{name}: {error}"))?;
    if !specific && export.protocol == ExportProtocol::HttpProtobuf {
        // The general endpoint is a base: the signal's path is appended to its own.
        export.endpoint = format!("{}{}", export.endpoint.trim_end_matches('/'), signal.http_path());
    }
    Ok(Some(export))
}

/// Unset, it follows the port: 4317 is gRPC's, anything else OpenTelemetry's default, HTTP.
fn protocol(signal: Signal, var: &dyn Fn(&str) -> Option<String>, endpoint: &str) -> Result<ExportProtocol, String> {
    let Some((name, value, _)) = setting(signal, var, "PROTOCOL") else {
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

fn timeout(signal: Signal, var: &dyn Fn(&str) -> Option<String>) -> Result<Duration, String> {
    let Some((name, value, _)) = setting(signal, var, "TIMEOUT") else {
        return Ok(DEFAULT_TIMEOUT);
    };
    match value.parse::<u32>() {
        Ok(millis @ 1..) => Ok(Duration::from_millis(u64::from(millis))),
        _ => Err(format!("{name}: expected milliseconds, at least 1, found `{value}`")),
    }
}

/// `key=value,key=value`, values percent-encoded. An error names the entry's place, not its value: it may be a secret.
fn headers(signal: Signal, var: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    let Some((name, value, _)) = setting(signal, var, "HEADERS") else {
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

pub(crate) fn percent_decode(text: &str) -> Option<String> {
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
    /// What is asked for, checked.
    pub(crate) fn uri(&self, signal: Signal) -> Result<Uri, String> {
        let found = &self.endpoint;
        let uri: Uri = found
            .parse()
            .map_err(|error| format!("expected `http://host:port`, found `{found}`: {error}"))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let is_http = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
        if !is_http || authority.is_empty() || authority.contains('@') {
            return Err(format!(
                "expected `http://host:port` or `https://host:port` without user info, found `{found}`"
            ));
        }
        let base = found.trim_end_matches('/');
        let text = match self.protocol {
            // Below a path of the endpoint, where it has one.
            ExportProtocol::Grpc => format!("{base}{}", signal.grpc_path()),
            // `http://host:4318` and nothing behind it: the path is ours to choose.
            ExportProtocol::HttpProtobuf if found.ends_with(authority) => format!("{found}{}", signal.http_path()),
            ExportProtocol::HttpProtobuf => return Ok(uri),
        };
        text.parse().map_err(|error| format!("`{found}`: {error}"))
    }

    /// Whom to connect to. Without a port it is the scheme's.
    pub(super) fn address(&self, signal: Signal) -> Result<CollectorAddress, String> {
        let uri = self.uri(signal)?;
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Ok(CollectorAddress {
            host,
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            tls,
            http2: self.protocol == ExportProtocol::Grpc,
        })
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
