//! CUSTOM policies: whom to ask about a request. The asking is done elsewhere; here it is only said who must be asked.
//!
//! Istio puts all rules of one provider into one filter, and these filters in the order of the providers' names: a
//! provider is asked once about a request, whichever of its policies match, and the first denial ends it.

use crate::policy::{Bound, PolicyId};
use crate::rule::{Rule, View};
use std::sync::Arc;

/// A provider that must be asked about a request or a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// `provider.name`; `None`: nobody can be asked (no name is given, or several providers are where only one may
    /// be), and the answer is a denial.
    pub provider: Option<&'a Arc<str>>,
    /// The first policy and rule that matched.
    pub by: (&'a PolicyId, usize),
}

/// The CUSTOM rules of one protocol, by provider.
#[derive(Debug, Default)]
pub(crate) struct Consultations {
    /// Sorted by provider.
    groups: Vec<Group>,
}

/// All rules that send to one provider.
#[derive(Debug)]
struct Group {
    provider: Option<Arc<str>>,
    rules: Vec<Bound>,
}

impl Consultations {
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(crate) fn push(&mut self, provider: Option<&str>, bound: Bound) {
        let place = self
            .groups
            .binary_search_by(|group| group.provider.as_deref().cmp(&provider));
        match place {
            Ok(known) => {
                if let Some(group) = self.groups.get_mut(known) {
                    group.rules.push(bound);
                }
            }
            Err(place) => self.groups.insert(
                place,
                Group {
                    provider: provider.map(Arc::from),
                    rules: vec![bound],
                },
            ),
        }
    }

    /// The providers' names.
    pub(crate) fn providers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.iter().filter_map(|group| group.provider.as_ref())
    }

    /// Nobody is asked any more: what matches is denied.
    pub(crate) fn silence(&mut self) {
        for group in &mut self.groups {
            group.provider = None;
        }
    }

    /// Every rule and whom it wants asked, in order.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &Bound)> {
        self.groups.iter().flat_map(move |group| {
            let provider = group.provider.as_ref();
            group.rules.iter().map(move |rule| (provider, rule))
        })
    }

    /// Who must be asked, in order.
    pub(crate) fn about<'a>(&'a self, ids: &'a [PolicyId], view: View<'a>) -> impl Iterator<Item = Ask<'a>> {
        self.groups.iter().filter_map(move |group| {
            let matches = |bound: &&Bound| Rule::matches(&bound.rule, view);
            let bound = group.rules.iter().find(matches)?;
            Some(Ask {
                provider: group.provider.as_ref(),
                by: (ids.get(bound.policy)?, bound.index),
            })
        })
    }
}
