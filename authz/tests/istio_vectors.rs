//! Verdicts that Istio is known to give, as data, against this crate alone.
//!
//! The data is not part of the repository: the environment variable `WAYPOINT_AUTHZ_CASES` names the file. What needs
//! more than this crate (external authorisation, a running proxy) is counted as skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use authz::{Authn, AuthorizationPolicySpec, Claims, KeySet, KeySets, Policies, PolicyId, TrustDomains, Verdict};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use request::{Connection, Head, Mode, Request, SpiffeId};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: u64 = 1_900_000_000;

enum Outcome {
    Pass,
    Skip(&'static str),
    Fail(String),
}

#[test]
fn istio_says_the_same() {
    let Ok(file) = std::env::var("WAYPOINT_AUTHZ_CASES") else {
        println!("skipped: WAYPOINT_AUTHZ_CASES names no file");
        return;
    };
    let data: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("read cases")).expect("JSON");
    let signer = Signer::new();
    let (mut passed, mut skipped, mut failed) = (0, BTreeMap::<&str, usize>::new(), Vec::new());
    for case in data["cases"].as_array().unwrap() {
        let case = with_defaults(&data["defaults"], case);
        let outcome = match case["kind"].as_str().unwrap() {
            "http_authz" => http_authz(&case),
            "tcp_authz" => tcp_authz(&case),
            "authn" => authn(&case, &signer),
            "expand_principals" => expand_principals(&case),
            "validate" => validate(&case),
            _ => Outcome::Skip("not about this crate"),
        };
        match outcome {
            Outcome::Pass => passed += 1,
            Outcome::Skip(why) => *skipped.entry(why).or_default() += 1,
            Outcome::Fail(got) => failed.push(format!("{} ({}): {got}", case["id"], case["title"])),
        }
    }
    println!("{passed} passed, {} failed, skipped: {skipped:?}", failed.len());
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

fn http_authz(case: &Value) -> Outcome {
    if uses_custom(case) {
        return Outcome::Skip("CUSTOM");
    }
    let connection = match connection(case) {
        Ok(connection) => connection,
        Err(why) => return why,
    };
    let wanted = (case["expect"]["verdict"].as_str(), case["expect"]["status"].as_u64());
    let got = match Exchange::new(case, connection) {
        Err(refused) => (Some("deny"), Some(400), refused),
        Ok(exchange) => {
            let claims = case["request"]["jwt"].as_object().cloned().map(Claims::from_payload);
            let policies = policies(case);
            let decided = policies.decide(&exchange.request(), claims.as_ref());
            let explained = policies.explain(&exchange.request(), claims.as_ref());
            assert_eq!((explained.verdict, explained.by), (decided.verdict, owned(decided.by)));
            let decision = format!("{decided:?}");
            match decided.verdict {
                Verdict::Allow => (Some("allow"), Some(200), decision),
                Verdict::Deny => (Some("deny"), Some(403), decision),
            }
        }
    };
    if (got.0, got.1) == wanted {
        Outcome::Pass
    } else {
        Outcome::Fail(format!("wanted {wanted:?}, got {got:?}"))
    }
}

/// As an explanation has it.
fn owned(by: Option<(&PolicyId, usize)>) -> Option<(PolicyId, usize)> {
    by.map(|(id, rule)| (id.clone(), rule))
}

fn tcp_authz(case: &Value) -> Outcome {
    if uses_custom(case) {
        return Outcome::Skip("CUSTOM");
    }
    let connection = match connection(case) {
        Ok(connection) => connection,
        Err(why) => return why,
    };
    let policies = policies(case);
    let decision = policies.decide_tcp(&connection);
    let explained = policies.explain_tcp(&connection);
    assert_eq!(
        (explained.verdict, explained.by),
        (decision.verdict, owned(decision.by))
    );
    let wanted = if case["expect"]["verdict"] == "allow" {
        Verdict::Allow
    } else {
        Verdict::Deny
    };
    if decision.verdict == wanted {
        Outcome::Pass
    } else {
        Outcome::Fail(format!("{decision:?}"))
    }
}

fn expand_principals(case: &Value) -> Outcome {
    let got = trust(case).expand_principals(&texts(&case["principals"]));
    if got == texts(&case["expect"]["principals"]) {
        Outcome::Pass
    } else {
        Outcome::Fail(format!("{got:?}"))
    }
}

fn validate(case: &Value) -> Outcome {
    let policy = &case["policies"][0];
    if policy["kind"] != "AuthorizationPolicy" {
        return Outcome::Skip("another kind of policy");
    }
    let problems = authz::validate(&policy["spec"]);
    let valid = !problems.iter().any(|problem| problem.error);
    let warned = problems.iter().any(|problem| !problem.error);
    let expect = &case["expect"];
    let as_wanted = Some(valid) == expect["valid"].as_bool() && (expect["warning"] != true || warned);
    if as_wanted {
        Outcome::Pass
    } else {
        Outcome::Fail(format!("{problems:?}"))
    }
}

fn authn(case: &Value, signer: &Signer) -> Outcome {
    let connection = match connection(case) {
        Ok(connection) => connection,
        Err(why) => return why,
    };
    let mut specs = Vec::new();
    for policy in case["request_authentications"].as_array().unwrap() {
        let mut spec = policy["spec"].clone();
        for rule in spec["jwtRules"].as_array_mut().into_iter().flatten() {
            let rule = rule.as_object_mut().unwrap();
            rule.retain(|name, _| !name.starts_with('_'));
            if rule.get("jwks").is_some_and(|jwks| jwks == "{{jwks}}") {
                rule.insert("jwks".to_owned(), signer.jwks.clone().into());
            }
            if let Some(Value::String(uri)) = rule.get_mut("jwksUri") {
                *uri = format!("http://127.0.0.1:1/{}", uri.trim_matches(['{', '}']));
            }
        }
        specs.push((id(policy), serde_json::from_value(spec).unwrap()));
    }
    let (authn, problems) = Authn::build(&specs);
    assert!(problems.iter().all(|(_, problem)| !problem.error), "{problems:?}");

    let mut sets = KeySets::default();
    let unavailable = case["request_authentications"]
        .to_string()
        .contains("_jwks_unavailable\":true");
    for source in authn.key_sources().iter().filter(|_| !unavailable) {
        sets.sets
            .insert(source.id.clone(), Arc::new(KeySet::parse(&signer.jwks).unwrap()));
    }

    let mut case = case.clone();
    let tokens = signer.place_tokens(&mut case);
    let exchange = Exchange::new(&case, connection).unwrap_or_else(|refused| panic!("{refused}"));
    let (mut status, mut upstream) = (200, exchange.headers.clone());
    for name in authn.owned_headers() {
        upstream.remove(name);
    }
    match authn.verify(&exchange.request(), NOW, &sets) {
        Err(error) => status = error.status,
        Ok(verified) => {
            let claims = verified.as_ref().map(|verified| &*verified.claims);
            if policies(&case).decide(&exchange.request(), claims).verdict == Verdict::Deny {
                status = 403;
            }
            if let Some(verified) = &verified {
                Authn::apply(verified, &mut upstream);
            }
        }
    }
    let expect = &case["expect"];
    if expect["status"].as_u64() != Some(u64::from(status)) {
        return Outcome::Fail(format!("status {status}"));
    }
    for (name, wanted) in expect["upstream_headers"].as_object().into_iter().flatten() {
        let token = tokens.first().map(String::as_str).unwrap_or_default();
        let payload = token.split('.').nth(1).unwrap_or_default();
        let wanted = wanted
            .as_str()
            .unwrap()
            .replace("{{token}}", token)
            .replace("{{payload_b64url}}", payload);
        let got = upstream.get(name).map(|value| value.to_str().unwrap());
        if got != Some(wanted.as_str()) {
            return Outcome::Fail(format!("header {name}: {got:?}, wanted {wanted}"));
        }
    }
    match texts(&expect["upstream_headers_absent"])
        .iter()
        .find(|name| upstream.contains_key(name.as_str()))
    {
        Some(name) => Outcome::Fail(format!("header {name} is there")),
        None => Outcome::Pass,
    }
}

/// A request as the proxy would hold it.
struct Exchange {
    method: Method,
    head: Head,
    headers: HeaderMap,
    connection: Connection,
    remote_ip: std::net::IpAddr,
}

impl Exchange {
    fn new(case: &Value, connection: Connection) -> Result<Self, String> {
        let request = &case["request"];
        let mode = match case["mesh"]["path_normalization"].as_str().unwrap() {
            "NONE" => Mode::None,
            "MERGE_SLASHES" => Mode::MergeSlashes,
            "DECODE_AND_MERGE_SLASHES" => Mode::DecodeAndMergeSlashes,
            _ => Mode::Base,
        };
        let mut builder = http::Request::builder()
            .method(request["method"].as_str().unwrap())
            .uri(request["path"].as_str().unwrap())
            .header("host", request["host"].as_str().unwrap());
        for (name, values) in request["headers"].as_object().unwrap() {
            let values = values.as_array().cloned().unwrap_or_else(|| vec![values.clone()]);
            for value in values {
                builder = builder.header(name, value.as_str().unwrap());
            }
        }
        let (parts, ()) = builder.body(()).map_err(|error| error.to_string())?.into_parts();
        let head = Head::parse(&parts, mode).map_err(|error| error.to_string())?;
        let remote_ip = request["remote_ip"]
            .as_str()
            .map_or(connection.source_ip, |ip| ip.parse().unwrap());
        Ok(Self {
            method: parts.method,
            head,
            headers: parts.headers,
            connection,
            remote_ip,
        })
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            head: &self.head,
            headers: &self.headers,
            connection: &self.connection,
            remote_ip: self.remote_ip,
        }
    }
}

