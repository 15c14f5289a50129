//! Whether a store can be used.

use super::OutputStore;
use crate::status::safe_text;

impl OutputStore {
    /// Lists what lies directly below the store's prefix; writes nothing.
    ///
    /// # Errors
    /// What the store said, without what may be secret.
    pub async fn probe(&self) -> Result<(), String> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        listed.map(drop).map_err(|error| safe_text(&error))
    }
}

#[cfg(test)]
mod tests {
    use crate::OutputStore;

    #[tokio::test]
    async fn a_folder_is_listed_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let store = OutputStore::from_url(&url).unwrap();
        store.probe().await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_store_that_is_down_says_so_without_secrets() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let variables = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "SECRET"),
            ("AWS_ENDPOINT", &endpoint),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let store = OutputStore::with_variables("s3://bucket/x", &variables).unwrap();
        let said = store.probe().await.unwrap_err();
        assert!(!said.contains("SECRET"), "{said}");
    }
}
