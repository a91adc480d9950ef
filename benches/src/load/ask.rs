//! What is asked, again and again, and what is a good answer.

use bytes::{BufMut, Bytes, BytesMut};
use clap::ValueEnum;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

/// What is spoken inside the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// HTTP/1.1, keep-alive.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// gRPC, unary calls.
    Grpc,
    /// Bytes there, as many bytes back.
    Tcp,
}

impl Protocol {
    /// As it is typed.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) protocol: Protocol,
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What is a good answer.
    pub(crate) good: Good,
}

/// What a good answer is, beside one of gRPC status 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Good {
    /// Its status; 2xx and 3xx when absent.
    pub(crate) status: Option<StatusCode>,
    /// Bytes of its body; any when absent.
    pub(crate) bytes: Option<u64>,
}

impl Ask {
    /// A request with so long a body: GET without, POST with one.
    pub(crate) fn new(protocol: Protocol, host: &str, path: &str, body_bytes: usize) -> Self {
        let body = body(body_bytes);
        let mut headers = HeaderMap::new();
        let mut put = |name, value| headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        match protocol {
            Protocol::Http1 | Protocol::Http2 => {
                put("user-agent", "waypoint-bench");
                put("accept", "*/*");
            }
            Protocol::Grpc => {
                put("user-agent", "grpc-waypoint-bench/1");
                put("content-type", "application/grpc");
                put("te", "trailers");
            }
            Protocol::Tcp => {}
        }
        let is_post = body_bytes > 0 || protocol == Protocol::Grpc;
        Self {
            protocol,
            method: if is_post { Method::POST } else { Method::GET },
            host: host.to_owned(),
            path: path.to_owned(),
            headers,
            body: if protocol == Protocol::Grpc {
                message(&body)
            } else {
                body
            },
            good: Good::default(),
        }
    }

    /// The whole request, as it is written into an HTTP/1.1 connection.
    pub(crate) fn http1(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put(format!("{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.path, self.host).as_bytes());
        for (name, value) in &self.headers {
            bytes.put(name.as_str().as_bytes());
            bytes.put(&b": "[..]);
            bytes.put(value.as_bytes());
            bytes.put(&b"\r\n"[..]);
        }
        if !self.body.is_empty() {
            bytes.put(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.put(&b"\r\n"[..]);
        bytes.put(&*self.body);
        bytes.freeze()
    }

    /// Its head for HTTP/2.
    pub(crate) fn http2(&self) -> Result<http::Request<()>, String> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.host.as_str())
            .path_and_query(self.path.as_str())
            .build()
            .map_err(|error| format!("http://{}{}: {error}", self.host, self.path))?;
        let mut request = http::Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

/// So many bytes of text.
pub(crate) fn body(length: usize) -> Bytes {
    let text = b"0123456789abcdef";
    text.iter().copied().cycle().take(length).collect::<Vec<_>>().into()
}

/// A gRPC message, not compressed.
pub(crate) fn message(body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(body.len().saturating_add(5));
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    bytes.put(body);
    bytes.freeze()
}

#[cfg(test)]
mod tests;
