"""Tracebacks as the author of a script wants to see them."""

import os
import sys
import traceback

# Packages that need C extensions, their own or another package's.
NATIVE_PACKAGES = frozenset(
    """
    catboost cv2 cryptography fastai h5py keras lightgbm lxml matplotlib mlflow numba
    onnx pandas PIL psutil psycopg2 pyarrow pydantic pydantic_core pyodbc scipy seaborn
    shap skimage sklearn spacy statsmodels tensorflow tokenizers torch torchvision
    transformers xgboost
    """.split()
)

# Packages of which the sandbox holds a part.
CARRIED_PACKAGES = frozenset(
    "azureml azureml_inference_server_http inference_schema lusk numpy onnxruntime".split()
)

_WAY_OUT = (
    "the `process` runtime (`python.userManagedDependencies: true`) runs the script with an "
    "interpreter of your own"
)

_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OWN_FILES = tuple(
    os.path.join(_OWN_FOLDER, name)
    for name in ("lusk_app.py", "lusk_native" + os.sep, "lusk_runner" + os.sep)
)

# What to say about a package that is not there; the native runner has its own answer.
hint_for_package = None


def render(error):
    """The traceback of `error` without the frames of the runner and of the import machinery."""
    told = traceback.TracebackException.from_exception(error)
    _prune(told, set())
    text = "".join(told.format()).rstrip()
    hint = _hint(error)
    return f"{text}\n  help: {hint}" if hint else text


def summary(error):
    """The last line of the traceback: type and message, on one line."""
    told = traceback.TracebackException.from_exception(error)
    lines = [line for part in told.format_exception_only() for line in part.splitlines()]
    plain = [line.strip() for line in lines if line.strip()]
    if isinstance(error, SyntaxError):
        plain = plain[-1:]
    return " ".join(plain) or type(error).__name__


def report(error):
    """Writes the traceback of `error` into the service's log."""
    sys.stdout.flush()
    print(render(error), file=sys.stderr, flush=True)


def _prune(told, seen):
    if told is None or id(told) in seen:
        return
    seen.add(id(told))
    kept = [frame for frame in told.stack if not _is_own(frame.filename)]
    told.stack[:] = kept
    _prune(told.__cause__, seen)
    _prune(told.__context__, seen)
    for inner in getattr(told, "exceptions", None) or ():
        _prune(inner, seen)


def _is_own(filename):
    return filename.startswith("<frozen importlib") or filename.startswith(_OWN_FILES)


def _hint(error):
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    package = error.name.partition(".")[0]
    if hint_for_package is not None:
        return hint_for_package(package)
    if package in NATIVE_PACKAGES:
        return f"`{package}` needs native code, which the sandbox cannot load; {_WAY_OUT}"
    if package in CARRIED_PACKAGES:
        return f"the sandbox holds only a part of `{package}`; {_WAY_OUT}"
    return None
