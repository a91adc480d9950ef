//! Finds the first of many rules that matches, without asking each.
//!
//! A rule that can match only where a request has one of a few paths, principals, headers, claims, namespaces or hosts is
//! filed under them. A request brings up the rules filed under what it has; they and those that could not be filed are asked.

mod tree;

use crate::identity;
use crate::policy::Bound;
use crate::rule::{Conditions, Rule, Test, View};
use http::HeaderName;
use request::Request;
use std::collections::HashMap;
pub(crate) use tree::Key;
use tree::Tree;

/// Fewer rules are asked one by one.
const FEW: usize = 4;
/// A path as short as this is everybody's: `/` files nothing.
const TELLING_BYTES: usize = 2;

/// Numbers of rules in one list, by what a request must have for them to match.
#[derive(Debug, Default)]
pub(crate) struct Index {
    paths: Tree,
    principals: Tree,
    hosts: Tree,
    headers: Vec<(HeaderName, Filed)>,
    claims: Vec<(ClaimPath, Filed)>,
    namespaces: HashMap<Box<str>, Vec<usize>>,
    /// Asked always.
    others: Vec<usize>,
}

/// The names that lead to a claim.
type ClaimPath = Box<[Box<str>]>;

/// Rules filed under the values of one header or claim.
#[derive(Debug, Default)]
struct Filed {
    values: Tree,
    /// All of them: asked where the value is not one text.
    all: Vec<usize>,
}

impl Index {
    pub(crate) fn of(rules: &[Bound]) -> Self {
        let mut index = Self::default();
        let (mut paths, mut principals, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut headers, mut claims) = (Named::default(), Named::default());
        for (number, bound) in rules.iter().enumerate() {
            let filed = |keys: Vec<Key>| keys.into_iter().map(move |key| (key, number));
            let rule = &bound.rule;
            if rules.len() < FEW {
                index.others.push(number);
            } else if let Some(keys) = needed(rule, &paths_of).filter(|keys| keys.iter().all(is_telling)) {
                paths.extend(filed(keys));
            } else if let Some(keys) = needed(rule, &principals_of) {
                principals.extend(filed(keys));
            } else if let Some(keys) = needed(rule, &headers_of) {
                headers.file(keys, number);
            } else if let Some(keys) = needed(rule, &claims_of) {
                claims.file(keys, number);
            } else if let Some(names) = needed(rule, &namespaces_of) {
                for name in names {
                    index.namespaces.entry(name).or_default().push(number);
                }
            } else if let Some(keys) = needed(rule, &hosts_of) {
                hosts.extend(filed(keys));
            } else {
                index.others.push(number);
            }
        }
        index.paths = Tree::new(paths);
        index.principals = Tree::new(principals);
        index.hosts = Tree::new(hosts);
        index.headers = headers.finish();
        index.claims = claims.finish();
        index
    }

    /// The first rule that matches.
    pub(crate) fn first<'r>(&self, rules: &'r [Bound], view: View<'_>) -> Option<&'r Bound> {
        let mut best: Option<(usize, &Bound)> = None;
        let mut ask = |numbers: &[usize]| {
            for &number in numbers {
                if best.is_some_and(|(best, _)| best <= number) {
                    return;
                }
                if let Some(bound) = rules.get(number).filter(|bound| bound.rule.matches(view)) {
                    best = Some((number, bound));
                }
            }
        };
        ask(&self.others);
        if let Some(request) = view.request {
            self.paths.leading_to(request.head.path.as_str(), &mut ask);
            self.hosts.leading_to(request.head.authority.as_str(), &mut ask);
            for (name, filed) in &self.headers {
                by_header(request, name, filed, &mut ask);
            }
            for (path, filed) in &self.claims {
                for text in view.claims.into_iter().flat_map(|claims| claims.texts(path)) {
                    filed.values.leading_to(text, &mut ask);
                }
            }
        }
        if let Some(identity) = &view.connection.identity {
            self.principals.leading_to(identity.principal(), &mut ask);
            if !self.namespaces.is_empty() {
                for name in identity::named_namespaces(identity.as_str()) {
                    if let Some(numbers) = self.namespaces.get(name) {
                        ask(numbers);
                    }
                }
            }
        }
        best.map(|(_, bound)| bound)
    }
}

