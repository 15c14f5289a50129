//! Flags of a node and the variables that stand in for them: what is refused, in
//! which words, and what is never repeated.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::lusk::{command, test_folder};

/// An address of a registry as nobody should write it.
const WITH_PASSWORD: &str = "http://u:hunter2@127.0.0.1/x";

/// `lusk up` on free ports.
fn up(data: &Path) -> Command {
    let mut command = command(data);
    command.args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command
}

fn said(run: &Output) -> String {
    let mut all = run.stdout.clone();
    all.extend_from_slice(&run.stderr);
    String::from_utf8_lossy(&all).into_owned()
}

/// What it says when it refuses to run with exit code `code`.
fn refused(command: &mut Command, code: i32) -> String {
    let run = command.output().expect("a command");
    let said = said(&run);
    assert_eq!(run.status.code(), Some(code), "{said}");
    said
}

#[test]
fn a_password_in_the_address_of_a_registry_is_never_repeated() {
    let folder = test_folder("flags-password");
    let data = folder.path().join("data");
    for (flag, variable) in [
        ("--registry", "LUSK_REGISTRY"),
        ("--global-registry", "LUSK_GLOBAL_REGISTRY"),
    ] {
        let doctor = || {
            let mut doctor = command(&data);
            doctor.args(["doctor", "--listen", "127.0.0.1:0"]);
            doctor.args(["--admin", "127.0.0.1:0"]);
            doctor
        };
        for (mut run, code) in [(up(&data), 2), (doctor(), 1)] {
            let said = refused(run.args([flag, WITH_PASSWORD]), code);
            assert!(!said.contains("hunter2"), "{said}");
            assert!(said.contains(flag), "{said}");
            assert!(said.contains("no user and no password"), "{said}");
        }
        for (mut run, code) in [(up(&data), 2), (doctor(), 1)] {
            let said = refused(run.env(variable, WITH_PASSWORD), code);
            assert!(!said.contains("hunter2"), "{said}");
        }
        let help = refused(up(&data).env(variable, WITH_PASSWORD).arg("--help"), 0);
        assert!(!help.contains("hunter2"), "{help}");
    }
    assert!(!data.exists());
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let folder = test_folder("flags-empty");
    let data = folder.path().join("data");
    let mut run = command(&data);
    for name in [
        "LUSK_LISTEN",
        "LUSK_ADMIN_LISTEN",
        "LUSK_REGISTRY",
        "LUSK_GLOBAL_REGISTRY",
        "LUSK_OUTPUTS",
        "LUSK_MAX_BODY_BYTES",
        "LUSK_CLUSTER_PURPOSE",
        "LUSK_TLS_CERTIFICATE",
        "LUSK_TLS_KEY",
        "LUSK_OUTPUT",
        "LUSK_WORKSPACE",
        "LUSK_ADMIN_URL",
    ] {
        run.env(name, "");
    }
    // Far enough to see that all of them were read, and no further.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = refused(run.arg("up").arg("--data").arg(&file), 1);
    assert!(said.contains("file"), "{said}");
    assert!(!said.contains("LUSK_"), "{said}");
    assert!(!said.contains("--"), "{said}");
}

#[test]
fn a_refused_value_of_a_variable_names_the_variable() {
    let folder = test_folder("flags-variable");
    let data = folder.path().join("data");
    for (name, value) in [
        ("LUSK_LISTEN", "nowhere"),
        ("LUSK_MAX_BODY_BYTES", "0"),
        ("LUSK_CLUSTER_PURPOSE", "Prod"),
        ("LUSK_OUTPUT", "paper"),
    ] {
        let said = refused(command(&data).arg("up").env(name, value), 2);
        assert!(said.contains(&format!("'{name} (--")), "{said}");
    }
    // The flag comes before the variable, and is what is wrong here.
    let mut both = command(&data);
    both.args(["up", "--listen", "nowhere"]);
    let said = refused(both.env("LUSK_LISTEN", "nowhere"), 2);
    assert!(!said.contains("LUSK_LISTEN"), "{said}");
}

#[test]
fn flags_that_cannot_both_be_meant_are_refused() {
    let folder = test_folder("flags-both");
    let data = folder.path().join("data");
    let said = refused(up(&data).arg("--ephemeral").arg("--data").arg(&data), 2);
    assert!(said.contains("leave one of them out"), "{said}");
    let said = refused(up(&data).args(["--max-body-bytes", "0"]), 2);
    assert!(said.contains("--max-body-bytes"), "{said}");
    assert!(!data.exists());
}
