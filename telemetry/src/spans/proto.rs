//! Protobuf, written by hand as far as spans need it. At 100 % tracing every request is encoded: building messages whose
//! every key is a string of its own cost five times as much as all the rest of a span.

/// Appends a field of bytes, a text, or a message that is encoded already.
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, 0);
    varint(out, value);
}

/// Appends a `fixed64`.
pub(super) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `fixed32`.
pub(super) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    key(out, field, 5);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `KeyValue` with a text.
pub(super) fn text_attribute(out: &mut Vec<u8>, field: u32, name: &str, value: &str) {
    let any = prefixed(value.len());
    attribute(out, field, name, any);
    bytes(out, 1, value.as_bytes());
}

/// Appends a `KeyValue` with a number.
pub(super) fn number_attribute(out: &mut Vec<u8>, field: u32, name: &str, value: u64) {
    let any = 1 + varint_length(value);
    attribute(out, field, name, any);
    number(out, 3, value);
}

/// A `KeyValue` up to its value, which is an `AnyValue` of `any` bytes.
fn attribute(out: &mut Vec<u8>, field: u32, name: &str, any: usize) {
    key(out, field, 2);
    varint(out, (prefixed(name.len()) + prefixed(any)) as u64);
    bytes(out, 1, name.as_bytes());
    key(out, 2, 2);
    varint(out, any as u64);
}

/// What so many bytes take as a field: its key (of fields up to 15) and its length before them.
fn prefixed(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

fn key(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_length(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests;
