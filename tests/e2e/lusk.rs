//! A node, and the commands that a user gives it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    http::{Reply, Request},
    warm,
};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_lusk");

/// How long something may take that must happen; a test that gets here has failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running node with a data folder and a working folder of its own. Killed on
/// drop.
pub struct Lusk {
    process: Child,
    data: PathBuf,
    folder: TempDir,
    setup: Setup,
    pub scoring: SocketAddr,
    pub admin: SocketAddr,
}

/// What a node is started with beyond the usual.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    flags: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Setup {
    /// More words of the command line of `lusk up`.
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// An environment variable of the node.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// A node that finds the tools of the tests' virtual environment, `uv` among them.
    pub fn with_tools(self) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        match std::env::var("LUSK_TEST_VENV") {
            Ok(venv) => self.variable("PATH", format!("{venv}/bin:{path}")),
            Err(_) => self,
        }
    }
}

/// Starts `lusk up` on free ports.
fn up(data: &Path, setup: &Setup) -> Command {
    let mut command = command(data);
    command
        .args([
            "up",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "-o",
            "json",
        ])
        .args(&setup.flags)
        .envs(setup.variables.iter().map(|(name, value)| (name, value)));
    command
}

/// A command of the binary that sees nothing of the caller's own settings.
pub fn command(data: &Path) -> Command {
    let mut command = Command::new(BINARY);
    let foreign =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LUSK_"));
    for (name, _) in foreign {
        command.env_remove(name);
    }
    command
        .env("LUSK_DATA", data)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

impl Lusk {
    /// A node for the test `name`.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, Setup::default())
    }

    /// A node for the test `name` that is started in another way.
    pub fn start_with(name: &str, setup: Setup) -> Self {
        let folder = test_folder(name);
        let data = folder.path().join("data");
        warm::fill(&data);
        Self::start_in(folder, data, setup)
    }

    /// A node that has compiled nothing yet.
    pub fn start_cold(name: &str) -> Self {
        let folder = test_folder(name);
        let data = folder.path().join("data");
        Self::start_at(folder, data)
    }

    /// A node whose data folder lies elsewhere.
    pub fn start_at(folder: TempDir, data: PathBuf) -> Self {
        Self::start_in(folder, data, Setup::default())
    }

    /// The same, started in another way.
    pub fn start_in(folder: TempDir, data: PathBuf, setup: Setup) -> Self {
        let (process, ready) = start(&data, folder.path(), &setup);
        Self {
            setup,
            process,
            scoring: address(&ready["scoring"]),
            admin: address(&ready["admin"]),
            data,
            folder,
        }
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A folder for the test's own files; commands start there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills the node without a word.
    pub fn kill(&mut self) {
        self.process.kill().expect("a node to kill");
        self.process.wait().expect("its end");
    }

    /// Asks the node to stop, and checks that it ends well.
    pub fn stop(&mut self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()
            .expect("kill");
        assert!(status.success());
        let status = self.process.wait().expect("its end");
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Starts the node again on the same data folder.
    pub fn restart(&mut self) {
        let (process, ready) = start(&self.data, self.folder.path(), &self.setup);
        self.process = process;
        self.scoring = address(&ready["scoring"]);
        self.admin = address(&ready["admin"]);
    }

    /// What the node said on stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("node.log")).unwrap_or_default()
    }

    /// Writes a file of the test's own and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path
    }

    /// Runs a command line in the test's folder.
    pub fn cli(&self, arguments: &[&str]) -> Run {
        self.cli_in(self.folder(), arguments)
    }

    /// Runs a command line somewhere else.
    pub fn cli_in(&self, place: &Path, arguments: &[&str]) -> Run {
        let output = command(&self.data)
            .current_dir(place)
            .args(arguments)
            .output()
            .expect("a command");
        Run {
            line: arguments.join(" "),
            output,
        }
    }

    /// A deployment of the service `name`.
    pub fn deploy(&self, name: &str) -> Deployment<'_> {
        Deployment {
            lusk: self,
            name: name.to_owned(),
            arguments: Vec::new(),
        }
    }

    /// Asks the admin door; `path` is below the workspace.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Reply {
        let request = self.admin_request(method, path);
        if body.is_null() {
            request.send(self.admin)
        } else {
            request.json(body).send(self.admin)
        }
    }

    /// A request of the admin door with its token.
    pub fn admin_request(&self, method: &str, path: &str) -> Request {
        Request::new(method, &format!("/workspaces/local{path}")).bearer(&self.token())
    }

    /// The token of the admin door.
    pub fn token(&self) -> String {
        let token = fs::read_to_string(self.data.join("admin.token")).expect("a token");
        token.trim().to_owned()
    }

    /// Uploads a file and gives its digest.
    pub fn upload(&self, content: &[u8]) -> String {
        let reply = self
            .admin_request("POST", "/blobs")
            .body(content)
            .send(self.admin);
        reply.expect(201).json()["digest"]
            .as_str()
            .expect("a digest")
            .to_owned()
    }

    /// Waits for the end of an operation that was accepted.
    pub fn finish(&self, accepted: &Reply) -> Value {
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        let id = accepted.json()["id"].as_str().expect("an id").to_owned();
        let mut seen = 0;
        loop {
            let path = format!("/operations/{id}?wait=true&seen={seen}");
            let operation = self.admin("GET", &path, &Value::Null).expect(200).json();
            if !operation["endTime"].is_null() {
                return operation;
            }
            seen = operation["events"].as_array().expect("events").len();
        }
    }

    /// The service object.
    pub fn service(&self, name: &str) -> Value {
        self.admin("GET", &format!("/services/{name}"), &Value::Null)
            .expect(200)
            .json()
    }

    /// The service's primary key.
    pub fn key(&self, name: &str) -> String {
        let keys = self.admin("POST", &format!("/services/{name}/listkeys"), &Value::Null);
        keys.expect(200).json()["primaryKey"]
            .as_str()
            .expect("a key")
            .to_owned()
    }

    /// A scoring request with the service's key.
    pub fn score_request(&self, name: &str, body: impl AsRef<[u8]>) -> Request {
        Request::new("POST", &format!("/api/v1/service/{name}/score"))
            .bearer(&self.key(name))
            .header("Content-Type", "application/json")
            .body(body)
    }

    /// Scores `body`.
    pub fn score(&self, name: &str, body: impl AsRef<[u8]>) -> Reply {
        self.score_request(name, body).send(self.scoring)
    }

    /// A scoring request by somebody who has no key.
    pub fn score_without_key(&self, name: &str) -> Reply {
        Request::new("POST", &format!("/api/v1/service/{name}/score")).send(self.scoring)
    }

    /// The value of a metric of a service, e.g. `lusk_slots_busy`.
    pub fn metric(&self, metric: &str, service: &str) -> f64 {
        let page = Request::new("GET", "/metrics")
            .bearer(&self.token())
            .send(self.admin);
        let page = page.expect(200).text();
        let start = format!("{metric}{{service=\"{service}\"}} ");
        page.lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or_else(|| panic!("no {start} in\n{page}"))
            .parse()
            .expect("a number")
    }
}

