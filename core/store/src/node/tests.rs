use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn info(folder: &DataFolder) -> NodeInfo {
    NodeInfo {
        scoring: "http://127.0.0.1:1".to_owned(),
        admin: "http://127.0.0.1:2".to_owned(),
        data: folder.path().to_owned(),
        pid: std::process::id(),
        version: "0.1.0".to_owned(),
    }
}

#[test]
fn a_second_process_is_refused_by_the_first_ones_number() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    let first = DataFolder::lock(&path, false).unwrap();
    let refused = DataFolder::lock(&path, false).unwrap_err();
    let pid = std::process::id();
    assert!(
        refused
            .to_string()
            .ends_with(&format!("is in use by process {pid}")),
        "{refused}"
    );
    assert!(refused.help().unwrap().contains(&format!("kill {pid}")));
    drop(first);
    DataFolder::lock(&path, false).unwrap();
}

#[test]
fn a_new_folder_has_everything_and_is_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/b/data");
    let folder = DataFolder::lock(&path, false).unwrap();
    folder.admin_token().unwrap();
    for name in FOLDERS {
        assert_eq!(mode(&path.join(name)), 0o700, "{name}");
    }
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join(TOKEN)), 0o600);
    assert_eq!(mode(&path.join(LOCK)), 0o600);
}

#[test]
fn what_a_killed_node_left_is_cleared() {
    let parent = tempfile::tempdir().unwrap();
    let folder = DataFolder::lock(parent.path(), false).unwrap();
    let outside = parent.path().join("outside");
    fs::write(&outside, "stays").unwrap();
    let deep = folder.tmp().join("service-1/app/locked");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "goes").unwrap();
    symlink(&outside, deep.join("link")).unwrap();
    symlink(parent.path(), folder.tmp().join("folder-link")).unwrap();
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o500)).unwrap();
    fs::write(parent.path().join(NODE), "{}").unwrap();
    drop(folder);
    let folder = DataFolder::lock(parent.path(), false).unwrap();
    assert_eq!(fs::read_dir(folder.tmp()).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "stays");
    assert_eq!(NodeInfo::read(parent.path()).unwrap(), None);
}

#[test]
fn a_node_is_found_while_it_runs() {
    let parent = tempfile::tempdir().unwrap();
    let mut folder = DataFolder::lock(parent.path(), false).unwrap();
    assert_eq!(NodeInfo::read(parent.path()).unwrap(), None);
    let told = info(&folder);
    folder.announce(&told).unwrap();
    assert_eq!(NodeInfo::read(parent.path()).unwrap(), Some(told));
    assert_eq!(mode(&parent.path().join(NODE)), 0o600);
    drop(folder);
    assert_eq!(NodeInfo::read(parent.path()).unwrap(), None);
}

#[test]
fn the_token_is_kept_and_hard_to_guess() {
    let parent = tempfile::tempdir().unwrap();
    assert_eq!(NodeInfo::admin_token(parent.path()).unwrap(), None);
    let first = DataFolder::lock(parent.path(), false)
        .unwrap()
        .admin_token()
        .unwrap();
    let again = DataFolder::lock(parent.path(), false)
        .unwrap()
        .admin_token()
        .unwrap();
    assert_eq!(first, again);
    assert_eq!(
        NodeInfo::admin_token(parent.path()).unwrap(),
        Some(first.clone())
    );
    assert!(first.reveal().len() >= 32);
    assert!(
        first
            .reveal()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric())
    );
    assert_ne!(base62(32).unwrap(), base62(32).unwrap());
}

#[test]
fn a_token_that_is_none_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    for text in [
        "",
        "short",
        "with a space in the middle of a long enough text",
    ] {
        fs::write(parent.path().join(TOKEN), text).unwrap();
        let refused = DataFolder::lock(parent.path(), false)
            .unwrap()
            .admin_token();
        assert!(
            matches!(refused, Err(DataFolderError::Foreign { .. })),
            "{text:?}"
        );
    }
}

#[test]
fn links_are_not_followed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    fs::write(&target, "A".repeat(40)).unwrap();
    for name in [LOCK, "tmp"] {
        let parent = tempfile::tempdir().unwrap();
        symlink(
            if name == LOCK {
                &target
            } else {
                elsewhere.path()
            },
            parent.path().join(name),
        )
        .unwrap();
        let refused = DataFolder::lock(parent.path(), false);
        assert!(
            matches!(refused, Err(DataFolderError::Io { .. })),
            "{name}: {refused:?}"
        );
    }
    let parent = tempfile::tempdir().unwrap();
    symlink(&target, parent.path().join(TOKEN)).unwrap();
    let mut folder = DataFolder::lock(parent.path(), false).unwrap();
    assert!(folder.admin_token().is_err());
    symlink(&target, parent.path().join(NODE)).unwrap();
    folder.announce(&info(&folder)).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "A".repeat(40));
}

#[test]
fn an_ephemeral_folder_goes_with_its_node() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("short-lived");
    let folder = DataFolder::lock(&path, true).unwrap();
    fs::write(folder.aot().join("code"), "x").unwrap();
    drop(folder);
    assert!(!path.exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_told_by_name() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = DataFolder::lock(&file.join("data"), false).unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("file/data` cannot be created"),
        "{refused}"
    );
    let refused = DataFolder::lock(Path::new("/proc/lusk"), false).unwrap_err();
    assert_eq!(refused.to_string(), "`/proc/lusk` cannot be created");
    assert!(refused.help().unwrap().contains("--data"));
}

#[test]
fn a_node_file_of_somebody_else_is_told() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join(NODE), "{\"scoring\":1}").unwrap();
    let refused = NodeInfo::read(parent.path()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("node.json` is not what lusk wrote there"),
        "{refused}"
    );
}
