//! The node of the data folder: who holds the lock, and whether it answers.

use std::path::{Path, PathBuf};

use lusk_store::{FolderView, Holder, NodeInfo};

use super::{finding::Finding, folder::with_cause};
use crate::{cli::GlobalArgs, client::Client};

pub(super) fn lock(data: &Path) -> Finding {
    match FolderView::look(data).map(|view| view.map(|it| it.holder)) {
        Ok(None | Some(Holder::Nobody)) => Finding::ok("nobody holds the data folder"),
        Ok(Some(Holder::Process(Some(pid)))) => {
            Finding::ok(format!("process {pid} holds the data folder"))
        }
        Ok(Some(Holder::Process(None))) => Finding::warning(
            "a process holds the data folder and has not written its number",
            "find it with `fuser -v <data folder>/lock`",
        ),
        Err(error) => Finding::failed(with_cause(&error), error.help().unwrap_or_default()),
    }
}

/// The node that works in `data`, if its announcement is true.
pub(super) fn running(data: &Path) -> Option<NodeInfo> {
    let view = FolderView::look(data).ok()??;
    match view.holder {
        Holder::Process(_) => NodeInfo::read(data).ok()?,
        Holder::Nobody => None,
    }
}

pub(super) async fn found(global: GlobalArgs, data: PathBuf) -> Finding {
    if let Some(url) = &global.admin_url {
        return answer(&global, url).await;
    }
    match (NodeInfo::read(&data), running(&data)) {
        (Err(error), _) => Finding::failed(with_cause(&error), error.help().unwrap_or_default()),
        (Ok(None), _) => Finding::ok("no node runs here; `lusk up` starts one"),
        (Ok(Some(left)), None) => Finding::warning(
            format!(
                "process {} was killed and left its node.json behind",
                left.pid
            ),
            "start the node again with `lusk up`; it cleans up",
        ),
        (_, Some(node)) => match answer(&global, &node.admin).await {
            finding if finding.remedy.is_some() => finding,
            finding => judged(finding, &node.version),
        },
    }
}

/// Whether the admin door answers and takes our token.
async fn answer(global: &GlobalArgs, url: &str) -> Finding {
    let asked = async { Client::find(global)?.page("/metrics").await };
    match asked.await {
        Ok(_) => Finding::ok(format!("the admin door {url} answers")),
        Err(error) => Finding::failed(
            format!("the admin door {url} does not answer: {error:#}"),
            "see the node's log; if it hangs, stop it and start it again with `lusk up`",
        ),
    }
}

fn judged(finding: Finding, version: &str) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    if version == own {
        return Finding::ok(format!("{}, version {version}", finding.text));
    }
    Finding::warning(
        format!("the node has version {version}, this command {own}"),
        "restart the node with this program, or use the one that it was started with",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[test]
    fn versions_must_be_equal() {
        let ok = Finding::ok("the admin door answers");
        let same = judged(ok.clone(), env!("CARGO_PKG_VERSION"));
        assert_eq!(same.state, State::Ok);
        let other = judged(ok, "0.0.1");
        assert_eq!(other.state, State::Warning);
        assert!(other.text.contains("0.0.1"), "{}", other.text);
    }

    #[test]
    fn nobody_holds_what_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(lock(&place.path().join("none")).state, State::Ok);
        assert_eq!(running(place.path()), None);
    }
}
