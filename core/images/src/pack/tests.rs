use std::path::PathBuf;

use super::*;
use crate::testing::{names, sandbox};

fn built(distributions: usize) -> (tempfile::TempDir, Built) {
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir_in(home.path()).unwrap();
    let site = folder.path().join("site");
    fs::create_dir(&site).unwrap();
    let distributions = (0..distributions).map(|number| {
        let file = PathBuf::from(format!("p{number:03}.py"));
        fs::write(site.join(&file), "#".repeat(number + 1)).unwrap();
        Distribution {
            name: format!("p{number:03}"),
            version: "1".to_owned(),
            native: false,
            files: vec![file],
        }
    });
    let built = Built {
        variant: sandbox(),
        packages: Vec::new(),
        distributions: distributions.collect(),
        lock: String::new(),
        site: site.clone(),
        folder,
        remarks: Vec::new(),
    };
    (home, built)
}

#[test]
fn the_smallest_share_a_layer_when_there_are_too_many() {
    let (_home, few) = built(MAX_PACKAGE_LAYERS);
    assert_eq!(grouped(&few).unwrap().len(), MAX_PACKAGE_LAYERS);
    let (_home, many) = built(MAX_PACKAGE_LAYERS + 5);
    let groups = grouped(&many).unwrap();
    assert_eq!(groups.len(), MAX_PACKAGE_LAYERS);
    let shared: Vec<_> = groups[99].iter().map(|it| it.name.as_str()).collect();
    assert_eq!(shared, ["p000", "p001", "p002", "p003", "p004", "p005"]);
    assert_eq!(groups[0][0].name, "p006");
}

#[test]
fn layers_tell_nothing_of_who_packed_them() {
    let (home, built) = built(1);
    let layout = Layout::open(&home.path().join("images"), &home.path().join("tmp")).unwrap();
    let layout = std::sync::Arc::new(layout);
    let draft = layout.draft();
    let packed = pack_group(&layout, &draft, &built.site, &grouped(&built).unwrap()[0]).unwrap();
    let layer = zstd::decode_all(layout.read(&packed.layer).unwrap()).unwrap();
    assert_eq!(Digest::of(&layer), packed.diff_id);
    let mut archive = tar::Archive::new(&layer[..]);
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    let header = entry.header();
    assert_eq!(entry.path().unwrap(), Path::new("site-packages/p000.py"));
    assert_eq!(header.mtime().unwrap(), 0);
    assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
    assert_eq!(header.mode().unwrap(), 0o644);
    assert_eq!(header.username().unwrap().unwrap_or(""), "");
    assert_eq!(names(&home.path().join("tmp")), Vec::<String>::new());
}

#[test]
fn a_link_is_not_packed() {
    let (home, built) = built(1);
    let file = built.site.join(&built.distributions[0].files[0]);
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    let layout = Layout::open(&home.path().join("images"), &home.path().join("tmp")).unwrap();
    let layout = std::sync::Arc::new(layout);
    let refused = pack(&layout, &layout.draft(), b"{}", &built).unwrap_err();
    assert!(
        refused.to_string().contains("not a plain file"),
        "{refused}"
    );
}
