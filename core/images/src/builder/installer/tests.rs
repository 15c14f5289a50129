use super::*;

fn said(log: &[&str]) -> Said {
    Said {
        success: false,
        out: Vec::new(),
        log: log.iter().map(|it| (*it).to_owned()).collect(),
    }
}

#[test]
fn the_reason_is_what_follows_the_first_error() {
    let uv = said(&[
        "Using CPython 3.11.2",
        "error: No solution found when resolving dependencies",
        "  cause: Because there is no version of six==99, it cannot be.",
    ]);
    assert_eq!(
        words(&uv),
        "No solution found when resolving dependencies; \
         Because there is no version of six==99, it cannot be"
    );
    let older = said(&["  × No solution found:", "  ╰─▶ Because of six."]);
    assert_eq!(words(&older), "No solution found:; Because of six");
    let pip = said(&[
        "Looking",
        "ERROR: No matching distribution found for six==99",
    ]);
    assert_eq!(words(&pip), "No matching distribution found for six==99");
    assert_eq!(words(&said(&["a", "b", "c", "d"])), "b; c; d");
    assert_eq!(words(&said(&[])), "it said nothing");
    assert!(words(&said(&["é".repeat(9999).as_str()])).len() < 2000);
}

#[test]
fn the_line_that_asked_is_named() {
    let lines = ["six==99", "ruamel.yaml"].map(|text| Line {
        name: name_of_pin(text),
        text: text.to_owned(),
        origin: text.to_owned(),
    });
    let told = asked_for_by(&lines, &said(&["no version of ruamel_yaml was found"]));
    assert_eq!(told, "; asked for by `ruamel.yaml`");
    assert_eq!(asked_for_by(&lines, &said(&["sixteen"])), "");
}

#[test]
fn versions_are_read_from_both_tools() {
    let uv = "# made by uv\nsix==1.17.0\n    # via x\nx @ https://example.org/x.whl\n";
    assert_eq!(
        pins_of_lines(uv),
        ["six==1.17.0", "x @ https://example.org/x.whl"]
    );
    let pip = r#"{"version": "1", "install": [
        {"is_direct": false, "metadata": {"name": "six", "version": "1.17.0"},
         "download_info": {"url": "https://example.org/six.whl"}},
        {"is_direct": true, "metadata": {"name": "x", "version": "1"},
         "download_info": {"url": "https://example.org/x.whl"}}]}"#;
    let pins = pins_of_report(pip).unwrap();
    assert_eq!(pins, ["six==1.17.0", "x @ https://example.org/x.whl"]);
}

#[test]
fn packages_without_a_pure_wheel_are_told_by_the_lock() {
    let lock = r#"
[[packages]]
name = "pyyaml"
wheels = [{ url = "https://example.org/pyyaml-6-cp314-cp314-manylinux_2_28_x86_64.whl" }]

[[packages]]
name = "six"
wheels = [{ url = "https://example.org/six-1-py2.py3-none-any.whl" }]
"#;
    assert_eq!(without_pure_wheel_in(lock), ["pyyaml"]);
}

#[test]
fn a_full_disk_is_known_by_the_words() {
    assert!(tells_full_disk(
        "error: failed to copy: No space left on device (os error 28)"
    ));
    assert!(tells_full_disk("OSError: [Errno 28] No space"));
    assert!(!tells_full_disk("six 28"));
}
