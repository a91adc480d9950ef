//! What must hold of every parser that reads a stranger's bytes, whatever the bytes: one function for each, which panics
//! where its law is broken.
//!
//! The fuzz targets call them with what libFuzzer thinks up, `tests/corpora.rs` with the files that are committed.

#![allow(clippy::panic, clippy::expect_used)] // that is how a law tells

mod identity;
mod policy;
mod target;
mod token;

pub use identity::spiffe;
pub use policy::policy;
pub use target::{authority, head, path};
pub use token::{claims, jwks, token};

/// A law.
pub type Law = fn(&[u8]);

/// All of them, under the names of their corpora.
pub const ALL: &[(&str, Law)] = &[
    ("authority", authority),
    ("claims", claims),
    ("head", head),
    ("jwks", jwks),
    ("path", path),
    ("policy", policy),
    ("spiffe", spiffe),
    ("token", token),
];
