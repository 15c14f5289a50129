//! The listener of the admin door.

use std::{io, panic::AssertUnwindSafe, sync::Arc};

use axum::{body::Body, response::Response};
use futures::FutureExt as _;
use http::{Request, StatusCode};
use hyper::{body::Incoming, service::Service as _};
use hyper_util::service::TowerToHyperService;
use lusk_control::Control;
use lusk_router::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Admin, AdminOptions, Routes, app, fault::Fault};
use crate::{
    caller::Caller,
    listener::{self, Answer, ListenerOptions},
};

/// Serves the admin door until `shutdown`, then lets requests under way end.
///
/// # Errors
/// The listener is of no use.
pub async fn serve_admin(
    listener: TcpListener,
    control: Arc<Control>,
    router: Arc<Router>,
    options: AdminOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let admin = Arc::new(Admin {
        control,
        router,
        options,
        stopping: shutdown.clone(),
    });
    let door = Arc::new(AdminDoor(TowerToHyperService::new(app(admin))));
    let (options, books) = (ListenerOptions::default(), Arc::default());
    let rest = listener::accept(listener, door, &options, &books, shutdown).await?;
    rest.end().await;
    Ok(())
}

struct AdminDoor(TowerToHyperService<Routes>);

impl Answer for AdminDoor {
    type Body = Body;

    /// An answer even when something panics.
    async fn answer(&self, request: Request<Incoming>, _: &Arc<Caller>) -> Response {
        let answer = AssertUnwindSafe(self.0.call(request)).catch_unwind().await;
        match answer {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!("a panic while an admin request was answered");
                Fault::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalServerError",
                    "a fault of lusk itself; the node's log has more",
                )
                .response(&Uuid::new_v4().to_string())
            }
        }
    }
}
