//! Digests that depend on content alone, and archives that try to do harm.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::{Limits, Packed, SnapshotError, Unpacked, pack, pack::pack_within, unpack};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        put(folder.path(), name, content.as_bytes());
    }
    folder
}

fn put(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The names in an archive.
fn names(packed: &Packed) -> Vec<String> {
    let mut archive = tar::Archive::new(fs::File::open(packed.archive.path()).unwrap());
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn packed_names(folder: &TempDir) -> Vec<String> {
    names(&pack(folder.path(), None, None).unwrap())
}

#[test]
fn amlignore_stands_before_gitignore() {
    let folder = folder(&[
        (".amlignore", "*.log\n"),
        (".gitignore", "score.py\n"),
        ("score.py", ""),
        ("a.log", ""),
    ]);
    let packed = pack(folder.path(), None, None).unwrap();
    assert_eq!(names(&packed), [".amlignore", ".gitignore", "score.py"]);
    assert_eq!(packed.ignored, 1);
}

#[test]
fn only_the_ignore_file_of_the_root_counts_and_gits_own_folder_stays_out() {
    let folder = folder(&[
        (".gitignore", "data/\n!data/kept\n*.tmp\n!b.tmp\n"),
        (".git/config", ""),
        ("data/kept", ""),
        ("sub/.gitignore", "*\n"),
        ("sub/x", ""),
        ("a.tmp", ""),
        ("b.tmp", ""),
    ]);
    assert_eq!(
        packed_names(&folder),
        [".gitignore", "b.tmp", "sub/.gitignore", "sub/x"]
    );
}

#[test]
fn braces_are_plain_characters() {
    let folder = folder(&[
        (".amlignore", "*.{log,tmp}\n/[]{]x\n\\{y\n"),
        ("a.log", ""),
        ("a.{log,tmp}", ""),
        ("{x", ""),
        ("]x", ""),
        ("{y", ""),
    ]);
    assert_eq!(packed_names(&folder), [".amlignore", "a.log"]);
}

#[test]
fn the_top_folder_and_a_single_file() {
    let folder = folder(&[(".amlignore", "*\n"), ("sub/score.py", "x"), ("other", "")]);
    let packed = pack(folder.path(), Some("src"), Some(Path::new("sub/score.py"))).unwrap();
    assert_eq!(names(&packed), ["src/sub/score.py"]);
    assert_eq!((packed.snapshot.files, packed.snapshot.bytes), (1, 1));
    let absolute = folder.path().join("./sub/score.py");
    let same = pack(folder.path(), Some("src"), Some(&absolute)).unwrap();
    assert_eq!(same.snapshot, packed.snapshot);
    for bad in ["/etc/passwd", "../x"] {
        pack(folder.path(), None, Some(Path::new(bad))).unwrap_err();
    }
}

#[test]
fn links_inside_are_content_and_others_are_refused_by_name() {
    let project = folder(&[("score.py", "x"), ("lib/a.py", "a")]);
    symlink("score.py", project.path().join("main.py")).unwrap();
    symlink("lib", project.path().join("also")).unwrap();
    assert_eq!(
        packed_names(&project),
        ["also/a.py", "lib/a.py", "main.py", "score.py"]
    );
    let outside = folder(&[("secret", "s")]);
    for (target, why) in [
        (outside.path().join("secret"), "leads out of the folder"),
        (outside.path().to_owned(), "leads out of the folder"),
        (project.path().join("nothing"), "leads nowhere"),
        (project.path().to_owned(), "leads to a folder that holds it"),
    ] {
        let link = project.path().join("bad");
        symlink(target, &link).unwrap();
        let error = pack(project.path(), None, None).unwrap_err().to_string();
        assert!(error.starts_with(&format!("link `bad` {why}")), "{error}");
        put(project.path(), ".amlignore", b"bad\n");
        pack(project.path(), None, None).unwrap();
        fs::remove_file(project.path().join(".amlignore")).unwrap();
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn sockets_and_names_that_are_no_text_are_refused() {
    let project = folder(&[("score.py", "x")]);
    let socket = project.path().join("live");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = pack(project.path(), None, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`live` is a socket; a snapshot holds only files"
    );
    drop(listener);
    fs::remove_file(socket).unwrap();
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"bad\xff");
    fs::write(project.path().join(name), "").unwrap();
    let error = pack(project.path(), None, None).unwrap_err().to_string();
    assert!(error.contains("is not UTF-8 text"), "{error}");
}

#[test]
fn limits_name_the_five_largest_offenders() {
    let files: Vec<_> = (0..8)
        .map(|i| (format!("d{}/f{i}", i % 2), "x".repeat(i * 1000)))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(n, c)| (n.as_str(), c.as_str()))
        .collect();
    let folder = folder(&files);
    let small = |files, bytes| pack_within(folder.path(), None, None, Limits { files, bytes });
    let error = small(100, 20_000).unwrap_err().to_string();
    assert!(
        error.contains("holds 28000 bytes after exclusion, at most 20000"),
        "{error}"
    );
    assert!(
        error.contains("`d1/f7` (6.8 KiB), `d0/f6` (5.9 KiB)"),
        "{error}"
    );
    assert!(
        error.contains("`d1/f3`") && !error.contains("`d0/f2`"),
        "{error}"
    );
    let error = small(7, 100_000).unwrap_err().to_string();
    assert!(
        error.contains("holds 8 files after exclusion, at most 7"),
        "{error}"
    );
    assert!(error.contains("`d0` (4), `d1` (4)"), "{error}");
    small(8, 28_000).unwrap();
}

#[test]
fn an_ignore_file_with_a_broken_pattern_is_named() {
    let folder = folder(&[(".amlignore", "ok\na[z-a]\n")]);
    let error = pack(folder.path(), None, None).unwrap_err();
    assert!(matches!(error, SnapshotError::IgnoreFile { .. }), "{error}");
}

/// An archive of raw entries.
fn archive(entries: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o777);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn unpacked(archive: &[u8]) -> (TempDir, Result<Unpacked, SnapshotError>) {
    let tmp = TempDir::new().unwrap();
    let limits = Limits {
        files: 4,
        bytes: 100,
    };
    let result = unpack(archive, &tmp.path().join("into"), limits);
    (tmp, result)
}

#[test]
fn harmful_archives_leave_nothing() {
    let file = EntryType::Regular;
    let many: Vec<_> = [b"1", b"2", b"3", b"4", b"5"]
        .map(|n| (n.as_slice(), file, b"".as_slice()))
        .into();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "`..`",
            archive(&[(b"ok", file, b"x"), (b"../out", file, b"x")]),
        ),
        ("`..`", archive(&[(b"a/../../out", file, b"x")])),
        ("absolute", archive(&[(b"/etc/x", file, b"x")])),
        ("part `.`", archive(&[(b"./x", file, b"x")])),
        ("empty", archive(&[(b"", file, b"x")])),
        ("not UTF-8", archive(&[(b"a\xff", file, b"x")])),
        ("control", archive(&[(b"a\nb", file, b"x")])),
        ("symbolic link", archive(&[(b"l", EntryType::Symlink, b"")])),
        ("hard link", archive(&[(b"l", EntryType::Link, b"")])),
        ("a device", archive(&[(b"d", EntryType::Char, b"")])),
        ("a pipe", archive(&[(b"p", EntryType::Fifo, b"")])),
        (
            "no snapshot holds",
            archive(&[(b"s", EntryType::GNUSparse, b"")]),
        ),
        (
            "no snapshot holds",
            archive(&[(b"x", EntryType::XHeader, b"9 path=a\n")]),
        ),
        ("twice", archive(&[(b"a", file, b"x"), (b"a", file, b"y")])),
        (
            "cannot read or write",
            archive(&[(b"a", file, b"x"), (b"a/b", file, b"y")]),
        ),
        ("at most 100", archive(&[(b"a", file, &[0; 101])])),
        ("at most 4", archive(&many)),
        (
            "1,024",
            archive(&[
                (b"L", EntryType::GNULongName, &[b'n'; 5000]),
                (b"x", file, b""),
            ]),
        ),
        (
            "255",
            archive(&[
                (b"L", EntryType::GNULongName, &[b'n'; 300]),
                (b"x", file, b""),
            ]),
        ),
        ("not a valid archive", b"PK\x03\x04".repeat(400)),
        (
            "`a` ends after 3 of 7 bytes",
            archive(&[(b"a", file, b"content")])[..515].to_vec(),
        ),
    ];
    for (expected, archive) in cases {
        let (tmp, result) = unpacked(&archive);
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0, "{expected}");
    }
}

