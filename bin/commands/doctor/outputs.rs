//! The store of outputs: asked for a list, never written to.

use std::path::{Path, PathBuf};

use lusk_outputs::OutputStore;

use super::finding::Finding;

pub(super) async fn check(url: Option<String>, data: PathBuf) -> Finding {
    let Some(url) = url else {
        let folder = data.join("outputs");
        return Finding::ok(format!("kept in {} (--outputs)", folder.display()));
    };
    // Opening such a store would make the folder.
    if let Some(folder) = url.strip_prefix("file://").map(Path::new)
        && folder.is_absolute()
        && !folder.exists()
    {
        return Finding::ok(format!(
            "{} is not there yet; `lusk up` makes it",
            folder.display()
        ));
    }
    let store = match OutputStore::from_url(&url) {
        Ok(store) => store,
        Err(error) => {
            return Finding::failed(
                error.to_string(),
                "correct --outputs or LUSK_OUTPUTS, or the credentials in the environment",
            );
        }
    };
    match store.probe().await {
        Ok(()) => Finding::ok(format!("{store} can be listed")),
        Err(why) => Finding::failed(
            format!("{store} cannot be listed: {why}"),
            "check --outputs, the network and the credentials in the environment",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    async fn at(url: &str) -> Finding {
        check(Some(url.to_owned()), PathBuf::from("/data")).await
    }

    #[tokio::test]
    async fn a_folder_is_looked_at_and_not_made() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("kept");
        let url = format!("file://{}", folder.display());
        assert!(at(&url).await.text.contains("not there yet"));
        assert!(!folder.exists());
        std::fs::create_dir(&folder).unwrap();
        assert!(at(&url).await.text.ends_with("can be listed"));
        std::fs::remove_dir(&folder).unwrap();
        std::fs::write(&folder, "").unwrap();
        assert_eq!(at(&url).await.state, State::Failed);
    }

    #[tokio::test]
    async fn what_is_no_store_is_a_failure() {
        assert_eq!(at("ftp://x").await.state, State::Failed);
        assert_eq!(check(None, PathBuf::from("/d")).await.state, State::Ok);
    }
}
