use tempfile::TempDir;

use super::*;

fn site(files: &[(&str, &str)]) -> TempDir {
    let site = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = site.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    site
}

fn names(distribution: &Distribution) -> Vec<&str> {
    let files = distribution.files.iter();
    files.map(|file| file.to_str().unwrap()).collect()
}

#[test]
fn every_file_has_one_owner_and_noise_goes() {
    let site = site(&[
        ("a/__init__.py", ""),
        ("a/__pycache__/x.pyc", ""),
        ("a/generated.txt", ""),
        (
            "A_b-1.0.dist-info/METADATA",
            "Name: A.b\nVersion: 1.0\n\nName: no\n",
        ),
        (
            "A_b-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nTag: py3-none-any\n",
        ),
        ("A_b-1.0.dist-info/INSTALLER", "uv"),
        ("A_b-1.0.dist-info/direct_url.json", "{}"),
        (
            "A_b-1.0.dist-info/RECORD",
            "a/__init__.py,sha256=x,0\n../../bin/a,sha256=y,1\nA_b-1.0.dist-info/METADATA,,\n\
             A_b-1.0.dist-info/INSTALLER,,\nA_b-1.0.dist-info/RECORD,,\n\"a/x,y.py\",,\n",
        ),
        ("a/x,y.py", ""),
        ("fast.abi3.so", ""),
        (
            "fast-2.dist-info/RECORD",
            "fast.abi3.so,,\nfast-2.dist-info/RECORD,,",
        ),
        ("tagged-3.dist-info/WHEEL", "Tag: cp311-cp311-linux_x86_64"),
        ("tagged-3.dist-info/RECORD", "tagged-3.dist-info/RECORD,,"),
        ("bin/a", ""),
        (".lock", ""),
        ("nobody.txt", ""),
    ]);
    std::os::unix::fs::symlink("/etc/passwd", site.path().join("a/link")).unwrap();
    let found = distributions(site.path()).unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|it| (it.name.as_str(), it.version.as_str(), it.native))
        .collect();
    assert_eq!(
        told,
        [
            ("a-b", "1.0", false),
            ("fast", "2", true),
            ("rest", "0", false),
            ("tagged", "3", true),
        ]
    );
    assert_eq!(
        names(&found[0]),
        [
            "A_b-1.0.dist-info/METADATA",
            "A_b-1.0.dist-info/RECORD",
            "A_b-1.0.dist-info/WHEEL",
            "a/__init__.py",
            "a/generated.txt",
            "a/x,y.py",
        ]
    );
    assert_eq!(names(&found[2]), ["nobody.txt"]);
    let record = fs::read_to_string(site.path().join("A_b-1.0.dist-info/RECORD")).unwrap();
    assert_eq!(
        record,
        "A_b-1.0.dist-info/METADATA,,\nA_b-1.0.dist-info/RECORD,,\na/__init__.py,sha256=x,0\n\
         \"a/x,y.py\",,\n"
    );
    for gone in [
        "bin",
        ".lock",
        "a/__pycache__",
        "a/link",
        "A_b-1.0.dist-info/INSTALLER",
    ] {
        assert!(
            fs::symlink_metadata(site.path().join(gone)).is_err(),
            "{gone}"
        );
    }
}

#[test]
fn a_second_look_changes_nothing() {
    let site = site(&[
        ("six.py", ""),
        (
            "six-1.dist-info/RECORD",
            "six.py,,\nsix-1.dist-info/RECORD,,\n",
        ),
    ]);
    let first = distributions(site.path()).unwrap();
    assert_eq!(distributions(site.path()).unwrap(), first);
    assert_eq!(first[0].files.len(), 2);
}

#[test]
fn machine_code_is_told_by_its_name() {
    for name in [
        "a.so",
        "x/a.cpython-314-x86_64-linux-gnu.so",
        "libx.so.1.2",
        "a.pyd",
        "a.dylib",
    ] {
        assert!(is_native(Path::new(name)), "{name}");
    }
    for name in ["a.py", "so", "a.solution", "also.txt"] {
        assert!(!is_native(Path::new(name)), "{name}");
    }
}
