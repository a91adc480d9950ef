//! May this request pass? JWT validation (RequestAuthentication) and policy (AuthorizationPolicy), verdict for
//! verdict as Istio's waypoint gives them.
//!
//! Pure: no sockets (JWKS are fetched elsewhere and handed in as [`KeySets`]), no clock but the `now` it is given.
//!
//! Start reading at [`Policies::decide`] and [`Authn::verify`].

mod authn;
mod keys;
mod policy;
mod spec;

pub use authn::{Authn, AuthnError, Claims, Verified};
pub use keys::{KeySet, KeySets};
pub use policy::{Action, Decision, Policies, PolicyId, Verdict};
pub use spec::{AuthorizationPolicySpec, Problem, RequestAuthenticationSpec, TrustDomains};
