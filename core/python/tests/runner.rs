//! The component, end to end in wasmtime: scripts as a user writes them.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "the measurement prints")]

#[allow(
    unreachable_pub,
    reason = "the generated bindings re-export these types"
)]
mod host;

use std::time::{Duration, Instant};

use host::{Payload, Request, RunError, Runner, Setup, header, json_request, text};
use serde_json::{Value, json};

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

#[test]
fn a_plain_script_gets_text_and_answers_json() {
    let mut runner = Runner::of_script(
        "import json\ncount = 0\ndef init(): pass\ndef run(raw_data):\n    global count\n    count += 1\n    return {'n': len(json.loads(raw_data)['data']), 'count': count}\n",
    )
    .unwrap();
    assert_eq!(
        runner.post(r#"{"data": [1, 2]}"#).unwrap(),
        (200, r#"{"n": 2, "count": 1}"#.to_owned())
    );
    assert_eq!(
        runner.post(r#"{"data": []}"#).unwrap().1,
        r#"{"n": 0, "count": 2}"#
    );
}

#[test]
fn results_are_written_as_the_original_writes_them() {
    let mut runner =
        Runner::of_script("def init(): pass\ndef run(raw): return eval(raw)\n").unwrap();
    for (result, status, body) in [
        ("None", 200, "{}"),
        ("'a\"b'", 200, r#""a\"b""#),
        ("[1.5, float('nan')]", 200, "[1.5, NaN]"),
    ] {
        assert_eq!(runner.post(result).unwrap(), (status, body.to_owned()));
    }
    let response = runner.run(&json_request("b'x'")).unwrap().unwrap();
    assert_eq!(response.status, 500);
    assert_eq!(header(&response, lusk_python::FAILED_HEADER), Some("False"));
    assert!(
        runner.stderr().contains("bytes is not JSON serializable"),
        "{}",
        runner.stderr()
    );
}

#[test]
fn a_query_becomes_json_text() {
    let mut runner = Runner::of_script("def init(): pass\ndef run(raw): return raw\n").unwrap();
    let request = Request {
        method: "GET".to_owned(),
        target: "/score?a=1&a=2&b=x&c=%7B%7D".to_owned(),
        headers: vec![],
        body: Payload::Text(String::new()),
    };
    let body = text(&runner.run(&request).unwrap().unwrap());
    let inner: String = serde_json::from_str(&body).unwrap();
    assert_eq!(parsed(&inner), json!({"a": [1, 2], "b": "x", "c": {}}));
}

#[test]
fn bytes_that_are_no_text_are_a_bad_request() {
    let mut runner = Runner::of_script("def init(): pass\ndef run(raw): return raw\n").unwrap();
    let mut request = json_request("");
    request.body = Payload::Bytes(vec![0xff, 0xfe]);
    let refused = runner.run(&request).unwrap().unwrap_err();
    assert!(
        matches!(refused, RunError::BadRequest(ref text) if text.contains("UTF-8")),
        "{refused:?}"
    );
}

#[test]
fn a_script_that_raises_leaves_its_traceback_in_the_log_and_goes_on() {
    let script = "import sys\ndef init(): print('ready')\ndef run(raw):\n    if raw == 'exit': sys.exit(3)\n    if raw == 'deep': return run(raw)\n    if raw == 'stop': raise KeyboardInterrupt\n    return 1 / len(raw)\n";
    let mut runner = Runner::of_script(script).unwrap();
    for (body, summary) in [
        ("", "ZeroDivisionError: division by zero"),
        ("exit", "SystemExit: 3"),
        ("deep", "RecursionError: maximum recursion depth exceeded"),
        ("stop", "KeyboardInterrupt"),
    ] {
        let failed = runner.run(&json_request(body)).unwrap().unwrap_err();
        assert!(
            matches!(&failed, RunError::Script(line) if line == summary),
            "{failed:?}"
        );
    }
    assert_eq!(runner.post("ab").unwrap(), (200, "0.5".to_owned()));
    let log = runner.stderr();
    assert!(
        log.contains(
            "Traceback (most recent call last):\n  File \"/var/azureml-app/score.py\", line 7, in run\n    return 1 / len(raw)"
        ),
        "{log}"
    );
    assert!(!log.contains("lusk_runner"), "{log}");
    assert_eq!(runner.stdout(), "ready\n");
}

#[test]
fn deep_json_and_a_lack_of_memory_are_one_failed_request() {
    host::on_deep_stack(starve);
}

fn starve() {
    let script = "import json\ndef init(): pass\ndef run(raw):\n    if raw == 'memory': return len(bytearray(64 << 20))\n    return len(json.loads(raw))\n";
    let mut runner = Runner::of_script(script).unwrap();
    let failed = runner.run(&json_request("memory")).unwrap().unwrap_err();
    assert!(
        matches!(&failed, RunError::Script(line) if line == "MemoryError"),
        "{failed:?}"
    );
    let deep = "[".repeat(200_000);
    let failed = runner.run(&json_request(&deep)).unwrap().unwrap_err();
    assert!(
        matches!(&failed, RunError::Script(line) if line.starts_with("RecursionError")),
        "{failed:?}"
    );
    for (nested, outcome) in [(990, Some("1")), (991, None)] {
        let body = format!(
            "[{}\"]\"{}]",
            "[".repeat(nested - 1),
            "]".repeat(nested - 1)
        );
        let answer = runner.run(&json_request(&body)).unwrap();
        assert_eq!(
            answer.ok().as_ref().map(text).as_deref(),
            outcome,
            "{nested}"
        );
    }
    let wide = format!("[{}[0]]", "[0],".repeat(20_000));
    assert_eq!(runner.post(&wide).unwrap().1, "20001");
}

#[test]
fn what_keeps_a_script_from_starting_is_named_with_its_traceback() {
    for (script, kind, part) in [
        (
            "import pandas\n",
            lusk_python::IMPORT_ERROR,
            "`pandas` needs native code",
        ),
        (
            "import numpy.random\n",
            lusk_python::IMPORT_ERROR,
            "only a part of `numpy`",
        ),
        (
            "from azureml.core import Workspace\n",
            lusk_python::IMPORT_ERROR,
            "control plane",
        ),
        ("def init(:\n", lusk_python::IMPORT_ERROR, "SyntaxError"),
        (
            "raise SystemExit(1)\n",
            lusk_python::IMPORT_ERROR,
            "SystemExit: 1",
        ),
        (
            "def run(raw): pass\n",
            lusk_python::FUNCTION_NOT_FOUND,
            "does not define init()",
        ),
        (
            "def init(): pass\n",
            lusk_python::FUNCTION_NOT_FOUND,
            "does not define run()",
        ),
        (
            "def init(): pass\ndef run(): pass\n",
            lusk_python::FUNCTION_NOT_FOUND,
            "must take a parameter",
        ),
        (
            "def init(): pass\ndef run(request_headers): pass\n",
            lusk_python::FUNCTION_NOT_FOUND,
            "besides `request_headers`",
        ),
        (
            "def init(): pass\ndef run(*a): pass\n",
            lusk_python::FUNCTION_NOT_FOUND,
            "`*a`",
        ),
        (
            "def init(): open('missing')\ndef run(raw): pass\n",
            lusk_python::INIT_FAILED,
            "line 1, in init\n    def init(): open('missing')",
        ),
    ] {
        let mut runner = Runner::new(&Setup {
            files: &[("score.py", script)],
            ..Setup::default()
        })
        .unwrap();
        let failed = runner.init().unwrap().unwrap_err();
        assert!(failed.starts_with(&format!("{kind}: ")), "{failed}");
        assert!(failed.contains(part), "{failed}");
        assert!(!failed.contains("lusk_runner"), "{failed}");
    }
}

#[test]
fn files_beside_the_script_and_variables_are_there() {
    let setup = Setup {
        files: &[
            (
                "src/pkg/score.py",
                "import os, sys\nimport beside, above\ndef init(): pass\ndef run(raw): return [os.environ['COLOUR'], os.getcwd(), beside.NAME, above.NAME, __name__, open('data.txt').read(), sorted(n for n in os.environ if n.startswith('PYTHON'))]\n",
            ),
            ("src/pkg/beside.py", "NAME = 'beside'\n"),
            ("src/above.py", "NAME = 'above'\n"),
            ("data.txt", "data"),
        ],
        variables: &[
            ("AZUREML_ENTRY_SCRIPT", "pkg/score.py"),
            ("AZUREML_SOURCE_DIRECTORY", "src"),
            ("COLOUR", "blue"),
        ],
        ..Setup::default()
    };
    let mut runner = Runner::new(&setup).unwrap();
    runner.init().unwrap().unwrap();
    let (_, body) = runner.post("").unwrap();
    assert_eq!(
        parsed(&body),
        json!([
            "blue",
            "/var/azureml-app",
            "beside",
            "above",
            "score",
            "data",
            []
        ])
    );
}

#[test]
fn a_small_script_starts_in_seventeen_megabytes() {
    let mut runner = Runner::new(&Setup {
        files: &[(
            "score.py",
            "import json\ndef init(): pass\ndef run(raw): return json.loads(raw)\n",
        )],
        memory: Some(17 << 20),
        ..Setup::default()
    })
    .unwrap();
    runner.init().unwrap().unwrap();
    assert_eq!(runner.post("[1]").unwrap().1, "[1]");
}

#[test]
fn any_module_of_the_standard_library_can_be_imported() {
    let script = "import importlib\ndef init(): pass\ndef run(raw): return [importlib.import_module(each).__name__ for each in raw.split()]\n";
    for names in [
        "difflib wave sqlite3 xml.etree.ElementTree unittest",
        "asyncio multiprocessing concurrent.futures",
        "email.message http.client urllib.request configparser",
        "zipfile tarfile zoneinfo encodings.cp1252 plistlib",
    ] {
        let mut runner = Runner::of_script(script).unwrap();
        let listed: Vec<&str> = names.split(' ').collect();
        let (_, body) = runner
            .post(names)
            .map_err(|error| format!("{error}\n{}", runner.stderr()))
            .unwrap();
        assert_eq!(parsed(&body), json!(listed));
    }
}

#[test]
fn tracebacks_show_the_lines_of_the_standard_library() {
    let script =
        "import fractions\ndef init(): pass\ndef run(raw): return fractions.Fraction('x')\n";
    let mut runner = Runner::of_script(script).unwrap();
    runner.run(&json_request("")).unwrap().unwrap_err();
    let log = runner.stderr();
    assert!(log.contains("File \"/python/fractions.py\""), "{log}");
    assert!(log.contains("raise ValueError('Invalid literal"), "{log}");
}

#[test]
fn clocks_and_random_numbers_are_not_those_of_the_build() {
    let script = "import random, time, uuid\nAT = time.time()\ndef init(): pass\ndef run(raw): return [AT, time.time(), random.random(), str(uuid.uuid4())]\n";
    let answer = || parsed(&Runner::of_script(script).unwrap().post("").unwrap().1);
    let (first, second) = (answer(), answer());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!((now.as_secs_f64() - first[0].as_f64().unwrap()).abs() < 3600.0);
    assert!(first[1].as_f64() >= first[0].as_f64());
    assert_ne!(first[2], second[2]);
    assert_ne!(first[3], second[3]);
}

#[test]
fn a_schema_converts_the_input_and_describes_itself() {
    let script = "import numpy as np\nfrom inference_schema.schema_decorators import input_schema, output_schema\nfrom inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType\nfrom inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType\ndef init(): pass\n@input_schema('data', NumpyParameterType(np.array([[1.0, 2.0]])))\n@input_schema('scale', StandardPythonParameterType(1.5))\n@output_schema(NumpyParameterType(np.array([1.0])))\ndef run(data, scale=2.0, request_headers=None):\n    return [float(data.sum() * scale), data.dtype.name, request_headers]\n";
    let mut runner = Runner::of_script(script).unwrap();
    assert_eq!(
        parsed(
            &runner
                .post(r#"{"data": [[1, 2], [3, 4]], "scale": 1, "more": 0}"#)
                .unwrap()
                .1
        ),
        json!([10.0, "float64", {"Content-Type": "application/json"}])
    );
    for (body, part) in [
        ("", "empty"),
        ("[1]", "not an object"),
        ("{", "not JSON"),
        (r#"{"scale": 1}"#, "`data`"),
    ] {
        let refused = runner.run(&json_request(body)).unwrap().unwrap_err();
        assert!(
            matches!(&refused, RunError::BadRequest(text) if text.contains(part)),
            "{refused:?}"
        );
    }
    let failed = runner
        .run(&json_request(r#"{"data": [[1, 2, 3]]}"#))
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(&failed, RunError::Script(text) if text.contains("shape")),
        "{failed:?}"
    );
    let mut form = json_request("{}");
    form.headers[0].1 = "text/plain".to_owned();
    let response = runner.run(&form).unwrap().unwrap();
    assert_eq!(response.status, 415);
    assert_eq!(header(&response, lusk_python::FAILED_HEADER), Some("False"));
    assert_eq!(
        schema(&mut runner)["input"]["properties"]["data"],
        json!({"type": "array", "format": "numpy.ndarray", "items": {"type": "array", "items": {"type": "number", "format": "double"}}})
    );
    assert_eq!(schema(&mut runner)["kind"], "schema");
}

fn schema(runner: &mut Runner) -> Value {
    let request = Request {
        method: lusk_python::SCHEMA_METHOD.to_owned(),
        target: "/swagger.json".to_owned(),
        headers: vec![],
        body: Payload::Text(String::new()),
    };
    parsed(&text(&runner.run(&request).unwrap().unwrap()))
}

#[test]
fn a_plain_script_describes_itself_as_any_object() {
    let mut runner = Runner::of_script("def init(): pass\ndef run(raw): return raw\n").unwrap();
    let any = json!({"type": "object", "example": {}});
    assert_eq!(
        schema(&mut runner),
        json!({"kind": "plain", "input": any, "output": any})
    );
}

#[test]
fn a_raw_script_sees_the_request_and_shapes_the_response() {
    let script = "from azureml.contrib.services.aml_request import AMLRequest, rawhttp\nfrom azureml.contrib.services.aml_response import AMLResponse\ndef init(): pass\n@rawhttp\ndef run(request):\n    assert isinstance(request, AMLRequest)\n    if request.method == 'GET':\n        return AMLResponse('no', 503)\n    return AMLResponse(request.get_data()[::-1], 201, {'Content-Type': 'image/jpeg', 'X-Many': 'a, b', 'X-Url': request.full_path})\n";
    let mut runner = Runner::of_script(script).unwrap();
    let mut request = json_request("");
    request.body = Payload::Bytes(vec![1, 2, 0xff]);
    "/score?k=v".clone_into(&mut request.target);
    let response = runner.run(&request).unwrap().unwrap();
    assert_eq!(response.status, 201);
    assert!(matches!(&response.body, Payload::Bytes(bytes) if bytes == &[0xff, 2, 1]));
    let lines: Vec<&str> = response
        .headers
        .iter()
        .filter(|(name, _)| name == "X-Many")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(lines, ["a", "b"]);
    assert_eq!(header(&response, "content-type"), Some("image/jpeg"));
    assert_eq!(header(&response, "x-url"), Some("/score?k=v"));
    "GET".clone_into(&mut request.method);
    let response = runner.run(&request).unwrap().unwrap();
    assert_eq!(
        (
            response.status,
            header(&response, lusk_python::FAILED_HEADER)
        ),
        (503, Some("True"))
    );
    assert_eq!(schema(&mut runner)["kind"], "raw");
}

const ONNX_SCRIPT: &str = "\
import json, os
import numpy as np
import onnxruntime as ort
from azureml.core.model import Model

def init():
    global session, name
    path = os.path.join(os.environ['AZUREML_MODEL_DIR'], 'm.onnx')
    session = ort.InferenceSession(path, providers=['CPUExecutionProvider'])
    assert Model.get_model_path('m') == '/var/azureml-app/azureml-models/m/2/m.onnx'
    name = session.get_inputs()[0].name
    assert session.get_inputs()[0].shape == [None, 4]

def run(raw_data):
    data = np.array(json.loads(raw_data)['data'], dtype=np.float32)
    label, probabilities = session.run(None, {name: data})
    best = session.run(['probabilities'], {name: data})[0].max(axis=1)
    return {'label': label.tolist(), 'best': best.tolist(), 'argmax': int(np.argmax(probabilities, axis=1)[0])}
";

fn onnx_runner(script: &str) -> Runner {
    let mut runner = Runner::new(&Setup {
        files: &[
            ("score.py", script),
            ("azureml-models/m/1/old.onnx", "x"),
            ("azureml-models/m/2/m.onnx", "x"),
        ],
        variables: &[
            ("AML_APP_ROOT", "/var/azureml-app"),
            ("AZUREML_MODEL_DIR", "azureml-models/m/2"),
        ],
        ..Setup::default()
    })
    .unwrap();
    runner.init().unwrap().unwrap();
    runner
}

#[test]
fn onnxruntime_computes_on_the_host() {
    let mut runner = onnx_runner(ONNX_SCRIPT);
    let (_, body) = runner
        .post(r#"{"data": [[1, 5, 2, 0], [9, 5, 2, 0.5]]}"#)
        .unwrap();
    assert_eq!(
        parsed(&body),
        json!({"label": [1, 0], "best": [5.0, 9.0], "argmax": 1})
    );
    for (body, part) in [
        (
            r#"{"data": [[1, 5]]}"#,
            "Got invalid dimensions for input: X",
        ),
        (r#"{"data": [1, 5]}"#, "Invalid rank for input: X"),
        (
            r#"{"data": [[1, 2, 3, 1e39]]}"#,
            "RUNTIME_ERROR : an infinite input",
        ),
    ] {
        let failed = runner.run(&json_request(body)).unwrap().unwrap_err();
        assert!(
            matches!(&failed, RunError::Script(text) if text.contains(part)),
            "{failed:?}"
        );
    }
    for _ in 0..5 {
        runner.post(r#"{"data": [[1, 5, 2, 0]]}"#).unwrap();
    }
    assert_eq!(
        runner.tensors(),
        0,
        "a request leaves nothing with the host"
    );
}

#[test]
fn what_numpy_lacks_names_the_way_out() {
    let mut runner = Runner::of_script(
        "import numpy as np\ndef init(): pass\ndef run(raw): return np.fft.fft([1, 2])\n",
    )
    .unwrap();
    let failed = runner.run(&json_request("")).unwrap().unwrap_err();
    assert!(
        matches!(&failed, RunError::Script(text) if text.contains("numpy.fft") && text.contains("`process`")),
        "{failed:?}"
    );
}

#[test]
fn onnxruntime_takes_a_model_as_bytes_and_names_what_is_wrong() {
    let script = "\
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidProtobuf, NoSuchFile

# graph { input { name: 'X' type { tensor_type { elem_type: 1 shape { dim { dim_param: 'N' } dim { dim_value: 4 } } } } } }
VALUE = bytes([10, 1, 88, 18, 15, 10, 13, 8, 1, 18, 9, 10, 3, 18, 1, 78, 10, 2, 8, 4])
MODEL = bytes([8, 8, 58, len(VALUE) + 2, 90, len(VALUE)]) + VALUE

def init(): pass

def run(raw):
    told = []
    for source in ('missing.onnx', 'broken.onnx', b'junk'):
        try:
            ort.InferenceSession(source)
        except (NoSuchFile, InvalidProtobuf) as error:
            told.append(type(error).__name__)
    node = ort.InferenceSession(MODEL).get_inputs()[0]
    return told + [node.name, node.type, node.shape]
";
    let mut runner = Runner::new(&Setup {
        files: &[("score.py", script), ("broken.onnx", "x")],
        ..Setup::default()
    })
    .unwrap();
    runner.init().unwrap().unwrap();
    let (_, body) = runner
        .post("")
        .map_err(|error| format!("{error}\n{}", runner.stderr()))
        .unwrap();
    assert_eq!(
        parsed(&body),
        json!([
            "NoSuchFile",
            "InvalidProtobuf",
            "InvalidProtobuf",
            "X",
            "tensor(float)",
            ["N", 4]
        ])
    );
}

#[test]
fn the_packages_of_azure_ml_are_there_under_both_names() {
    let script = "\
from azureml.core.model import Model
from azureml.monitoring import ModelDataCollector
from azureml_inference_server_http.api.aml_request import AMLRequest
from lusk.core.model import Model as Own
import lusk.contrib.services.aml_request as own_request
import pandas_like_name_that_is_beside

def init():
    global collector
    collector = ModelDataCollector('m', designation='inputs', feature_names=['a'])

def run(raw):
    told = collector.collect([1, 2])
    collector.collect([3, 4], 'mine')
    try:
        Model.get_model_path('absent')
    except Exception as error:
        missing = type(error).__name__
    return [Own is Model, own_request.AMLRequest is AMLRequest, len(told), missing]
";
    let mut runner = Runner::new(&Setup {
        files: &[
            ("score.py", script),
            ("packages/pandas_like_name_that_is_beside.py", ""),
        ],
        variables: &[("PYTHONPATH", "/var/azureml-app/packages")],
        ..Setup::default()
    })
    .unwrap();
    runner.init().unwrap().unwrap();
    let (_, body) = runner.post("").unwrap();
    assert_eq!(
        parsed(&body),
        json!([true, true, 8, "ModelNotFoundException"])
    );
    assert_eq!(runner.stdout().lines().count(), 1, "{}", runner.stdout());
}

/// A request as a digits service gets it: 64 numbers, one inference.
const DIGITS_SCRIPT: &str = "\
import json
import numpy as np
import onnxruntime as ort

def init():
    global session, name
    session = ort.InferenceSession('azureml-models/m/2/m.onnx')
    name = session.get_inputs()[0].name

def run(raw_data):
    data = np.array(json.loads(raw_data)['data'], dtype=np.float32).reshape(-1, 4)
    label, probabilities = session.run(None, {name: data})
    return {'label': int(label[0]), 'probabilities': probabilities[0].tolist()}
";

/// Not a check of speed: prints what a request costs.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_request() {
    let mut runner = onnx_runner(DIGITS_SCRIPT);
    let row: Vec<f64> = (0..64).map(|n| f64::from(n) / 16.0).collect();
    let body = json!({"data": [row]}).to_string();
    let mut echo = Runner::of_script("def init(): pass\ndef run(raw): return 1\n").unwrap();
    for (label, runner, body) in [
        ("64 floats and an inference", &mut runner, body.as_str()),
        ("nothing", &mut echo, "1"),
    ] {
        let mut best = Duration::MAX;
        for _ in 0..40 {
            let started = Instant::now();
            for _ in 0..50 {
                runner.post(body).unwrap();
            }
            best = best.min(started.elapsed() / 50);
        }
        println!("{label}: {best:?}");
    }
    let started = Instant::now();
    drop(Runner::of_script("def init(): pass\ndef run(raw): return raw\n").unwrap());
    println!("instance and init: {:?}", started.elapsed());
}
