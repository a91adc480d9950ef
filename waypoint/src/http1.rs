//! HTTP/1 on both sides of the loop: a strict codec over `httparse`, driven by polling.
