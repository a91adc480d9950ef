//! `/apis/group/version/namespaces/x/plural/name/status`, in parts.

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'p> {
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/api/v1`, `/apis/group/version`
    Kinds { group: &'p str, version: &'p str },
    /// Objects of a kind, or one of them.
    Objects(Target<'p>),
    /// Something else.
    Unknown,
}

/// Objects of a kind, or one of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'p> {
    pub(super) group: &'p str,
    pub(super) version: &'p str,
    pub(super) namespace: Option<&'p str>,
    pub(super) plural: &'p str,
    pub(super) name: Option<&'p str>,
    /// `status`.
    pub(super) subresource: Option<&'p str>,
}

pub(super) fn parse(path: &str) -> Asked<'_> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api"] => return Asked::CoreVersions,
        ["apis"] => return Asked::Groups,
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Asked::Unknown,
    };
    let target = |namespace, plural, name, subresource| {
        Asked::Objects(Target {
            group,
            version,
            namespace,
            plural,
            name,
            subresource,
        })
    };
    match *rest {
        [] => Asked::Kinds { group, version },
        [plural] => target(None, plural, None, None),
        ["namespaces", name] => target(None, "namespaces", Some(name), None),
        ["namespaces", namespace, plural] => target(Some(namespace), plural, None, None),
        ["namespaces", namespace, plural, name] => target(Some(namespace), plural, Some(name), None),
        ["namespaces", namespace, plural, name, sub] => target(Some(namespace), plural, Some(name), Some(sub)),
        [plural, name] => target(None, plural, Some(name), None),
        [plural, name, sub] => target(None, plural, Some(name), Some(sub)),
        _ => Asked::Unknown,
    }
}
