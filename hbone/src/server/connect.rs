//! One request on a tunnel connection: what is refused on sight, and the answer to what is not.

use super::ServerEvents;
use crate::slots::{Slot, Slots};
use crate::{ClientCertificate, Drain, ServeError, TunnelStream};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use request::{Authority, SpiffeId};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Header fields of a CONNECT. ztunnel sends three.
const HEADER_COUNT_LIMIT: usize = 100;

/// A CONNECT request that waits for its answer. Dropping it refuses with 400.
pub struct Connect {
    /// The target as asked for. It has a port.
    pub authority: Authority,
    /// Who asks: from the client certificate.
    pub identity: SpiffeId,
    /// More of that certificate.
    pub certificate: Arc<ClientCertificate>,
    /// Peer address of the connection.
    pub peer: SocketAddr,
    /// CONNECT headers (`baggage`, `forwarded`, `traceparent`): untrusted.
    pub headers: HeaderMap,
    /// Starts when the connection has reached its age and is told to leave. Its tunnels stay for as long as they like: what
    /// is inside them may leave with it, in good order, so that the client's next tunnel goes to any replica.
    pub leaving: Drain,
    unanswered: Unanswered,
}

impl Connect {
    /// Answers 200 and gives the tunnel.
    ///
    /// # Errors
    /// The client has gone.
    pub fn accept(mut self) -> Result<TunnelStream, ServeError> {
        let Some(Parts {
            mut respond,
            recv,
            slot,
        }) = self.unanswered.0.take()
        else {
            return Err(ServeError::Peer("answered already".to_owned()));
        };
        let send = respond.send_response(Response::new(()), false)?;
        Ok(TunnelStream::new(send, recv, slot))
    }

    /// Answers with a refusal: this status and END_STREAM.
    pub fn refuse(mut self, status: StatusCode) {
        self.unanswered.refuse(status);
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("authority", &self.authority)
            .field("identity", &self.identity)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// The stream, until it is answered.
struct Unanswered(Option<Parts>);

struct Parts {
    respond: SendResponse<Bytes>,
    recv: RecvStream,
    slot: Slot,
}

impl Unanswered {
    fn refuse(&mut self, status: StatusCode) {
        if let Some(mut parts) = self.0.take() {
            refuse(&mut parts.respond, status);
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.refuse(StatusCode::BAD_REQUEST);
    }
}

/// It can fail only when the stream or connection has ended: then nobody waits for the answer.
fn refuse(respond: &mut SendResponse<Bytes>, status: StatusCode) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let _ = respond.send_response(response, true);
}

/// What this connection's requests are judged with.
pub(super) struct Answers<'a> {
    pub(super) events: &'a dyn ServerEvents,
    pub(super) identity: SpiffeId,
    pub(super) certificate: Arc<ClientCertificate>,
    pub(super) peer: SocketAddr,
    /// Of this connection alone.
    pub(super) leaving: Drain,
}

impl Answers<'_> {
    /// The CONNECT, if it is one; answered with a refusal otherwise.
    pub(super) fn judge(
        &self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        slots: &Arc<Slots>,
    ) -> Option<Connect> {
        match target(&request) {
            Ok(authority) => {
                let (head, recv) = request.into_parts();
                Some(Connect {
                    authority,
                    identity: self.identity.clone(),
                    certificate: Arc::clone(&self.certificate),
                    peer: self.peer,
                    headers: head.headers,
                    leaving: self.leaving.clone(),
                    unanswered: Unanswered(Some(Parts {
                        respond,
                        recv,
                        slot: slots.take(),
                    })),
                })
            }
            Err(status) => {
                refuse(&mut respond, status);
                self.events.refused(status, &self.identity, self.peer);
                None
            }
        }
    }
}

/// Where the request wants to go. RFC 9113, 8.5: CONNECT has :authority and neither :scheme nor :path (h2 resets those
/// that have, and those with :protocol, as malformed); the port is mandatory (RFC 9110, 9.3.6).
fn target(request: &Request<RecvStream>) -> Result<Authority, StatusCode> {
    if request.method() != Method::CONNECT {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if request.headers().len() > HEADER_COUNT_LIMIT {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let uri = request.uri();
    if uri.scheme().is_some() || uri.path_and_query().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let authority = uri.authority().ok_or(StatusCode::BAD_REQUEST)?;
    let authority = Authority::parse(authority.as_str()).map_err(|_| StatusCode::BAD_REQUEST)?;
    authority.port().map(|_| ()).ok_or(StatusCode::BAD_REQUEST)?;
    Ok(authority)
}