impl Drop for Lusk {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("--- what the node said ---\n{}", self.log());
        }
    }
}

/// A folder that goes with the test.
pub fn test_folder(name: &str) -> TempDir {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(root).expect("a folder for tests");
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir_in(root)
        .expect("a folder")
}

/// Starts a node and waits for its ready line.
fn start(data: &Path, folder: &Path, setup: &Setup) -> (Child, Value) {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("node.log"))
        .expect("a log file");
    let mut process = up(data, setup)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("a node");
    let mut line = String::new();
    let mut stdout = BufReader::new(process.stdout.take().expect("stdout"));
    stdout.read_line(&mut line).expect("a line");
    let ready = serde_json::from_str(&line).unwrap_or_else(|_| {
        let log = fs::read_to_string(folder.join("node.log")).unwrap_or_default();
        panic!("the node said `{line}` instead of being ready: {log}")
    });
    (process, ready)
}

fn address(url: &Value) -> SocketAddr {
    let url = url.as_str().expect("a URL");
    let (_, address) = url.split_once("://").expect("a scheme");
    address.parse().expect("an address")
}

/// Bytes of memory that a node here may give to replicas, at least.
pub fn machine_memory() -> f64 {
    let memory = fs::read_to_string("/proc/meminfo").expect("the machine's memory");
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|total| total.split_whitespace().next()?.parse::<f64>().ok());
    let bytes = kilobytes.expect("MemTotal") * 1024.0;
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse::<f64>().ok());
    limit.map_or(bytes, |limit| limit.min(bytes))
}

