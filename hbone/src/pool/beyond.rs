//! A tunnel inside a tunnel (double HBONE): through the gateway of another network to somebody behind it.
//!
//! The gateway ends the outer tunnel and passes its bytes on without looking into them; who ends the inner one shows its own
//! certificate. The outer connection is pooled. The inner one is not: each leads to whomever the gateway picks.

use super::{Destination, Pool};
use crate::read_ahead::ReadAhead;
use crate::recheck::{Recheck, Revoked};
use crate::slots::Slots;
use crate::trust::Usage;
use crate::{DialError, Identity, TunnelStream, stream, tls};
use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use http::{HeaderMap, Method, Request, Uri};
use request::SpiffeId;
use rustls::pki_types::ServerName;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Tells the far end which network a request comes from (Istio's header).
const ORIGIN_NETWORK: &str = "x-istio-origin-network";
const HEADER_LIST_LIMIT_BYTES: u32 = 16 * 1024;

/// Who is meant behind a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Beyond<'a> {
    /// `host:port` of the Service: both tunnels ask for it.
    pub authority: &'a str,
    /// Who may end the inner tunnel: one of these, exactly.
    pub identities: &'a [SpiffeId],
    /// The network that we are on; may be empty.
    pub network: &'a str,
}

type Tls = TlsStream<ReadAhead<TunnelStream>>;

impl Pool {
    /// Opens a tunnel through `gateway`, and another inside it, as [`Pool::dial`] does. Both CONNECTs have these headers.
    ///
    /// # Errors
    /// See [`DialError`]. The identity is that of the gateway, or of who ends the inner tunnel.
    pub async fn dial_beyond(
        &self,
        gateway: &Destination,
        beyond: &Beyond<'_>,
        headers: HeaderMap,
    ) -> Result<TunnelStream, DialError> {
        let outer = self.dial(gateway, beyond.authority, headers.clone()).await?;
        let config = &self.shared.config;
        let limit = config.handshake_timeout;
        let inner = timeout(limit, self.handshake(gateway, beyond, outer)).await;
        let send =
            inner.unwrap_or_else(|_| Err(broken(beyond, format!("the handshake took longer than {limit:?}"))))?;
        let limit = config.answer_timeout;
        timeout(limit, connect(send, beyond, headers))
            .await
            .unwrap_or_else(|_| Err(broken(beyond, format!("CONNECT was not answered within {limit:?}"))))
    }

    /// TLS with whoever is there, and HTTP/2 until its SETTINGS have come.
    async fn handshake(
        &self,
        gateway: &Destination,
        beyond: &Beyond<'_>,
        outer: TunnelStream,
    ) -> Result<SendRequest<Bytes>, DialError> {
        let identity = self.shared.identity();
        let tls = handshake_tls(&identity, gateway, beyond, outer).await?;
        let shown = tls::chain(tls.get_ref().1.peer_certificates());
        let recheck = Recheck::new(&self.shared.certs, &identity, shown, Usage::Server);
        let (send, mut connection) = h2::client::Builder::new()
            .initial_window_size(self.shared.config.stream_window)
            .initial_connection_window_size(self.shared.config.stream_window)
            .max_header_list_size(HEADER_LIST_LIMIT_BYTES)
            .max_send_buffer_size(stream::SEND_BUFFER_BYTES)
            .enable_push(false)
            // Zero until SETTINGS say otherwise.
            .initial_max_send_streams(0)
            .handshake(tls)
            .await
            .map_err(|error| broken(beyond, format!("HTTP/2: {error}")))?;
        let settings = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err("HTTP/2: closed by the peer before its SETTINGS".to_owned())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(format!("HTTP/2: {error}"))),
            Poll::Pending if send.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        });
        settings.await.map_err(|why| broken(beyond, why))?;
        tokio::spawn(keep(connection, recheck));
        Ok(send)
    }
}

/// TLS, and the check that one of those is there who are meant: before a byte of HTTP/2 is sent.
async fn handshake_tls(
    identity: &Identity,
    gateway: &Destination,
    beyond: &Beyond<'_>,
    outer: TunnelStream,
) -> Result<Tls, DialError> {
    let address = gateway.address;
    let fault = |reason: String| DialError::Tls { address, reason };
    let io = ReadAhead::new(outer);
    let name = ServerName::IpAddress(address.ip().into());
    let tls = TlsConnector::from(Arc::clone(&identity.client))
        .connect(name, io)
        .await
        .map_err(|error| fault(format!("inside the tunnel: {error}")))?;
    let session = tls.get_ref().1;
    let found = tls::peer_id(session.peer_certificates()).map_err(fault)?;
    if !beyond.identities.contains(&found) {
        let Some(expected) = beyond.identities.first().cloned() else {
            return Err(broken(beyond, "nobody is known to be behind the gateway".to_owned()));
        };
        return Err(DialError::Identity {
            address,
            expected,
            found,
        });
    }
    if session.alpn_protocol() != Some(tls::ALPN) {
        return Err(fault("inside the tunnel: expected ALPN h2, found none".to_owned()));
    }
    Ok(tls)
}

/// Drives an inner connection until its only tunnel has ended, or its peer was revoked. The outer one answers for PINGs.
async fn keep(mut connection: Connection<Tls, Bytes>, mut recheck: Recheck) {
    let ended = poll_fn(|cx| {
        while let Poll::Ready(revoked) = recheck.poll_revoked(cx) {
            if revoked == Revoked::Over {
                return Poll::Ready(Err("the certificate of the peer was revoked".to_owned()));
            }
        }
        Pin::new(&mut connection).poll(cx).map_err(|error| error.to_string())
    });
    if let Err(reason) = ended.await {
        tracing::debug!(%reason, "a tunnel beyond a gateway broke");
    }
}

async fn connect(send: SendRequest<Bytes>, beyond: &Beyond<'_>, headers: HeaderMap) -> Result<TunnelStream, DialError> {
    let h2 = |error: h2::Error| broken(beyond, error.to_string());
    let request = request(beyond, headers)?;
    let (answer, send) = send
        .ready()
        .await
        .map_err(h2)?
        .send_request(request, false)
        .map_err(h2)?;
    let answer = answer.await.map_err(h2)?;
    if !answer.status().is_success() {
        return Err(DialError::Refused {
            authority: beyond.authority.to_owned(),
            status: answer.status().as_u16(),
        });
    }
    Ok(TunnelStream::new(send, answer.into_body(), Slots::new().take()))
}

fn request(beyond: &Beyond<'_>, mut headers: HeaderMap) -> Result<Request<()>, DialError> {
    let fault = |error: String| broken(beyond, format!("expected host:port as the target: {error}"));
    let uri = Uri::builder().authority(beyond.authority).build();
    if let Ok(network) = beyond.network.parse() {
        headers.insert(ORIGIN_NETWORK, network);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri.map_err(|error| fault(error.to_string()))?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn broken(beyond: &Beyond<'_>, reason: String) -> DialError {
    DialError::Broken {
        authority: beyond.authority.to_owned(),
        reason,
    }
}
