//! The registries that images are looked up in.

use lusk_images::{RegistryAddress, RegistryRole, ping};
use tokio::time::Instant;

use super::finding::Finding;

pub(super) async fn workspace(address: Option<String>) -> Finding {
    asked(address, RegistryRole::Workspace, "--registry").await
}

pub(super) async fn global(address: Option<String>) -> Finding {
    asked(address, RegistryRole::Global, "--global-registry").await
}

async fn asked(address: Option<String>, role: RegistryRole, flag: &'static str) -> Finding {
    let Some(address) = address else {
        return Finding::ok(format!("none is configured ({flag})"));
    };
    let address: RegistryAddress = match address.parse() {
        Ok(address) => address,
        Err(why) => return Finding::failed(why, format!("correct {flag}, or its variable")),
    };
    let name = address.to_string();
    let begun = Instant::now();
    match ping(address, role).await {
        Ok(()) => Finding::ok(format!(
            "{name} answers in {} ms",
            begun.elapsed().as_millis()
        )),
        Err(error) => Finding::failed(
            error.to_string(),
            format!(
                "check {flag}, the network and the credentials; without it images are built anew"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[tokio::test]
    async fn a_registry_that_is_down_is_a_failure() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        assert_eq!(workspace(None).await.state, State::Ok);
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let finding = global(Some(address)).await;
        assert_eq!(finding.state, State::Failed);
        assert!(finding.text.contains("not reachable"), "{}", finding.text);
        assert!(finding.remedy.unwrap().contains("--global-registry"));
    }
    #[tokio::test]
    async fn a_password_in_an_address_is_refused_and_not_repeated() {
        let finding = workspace(Some("http://u:hunter2@127.0.0.1/x".to_owned())).await;
        assert_eq!(finding.state, State::Failed);
        assert!(!format!("{finding:?}").contains("hunter2"), "{finding:?}");
    }
}