/// Waits until something has happened that nobody announces.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "it did not happen that {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Says a line that is shown whether the test passes or not.
pub fn tell(line: &str) {
    // The harness swallows what passing tests print with a macro.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// A test that cannot run here; `tests/run` counts it.
pub fn skip(name: &str, why: &str) {
    tell(&format!("skipped: {name}: {why}"));
    if let Some(path) = std::env::var_os("LUSK_TEST_SKIPS") {
        let mut skips = fs::read_to_string(&path).unwrap_or_default();
        skips += &format!("{name}: {why}\n");
        fs::write(path, skips).expect("the list of skips");
    }
}

/// A command that ran.
pub struct Run {
    line: String,
    output: Output,
}

impl Run {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// What it printed; it must have succeeded.
    pub fn ok(&self) -> String {
        assert_eq!(
            self.code(),
            Some(0),
            "lusk {}\n{}",
            self.line,
            self.stderr()
        );
        self.stdout()
    }

    /// What it printed as JSON; it must have succeeded.
    pub fn json(&self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// Its complaint; it must have failed with this exit code.
    pub fn fails(&self, code: i32) -> String {
        assert_eq!(
            self.code(),
            Some(code),
            "lusk {}\n{}{}",
            self.line,
            self.stdout(),
            self.stderr()
        );
        self.stderr()
    }
}

/// A deployment that is being put together.
pub struct Deployment<'a> {
    lusk: &'a Lusk,
    name: String,
    arguments: Vec<String>,
}

impl Deployment<'_> {
    /// Serves this Python script.
    pub fn python(self, script: &str) -> Self {
        self.script("score.py", script.as_bytes())
    }

    /// Serves this WebAssembly text.
    pub fn wat(self, script: &str) -> Self {
        self.script("score.wat", script.as_bytes())
    }

    /// Serves a script that lies in a file of this name.
    pub fn script(self, name: &str, content: &[u8]) -> Self {
        let file = format!("{}/{name}", self.name);
        let path = self.lusk.file(&file, content);
        self.args(&["--es", path.to_str().expect("a path")])
    }

    /// Serves a registered model, or a file.
    pub fn model(self, model: &str) -> Self {
        self.args(&["-m", model])
    }

    /// More words of the command line.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Runs the command.
    pub fn run(&self) -> Run {
        let mut words = vec!["model", "deploy", "-n", &self.name, "-o", "json"];
        words.extend(self.arguments.iter().map(String::as_str));
        if !self
            .arguments
            .iter()
            .any(|word| word == "--nr" || word == "--dc" || word == "--cp")
        {
            words.extend(["--nr", "1"]);
        }
        self.lusk.cli(&words)
    }

    /// Deploys; gives the service object of the admin door.
    pub fn done(self) -> Value {
        let printed = self.run().json();
        assert_eq!(printed["name"], json!(self.name));
        self.lusk.service(&self.name)
    }

    /// Is refused, or fails; gives the complaint.
    pub fn fails(self) -> String {
        self.run().fails(1)
    }
}

/// A Python script that answers with its body.
pub fn plain_script() -> String {
    "def init():\n    print('init ran')\n\ndef run(raw_data):\n    print('run ran')\n    return raw_data\n".to_owned()
}

/// A WebAssembly text that answers with this JSON text.
pub fn constant(answer: &str) -> String {
    let escaped = answer.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        r#"(module
  (memory (export "memory") 17)
  (data (i32.const 16) "{escaped}")
  (func (export "lusk_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "init") (result i32) (i32.const 0))
  (func (export "run") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const {length}))))"#,
        length = answer.len()
    )
}

/// A WebAssembly text with this body of `run`, which gets pointer and length.
pub fn running(run: &str) -> String {
    format!(
        r#"(module
  (memory (export "memory") 17)
  (func (export "lusk_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "init") (result i32) (i32.const 0))
  (func $run (export "run") (param i32 i32) (result i64) {run}))"#
    )
}
