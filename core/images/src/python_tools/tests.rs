use std::cell::RefCell;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A machine that has only what a test puts into its one folder of programs.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn python(&self, name: &str, version: &str) -> PathBuf {
        self.program(name, &format!("echo {version}; echo \"$0\""))
    }

    fn tools(&self, more: &[(&str, &str)]) -> Tools {
        let path = ("PATH", self.0.path().to_str().unwrap());
        let all = more.iter().copied().chain([path]);
        Tools::new(
            all.map(|(name, value)| (name.into(), value.into())),
            Duration::from_mins(1),
        )
    }

    fn run(&self, script: &str) -> Result<Said, ImageError> {
        let program = self.program("tool", script);
        self.tools(&[]).tool(&program, self.0.path()).run(&|_| {})
    }
}

#[test]
fn the_last_lines_are_kept_and_all_are_passed_on() {
    let machine = Machine::new();
    let script = "i=0; while [ $i -lt 60 ]; do echo \"line $i\"; i=$((i+1)); done; exit 3";
    let program = machine.program("tool", script);
    let tools = machine.tools(&[]);
    let lines = RefCell::new(Vec::new());
    let said = tools
        .tool(&program, machine.0.path())
        .run(&|line| lines.borrow_mut().push(line.to_owned()))
        .unwrap();
    assert!(!said.success);
    assert_eq!(lines.borrow().len(), 60);
    assert_eq!(said.log.len(), 50);
    assert_eq!(said.log.last().unwrap(), "line 59");
}

#[test]
fn credentials_in_addresses_are_not_kept() {
    let said = Machine::new()
        .run("echo 'from https://me:secret@example.org/simple?sig=secret, https://example.org'; echo done >&2")
        .unwrap();
    assert!(said.success);
    assert_eq!(
        said.out,
        ["from https://***@example.org/simple?*** https://example.org"]
    );
    assert_eq!(said.log.len(), 2);
}

#[test]
fn a_tool_gets_few_variables() {
    let machine = Machine::new();
    let program = machine.program("tool", "/usr/bin/env");
    let tools = machine.tools(&[
        ("AWS_SECRET", "x"),
        ("UV_INDEX_URL", "https://example.org"),
        ("UV_PYTHON_DOWNLOADS", "automatic"),
        ("https_proxy", "p"),
        ("PYTHONPATH", "/x"),
    ]);
    let said = tools.tool(&program, machine.0.path()).run(&|_| {}).unwrap();
    let has = |line: &str| said.out.iter().any(|it| it == line);
    assert!(has("UV_INDEX_URL=https://example.org") && has("https_proxy=p"));
    assert!(has("UV_PYTHON_DOWNLOADS=never"));
    let folder = machine.0.path().to_str().unwrap();
    assert!(has(&format!("TMPDIR={folder}")));
    let names = said.out.join(" ");
    assert!(
        !names.contains("AWS_SECRET") && !names.contains("PYTHONPATH"),
        "{names}"
    );
}

#[test]
fn a_tool_that_takes_too_long_goes_with_all_it_started() {
    let machine = Machine::new();
    let program = machine.program("tool", "/bin/sleep 1000 & echo $!; /bin/sleep 1000");
    let tools = machine.tools(&[]);
    let mut tool = tools.tool(&program, machine.0.path());
    tool.timeout = Duration::from_secs(1);
    let started = RefCell::new(String::new());
    let error = tool
        .run(&|line| line.clone_into(&mut started.borrow_mut()))
        .unwrap_err();
    let ImageError::Build { message, log } = error else {
        panic!("{error}");
    };
    assert!(
        message.contains("took longer than 1 s and was stopped"),
        "{message}"
    );
    assert_eq!(log, started.borrow().as_str());
    let status = PathBuf::from(format!("/proc/{log}/stat"));
    let lives = || {
        let stat = fs::read_to_string(&status).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while lives() {
        std::thread::yield_now();
    }
}

#[test]
fn what_a_tool_leaves_running_does_not_keep_it() {
    let machine = Machine::new();
    let program = machine.program("tool", "/bin/sleep 1000 & echo done");
    let tools = machine.tools(&[]);
    let said = tools.tool(&program, machine.0.path()).run(&|_| {}).unwrap();
    assert!(said.success);
    assert_eq!(said.out, ["done"]);
}

#[test]
fn a_tool_that_cannot_be_run_is_named() {
    let machine = Machine::new();
    let tools = machine.tools(&[]);
    let missing = machine.0.path().join("missing");
    let error = tools
        .tool(&missing, machine.0.path())
        .run(&|_| {})
        .unwrap_err();
    assert!(
        error.to_string().contains("missing` cannot be run: "),
        "{error}"
    );
    let error = machine.tools(&[("LUSK_UV", "/no/uv")]).uv().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("LUSK_UV is `/no/uv`, which is no program")
    );
}

#[test]
fn pythons_are_found_by_what_they_say() {
    let machine = Machine::new();
    assert_eq!(machine.tools(&[]).default_python(), None);
    // A shim for a version that is not installed.
    machine.program("python3", "echo 'no such version' >&2; exit 127");
    let default = machine.python("python", "3.11.7");
    let old = machine.python("python3.8", "3.8.20");
    machine.python("python3.9", "3.10.1");
    let tools = machine.tools(&[]);
    let python = tools.default_python().unwrap();
    assert_eq!(
        (python.program.clone(), python.minor()),
        (default, "3.11".to_owned())
    );
    assert_eq!(tools.python("3.11").unwrap(), python);
    assert_eq!(tools.python("3.8").unwrap().program, old);
    assert_eq!(tools.python("3.9"), None);
    let within = |bounds| {
        let bounds = VersionSpecifiers::from_str(bounds).unwrap();
        tools.python_within(&bounds).map(|python| python.minor())
    };
    assert_eq!(within(">=3.8").as_deref(), Some("3.11"));
    assert_eq!(within("==3.8.*").as_deref(), Some("3.8"));
    assert_eq!(within(">=3.7,<3.9").as_deref(), Some("3.8"));
    assert_eq!(within("==3.11.2"), None);
    assert_eq!(within("==3.6.*"), None);
}

#[test]
fn a_python_that_only_uv_knows_is_found() {
    let machine = Machine::new();
    let hidden = machine.python("hidden", "3.12.1");
    let uv = format!(
        "[ \"$1 $2 $4\" = 'python find 3.12' ] && echo {}",
        hidden.display()
    );
    machine.program("uv", &uv);
    let tools = machine.tools(&[]);
    assert_eq!(tools.python("3.12").unwrap().program, hidden);
    assert_eq!(tools.python("3.13"), None);
}

#[test]
fn half_a_password_is_none_of_a_reader_either() {
    for (text, expected) in [
        (
            "x @ http://u:a/b@example.org/y",
            "x @ http://***@example.org/y",
        ),
        ("http://example.org:80/a@1", "http://example.org:80/a@1"),
        (
            "git+ssh://git@example.org:x/y@1",
            "git+ssh://***@example.org:x/y@1",
        ),
        ("http://[::1]:80/a@1", "http://[::1]:80/a@1"),
    ] {
        assert_eq!(redacted(text), expected);
    }
}

proptest! {
    #[test]
    fn a_password_never_gets_through(
        before in "[ -~]{0,10}", user in "[a-z]{1,5}", after in "[a-z/]{0,10}"
    ) {
        let text = redacted(&format!("{before} https://{user}:hunter2@example.org/{after}"));
        prop_assert!(!text.contains("hunter2"), "{}", text);
    }
}
