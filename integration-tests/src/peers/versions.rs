//! The world of many tests: one Service in two versions, and a route between them.

use super::echo::Echo;
use super::mesh_world::{MeshWorld, Pod, Reach, Vip, backend};
use serde_json::json;

/// `reviews` and its pods, each of which is a Service of its own too: `reviews-v1` and `reviews-v2`.
pub struct Versions {
    /// The Service of both.
    pub vip: Vip,
    _pods: [Pod<Echo>; 2],
}

impl MeshWorld {
    /// A Service in two versions, which answer with `x-backend: v1` and `v2`.
    pub async fn reviews(&mut self, reach: Reach) -> Versions {
        let v1 = self.echo("reviews-v1", "v1", reach).await;
        let v2 = self.echo("reviews-v2", "v2", reach).await;
        Versions {
            vip: self.service("reviews", "http", &[v1.ip, v2.ip]),
            _pods: [v1, v2],
        }
    }

    /// An HTTPRoute that sends all of `reviews` to this Service.
    pub fn route_reviews_to(&mut self, service: &str) {
        let rules = json!([{ "backendRefs": [backend(service, 1)] }]);
        self.http_route("reviews", "reviews", rules);
    }
}
