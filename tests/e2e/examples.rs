//! The commands in the examples' READMEs, as they stand there.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::lusk::{BINARY, Lusk, skip};

/// The lines of a README that follow a `$`, those that they run on to included.
fn commands(readme: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_console = false;
    let mut goes_on = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            is_console = line == "```console";
            goes_on = false;
        } else if is_console && (goes_on || line.starts_with("$ ")) {
            let text = line.strip_prefix("$ ").unwrap_or(line);
            match found.last_mut().filter(|_| goes_on) {
                Some(last) => {
                    last.push('\n');
                    last.push_str(text);
                }
                None => found.push(text.to_owned()),
            }
            goes_on = line.ends_with('\\');
        }
    }
    found
}

/// Runs a README's commands in its folder, against a node of the test's own.
fn follow(name: &str) -> String {
    let lusk = Lusk::start(name);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(
        commands
            .iter()
            .any(|line| line.contains("lusk model deploy")),
        "{commands:?}"
    );
    let script: Vec<_> = commands
        .iter()
        // The node runs already, and the shell is in the folder.
        .filter(|line| !line.starts_with("lusk up") && !line.starts_with("cd "))
        .map(|line| line.replace("http://127.0.0.1:8080", &format!("http://{}", lusk.scoring)))
        .collect();
    let programs = Path::new(BINARY).parent().unwrap().to_owned();
    let path = env::join_paths(
        [programs]
            .into_iter()
            .chain(env::split_paths(&env::var_os("PATH").unwrap())),
    );
    let run = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script.join("\n")])
        .current_dir(&folder)
        .env("PATH", path.unwrap())
        .env("LUSK_DATA", lusk.data())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        run.status.success(),
        "{out}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    out
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

#[test]
fn every_example_does_what_its_readme_says() {
    let missing: Vec<_> = ["curl", "python3"]
        .into_iter()
        .filter(|program| !is_there(program))
        .collect();
    if !missing.is_empty() {
        return skip("examples", &format!("{missing:?} are not installed"));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 4);
    for name in names {
        let out = follow(&name);
        match name.as_str() {
            "digits" => assert!(out.matches("\"label\": [7]").count() == 2, "{out}"),
            "rawhttp" => assert!(out.contains("x-counted: bytes"), "{out}"),
            _ => assert!(out.contains('7'), "{name}: {out}"),
        }
    }
}
