//! The admin door: the control plane of the original, in its shape.
//!
//! Every route answers under the original's long prefix and under shorter ones
//! that end in `/workspaces/<name>` too; all lead to the same handlers. This module and those
//! below it turn HTTP into calls of `lusk-control` and back, and decide nothing
//! about services themselves.
//!
//! Invariant: whatever goes wrong, the answer is the error object of
//! [`fault::Fault`], with the id of the request in it.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router as Routes,
    extract::{Path, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use lusk_contract::{Batches, Blobs, MirrorLog};
use lusk_control::Control;
use lusk_domain::{Secret, WorkspaceName};
use lusk_router::Router;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::Books;
use fault::Fault;

mod auth;
mod batches;
mod blobs;
mod compare;
mod endpoint_json;
mod endpoints;
mod envelope;
mod environments;
mod fault;
mod filter;
mod found;
mod image_json;
mod images;
mod input;
mod metrics;
mod mirror;
mod model_json;
mod models;
mod openapi;
mod operation_json;
mod operations;
mod paging;
mod patch;
mod routes;
mod scaling;
mod serve;
mod service_json;
mod services;
mod speech;
mod stream;
mod validate;
mod wire;

pub use serve::serve_admin;

/// What the admin door must be told.
#[derive(Debug, Clone)]
pub struct AdminOptions {
    /// The content of `admin.token`.
    pub token: Secret,
    /// The one workspace of this node.
    pub workspace: WorkspaceName,
    /// Where callers reach the scoring door; part of every `scoringUri`.
    pub scoring_address: SocketAddr,
    /// Whether it speaks TLS.
    pub scoring_tls: bool,
    /// Where uploads go.
    pub blobs: Arc<dyn Blobs>,
    /// What the scoring doors count, for the metrics page.
    pub books: Arc<Books>,
    /// Who joins calls of models, for the metrics page and `batches`.
    pub batches: Arc<dyn Batches>,
    /// Where mirrored answers are kept.
    pub mirror_log: Arc<dyn MirrorLog>,
}

impl AdminOptions {
    /// The scoring door, as callers name it.
    pub(crate) fn scoring_url(&self) -> String {
        let scheme = if self.scoring_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.scoring_address)
    }
}

/// What handlers share.
pub(crate) struct Admin {
    control: Arc<Control>,
    router: Arc<Router>,
    options: AdminOptions,
    /// Ends those who wait for an operation when the node stops.
    stopping: CancellationToken,
}

type Shared = State<Arc<Admin>>;

/// What may stand before the workspace in a URL: nothing, the API's name, or all
/// that the original says.
const PREFIXES: [&str; 3] = [
    "",
    "/modelmanagement/v1.0",
    "/modelmanagement/v1.0/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices",
];

/// The workspace's place in a URL.
const WORKSPACE: &str = "/workspaces/{workspace}";

/// All routes with what goes round them.
fn app(admin: Arc<Admin>) -> Routes {
    let mut workspace = Routes::new();
    for route in routes::workspace() {
        workspace = workspace.route(route.path, route.handler);
    }
    let workspace = workspace.route_layer(middleware::from_fn_with_state(
        admin.clone(),
        check_workspace,
    ));
    let mut all = Routes::new();
    for prefix in PREFIXES {
        all = all.nest(&format!("{prefix}{WORKSPACE}"), workspace.clone());
    }
    for route in routes::node() {
        all = all.route(route.path, route.handler);
    }
    all.fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(
            admin.clone(),
            envelope::wrap,
        ))
        .with_state(admin)
}

#[derive(Deserialize)]
struct InWorkspace {
    workspace: String,
}

async fn check_workspace(
    State(admin): Shared,
    Path(InWorkspace { workspace }): Path<InWorkspace>,
    request: Request,
    next: Next,
) -> Response {
    let ours = &admin.options.workspace;
    if workspace == ours.as_str() {
        return next.run(request).await;
    }
    Fault::not_found(format!(
        "no workspace `{workspace:.80}`; the workspace of this node is `{ours}`"
    ))
    .into_response()
}

async fn no_route(request: Request) -> Fault {
    Fault::not_found(format!(
        "no route `{:.200}`; /openapi.json lists those there are",
        request.uri().path()
    ))
}

async fn no_method(request: Request) -> Fault {
    Fault::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        format!(
            "`{:.20}` is not a method of `{:.200}`; /openapi.json lists those there are",
            request.method().as_str(),
            request.uri().path()
        ),
    )
}

/// Scheme, authority and path of the workspace, as the caller wrote them.
fn workspace_url(admin: &Admin, base: &str, path: &str) -> String {
    let name = &admin.options.workspace;
    let marker = format!("/workspaces/{name}");
    let end = path.find(&marker).map_or(0, |at| at + marker.len());
    format!("{base}{}", &path[..end])
}

#[cfg(test)]
pub(crate) mod tests;
