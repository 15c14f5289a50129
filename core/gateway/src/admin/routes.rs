//! The table of routes: what is served, and what the OpenAPI document must list.

use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, head, patch, post};

use super::{
    Admin, batches, blobs, compare, endpoints, environments, images, metrics, mirror, models,
    openapi, operations, scaling, services, validate,
};

/// One route.
pub(crate) struct Route {
    /// Its method, as the OpenAPI document spells it; only tests ask.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "compared with the document by tests")
    )]
    pub(crate) method: &'static str,
    /// Its path below the workspace or the node.
    pub(crate) path: &'static str,
    /// Who answers.
    pub(crate) handler: MethodRouter<Arc<Admin>>,
}

fn route(method: &'static str, path: &'static str, handler: MethodRouter<Arc<Admin>>) -> Route {
    Route {
        method,
        path,
        handler,
    }
}

/// Routes of a workspace, under both prefixes.
pub(crate) fn workspace() -> Vec<Route> {
    vec![
        route("post", "/services", post(services::create)),
        route("get", "/services", get(services::list)),
        route("get", "/services/{name}", get(services::show)),
        route("patch", "/services/{name}", patch(services::update)),
        route("delete", "/services/{name}", delete(services::delete)),
        route("post", "/services/{name}/reload", post(services::reload)),
        route(
            "post",
            "/services/{name}/listkeys",
            post(services::list_keys),
        ),
        route(
            "post",
            "/services/{name}/regenerateKeys",
            post(services::regenerate_key),
        ),
        route("post", "/services/{name}/token", post(services::token)),
        route("get", "/services/{name}/logs", get(services::logs)),
        route("get", "/services/{name}/scaling", get(scaling::log)),
        route("get", "/services/{name}/batches", get(batches::show)),
        route("get", "/services/{name}/compare", get(compare::show)),
        route("get", "/services/{name}/mirror", get(mirror::tail)),
        route("post", "/services/{name}/promote", post(endpoints::promote)),
        route(
            "post",
            "/services/{name}/rollback",
            post(endpoints::roll_back),
        ),
        route(
            "get",
            "/services/{name}/versions/{version}",
            get(endpoints::show),
        ),
        route(
            "delete",
            "/services/{name}/versions/{version}",
            delete(endpoints::delete),
        ),
        route(
            "get",
            "/services/{name}/versions/{version}/logs",
            get(endpoints::logs),
        ),
        route(
            "get",
            "/services/{name}/versions/{version}/scaling",
            get(endpoints::scaling),
        ),
        route(
            "get",
            "/services/{name}/versions/{version}/batches",
            get(endpoints::batches),
        ),
        route("post", "/services/validate", post(validate::service)),
        route(
            "post",
            "/services/validate/resource",
            post(validate::resource),
        ),
        route(
            "post",
            "/services/validate/name/{name}",
            post(validate::name),
        ),
        route("post", "/services/migrate", post(services::migrate)),
        route("post", "/packages", post(services::package)),
        route("get", "/operations/{id}", get(operations::show)),
        route("get", "/operations/{id}/log", get(operations::log)),
        route("post", "/models", post(models::register)),
        route("get", "/models", get(models::list)),
        route("get", "/models/{id}", get(models::show)),
        route("patch", "/models/{id}", patch(models::change)),
        route("delete", "/models/{id}", delete(models::delete)),
        route("post", "/environments", post(environments::register)),
        route("get", "/environments", get(environments::list)),
        route("get", "/environments/{name}", get(environments::show)),
        route(
            "get",
            "/environments/{name}/versions",
            get(environments::versions),
        ),
        route(
            "get",
            "/environments/{name}/versions/{version}",
            get(environments::version),
        ),
        route("post", "/images", post(images::build)),
        route("get", "/images", get(images::list)),
        route("get", "/images/{key}", get(images::show)),
        route("get", "/images/{key}/export", get(images::export)),
        route("get", "/images/{key}/sbom", get(images::sbom)),
        route("post", "/images/{key}/push", post(images::push)),
        route("post", "/images/{key}/pull", post(images::pull)),
        route("post", "/images/prune", post(images::prune)),
        route("post", "/images/import", post(images::import)),
        route("post", "/blobs", post(blobs::upload)),
        route("get", "/blobs/{digest}", get(blobs::download)),
        route("head", "/blobs/{digest}", head(blobs::look)),
    ]
}

/// Routes of the node.
pub(crate) fn node() -> Vec<Route> {
    vec![
        route("get", "/healthz", get(openapi::health)),
        route("get", "/openapi.json", get(openapi::document)),
        route("get", "/metrics", get(metrics::page)),
    ]
}
