//! Consistent hashing: what of a request decides its endpoint, and the cookie for a client that has none yet.

use super::exchange::Admitted;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use rand::Rng;
use routing::{Balance, Cluster, HashKey};
use std::net::IpAddr;

/// What binds a request to an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Affinity {
    /// For [`routing::Ask`].
    pub(crate) hash: Option<u64>,
    cookie: Option<HeaderValue>,
}

impl Affinity {
    /// Of a request, from the headers as the client sent them.
    pub(crate) fn of(cluster: &Cluster, admitted: &Admitted, headers: &HeaderMap) -> Self {
        let Balance::Hash(key) = &cluster.policy.balance else {
            return Self::default();
        };
        if let Some(hash) = key.hash(headers, admitted.head.query.as_deref(), admitted.remote_ip) {
            return Self {
                hash: Some(hash),
                cookie: None,
            };
        }
        let HashKey::Cookie(cookie) = key else {
            return Self::default();
        };
        let given = cookie.generate(rand::rng().random());
        Self {
            hash: given.as_ref().map(|(hash, _)| *hash),
            cookie: given.and_then(|(_, line)| HeaderValue::try_from(line).ok()),
        }
    }

    /// Of a connection: only its source tells.
    pub(crate) fn of_connection(cluster: &Cluster, peer: IpAddr) -> Self {
        let hash = match &cluster.policy.balance {
            Balance::Hash(key @ HashKey::SourceIp) => key.hash(&HeaderMap::new(), None, peer),
            _ => None,
        };
        Self { hash, cookie: None }
    }

    /// Gives the client its cookie with the answer.
    pub(crate) fn mark(self, answer: &mut HeaderMap) {
        if let Some(cookie) = self.cookie {
            answer.append(SET_COOKIE, cookie);
        }
    }
}
