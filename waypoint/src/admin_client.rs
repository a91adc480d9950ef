//! Calls to the admin port of a running waypoint, for `explain --live`, `tap` and `top`.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// The head of an answer comes in this time.
const LIMIT: Duration = Duration::from_secs(10);

/// What to ask.
pub(crate) struct Call {
    method: Method,
    path: String,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: Vec::new(),
        }
    }

    pub(crate) fn post(path: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            body,
        }
    }
}

/// One call, and its whole answer.
///
/// # Errors
/// No connection, or an answer other than 200, in words.
pub(crate) fn call(address: SocketAddr, call: Call) -> Result<Vec<u8>, String> {
    runtime()?.block_on(async {
        let body = begin(address, call).await?;
        let whole = body.collect().await.map_err(|error| format!("{address}: {error}"))?;
        Ok(whole.to_bytes().to_vec())
    })
}

/// One call whose answer is read line by line, until it ends or `line` says that it is enough.
///
/// # Errors
/// As [`call`].
pub(crate) fn lines(address: SocketAddr, call: Call, mut line: impl FnMut(&str) -> bool) -> Result<(), String> {
    runtime()?.block_on(async {
        let mut body = begin(address, call).await?;
        let mut held = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("{address}: {error}"))?;
            let Ok(data) = frame.into_data() else { continue };
            held.extend_from_slice(&data);
            while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let rest = held.split_off(end + 1);
                let whole = std::mem::replace(&mut held, rest);
                if !line(String::from_utf8_lossy(&whole).trim_end()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(|error| error.to_string())
}

async fn begin(address: SocketAddr, call: Call) -> Result<Incoming, String> {
    let began = tokio::time::timeout(LIMIT, response(address, call)).await;
    let response = began.map_err(|_| format!("{address}: no answer in {} s", LIMIT.as_secs()))??;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response.into_body());
    }
    let said = response
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Err(format!("{address} answered {status}: {said}"))
}

async fn response(address: SocketAddr, call: Call) -> Result<http::Response<Incoming>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("no running waypoint's admin port at {address}: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(call.body)))
        .map_err(|error| error.to_string())?;
    sender.send_request(request).await.map_err(|error| failed(&error))
}
