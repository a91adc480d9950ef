//! From an object and a field path to a line: the file is read once more, for its places, when a finding needs them.

use super::folders::read;
use crate::Finding;
use crate::compile::Raised;
use crate::object::{Origin, SourceFile};
use crate::resources::content_hash;
use crate::yaml::{Mark, places};
use std::collections::HashMap;
use std::sync::Arc;

/// Places findings. Those of a file that changed meanwhile stay where their object began.
pub(super) fn place(raised: Vec<Raised>) -> Vec<Finding> {
    let mut marks: HashMap<Arc<SourceFile>, Vec<Mark>> = HashMap::new();
    let placed = raised.into_iter().map(|Raised { mut finding, origin }| {
        if let (Some(origin), Some(place)) = (origin, &mut finding.place) {
            let marks = marks
                .entry(Arc::clone(&origin.file))
                .or_insert_with(|| marks_of(&origin.file));
            if let Some((line, column)) = find(marks, &origin, finding.field.as_deref().unwrap_or_default()) {
                (place.line, place.column) = (line, column);
            }
        }
        finding
    });
    placed.collect()
}

fn marks_of(file: &SourceFile) -> Vec<Mark> {
    match read(&file.path) {
        Ok(text) if content_hash(text.as_bytes()) == file.hash => places(&text),
        _ => Vec::new(),
    }
}

fn find(marks: &[Mark], origin: &Origin, field: &str) -> Option<(u32, u32)> {
    let document = marks.get(usize::try_from(origin.document).ok()?)?;
    let object = match origin.item {
        Some(item) => document.item(usize::try_from(item).ok()?)?,
        None => document,
    };
    Some(object.find(field))
}
