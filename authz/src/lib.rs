//! May this request pass? JWT validation (RequestAuthentication) and policy (AuthorizationPolicy), verdict for
//! verdict as Istio's waypoint gives them.
//!
//! Pure: no sockets (JWKS are fetched elsewhere and handed in as [`KeySets`]), no clock but the `now` it is given.
//!
//! Start reading at [`Policies::decide`] and [`Authn::verify`].

mod address;
mod authn;
mod check;
mod claims;
mod compile;
mod custom;
mod doubts;
mod explain;
mod identity;
mod index;
mod jwt_rule;
mod keys;
mod place;
mod policy;
mod read;
mod rule;
mod spec;
mod strict_json;
mod template;
#[cfg(test)]
mod testing;
mod text;
mod token;
mod trust;

pub use authn::{Authn, AuthnError, TokenExplanation, TokenFound, TokenRefusal, Verified};
pub use check::validate;
pub use claims::Claims;
pub use custom::Ask;
pub use doubts::{Traffic, doubts};
pub use explain::{ConsideredRule, PolicyExplanation};
pub use keys::{KeyLocation, KeySet, KeySets, KeySource};
pub use place::Place;
pub use policy::{Action, Decision, Policies, PolicyId, Verdict};
pub use spec::{AuthorizationPolicySpec, Problem, RequestAuthenticationSpec};
pub use trust::TrustDomains;