#[test]
fn unpacked_files_are_read_only_and_the_folder_is_fresh() {
    let archive = archive(&[
        (b"d/", EntryType::Directory, b""),
        (b"d/a", EntryType::Regular, b"x"),
    ]);
    let (tmp, result) = unpacked(&archive);
    assert_eq!(result.unwrap(), Unpacked { files: 1, bytes: 1 });
    let file = tmp.path().join("into/d/a");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o333, 0);
    let limits = Limits {
        files: 4,
        bytes: 100,
    };
    unpack(archive.as_slice(), &tmp.path().join("into"), limits).unwrap_err();
    assert_eq!(fs::read(file).unwrap(), b"x", "what was there is untouched");
}

/// Distinct file names that do not stand in each other's way.
fn files() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = proptest::collection::vec("[a-zA-Z0-9_é.-]{1,40}x", 1..5);
    let file = (name, proptest::collection::vec(any::<u8>(), 0..2000));
    proptest::collection::vec(file, 0..12).prop_map(|files| {
        let numbered = files.into_iter().enumerate();
        numbered
            .map(|(i, (parts, content))| (format!("{i}-{}", parts.join("/")), content))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_digest_depends_on_content_alone(files in files(), modes in any::<u32>(), age in 0u64..1_000_000) {
        let one = TempDir::new().unwrap();
        let other = TempDir::new().unwrap();
        for (name, content) in &files {
            put(one.path(), name, content);
        }
        for (index, (name, content)) in files.iter().enumerate().rev() {
            put(other.path(), name, content);
            let file = fs::File::options().write(true).open(other.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(age)).unwrap();
            let mode = 0o400 | (modes.rotate_left(index as u32) & 0o377);
            file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
        }
        let one = pack(one.path(), Some("top"), None).unwrap();
        let other = pack(other.path(), Some("top"), None).unwrap();
        prop_assert_eq!(&one.snapshot, &other.snapshot);
        prop_assert_eq!(fs::read(one.archive.path()).unwrap(), fs::read(other.archive.path()).unwrap());
    }

    #[test]
    fn what_is_packed_is_unpacked(files in files()) {
        let project = TempDir::new().unwrap();
        for (name, content) in &files {
            put(project.path(), name, content);
        }
        let packed = pack(project.path(), Some("top"), None).unwrap();
        let tmp = TempDir::new().unwrap();
        let into = tmp.path().join("into");
        let archive = fs::File::open(packed.archive.path()).unwrap();
        let unpacked = unpack(archive, &into, Limits::DEFAULT).unwrap();
        prop_assert_eq!(unpacked.files, packed.snapshot.files);
        prop_assert_eq!(unpacked.bytes, packed.snapshot.bytes);
        for (name, content) in &files {
            prop_assert_eq!(&fs::read(into.join("top").join(name)).unwrap(), content);
        }
    }

    #[test]
    fn another_content_has_another_digest(files in files(), content in any::<Vec<u8>>()) {
        let project = TempDir::new().unwrap();
        for (name, content) in &files {
            put(project.path(), name, content);
        }
        let before = pack(project.path(), None, None).unwrap();
        put(project.path(), "one-more", &content);
        let after = pack(project.path(), None, None).unwrap();
        prop_assert_ne!(before.snapshot.digest, after.snapshot.digest);
    }

    #[test]
    fn no_bytes_make_unpacking_leave_something(mut bytes in proptest::collection::vec(any::<u8>(), 0..3000), at in any::<prop::sample::Index>()) {
        // Half of the time a real archive with a few bytes changed.
        if bytes.len() % 2 == 0 && !bytes.is_empty() {
            let mut real = archive(&[(b"a/b", EntryType::Regular, b"x"), (b"c", EntryType::Regular, b"yy")]);
            let place = at.index(real.len());
            real[place] = bytes[0];
            bytes = real;
        }
        let (tmp, result) = unpacked(&bytes);
        if result.is_err() {
            prop_assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
        }
    }
}
