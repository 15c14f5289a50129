//! Runtime `process`: a scikit-learn script as Azure took it, in a Python of
//! this machine.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use serde_json::{Value, json};

use crate::lusk::{Lusk, Setup, plain_script, skip, until};

/// What a tutorial's `score.py` looks like.
const SCORE: &str = "
import json
import os

import joblib
import numpy as np


def init():
    global model
    model = joblib.load(os.path.join(os.getenv('AZUREML_MODEL_DIR'), 'iris.pkl'))
    print('model loaded')


def run(raw_data):
    data = np.array(json.loads(raw_data)['data'])
    return model.predict(data).tolist()
";

const TRAIN: &str = "
import joblib, sklearn.datasets, sklearn.linear_model, sys
x, y = sklearn.datasets.load_iris(return_X_y=True)
joblib.dump(sklearn.linear_model.LogisticRegression(max_iter=500).fit(x, y), sys.argv[1])
";

/// One flower of each kind.
const FLOWERS: &str =
    r#"{"data": [[5.1, 3.5, 1.4, 0.2], [6.0, 2.9, 4.5, 1.5], [6.3, 3.3, 6.0, 2.5]]}"#;

/// The Python of the tests' virtual environment, which has scikit-learn.
fn python() -> Option<PathBuf> {
    let venv = std::env::var_os("LUSK_TEST_VENV")?;
    Some(PathBuf::from(venv).join("bin/python")).filter(|path| path.exists())
}

fn node(name: &str) -> Lusk {
    Lusk::start_with(name, Setup::default().with_tools())
}

/// An inference config with this `python` section.
fn config(lusk: &Lusk, section: &Value) -> &'static str {
    let config = json!({
        "entryScript": "score.py",
        "environment": {"name": "native", "python": section},
    });
    lusk.file("score.py", SCORE);
    lusk.file("inferenceconfig.json", config.to_string());
    "inferenceconfig.json"
}

fn register_iris(lusk: &Lusk, python: &PathBuf) {
    let model = lusk.folder().join("iris.pkl");
    let trained = Command::new(python)
        .args(["-c", TRAIN])
        .arg(&model)
        .status()
        .expect("Python");
    assert!(trained.success());
    lusk.cli(&["model", "register", "-n", "iris", "-p", "iris.pkl"])
        .ok();
}

#[test]
fn a_user_managed_scikit_learn_runs_as_it_is() {
    let Some(python) = python() else {
        return skip("native::user_managed", "no LUSK_TEST_VENV");
    };
    let lusk = node("managed");
    register_iris(&lusk, &python);
    let section = json!({"userManagedDependencies": true, "interpreterPath": python});
    let service = lusk
        .deploy("iris")
        .model("iris:1")
        .args(&["--ic", config(&lusk, &section)])
        .done();
    assert_eq!(service["runtime"], "process");
    let reply = lusk.score("iris", FLOWERS).expect(200);
    assert_eq!(reply.text(), "[0, 1, 2]");
    assert!(reply.header("x-ms-run-fn-exec-ms").is_some());
    let logs = lusk.cli(&["service", "get-logs", "-n", "iris"]).ok();
    assert!(logs.contains("model loaded"), "{logs}");
}

#[test]
fn a_dependency_with_native_code_makes_it_a_process() {
    let Some(python) = python() else {
        return skip("native::native_dependency", "no LUSK_TEST_VENV");
    };
    let lusk = node("native");
    register_iris(&lusk, &python);
    let section = json!({"condaDependencies": {"dependencies": [
        "python=3.11",
        {"pip": ["azureml-defaults", "scikit-learn==1.9.1"]},
    ]}});
    let run = lusk
        .deploy("iris")
        .model("iris:1")
        .args(&["--ic", config(&lusk, &section)])
        .run();
    run.ok();
    let said = run.stderr();
    assert!(said.contains("native code in"), "{said}");
    assert!(said.contains("scikit-learn"), "{said}");
    assert_eq!(lusk.service("iris")["runtime"], "process");
    assert_eq!(lusk.score("iris", FLOWERS).expect(200).text(), "[0, 1, 2]");

    let listed = lusk.cli(&["image", "list", "-o", "json"]).json();
    assert_eq!(listed[0]["runtime"], "process", "{listed}");
}

/// A service that runs `run` in a process of this machine's Python.
fn process(lusk: &Lusk, name: &str, run: &str) {
    let script = format!("import os\n\n\ndef init():\n    pass\n\n\ndef run(raw_data):\n{run}\n");
    lusk.deploy(name)
        .python(&script)
        .args(&["--rt", "process"])
        .done();
}

