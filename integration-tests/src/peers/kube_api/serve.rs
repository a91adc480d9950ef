//! HTTP: who may ask, what is asked for, and the answers in the server's form.

use super::Shared;
use super::kinds::ApiKind;
use super::paths::{Asked, Target, parse};
use super::select::Selection;
use super::state::State;
use super::watching::Watch;
use super::write::{Write, write};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A watch without `timeoutSeconds` lasts so long.
const WATCH: Duration = Duration::from_secs(300);

/// Why it is refused.
pub(super) struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
}

/// Accepts until it is aborted, and its connections with it.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).ok();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let serve = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(shared, request).await) }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            server.serve_connection(TokioIo::new(socket), serve).await.ok();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let faults = {
        let mut state = shared.state();
        state.counts.requests += 1;
        state.faults.clone()
    };
    if let Some(slow) = faults.slow {
        tokio::time::sleep(slow).await;
    }
    if let Some(code) = faults.status {
        return refuse(&Refusal::new(code, "InternalError", "as the test wants it"));
    }
    let wanted = format!("Bearer {}", shared.state().token);
    let is_known = head
        .headers
        .get("authorization")
        .is_some_and(|value| value.as_bytes() == wanted.as_bytes());
    if !is_known {
        return refuse(&Refusal::new(401, "Unauthorized", "Unauthorized"));
    }
    let asked = parse(head.uri.path());
    let query = query(head.uri.query().unwrap_or_default());
    let answered = match asked {
        Asked::Groups => Ok(whole(200, &groups(&shared.state()))),
        Asked::CoreVersions => Ok(whole(200, &json!({ "kind": "APIVersions", "versions": ["v1"] }))),
        Asked::Kinds { group, version } => kinds(&shared.state(), group, version).map(|kinds| whole(200, &kinds)),
        Asked::Unknown => Err(Refusal::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )),
        Asked::Objects(target) => {
            let bytes = body
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            objects(&shared, &head, &target, &query, &bytes)
        }
    };
    answered.unwrap_or_else(|refusal| refuse(&refusal))
}

fn objects(
    shared: &Arc<Shared>,
    head: &http::request::Parts,
    target: &Target<'_>,
    query: &BTreeMap<String, String>,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let kind = kind_of(&shared.state(), target).cloned();
    let kind = kind.ok_or_else(|| Refusal::new(404, "NotFound", "the server could not find the requested resource"))?;
    let api_version = kind.api_version(target.version);
    if shared.state().faults.denied.contains(target.plural) {
        let message = format!(
            "{} is forbidden: User \"system:serviceaccount:demo:waypoint\" cannot list resource \"{}\" in API group \"{}\"",
            target.plural, target.plural, target.group
        );
        return Err(Refusal::new(403, "Forbidden", &message));
    }
    let is_get = head.method == Method::GET;
    match target.name {
        None if is_get
            && query
                .get("watch")
                .is_some_and(|watch| matches!(watch.as_str(), "true" | "1")) =>
        {
            watch(shared, &kind, target, api_version, query)
        }
        None if is_get => list(&mut shared.state(), &kind, target, &api_version, query),
        Some(name) if is_get => {
            let state = shared.state();
            let found = state.get(&kind.name, target.namespace.unwrap_or_default(), name);
            let mut object = found.cloned().ok_or_else(|| Refusal::not_found(target, name))?;
            object["apiVersion"] = json!(api_version);
            Ok(whole(200, &object))
        }
        _ => {
            let wish = wish(head, query, body)?;
            let code = if matches!(wish, Write::Create(_)) { 201 } else { 200 };
            let object = shared.change(|state| write(state, &kind.name, target, wish))?;
            let mut object = (*object).clone();
            object["apiVersion"] = json!(api_version);
            Ok(whole(code, &object))
        }
    }
}

fn wish<'w>(
    head: &http::request::Parts,
    query: &'w BTreeMap<String, String>,
    body: &[u8],
) -> Result<Write<'w>, Refusal> {
    if head.method == Method::DELETE {
        let options: Value = serde_json::from_slice(body).unwrap_or_default();
        let uid = options.pointer("/preconditions/uid").and_then(Value::as_str);
        return Ok(Write::Delete {
            uid: uid.map(str::to_owned),
        });
    }
    let object: Value = serde_json::from_slice(body).map_err(|e| Refusal::new(400, "BadRequest", &e.to_string()))?;
    let content = head
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    match (head.method.as_str(), content) {
        ("POST", _) => Ok(Write::Create(object)),
        ("PUT", _) => Ok(Write::Replace(object)),
        ("PATCH", "application/apply-patch+yaml") => Ok(Write::Apply {
            object,
            manager: query.get("fieldManager").map_or("", String::as_str),
            force: query.get("force").is_some_and(|force| force == "true"),
        }),
        ("PATCH", "application/merge-patch+json") => Ok(Write::Merge(object)),
        _ => Err(Refusal::new(415, "UnsupportedMediaType", content)),
    }
}

