use std::{fs, io::Write as _};

use serde_json::json;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::*;

fn sbom(packages: &[&str]) -> Value {
    let component = |purl: &&str| json!({ "type": "library", "purl": format!("pkg:{purl}") });
    let components: Vec<_> = packages.iter().map(component).collect();
    json!({ "bomFormat": "CycloneDX", "specVersion": "1.5", "components": components })
}

fn advisory(id: &str, package: &str, ranges: Value, versions: Value) -> Value {
    json!({
        "id": id,
        "modified": "2024-01-01T00:00:00Z",
        "summary": "it leaks",
        "aliases": ["CVE-1"],
        "affected": [{
            "package": { "ecosystem": "PyPI", "name": package },
            "ranges": [{ "type": "ECOSYSTEM", "events": ranges }],
            "versions": versions,
        }],
    })
}

fn database(entries: &[Value]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, entry) in entries.iter().enumerate() {
        fs::write(
            folder.path().join(format!("{number}.json")),
            entry.to_string(),
        )
        .unwrap();
    }
    folder
}

fn found(sbom: &Value, entries: &[Value]) -> Vec<String> {
    let report = scan(sbom, database(entries).path()).unwrap();
    let told = |it: &Finding| format!("{} {} {}", it.package, it.version, it.id);
    report.findings.iter().map(told).collect()
}

#[test]
fn a_package_within_a_range_is_found_with_the_way_out() {
    let mut entry = advisory(
        "GHSA-1",
        "Scikit_Learn",
        json!([{ "introduced": "0" }, { "fixed": "1.5.0" }]),
        json!([]),
    );
    entry["database_specific"] = json!({ "severity": "MODERATE" });
    entry["severity"] = json!([{ "type": "CVSS_V9", "score": "x" }]);
    entry["credits"] = json!([{ "name": "x", "type": "OF_ANOTHER_KIND" }]);
    entry["affected"].as_array_mut().unwrap().push(json!({
        "package": { "ecosystem": "An ecosystem of tomorrow", "name": "x" }
    }));
    let sbom = sbom(&[
        "pypi/scikit-learn@1.2.1",
        "pypi/six@1.0",
        "npm/scikit-learn@1.2.1",
    ]);
    let report = scan(&sbom, database(&[entry]).path()).unwrap();
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        json!({
            "components": 2,
            "advisoriesRead": 1,
            "unreadable": 0,
            "findings": [{
                "package": "scikit-learn",
                "version": "1.2.1",
                "id": "GHSA-1",
                "aliases": ["CVE-1"],
                "summary": "it leaks",
                "severity": "MODERATE",
                "fixed": ["1.5.0"],
            }],
        })
    );
}

#[test]
fn the_last_event_up_to_a_version_counts() {
    let events = json!([
        { "introduced": "1.0" }, { "fixed": "1.2" },
        { "introduced": "2.0a1" }, { "last_affected": "2.4" },
    ]);
    let entry = advisory("A", "x", events, Value::Null);
    for (version, affected) in [
        ("0.9", false),
        ("1.0", true),
        ("1.1.9", true),
        ("1.2.dev1", true),
        ("1.2", false),
        ("1.9", false),
        ("2.0a1", true),
        ("2.4", true),
        ("2.4.1", false),
        ("no version", false),
    ] {
        let sbom = sbom(&[&format!("pypi/x@{version}")]);
        assert_eq!(
            found(&sbom, std::slice::from_ref(&entry)).len() == 1,
            affected,
            "{version}"
        );
    }
}

#[test]
fn listed_versions_are_found_however_they_are_written() {
    let entry = advisory("A", "x", json!([]), json!(["1.0", "2.0", "odd"]));
    let sbom = sbom(&["pypi/X@1.0.0", "pypi/x@2.0%2Bcpu", "pypi/x@odd", "pypi/x@3"]);
    assert_eq!(
        found(&sbom, &[entry]),
        ["x 1.0.0 A", "x 2.0+cpu A", "x odd A"]
    );
}