#[test]
fn a_crash_is_told_at_once_and_the_next_request_is_served() {
    let lusk = node("crash");
    let run = "    if raw_data == '1':\n        os._exit(3)\n    return raw_data";
    process(&lusk, "fragile", run);
    let reply = lusk.score("fragile", "1").expect(502);
    assert!(reply.text().contains("exit"), "{}", reply.text());
    assert_eq!(lusk.score("fragile", "2").expect(200).text(), "\"2\"");
}

#[test]
fn a_script_that_crashes_at_every_start_is_given_up_with_its_last_words() {
    let lusk = node("loop");
    let script = "import os\nprint('about to go')\nos._exit(7)\n";
    let said = lusk
        .deploy("broken")
        .python(script)
        .args(&["--rt", "process"])
        .fails();
    assert!(said.contains("about to go"), "{said}");
}

#[test]
fn nothing_of_a_process_outlives_its_node() {
    let mut lusk = node("orphans");
    let run = "    pid = os.fork()\n    if pid == 0:\n        os.setsid()\n        import time\n        time.sleep(3600)\n    return [os.getpid(), pid]";
    process(&lusk, "parent", run);
    let reply = lusk.score("parent", "1").expect(200).json();
    let pids: Vec<u64> = serde_json::from_value(reply).expect("numbers");
    let lives = |pid: &u64| {
        PathBuf::from(format!("/proc/{pid}/exe"))
            .canonicalize()
            .is_ok()
    };
    assert!(pids.iter().all(lives));
    lusk.kill();
    lusk.restart();
    until("the processes of the dead node are gone", || {
        !pids.iter().any(lives)
    });
}

#[test]
fn outputs_are_kept_beyond_the_replica() {
    let mut lusk = node("outputs");
    let run = "    with open('outputs/seen.txt', 'a') as file:\n        file.write(raw_data + '\\n')\n    return 1";
    process(&lusk, "writer", run);
    lusk.score("writer", "77").expect(200);
    lusk.deploy("sandboxed")
        .python(&format!(
            "def init():\n    pass\n\n\ndef run(raw_data):\n{run}\n"
        ))
        .done();
    lusk.score("sandboxed", "78").expect(200);
    lusk.stop();
    for (service, text) in [("writer", "77\n"), ("sandboxed", "78\n")] {
        let kept = lusk.data().join("outputs").join(service);
        let found = kept
            .read_dir()
            .expect("kept outputs")
            .flatten()
            .filter_map(|entry| std::fs::read_to_string(entry.path().join("seen.txt")).ok());
        assert_eq!(found.collect::<Vec<_>>(), [text]);
    }
}

#[test]
fn a_local_service_waits_for_its_debugger() {
    let Some(python) = python() else {
        return skip("native::debugger", "no LUSK_TEST_VENV");
    };
    let lusk = node("debugged");
    let port = free_port();
    lusk.file("score.py", plain_script());
    let config = json!({
        "entryScript": "score.py",
        "environment": {"name": "native", "python": {
            "userManagedDependencies": true,
            "interpreterPath": python,
        }},
    });
    lusk.file("inferenceconfig.json", config.to_string());
    lusk.deploy("debugged")
        .args(&["--ic", "inferenceconfig.json", "--cp", "local"])
        .args(&["--debug-port", &port.to_string(), "--no-wait"])
        .run()
        .ok();
    until("the script waits for a debugger", || {
        let logs = lusk.cli(&["service", "get-logs", "-n", "debugged"]).ok();
        logs.contains(&format!("waiting for a debugger on 127.0.0.1:{port}"))
    });
    assert_eq!(lusk.service("debugged")["state"], "Transitioning");
    let mut debugger = attach(&python, port);
    until("the service is healthy", || {
        lusk.service("debugged")["state"] == "Healthy"
    });
    let _ = debugger.kill();
    let _ = debugger.wait();
}

/// A port that nothing listens on at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

/// A debugger that attaches, and lets the script go on.
fn attach(python: &Path, port: u16) -> Child {
    const DEBUGGER: &str = r#"
import json, socket, sys

link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))

def send(number, command, arguments):
    body = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
    link.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)

send(1, "initialize", {"adapterID": "test", "pathFormat": "path"})
send(2, "attach", {"justMyCode": False})
buffer = b""
while True:
    part = link.recv(65536)
    if not part:
        break
    buffer += part
    if b'"initialized"' in buffer:
        buffer = b""
        send(3, "configurationDone", {})
"#;
    Command::new(python)
        .args(["-c", DEBUGGER, &port.to_string()])
        .spawn()
        .expect("a debugger")
}