fn connection(case: &Value) -> Result<Connection, Outcome> {
    let (source, destination) = (&case["request"]["source"], &case["request"]["destination"]);
    let identity = match source["principal"].as_str() {
        None => None,
        Some(uri) => match SpiffeId::parse(uri) {
            Ok(id) => Some(id),
            // Such a caller never gets as far as a policy.
            Err(_) if case["expect"]["verdict"] == "deny" => return Err(Outcome::Pass),
            Err(_) => return Err(Outcome::Skip("a SPIFFE id that is refused at the handshake")),
        },
    };
    let sni = destination["sni"].as_str().unwrap();
    Ok(Connection {
        identity,
        source_ip: source["ip"].as_str().unwrap().parse().unwrap(),
        destination_ip: destination["ip"].as_str().map(|ip| ip.parse().unwrap()),
        destination_port: destination["port"].as_u64().unwrap().try_into().unwrap(),
        sni: (!sni.is_empty()).then(|| sni.to_owned()),
    })
}

fn policies(case: &Value) -> Policies {
    let specs: Vec<(PolicyId, AuthorizationPolicySpec)> = case["policies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|policy| policy["kind"] == "AuthorizationPolicy" && attached(case, policy))
        .map(|policy| {
            let mut spec: AuthorizationPolicySpec = serde_json::from_value(policy["spec"].clone()).unwrap();
            spec.dry_run = policy["metadata"]["annotations"]["istio.io/dry-run"] == "true";
            (id(policy), spec)
        })
        .collect();
    let (policies, problems) = Policies::build(&specs, &trust(case));
    let errors: Vec<_> = problems.iter().filter(|(_, problem)| problem.error).collect();
    assert!(errors.is_empty(), "{}: {errors:?}", case["id"]);
    policies
}

/// Enough of attachment for these cases: a targetRef that names the target, the waypoint or its class.
fn attached(case: &Value, policy: &Value) -> bool {
    let (target, waypoint, namespace) = (&case["target"], &case["waypoint"], &policy["metadata"]["namespace"]);
    policy["spec"]["targetRefs"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|reference| match reference["kind"].as_str().unwrap() {
            "Gateway" => reference["name"] == waypoint["name"] && *namespace == waypoint["namespace"],
            "GatewayClass" => {
                reference["name"] == waypoint["gateway_class"] && *namespace == case["mesh"]["root_namespace"]
            }
            kind => target["kind"] == kind && target["name"] == reference["name"] && target["namespace"] == *namespace,
        })
}

fn trust(case: &Value) -> TrustDomains {
    let mesh = &case["mesh"];
    TrustDomains {
        own: mesh["trust_domain"].as_str().unwrap().to_owned(),
        aliases: texts(&mesh["trust_domain_aliases"]),
    }
}

fn id(policy: &Value) -> PolicyId {
    let part = |name: &str| policy["metadata"][name].as_str().unwrap().into();
    PolicyId {
        namespace: part("namespace"),
        name: part("name"),
    }
}

fn uses_custom(case: &Value) -> bool {
    case["policies"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|policy| policy["spec"]["action"] == "CUSTOM")
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// The case over the defaults, object by object.
fn with_defaults(defaults: &Value, case: &Value) -> Value {
    match (defaults, case) {
        (Value::Object(defaults), Value::Object(case)) => {
            let mut out: Map<String, Value> = defaults.clone();
            for (name, value) in case {
                let whole = matches!(name.as_str(), "headers" | "jwt" | "target");
                let value = match out.get(name) {
                    Some(default) if !whole => with_defaults(default, value),
                    _ => value.clone(),
                };
                out.insert(name.clone(), value);
            }
            Value::Object(out)
        }
        _ => case.clone(),
    }
}

/// Signs tokens with a key of its own.
struct Signer {
    key: EncodingKey,
    jwks: String,
}

impl Signer {
    fn new() -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let point = pair.public_key_raw();
        let jwks = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "kid": "vectors", "use": "sig", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        }]});
        Self {
            key: EncodingKey::from_ec_der(&pair.serialize_der()),
            jwks: jwks.to_string(),
        }
    }

    fn sign(&self, token: &Value) -> String {
        let mut claims = token["claims"].clone();
        let times = match token["state"].as_str().unwrap() {
            "malformed" => return "this-is-no-token".to_owned(),
            "expired" => json!({"exp": NOW - 3600}),
            "not_yet_valid" => json!({"nbf": NOW + 3600, "exp": NOW + 7200}),
            _ => json!({"exp": NOW + 3600}),
        };
        claims
            .as_object_mut()
            .unwrap()
            .extend(times.as_object().unwrap().clone());
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("vectors".to_owned());
        let mut signed = jsonwebtoken::encode(&header, &claims, &self.key).unwrap();
        if token["state"] == "bad_signature" {
            let at = signed.len() - 20;
            let other = if &signed[at..=at] == "A" { "B" } else { "A" };
            signed.replace_range(at..=at, other);
        }
        signed
    }

    /// Signs the case's tokens and puts them where they belong.
    fn place_tokens(&self, case: &mut Value) -> Vec<String> {
        let mut signed = Vec::new();
        for token in case["request"]["tokens"].as_array().cloned().into_iter().flatten() {
            let text = self.sign(&token);
            let request = &mut case["request"];
            if let Some(name) = token["header"].as_str() {
                let value = format!("{}{text}", token["prefix"].as_str().unwrap_or_default());
                add_header(request, name, value);
            } else if let Some(name) = token["param"].as_str() {
                let path = request["path"].as_str().unwrap();
                let mark = if path.contains('?') { '&' } else { '?' };
                request["path"] = format!("{path}{mark}{name}={text}").into();
            } else if let Some(name) = token["cookie"].as_str() {
                add_header(request, "cookie", format!("{name}={text}"));
            }
            signed.push(text);
        }
        signed
    }
}

fn add_header(request: &mut Value, name: &str, value: String) {
    let name = HeaderName::try_from(name).unwrap().to_string();
    assert!(HeaderValue::try_from(&value).is_ok());
    let list = request["headers"]
        .as_object_mut()
        .unwrap()
        .entry(name)
        .or_insert_with(|| json!([]));
    match list {
        Value::Array(list) => list.push(value.into()),
        one => *one = json!([one.clone(), value]),
    }
}