#[test]
fn withdrawn_advisories_do_not_count_and_old_ones_are_read() {
    let events = json!([{ "introduced": "0", "fixed": "2" }]);
    let old = advisory("OLD", "x", events, Value::Null);
    let mut withdrawn = advisory("GONE", "x", json!([{ "introduced": "0" }]), Value::Null);
    withdrawn["withdrawn"] = json!("2024-01-01T00:00:00Z");
    let sbom = sbom(&["pypi/x@1"]);
    assert_eq!(found(&sbom, &[withdrawn.clone(), old]), ["x 1 OLD"]);
    assert!(found(&sbom, &[withdrawn]).is_empty());
}

#[test]
fn folders_files_and_archives_are_read() {
    let entry = advisory("A", "x", json!([{ "introduced": "0" }]), Value::Null).to_string();
    let sbom = sbom(&["pypi/x@1"]);
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("PyPI/2024");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("a.json"), &entry).unwrap();
    fs::write(inner.join("README.md"), "{").unwrap();
    let archive = folder.path().join("all.zip");
    let mut writer = zip::ZipWriter::new(fs::File::create(&archive).unwrap());
    writer
        .start_file("PyPI/a.json", SimpleFileOptions::default())
        .unwrap();
    writer.write_all(entry.as_bytes()).unwrap();
    writer
        .start_file("b.json", SimpleFileOptions::default())
        .unwrap();
    writer.write_all(b"{").unwrap();
    writer.finish().unwrap();

    let one = scan(&sbom, &inner.join("a.json")).unwrap();
    let zipped = scan(&sbom, &archive).unwrap();
    let both = scan(&sbom, folder.path()).unwrap();
    let counts = |report: &ScanReport| (report.advisories_read, report.unreadable);
    assert_eq!(
        [counts(&one), counts(&zipped), counts(&both)],
        [(1, 0), (1, 1), (2, 1)]
    );
    assert!(
        [&one, &zipped, &both]
            .iter()
            .all(|report| report.findings.len() == 1)
    );
}

#[test]
fn what_cannot_be_read_is_counted_and_never_the_end() {
    let folder = database(&[
        advisory("A", "x", json!([{ "introduced": "0" }]), Value::Null),
        json!([1]),
        json!({ "id": 5, "affected": 7 }),
        json!({ "affected": [] }),
    ]);
    let long = folder.path().join("long.json");
    fs::write(long, format!("\"{}\"", "x".repeat(5 << 20))).unwrap();
    let report = scan(&sbom(&["pypi/x@1"]), folder.path()).unwrap();
    assert_eq!((report.advisories_read, report.findings.len()), (1, 1));
    assert_eq!(report.unreadable, 3);
}

#[test]
fn a_scan_against_nothing_does_not_pass() {
    let sbom = sbom(&["pypi/x@1"]);
    let empty = tempfile::tempdir().unwrap();
    let error = scan(&sbom, empty.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("holds no advisory on PyPI packages"),
        "{error}"
    );
    let mut other = advisory("A", "x", json!([]), Value::Null);
    other["affected"][0]["package"]["ecosystem"] = json!("npm");
    assert!(matches!(
        scan(&sbom, database(&[other]).path()),
        Err(ScanError::Nothing { unreadable: 0, .. })
    ));
    let missing = scan(&sbom, &empty.path().join("no")).unwrap_err();
    assert!(missing.to_string().contains("not readable"), "{missing}");
    fs::write(empty.path().join("x.zip"), "no archive").unwrap();
    assert!(matches!(
        scan(&sbom, &empty.path().join("x.zip")),
        Err(ScanError::Database { .. })
    ));
    assert!(matches!(
        scan(&json!({}), empty.path()),
        Err(ScanError::Sbom(_))
    ));
}
