//! Whether a registry answers at all.

use std::time::Duration;

use lusk_contract::ImageError;
use reqwest::{Method, StatusCode};

use super::{
    Registry, RegistryAddress, Role,
    retry::{Fault, Patience},
    transport::{Access, refused},
};

/// Time for a connection, and for each part of the answer.
const WAIT: Duration = Duration::from_secs(4);

/// A repository that a token is asked for; it need not be there.
const REPOSITORY: &str = "azureml/ping";

/// Asks a registry for its version, with the credentials that a node has for it.
/// Nothing is tried twice.
///
/// # Errors
/// It is not reachable, refuses the credentials, or is no registry.
pub async fn ping(address: RegistryAddress, role: Role) -> Result<(), ImageError> {
    let patience = Patience {
        tries: 1,
        connect: WAIT,
        stall: WAIT,
        ..Patience::default()
    };
    let registry = Registry::new(address, role, patience, &|name| std::env::var(name).ok())?;
    let answered = registry.answers().await;
    answered.map_err(|fault| registry.failed("it was asked for its version", fault))
}

impl Registry {
    async fn answers(&self) -> Result<(), Fault> {
        let transport = &self.transport;
        let repository = transport.address().repository(REPOSITORY);
        let asked = transport.once(
            Access::Pull,
            &repository,
            &Method::GET,
            transport.base(),
            |request| request,
        );
        let answer = asked.await?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => Err(Fault::last("it answered 404; it is no OCI registry")),
            _ => Err(refused(answer).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::{
        super::fake::{self, Door, FakeRegistry},
        *,
    };

    async fn asked(address: &str, role: Role) -> Result<(), ImageError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        ping(address.parse().unwrap(), role).await
    }

    #[tokio::test]
    async fn a_registry_answers() {
        let registry = FakeRegistry::start().await;
        registry.fault("GET /v2/", fake::Fault::Status(200, Vec::new()));
        asked(registry.address(), Role::Global).await.unwrap();
        assert_eq!(registry.asked("GET /v2/"), 1);
    }

    #[tokio::test]
    async fn one_that_asks_for_credentials_says_which_way_out() {
        let registry = FakeRegistry::start_with(Door::Basic, true).await;
        let refused = asked(registry.address(), Role::Global).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("401"), "{refused}");
        assert!(refused.contains("check the user name"), "{refused}");
    }

    #[tokio::test]
    async fn what_is_down_or_no_registry_is_told_once() {
        let registry = FakeRegistry::start().await;
        registry.fault("GET /v2/", fake::Fault::Status(503, Vec::new()));
        let asked = |address: String| async move {
            let answer = asked(&address, Role::Workspace).await;
            answer.unwrap_err().to_string()
        };
        let busy = asked(registry.address().to_owned()).await;
        assert!(busy.contains("503"), "{busy}");
        assert_eq!(registry.asked("GET /v2/"), 1);
        registry.fault("GET /v2/", fake::Fault::Status(404, Vec::new()));
        let other = asked(registry.address().to_owned()).await;
        assert!(other.contains("no OCI registry"), "{other}");

        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let down = asked(address).await;
        assert!(down.contains("not reachable"), "{down}");
    }
}
