//! The commands in the examples' READMEs, as they stand there, and the output
//! that stands below them.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::lusk::{BINARY, Lusk, Setup, skip};

/// Where the examples are.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// What a README shows in its consoles.
#[derive(Default)]
struct Consoles {
    /// Lines after a `$`, with those that they run on to.
    commands: Vec<String>,
    /// All other lines.
    output: Vec<String>,
}

impl Consoles {
    fn read(readme: &str) -> Self {
        let mut found = Self::default();
        let mut is_console = false;
        let mut goes_on = false;
        for line in readme.lines() {
            if line.starts_with("```") {
                is_console = line == "```console";
            } else if let Some(last) = found.commands.last_mut().filter(|_| is_console && goes_on) {
                last.push('\n');
                last.push_str(line);
            } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
                found.commands.push(command.to_owned());
            } else if is_console {
                found.output.push(line.to_owned());
                continue;
            }
            goes_on = is_console && line.ends_with('\\');
        }
        found
    }
}

/// A copy of all examples, because some build files and some use each other's.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != "score.wasm" {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A shell in `folder` that knows the binary and the node.
fn shell(lusk: &Lusk, folder: &Path, script: &str) -> Output {
    let programs = Path::new(BINARY).parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path)));
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", path.unwrap())
        .env("LUSK_DATA", lusk.data())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Debian's Rust, which can make WebAssembly, if it was unpacked for the tests.
fn rust_for_wasm() -> String {
    let Some(root) = env::var_os("LUSK_TEST_RUST_WASM").map(PathBuf::from) else {
        return String::new();
    };
    let usr = root.join("usr");
    let usr = usr.display();
    format!(
        "export RUSTC='{usr}/bin/rustc --sysroot {usr}' LD_LIBRARY_PATH={usr}/lib/x86_64-linux-gnu:{usr}/lib/aarch64-linux-gnu:{usr}/lib\n"
    )
}

/// Follows the README of the example `name` against a node of the test's own.
fn follow(name: &str) {
    let lusk = Lusk::start_with(name, Setup::default().with_tools());
    let examples = lusk.folder().join("examples");
    copy(Path::new(EXAMPLES), &examples);
    let folder = examples.join(name);
    let consoles = Consoles::read(&fs::read_to_string(folder.join("README.md")).unwrap());
    for program in ["curl", "python3"] {
        let is_needed = consoles.commands.iter().any(|line| line.contains(program));
        if is_needed
            && !shell(&lusk, &folder, &format!("{program} --version"))
                .status
                .success()
        {
            return skip(
                &format!("examples::{name}"),
                &format!("{program} is not installed"),
            );
        }
    }
    if folder.join("build").is_file() {
        let built = shell(&lusk, &folder, &format!("{}./build", rust_for_wasm()));
        if !built.status.success() {
            let why = String::from_utf8_lossy(&built.stderr).replace('\n', " ");
            return skip(&format!("examples::{name}"), &why);
        }
    }
    let script: Vec<_> = consoles
        .commands
        .iter()
        // The node runs already, the shell is in the folder, the script is built.
        .filter(|line| {
            !["lusk up", "cd ", "./build"]
                .iter()
                .any(|done| line.starts_with(done))
        })
        .map(|line| line.replace("http://127.0.0.1:8080", &format!("http://{}", lusk.scoring)))
        .collect();
    assert!(
        script.iter().any(|line| line.contains("lusk model deploy")),
        "{script:?}"
    );
    let run = shell(&lusk, &folder, &script.join("\n"));
    let out = String::from_utf8_lossy(&run.stdout);
    let talk = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{out}{talk}");
    for line in &consoles.output {
        for part in line.split("...") {
            assert!(
                out.contains(part),
                "`{part}` of the README is not in\n{out}{talk}"
            );
        }
    }
}

macro_rules! examples {
    ($($test:ident = $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                follow($name);
            }
        )*

        /// The examples that a test follows.
        const FOLLOWED: &[&str] = &[$($name),*];
    };
}

examples! {
    digits_does_what_its_readme_says = "digits";
    digits_js_does_what_its_readme_says = "digits-js";
    digits_nocode_does_what_its_readme_says = "digits-nocode";
    iris_sklearn_does_what_its_readme_says = "iris-sklearn";
    digits_schema_does_what_its_readme_says = "digits-schema";
    rawhttp_does_what_its_readme_says = "rawhttp";
    wat_echo_does_what_its_readme_says = "wat-echo";
    c_mean_does_what_its_readme_says = "c-mean";
    rust_mean_does_what_its_readme_says = "rust-mean";
    rollout_does_what_its_readme_says = "rollout";
}

#[test]
fn every_example_is_followed() {
    let folders: BTreeSet<String> = fs::read_dir(EXAMPLES)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let followed: BTreeSet<String> = FOLLOWED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(folders, followed);
}
