//! The TLS stream as h2 should see it: not vectored, and a connection task that requeues itself once.
