//! The mesh's trust domain and its aliases, and what a principal written in a policy means under them.

/// The mesh's trust domain and its aliases; `cluster.local` in a principal stands for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustDomains {
    /// MeshConfig `trustDomain`.
    pub own: String,
    /// MeshConfig `trustDomainAliases`.
    pub aliases: Vec<String>,
}

/// What Istio's documentation writes for "the trust domain of this mesh".
const LOCAL: &str = "cluster.local";

impl TrustDomains {
    /// The principals that `written` stand for: one that names this mesh's trust domain, an alias or `cluster.local`
    /// stands for the same workload under each of them; any other is kept as it is.
    ///
    /// Only a principal of the full form `<trust domain>/ns/<namespace>/sa/<account>` names a trust domain.
    pub fn expand_principals<S: AsRef<str>>(&self, written: &[S]) -> Vec<String> {
        let mut out = Vec::with_capacity(written.len());
        for principal in written.iter().map(AsRef::as_ref) {
            match self.expand_principal(principal) {
                Some(all) => out.extend(all),
                None => out.push(principal.to_owned()),
            }
        }
        out
    }

    /// The trust domains that `written` stand for: the mesh's own and its aliases stand for each other.
    /// `cluster.local` has no special meaning here.
    pub fn expand_trust_domains<S: AsRef<str>>(&self, written: &[S]) -> Vec<String> {
        let mut out: Vec<String> = Vec::with_capacity(written.len());
        for domain in written.iter().map(AsRef::as_ref) {
            if self.all().any(|known| known == domain) {
                out.extend(self.all().map(str::to_owned));
            } else {
                out.push(domain.to_owned());
            }
        }
        let mut seen = std::collections::HashSet::new();
        out.retain(|domain| seen.insert(domain.clone()));
        out
    }

    /// The trust domain of a principal that this mesh does not know, if it names one: worth a warning.
    pub(crate) fn foreign<'p>(&self, principal: &'p str) -> Option<&'p str> {
        let (domain, _) = named_trust_domain(principal)?;
        (domain != LOCAL && !self.all().any(|known| overlap(domain, known))).then_some(domain)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.own.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// `None`: kept as it is.
    fn expand_principal(&self, principal: &str) -> Option<Vec<String>> {
        let (domain, rest) = named_trust_domain(principal)?;
        if domain != LOCAL && !self.all().any(|known| overlap(domain, known)) {
            return None;
        }
        let mut out: Vec<String> = Vec::new();
        for known in self.all() {
            // A pattern such as `*-td` already covers the domains it matches.
            let covered = domain.strip_prefix('*').is_some_and(|suffix| known.ends_with(suffix));
            let new = if covered {
                principal.to_owned()
            } else {
                format!("{known}/{rest}")
            };
            if !out.contains(&new) {
                out.push(new);
            }
        }
        Some(out)
    }
}

/// The trust domain and the rest, when `principal` has five segments and its first is not `*`.
fn named_trust_domain(principal: &str) -> Option<(&str, &str)> {
    let (domain, rest) = principal.split_once('/')?;
    (rest.split('/').count() == 4 && domain != "*").then_some((domain, rest))
}

/// Do two texts, each of which may begin or end with `*`, name the same trust domain?
fn overlap(a: &str, b: &str) -> bool {
    let covers = |pattern: &str, text: &str| {
        pattern.strip_suffix('*').is_some_and(|prefix| text.starts_with(prefix))
            || pattern.strip_prefix('*').is_some_and(|suffix| text.ends_with(suffix))
    };
    a == b || covers(a, b) || covers(b, a)
}

#[cfg(test)]
mod tests;
