//! Single requests to the API server, for whoever writes there: the controller. A waypoint has no need of it.

use super::access::{Access, SharedAccess};
use super::kind::{self, Kind};
use super::stream::chain;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// One answer takes at most this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a request did not do what it was to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// 409: somebody else was there first, or owns a field. Look again, then try again.
    Conflict(String),
    /// 404.
    NotFound(String),
    /// 401, 403: a right is missing.
    Denied(String),
    /// 400, 422: the server will never take this.
    Invalid(String),
    /// No answer, or one that says to come again.
    Unavailable(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Conflict(text)
        | Self::NotFound(text)
        | Self::Denied(text)
        | Self::Invalid(text)
        | Self::Unavailable(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for CallError {}

/// A client of the API server. Objects are JSON; which one is meant says the object itself: `apiVersion`, `kind`,
/// `metadata.namespace`, `metadata.name`. Kinds are those that this crate watches or makes.
#[derive(Clone)]
pub struct ClusterClient {
    access: SharedAccess,
    /// The field manager of all that is written.
    manager: &'static str,
}

impl fmt::Debug for ClusterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterClient")
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}

impl ClusterClient {
    pub(super) fn new(access: &Arc<Access>, manager: &'static str) -> Self {
        Self {
            access: Arc::clone(access),
            manager,
        }
    }

    /// The object as it is now; `None`: there is none.
    ///
    /// # Errors
    /// It could not be asked for.
    pub async fn get(&self, named: &Value) -> Result<Option<Value>, CallError> {
        let (api, name) = self.api(named).await?;
        let found = self.call(api.0, api.1.get_opt(&name)).await?;
        found.map(value).transpose()
    }

    /// Server-side apply: fields that were applied before and are not now go, fields of others stay. `force` takes fields
    /// that another manager owns; without it they are a conflict. With `metadata.uid` in the object nothing but that very
    /// object is changed. Gives the object as it is then.
    ///
    /// # Errors
    /// It is not applied.
    pub async fn apply(&self, object: &Value, force: bool) -> Result<Value, CallError> {
        let (api, name) = self.api(object).await?;
        let params = PatchParams {
            force,
            ..PatchParams::apply(self.manager)
        };
        let patch = Patch::Apply(object);
        value(self.call(api.0, api.1.patch(&name, &params, &patch)).await?)
    }

    /// Puts `status` of the object to this, as long as the object is still at its `metadata.resourceVersion`. Fields of
    /// the status that are not given stay. Gives the object as it is then.
    ///
    /// # Errors
    /// [`CallError::Conflict`] where the object is another by now; nothing is written.
    pub async fn write_status(&self, object: &Value, status: &Value) -> Result<Value, CallError> {
        let (api, name) = self.api(object).await?;
        let version = object.pointer("/metadata/resourceVersion");
        let patch = serde_json::json!({ "metadata": { "resourceVersion": version }, "status": status });
        let params = PatchParams {
            field_manager: Some(self.manager.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        value(self.call(api.0, api.1.patch_status(&name, &params, &patch)).await?)
    }

    /// Creates it.
    ///
    /// # Errors
    /// [`CallError::Conflict`] where there is one of this name.
    pub async fn create(&self, object: &Value) -> Result<Value, CallError> {
        let (api, _) = self.api(object).await?;
        let object = dynamic(object)?;
        value(self.call(api.0, api.1.create(&self.post(), &object)).await?)
    }

    /// Puts it in place of the one with its `metadata.resourceVersion`.
    ///
    /// # Errors
    /// [`CallError::Conflict`] where the object is another by now.
    pub async fn replace(&self, object: &Value) -> Result<Value, CallError> {
        let (api, name) = self.api(object).await?;
        let object = dynamic(object)?;
        value(self.call(api.0, api.1.replace(&name, &self.post(), &object)).await?)
    }

    /// Deletes this very object, by its `metadata.uid`, and not one that took its name. One that is gone is no error.
    ///
    /// # Errors
    /// It is not deleted.
    pub async fn delete(&self, object: &Value) -> Result<(), CallError> {
        let (api, name) = self.api(object).await?;
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: None,
                uid: uid.map(str::to_owned),
            }),
            ..DeleteParams::background()
        };
        match self.call(api.0, api.1.delete(&name, &params)).await {
            Ok(_) | Err(CallError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn post(&self) -> PostParams {
        PostParams {
            field_manager: Some(self.manager.to_owned()),
            ..PostParams::default()
        }
    }

    /// How the object is reached (with the number of the client), and its name.
    async fn api(&self, object: &Value) -> Result<((u64, Api<DynamicObject>), String), CallError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let kind = text("/kind").and_then(kind::named);
        let (Some(kind), Some(name), Some(api_version)) = (kind, text("/metadata/name"), text("/apiVersion")) else {
            return Err(CallError::Invalid(
                "expected an object of a known kind with a name".to_owned(),
            ));
        };
        let (number, client) = self
            .access
            .client()
            .await
            .map_err(|error| CallError::Unavailable(error.to_string()))?;
        let resource = kind.resource(version(kind, api_version));
        let api = match text("/metadata/namespace") {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        Ok(((number, api), name.to_owned()))
    }

    async fn call<T>(&self, number: u64, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
        let error = match timeout(PATIENCE, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => return Err(CallError::Unavailable(format!("no answer for {PATIENCE:?}"))),
        };
        let kube::Error::Api(status) = &error else {
            return Err(CallError::Unavailable(chain(&error)));
        };
        let told = format!("{} {}", status.code, status.message);
        Err(match status.code {
            401 => {
                self.access.refused(number).await;
                CallError::Denied(told)
            }
            403 => CallError::Denied(told),
            404 => CallError::NotFound(told),
            409 => CallError::Conflict(told),
            400 | 422 => CallError::Invalid(told),
            _ => CallError::Unavailable(told),
        })
    }
}

/// The version that the object is written in, when we know it.
fn version(kind: &'static Kind, api_version: &str) -> &'static str {
    let mut known = kind.versions.iter().copied();
    let written = known.find(|version| kind.api_version(version) == api_version);
    written.or(kind.versions.first().copied()).unwrap_or("v1")
}

fn value(object: DynamicObject) -> Result<Value, CallError> {
    serde_json::to_value(object).map_err(|error| CallError::Unavailable(error.to_string()))
}

fn dynamic(object: &Value) -> Result<DynamicObject, CallError> {
    serde_json::from_value(object.clone()).map_err(|error| CallError::Invalid(error.to_string()))
}
