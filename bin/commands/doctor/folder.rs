//! The data folder: there, ours, and nobody else's to read.

use std::path::Path;

use lusk_store::FolderView;

use super::finding::Finding;

/// Permission bits of people who are not the owner.
const OTHERS: u32 = 0o077;

/// Permission bits that a node needs.
const OWN: u32 = 0o700;

pub(super) fn check(data: &Path) -> Finding {
    match FolderView::look(data) {
        Ok(Some(view)) => judged(&view),
        Ok(None) => Finding::ok(format!(
            "{} is not there yet; `lusk up` makes it",
            data.display()
        )),
        Err(error) => {
            let remedy = error.help().unwrap_or_default();
            Finding::failed(with_cause(&error), remedy)
        }
    }
}

fn judged(view: &FolderView) -> Finding {
    let path = view.path.display();
    let FolderView {
        mode, owner, user, ..
    } = view;
    if owner != user {
        let text = format!("{path} belongs to user {owner}, this is user {user}");
        let remedy = format!("run lusk as its owner, or `chown -R {user} '{path}'`");
        // The superuser may read and write it all the same.
        return match user {
            0 => Finding::warning(text, remedy),
            _ => Finding::failed(text, remedy),
        };
    }
    let remedy = format!("chmod 700 '{path}'");
    if mode & OWN != OWN {
        return Finding::failed(
            format!("{path} has mode {mode:04o}: its owner cannot work in it"),
            remedy,
        );
    }
    if mode & OTHERS != 0 {
        return Finding::warning(
            format!("{path} has mode {mode:04o}: others may look into it"),
            remedy,
        );
    }
    Finding::ok(format!("{path}, mode {mode:04o}"))
}

/// An error and its first cause.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use lusk_store::Holder;

    use super::{super::finding::State, *};

    fn state(mode: u32, owner: u32, user: u32) -> State {
        let view = FolderView {
            path: "/data".into(),
            mode,
            owner,
            user,
            holder: Holder::Nobody,
            last_written: None,
        };
        judged(&view).state
    }

    #[test]
    fn only_the_owner_may_look_into_the_folder() {
        assert_eq!(state(0o700, 7, 7), State::Ok);
        assert_eq!(state(0o2700, 7, 7), State::Ok);
        assert_eq!(state(0o755, 7, 7), State::Warning);
        assert_eq!(state(0o500, 7, 7), State::Failed);
        assert_eq!(state(0o700, 7, 8), State::Failed);
        assert_eq!(state(0o700, 7, 0), State::Warning);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(check(file.path()).state, State::Failed);
        let none = check(&file.path().with_extension("none"));
        assert_eq!(none.state, State::Ok);
    }
}