fn by_header(request: &Request<'_>, name: &HeaderName, filed: &Filed, ask: &mut impl FnMut(&[usize])) {
    let mut values = request.headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (None, _) => {}
        (Some(Ok(text)), None) => filed.values.leading_to(text, ask),
        _ => ask(&filed.all),
    }
}

/// Entries for one [`Filed`] for each name.
struct Named<N>(Vec<(N, Vec<(Key, usize)>)>);

impl<N> Default for Named<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<N: PartialEq> Named<N> {
    fn file(&mut self, keys: Vec<(N, Key)>, number: usize) {
        for (name, key) in keys {
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, entries)) => entries.push((key, number)),
                None => self.0.push((name, vec![(key, number)])),
            }
        }
    }

    fn finish(self) -> Vec<(N, Filed)> {
        let filed = |entries: Vec<(Key, usize)>| {
            let mut all: Vec<usize> = entries.iter().map(|(_, number)| *number).collect();
            all.dedup();
            let values = Tree::new(entries);
            Filed { values, all }
        };
        self.0
            .into_iter()
            .map(|(name, entries)| (name, filed(entries)))
            .collect()
    }
}

/// What a request must have one of for the rule to match, by the tests that `read` understands. `None`: it may match
/// without.
fn needed<K>(rule: &Rule, read: &impl Fn(&Test) -> Option<Vec<K>>) -> Option<Vec<K>> {
    let by_one = |conditions: &Conditions| {
        let mut positive = conditions.iter().filter(|condition| !condition.negated);
        positive.find_map(|condition| read(&condition.test))
    };
    let by_each = |clauses: &[Conditions]| -> Option<Vec<K>> {
        let all: Vec<Vec<K>> = clauses.iter().map(by_one).collect::<Option<_>>()?;
        (!all.is_empty()).then(|| all.into_iter().flatten().collect())
    };
    by_each(&rule.to)
        .or_else(|| by_each(&rule.from))
        .or_else(|| by_one(&rule.when))
}

fn is_telling(key: &Key) -> bool {
    match key {
        Key::Exact(_) => true,
        Key::Prefix(text) => text.len() >= TELLING_BYTES,
    }
}

fn paths_of(test: &Test) -> Option<Vec<Key>> {
    let Test::Path(set, templates) = test else { return None };
    let mut keys = set.keys()?;
    keys.extend(templates.iter().map(|template| Key::Prefix(template.literal_start())));
    Some(keys)
}

fn principals_of(test: &Test) -> Option<Vec<Key>> {
    match test {
        Test::Principal(set) => set.keys(),
        _ => None,
    }
}

fn hosts_of(test: &Test) -> Option<Vec<Key>> {
    match test {
        Test::Host(set) => set.keys(),
        _ => None,
    }
}

fn headers_of(test: &Test) -> Option<Vec<(HeaderName, Key)>> {
    let Test::Header(name, set) = test else { return None };
    Some(set.keys()?.into_iter().map(|key| (name.clone(), key)).collect())
}

fn claims_of(test: &Test) -> Option<Vec<(ClaimPath, Key)>> {
    let Test::Claim(claim) = test else { return None };
    Some(
        claim
            .values
            .keys()?
            .into_iter()
            .map(|key| (claim.path.clone(), key))
            .collect(),
    )
}

fn namespaces_of(test: &Test) -> Option<Vec<Box<str>>> {
    match test {
        Test::Namespace(list) => list.iter().map(|one| one.exact().map(Into::into)).collect(),
        Test::ServiceAccount(list) => list.iter().map(|one| one.namespace().map(Into::into)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
