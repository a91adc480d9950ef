//! LabelSelector, as Kubernetes reads it.

use crate::decode::{Fields, quoted, record};
use std::collections::BTreeMap;

/// `matchLabels` and `matchExpressions`, all of which must hold. Empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: BTreeMap<String, String>,
    expressions: Vec<(String, Operator)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    /// Not understood: nothing is selected.
    Never,
}

impl Selector {
    /// Reads a selector.
    pub(crate) fn read(fields: &Fields<'_>, problems: &crate::decode::Problems) -> Self {
        let expressions = fields.list("matchExpressions", 64, |value, at| {
            record(value, at, problems, |fields| {
                let key = fields.required("key").unwrap_or_default().to_owned();
                let values = || fields.texts("values", 256).into_iter().map(str::to_owned).collect();
                let operator = match fields.required("operator").unwrap_or_default() {
                    "In" => Operator::In(values()),
                    "NotIn" => Operator::NotIn(values()),
                    "Exists" => Operator::Exists,
                    "DoesNotExist" => Operator::DoesNotExist,
                    other => {
                        let known = "In, NotIn, Exists or DoesNotExist";
                        fields.error("operator", format!("expected {known}, found {}", quoted(other)));
                        Operator::Never
                    }
                };
                fields.ignore(&["values"]);
                (key, operator)
            })
            .or(Some((String::new(), Operator::Never)))
        });
        Self {
            labels: fields.text_map("matchLabels"),
            expressions,
        }
    }

    /// Whether these labels are selected.
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|(key, operator)| {
                let found = labels.get(key);
                match operator {
                    Operator::In(values) => found.is_some_and(|found| values.contains(found)),
                    Operator::NotIn(values) => found.is_none_or(|found| !values.contains(found)),
                    Operator::Exists => found.is_some(),
                    Operator::DoesNotExist => found.is_none(),
                    Operator::Never => false,
                }
            })
    }
}
