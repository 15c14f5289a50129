"""Servers of models that lusk is compared with, each with the same digits model.

Each has a virtual environment of its own below one folder DIR:

    python3 -m venv DIR/fastapi && DIR/fastapi/bin/pip install fastapi "uvicorn[standard]" onnxruntime numpy
    python3 -m venv DIR/azmlinf && DIR/azmlinf/bin/pip install azureml-inference-server-http onnxruntime numpy
    python3 -m venv DIR/mlserver && DIR/mlserver/bin/pip install mlserver "uvloop<0.22" onnxruntime numpy

(mlserver 1.7.1 cannot start its workers with a newer uvloop.)
"""

import json
import os

from harness import DIGIT, HERE, MODEL, Failed, Server, Target, free_port

APPS = HERE / "peers"
FASTAPI = "FastAPI + onnxruntime"
AZUREML = "azureml-inference-server-http"
MLSERVER = "MLServer"


def environment(**more):
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(APPS)}
    return dict(os.environ, LOAD_MODEL=str(MODEL), **quiet, **more)


def fastapi(venvs, workers, folder):
    port = free_port()
    command = [venvs / "fastapi" / "bin" / "uvicorn", "fastapi_app:app", "--host", "127.0.0.1"]
    command += ["--port", port, "--workers", workers, "--no-access-log", "--log-level", "warning"]
    server = Server(command, folder / "fastapi.log", cwd=APPS, env=environment())
    return Target(FASTAPI, server, f"http://127.0.0.1:{port}/score")


def azureml(venvs, workers, folder):
    port = free_port()
    command = [venvs / "azmlinf" / "bin" / "azmlinfsrv", "--entry_script"]
    command += [APPS / "azureml_score.py", "--port", port, "--worker_count", workers]
    env = environment(AML_APP_INSIGHTS_ENABLED="false", AZUREML_MODEL_DIR=str(MODEL.parent))
    server = Server(command, folder / "azureml.log", cwd=folder, env=env)
    return Target(AZUREML, server, f"http://127.0.0.1:{port}/score")


def mlserver(venvs, workers, folder):
    port = free_port()
    # In the process of the server itself when there is one.
    parallel = 0 if workers == 1 else workers
    settings = {
        "debug": False, "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(),
        "metrics_port": free_port(), "parallel_workers": parallel,
    }
    for name in ("digits_runtime.py", "model-settings.json"):
        (folder / name).write_bytes((APPS / "mlserver" / name).read_bytes())
    (folder / "settings.json").write_text(json.dumps(settings))
    rows = json.loads(DIGIT.read_text())["data"]
    body = folder / "body.json"
    body.write_text(json.dumps({"inputs": [{
        "name": "X", "shape": [len(rows), 64], "datatype": "FP32",
        "data": [value for row in rows for value in row],
    }]}))
    command = [venvs / "mlserver" / "bin" / "mlserver", "start", "."]
    env = environment(MLSERVER_ACCESS_LOG="false")
    env["PYTHONPATH"] += f":{folder}"
    server = Server(command, folder / "mlserver.log", cwd=folder, env=env)
    url = f"http://127.0.0.1:{port}/v2/models/digits/infer"
    return Target(MLSERVER, server, url, body=body, expect='"data":[7]')


STARTS = {"fastapi": fastapi, "azmlinf": azureml, "mlserver": mlserver}


def present(venvs):
    """Those that are installed; none is worth a complaint."""
    found = [start for name, start in STARTS.items() if (venvs / name / "bin").is_dir()]
    if not found:
        raise Failed(f"{venvs} has none of {', '.join(STARTS)}; see tests/load/peers.py")
    return found
