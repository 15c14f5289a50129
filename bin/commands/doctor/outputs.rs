//! The store of outputs: asked for a list. Only in a folder of this machine is
//! something written, which is gone when the check ends.

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
        return can_be_made(folder);
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

/// Whether `lusk up` could make the folder: its nearest parent must take a new one.
fn can_be_made(folder: &Path) -> Finding {
    let there = folder.ancestors().find(|parent| parent.exists());
    let there = there.unwrap_or(Path::new("/"));
    let made = tempfile::Builder::new().prefix(".lusk-").tempdir_in(there);
    let folder = folder.display();
    match made {
        Ok(_) => Finding::ok(format!("{folder} is not there yet; `lusk up` makes it")),
        Err(error) => Finding::failed(
            format!(
                "{folder} is not there and cannot be made in {}: {}",
                there.display(),
                error.kind()
            ),
            "correct --outputs or LUSK_OUTPUTS, or let this user write there",
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
        assert_eq!(at(&format!("{url}/below")).await.state, State::Failed);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_a_failure() {
        let finding = at("file:///proc/nope/deeper").await;
        assert_eq!(finding.state, State::Failed);
        assert!(finding.text.contains("made in /proc"), "{}", finding.text);
    }

    #[tokio::test]
    async fn what_is_no_store_is_a_failure() {
        assert_eq!(at("ftp://x").await.state, State::Failed);
        assert_eq!(check(None, PathBuf::from("/d")).await.state, State::Ok);
    }
}
