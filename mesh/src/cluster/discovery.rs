//! Which of the kinds the cluster has: CRDs come, go and change their versions while we run.

use super::access::SharedAccess;
use super::kind::Kind;
use super::stream::chain;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList};
use kube::Client;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

/// Between the first looks.
const FIRST: Duration = Duration::from_secs(1);
/// One answer takes at most this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The version of each kind that is there, by the kind's name.
pub(super) type Found = BTreeMap<&'static str, &'static str>;

/// Looks for ever: often at first and after a change, then every `slowest`.
pub(super) async fn run(
    access: SharedAccess,
    kinds: Vec<&'static Kind>,
    slowest: Duration,
    told: Sender<Result<Found, String>>,
) {
    let mut found: Option<Found> = None;
    let mut wait = FIRST.min(slowest);
    loop {
        match look(&access, &kinds, found.as_ref()).await {
            Ok(now) if found.as_ref() == Some(&now) => wait = (wait * 2).min(slowest),
            Ok(now) => {
                found = Some(now.clone());
                wait = FIRST.min(slowest);
                if told.send(Ok(now)).await.is_err() {
                    return;
                }
            }
            Err(why) => {
                if told.send(Err(why)).await.is_err() {
                    return;
                }
                wait = (wait * 2).min(slowest);
            }
        }
        sleep(wait).await;
    }
}

/// One look. What cannot be asked now stays as it was known.
async fn look(access: &SharedAccess, kinds: &[&'static Kind], before: Option<&Found>) -> Result<Found, String> {
    let (number, client) = access.client().await.map_err(|error| error.to_string())?;
    let groups = match timeout(PATIENCE, client.list_api_groups()).await {
        Ok(Ok(groups)) => groups,
        Ok(Err(error)) => {
            if matches!(&error, kube::Error::Api(status) if status.code == 401) {
                access.refused(number).await;
            }
            return Err(chain(&error));
        }
        Err(_) => return Err(format!("no answer for {PATIENCE:?}")),
    };
    let mut answers: BTreeMap<String, Option<APIResourceList>> = BTreeMap::new();
    let mut found = Found::new();
    for kind in kinds {
        if kind.is_built_in() {
            found.extend(kind.versions.first().map(|version| (kind.name, *version)));
            continue;
        }
        for &version in kind.versions {
            let wanted = kind.api_version(version);
            if !serves(&groups, &wanted) {
                continue;
            }
            if !answers.contains_key(&wanted) {
                answers.insert(wanted.clone(), resources(&client, &wanted).await);
            }
            let is_there = match (answers.get(&wanted).and_then(Option::as_ref), before) {
                (Some(list), _) => list.resources.iter().any(|resource| resource.name == kind.plural),
                (None, Some(before)) => before.get(kind.name) == Some(&version),
                // A kind that is taken for missing is not waited for, and its policies would not be in force.
                (None, None) => return Err(format!("{wanted} does not say which kinds it has")),
            };
            if is_there {
                found.insert(kind.name, version);
                break;
            }
        }
    }
    Ok(found)
}

fn serves(groups: &APIGroupList, group_version: &str) -> bool {
    let versions = groups.groups.iter().flat_map(|group| &group.versions);
    versions
        .into_iter()
        .any(|version| version.group_version == group_version)
}

async fn resources(client: &Client, group_version: &str) -> Option<APIResourceList> {
    let asked = timeout(PATIENCE, client.list_api_group_resources(group_version));
    asked.await.ok()?.ok()
}