fn list(
    state: &mut State,
    kind: &ApiKind,
    target: &Target<'_>,
    api_version: &str,
    query: &BTreeMap<String, String>,
) -> Result<Answer, Refusal> {
    let selection = selection(target, query);
    let (version, after) = match query.get("continue") {
        Some(_) if state.faults.expired_pages => {
            return Err(Refusal::new(
                410,
                "Expired",
                "The provided continue parameter is too old",
            ));
        }
        Some(token) => token
            .split_once('|')
            .map(|(version, after)| (version.to_owned(), Some(after.to_owned())))
            .ok_or_else(|| Refusal::new(400, "BadRequest", "continue"))?,
        None => (state.version.to_string(), None),
    };
    let (count, asked) = (
        &mut state.counts,
        format!("{} {}", target.plural, target.namespace.unwrap_or_default()),
    );
    let counted = if after.is_some() {
        &mut count.pages
    } else {
        &mut count.lists
    };
    *counted.entry(target.plural.to_owned()).or_default() += 1;
    count.asked.insert(asked);
    let limit = query
        .get("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(usize::MAX);
    let place = |namespace: &str, name: &str| format!("{namespace}/{name}");
    let mut found = state
        .objects
        .iter()
        .filter(|((of, ..), object)| *of == kind.name && selection.selects(object))
        .filter(|((_, namespace, name), _)| after.as_ref().is_none_or(|after| place(namespace, name) > *after));
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let more = found.next().is_some();
    let items: Vec<Value> = page
        .iter()
        .map(|(_, object)| {
            let mut object = (***object).clone();
            // Items of a list do not say what they are.
            object
                .as_object_mut()
                .unwrap()
                .retain(|field, _| field != "apiVersion" && field != "kind");
            object
        })
        .collect();
    let mut meta = json!({ "resourceVersion": version });
    if let (true, Some(((_, namespace, name), _))) = (more, page.last()) {
        meta["continue"] = json!(format!("{version}|{}", place(namespace, name)));
    }
    let list =
        json!({ "apiVersion": api_version, "kind": format!("{}List", kind.name), "metadata": meta, "items": items });
    Ok(whole(200, &list))
}

fn watch(
    shared: &Arc<Shared>,
    kind: &ApiKind,
    target: &Target<'_>,
    api_version: String,
    query: &BTreeMap<String, String>,
) -> Result<Answer, Refusal> {
    let mut state = shared.state();
    *state.counts.watches.entry(target.plural.to_owned()).or_default() += 1;
    let version: u64 = query
        .get("resourceVersion")
        .and_then(|version| version.parse().ok())
        .unwrap_or(state.version);
    if state.faults.gone_by_status && version < state.forgotten {
        return Err(Refusal::new(410, "Expired", "too old resource version"));
    }
    let seconds = query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
    let watch = Watch::new(
        shared,
        &state,
        kind.name.clone(),
        api_version,
        selection(target, query),
        version,
        query.get("allowWatchBookmarks").is_some_and(|wants| wants == "true"),
        seconds.map_or(WATCH, Duration::from_secs),
    );
    let answer = Response::builder().header("content-type", "application/json");
    Ok(answer.body(BodyExt::boxed(watch.body())).unwrap())
}

fn selection(target: &Target<'_>, query: &BTreeMap<String, String>) -> Selection {
    let text = |name: &str| query.get(name).map(String::as_str);
    Selection::new(target.namespace, text("fieldSelector"), text("labelSelector"))
}

fn kind_of<'s>(state: &'s State, target: &Target<'_>) -> Option<&'s ApiKind> {
    state.kinds.iter().find(|kind| {
        kind.group == target.group && kind.plural == target.plural && kind.versions.iter().any(|v| v == target.version)
    })
}

fn groups(state: &State) -> Value {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in state.kinds.iter().filter(|kind| !kind.group.is_empty()) {
        let known = versions.entry(&kind.group).or_default();
        known.extend(kind.versions.iter().map(String::as_str));
        known.sort_unstable();
        known.dedup();
    }
    let groups: Vec<Value> = versions
        .into_iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .into_iter()
                .map(|version| json!({ "groupVersion": format!("{group}/{version}"), "version": version }))
                .collect();
            json!({ "name": group, "preferredVersion": versions[0], "versions": versions })
        })
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

fn kinds(state: &State, group: &str, version: &str) -> Result<Value, Refusal> {
    let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let resources: Vec<Value> = state
        .kinds
        .iter()
        .filter(|kind| kind.group == group && kind.versions.iter().any(|known| known == version))
        .map(|kind| {
            json!({ "name": kind.plural, "singularName": kind.name.to_lowercase(), "namespaced": kind.namespaced,
                "kind": kind.name, "verbs": verbs })
        })
        .collect();
    if resources.is_empty() {
        return Err(Refusal::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        ));
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Ok(json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources }))
}

fn whole(code: u16, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string())).boxed();
    let answer = Response::builder()
        .status(code)
        .header("content-type", "application/json");
    answer.body(body).unwrap()
}

fn refuse(refusal: &Refusal) -> Answer {
    let Refusal { code, reason, message } = refusal;
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code });
    whole(*code, &status)
}

/// The parameters of a query, decoded.
fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: &str) -> Self {
        Self {
            code,
            reason,
            message: message.to_owned(),
        }
    }

    pub(super) fn not_found(target: &Target<'_>, name: &str) -> Self {
        Self::new(404, "NotFound", &format!("{} {name:?} not found", target.plural))
    }

    pub(super) fn exists(target: &Target<'_>, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            &format!("{} {name:?} already exists", target.plural),
        )
    }

    pub(super) fn conflict(message: &str) -> Self {
        Self::new(409, "Conflict", message)
    }
}
