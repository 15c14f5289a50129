"""`onnxruntime` over the host's inference: sessions that run where lusk runs models."""

from onnxruntime._options import ExecutionMode, GraphOptimizationLevel, RunOptions, SessionOptions
from onnxruntime._session import InferenceSession, NodeArg

__version__ = "1.20.0+lusk"

__all__ = [
    "ExecutionMode",
    "GraphOptimizationLevel",
    "InferenceSession",
    "NodeArg",
    "RunOptions",
    "SessionOptions",
    "get_available_providers",
    "get_all_providers",
    "get_device",
    "set_default_logger_severity",
]

_PROVIDERS = ["CPUExecutionProvider"]


def get_available_providers():
    """The execution providers. Which device computes is the service's setting, not the script's."""
    return list(_PROVIDERS)


get_all_providers = get_available_providers


def get_device():
    """The device as onnxruntime names it."""
    return "CPU"


def set_default_logger_severity(_severity):
    """Accepted; inference is logged by the host."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(f"module 'onnxruntime' has no attribute {name!r}")
    raise NotImplementedError(
        f"onnxruntime.{name} is not in the sandbox; the `process` runtime "
        "(`python.userManagedDependencies: true`) runs the original package"
    )
