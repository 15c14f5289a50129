use super::*;

#[test]
fn a_second_process_is_refused_by_the_first_ones_number() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    let first = DataFolder::lock(&path, false).unwrap();
    let refused = DataFolder::lock(&path, false).unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with(&format!("is in use by process {}", std::process::id())),
        "{refused}"
    );
    drop(first);
    DataFolder::lock(&path, false).unwrap();
}
