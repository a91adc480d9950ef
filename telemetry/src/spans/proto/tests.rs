#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

proptest! {
    /// What is written is what prost reads.
    #[test]
    fn attributes_read_back(name in ".{0,200}", value in ".{0,300}", number in 0..=u64::try_from(i64::MAX).unwrap()) {
        let mut out = Vec::new();
        text_attribute(&mut out, 1, &name, &value);
        number_attribute(&mut out, 1, &name, number);
        let read = Resource::decode(&*out).unwrap().attributes;
        prop_assert_eq!(read.len(), 2);
        prop_assert!(read.iter().all(|attribute| attribute.key == name));
        let values: Vec<_> = read.into_iter().map(|attribute| attribute.value.unwrap().value.unwrap()).collect();
        prop_assert_eq!(&values[0], &Value::StringValue(value));
        prop_assert_eq!(&values[1], &Value::IntValue(i64::try_from(number).unwrap()));
    }

    #[test]
    fn fields_read_back(id in prop::collection::vec(any::<u8>(), 0..200), kind in 0_i32..6, at in any::<u64>(), flags in any::<u32>()) {
        let mut out = Vec::new();
        bytes(&mut out, 1, &id);
        number(&mut out, 6, u64::try_from(kind).unwrap());
        fixed64(&mut out, 7, at);
        fixed32(&mut out, 16, flags);
        let read = Span::decode(&*out).unwrap();
        prop_assert_eq!((read.trace_id, read.kind, read.start_time_unix_nano, read.flags), (id, kind, at, flags));
    }
}
